"""Which phase-locked loop a device has."""

from .ehxplll import EHXPLLL
from .sb_pll40_pad import SB_PLL40_PAD


__all__ = ["find_pll"]


PLLS = (EHXPLLL, SB_PLL40_PAD)


def find_pll(device):
    """Return the class of the PLL that ``device`` has.

    A `PhaseLockedLoop`; its ``find_dividers`` says whether there can be one.
    """
    return next(pll for pll in PLLS if device.startswith(pll.family.prefix))
