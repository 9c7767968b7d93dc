"""Which phase-locked loop a device has."""

from .ehxplll import EHXPLLL
from .sb_pll40_pad import SB_PLL40_PAD


__all__ = ["find_pll"]


PLLS = {"LFE5U": EHXPLLL, "iCE40": SB_PLL40_PAD}


def find_pll(device):
    """Return the class of the PLL that ``device`` has.

    Its instances are made of the clock's pin, ``input_hz`` and ``output_hz``, and have the ports
    ``o`` and ``locked``; its ``find_dividers`` says whether there can be one.
    """
    return next(pll for family, pll in PLLS.items() if device.startswith(family))
