# amaranth: UnusedElaboratable=no

import pytest
from amaranth.hdl import Fragment

from hw.primitives.ehxplll import (DIVIDER, EHXPLLL, OSCILLATOR, OUTPUT, PHASE_DETECTOR,
                                   Dividers)


@pytest.mark.parametrize("input_hz, output_hz", [
    (25_000_000, 80_000_000), (25_000_000, 50_000_000), (25_000_000, 62_500_000),
    (25_000_000, 100_000_000), (25_000_000, 400_000_000), (25_000_000, 3_125_000),
    (12_000_000, 48_000_000), (48_000_000, 90_000_000), (400_000_000, 100_000_000),
])
def test_dividers_are_exact_and_within_the_limits(input_hz, output_hz):
    dividers = Dividers.find(input_hz, output_hz)
    assert dividers.output_hz(input_hz) == output_hz

    detector = input_hz / dividers.reference
    assert PHASE_DETECTOR[0] <= detector <= PHASE_DETECTOR[-1]
    assert OUTPUT[0] <= detector * dividers.feedback <= OUTPUT[-1]
    oscillator = detector * dividers.feedback * dividers.loop
    assert OSCILLATOR[0] <= oscillator <= OSCILLATOR[-1]
    for divider in (dividers.reference, dividers.feedback, dividers.loop, dividers.output):
        assert divider in DIVIDER


@pytest.mark.parametrize("input_hz, output_hz, complaint", [
    (7_000_000, 80_000_000, "Input of the PLL must be 8 to 400 MHz, not 7 MHz"),
    (25_000_000, 401_000_000, "Output of the PLL must be 3.125 to 400 MHz, not 401 MHz"),
    (25_000_000, 3_000_000, "Output of the PLL must be 3.125 to 400 MHz, not 3 MHz"),
    (25_000_000, 77_000_000, "of 25 MHz, as 77.0833 MHz, not 77 MHz"),
])
def test_impossible_frequencies_refused(input_hz, output_hz, complaint):
    with pytest.raises(ValueError, match=complaint):
        EHXPLLL(None, input_hz=input_hz, output_hz=output_hz)


def test_other_devices_refused():
    with pytest.raises(NotImplementedError, match="EHXPLLL must be built for an ECP5, not None"):
        Fragment.get(EHXPLLL(None, input_hz=25_000_000, output_hz=80_000_000), None)
