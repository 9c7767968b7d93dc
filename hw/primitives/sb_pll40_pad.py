"""The iCE40's phase-locked loop."""

from dataclasses import dataclass
from fractions import Fraction

from amaranth import *

from .block import ICE40
from .phase_locked_loop import PhaseLockedLoop, choose


__all__ = ["SB_PLL40_PAD", "Dividers"]


# Limits of the data sheet (FPGA-DS-02008, sysCLOCK PLL timing of the UltraPlus), in Hz.
INPUT = range(10_000_000, 133_000_001)
OUTPUT = range(16_000_000, 275_000_001)
PHASE_DETECTOR = range(10_000_000, 133_000_001)
OSCILLATOR = range(533_000_000, 1_066_000_001)

# Upper limits of the phase detector's frequency for each setting of the loop filter, as icepll of
# Project IceStorm has them.
FILTERS = ((17_000_000, 1), (26_000_000, 2), (44_000_000, 3), (66_000_000, 4), (101_000_000, 5),
           (133_000_000, 6))


@dataclass(frozen=True)
class Dividers:
    """Fields of an iCE40's PLL that feeds its own oscillator back.

    The oscillator runs at ``input / (reference + 1) * (feedback + 1)``; the output is that over
    ``2 ** output``.
    """

    reference: int
    feedback: int
    output: int
    filter: int

    def output_hz(self, input_hz):
        """Return the exact output frequency."""
        return Fraction(input_hz * (self.feedback + 1), self.reference + 1 << self.output)

    @classmethod
    def find(cls, input_hz, output_hz):
        """Return the fields that make ``output_hz`` of ``input_hz`` exactly.

        Raises
        ------
        ValueError
            If a frequency is beyond the data sheet's limits, or there are no such fields; the
            message names the nearest frequency that has.
        """
        return choose(cls._candidates(input_hz), input_hz, output_hz, inputs=INPUT, outputs=OUTPUT,
                      preference=lambda dividers: dividers.reference)

    @classmethod
    def _candidates(cls, input_hz):
        for reference in range(16):
            detector = input_hz // (reference + 1)
            if detector not in PHASE_DETECTOR:
                break
            setting = next(setting for limit, setting in FILTERS if detector <= limit)
            for feedback in range(128):
                if detector * (feedback + 1) in OSCILLATOR:
                    for output in range(1, 7):
                        yield cls(reference, feedback, output, setting)


class SB_PLL40_PAD(PhaseLockedLoop):
    """The iCE40's phase-locked loop at a pin of its own, which nothing else can read."""

    family = ICE40
    find_dividers = Dividers.find

    def block(self):
        m = Module()
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_PLLOUT_SELECT="GENCLK",
            p_DIVR=Const(self.dividers.reference, 4),
            p_DIVF=Const(self.dividers.feedback, 7),
            p_DIVQ=Const(self.dividers.output, 3),
            p_FILTER_RANGE=Const(self.dividers.filter, 3),
            i_PACKAGEPIN=self.pin.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=self.o,
            o_LOCK=self.locked,
        )
        return m
