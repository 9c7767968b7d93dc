"""The ECP5's phase-locked loop."""

from dataclasses import dataclass
from fractions import Fraction

from amaranth import *
from amaranth.lib import io

from .block import ECP5
from .phase_locked_loop import PhaseLockedLoop, choose


__all__ = ["EHXPLLL", "Dividers"]


# Limits of the data sheet (FPGA-DS-02012, sysCLOCK PLL timing), in Hz.
INPUT = range(8_000_000, 400_000_001)
OUTPUT = range(3_125_000, 400_000_001)
PHASE_DETECTOR = range(10_000_000, 400_000_001)
OSCILLATOR = range(400_000_000, 800_000_001)

DIVIDER = range(1, 129)


@dataclass(frozen=True)
class Dividers:
    """Dividers of an EHXPLLL that feeds output CLKOP back and gives CLKOS to the user.

    The oscillator runs at ``input / reference * feedback * loop``; the output is that over
    ``output``.
    """

    reference: int
    feedback: int
    loop: int
    output: int

    def output_hz(self, input_hz):
        """Return the exact output frequency."""
        return Fraction(input_hz * self.feedback * self.loop, self.reference * self.output)

    @classmethod
    def find(cls, input_hz, output_hz):
        """Return the dividers that make ``output_hz`` of ``input_hz`` exactly.

        Of several the one with the fastest phase detector, then the fastest oscillator: both make
        for less jitter.

        Raises
        ------
        ValueError
            If a frequency is beyond the data sheet's limits, or there are no such dividers; the
            message names the nearest frequency that has.
        """
        return choose(cls._candidates(input_hz, output_hz), input_hz, output_hz,
                      inputs=INPUT, outputs=OUTPUT, preference=lambda dividers: (
                          dividers.reference, -dividers.feedback * dividers.loop))

    @classmethod
    def _candidates(cls, input_hz, output_hz):
        for reference in DIVIDER:
            if input_hz // reference not in PHASE_DETECTOR:
                break
            for multiple in range(-(-OSCILLATOR[0] * reference // input_hz),
                                  OSCILLATOR[-1] * reference // input_hz + 1):
                # CLKOP must be a legal output too, so as little as possible is left to the loop.
                feedback = max((f for f in DIVIDER if multiple % f == 0
                                and f * input_hz // reference in OUTPUT), default=None)
                if feedback is None or multiple // feedback not in DIVIDER:
                    continue
                divider = round(Fraction(multiple * input_hz, reference * output_hz))
                if divider in DIVIDER:
                    yield cls(reference, feedback, multiple // feedback, divider)


class EHXPLLL(PhaseLockedLoop):
    """The ECP5's phase-locked loop: output CLKOP is fed back, CLKOS is the clock."""

    family = ECP5
    find_dividers = Dividers.find

    def block(self):
        m = Module()
        m.submodules.buffer = buffer = io.Buffer("i", self.pin)
        feedback = Signal()
        m.submodules.ehxplll = Instance("EHXPLLL",
            # Charge pump and loop filter as the vendor's tool sets them at all frequencies.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=self.dividers.reference,
            p_CLKFB_DIV=self.dividers.feedback,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.dividers.loop,
            p_CLKOP_CPHASE=self.dividers.loop - 1,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=self.dividers.output,
            p_CLKOS_CPHASE=self.dividers.output - 1,
            i_CLKI=buffer.i,
            i_CLKFB=feedback,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            i_ENCLKOS=Const(0),
            o_CLKOP=feedback,
            o_CLKOS=self.o,
            o_LOCK=self.locked,
        )
        return m
