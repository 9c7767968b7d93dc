"""Coefficients of the power estimate: each with its unit, its source and where it holds."""

from dataclasses import dataclass


__all__ = ["FLIP_FLOP_TOGGLE", "IDLE_BOARD", "NOT_COUNTED", "UNCERTAINTY", "Coefficient"]


@dataclass(frozen=True)
class Coefficient:
    """A measured quantity.

    Parameters
    ----------
    value : float
        What was measured.
    unit : str
        Its unit.
    source : str
        Who measured it, and how.
    range : str
        The conditions that it was measured under.
    """

    value: float
    unit: str
    source: str
    range: str


FLIP_FLOP_TOGGLE = Coefficient(
    value=0.25,
    unit="pJ per flip-flop toggle, with its share of clock tree and routing",
    source="targeted/fpga-reg-power, USB power meter at the board",
    range="LFE5U-85F, all flip-flops toggling, 10 to 100 MHz",
)

IDLE_BOARD = Coefficient(
    value=0.20,
    unit="W for the whole idle board",
    source="targeted/fpga-reg-power, USB power meter at the board",
    range="ULX3S with LFE5U-85F",
)

#: What draws power but has no coefficient with a source.
NOT_COUNTED = (
    "block RAM accesses",
    "multiplications in DSP blocks",
    "toggles of LUTs and their nets, and glitches, beyond what a flip-flop's coefficient includes",
    "clock of flip-flops that don't toggle",
    "PLL",
    "pins",
)

UNCERTAINTY = ("estimate: dynamic power is a lower bound, since what is listed in not_counted is "
               "left out; static power is that of a whole idle ULX3S-85F, whatever the device")
