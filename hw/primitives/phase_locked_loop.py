"""What phase-locked loops have in common: a component, and the choice of dividers."""

from amaranth.lib.wiring import Out

from .block import Block


__all__ = ["PhaseLockedLoop", "choose"]


class PhaseLockedLoop(Block):
    """Makes a clock of another frequency of the one at a pin.

    It has no twin, since nothing simulates it.

    Parameters
    ----------
    pin : io.SingleEndedPort
        The board's clock.
    input_hz, output_hz : int
        Frequencies. See the family's ``Dividers.find`` for what is possible.

    Members
    -------
    o : Out(1)
        The clock made from it.
    locked : Out(1)
        High once the output can be relied on. Asynchronous.

    Raises
    ------
    ValueError
        If the frequencies are not possible.
    """

    #: Returns the dividers for ``input_hz`` and ``output_hz``.
    find_dividers: staticmethod

    o: Out(1)
    locked: Out(1)

    def __init__(self, pin, *, input_hz, output_hz):
        self.pin = pin
        self.dividers = self.find_dividers(input_hz, output_hz)
        super().__init__()


def choose(candidates, input_hz, output_hz, *, inputs, outputs, preference):
    """Return the dividers that make ``output_hz`` of ``input_hz`` exactly.

    Parameters
    ----------
    candidates : iterator
        Dividers that the PLL can have, each with ``output_hz(input_hz)``; not asked for frequencies
        beyond the limits.
    input_hz, output_hz : int
        Frequencies.
    inputs, outputs : range
        Their limits.
    preference : callable
        Key of the dividers to take, the least one, where several make the same frequency.

    Raises
    ------
    ValueError
        If a frequency is beyond its limits, or there are no such dividers; the message names the
        nearest frequency that has.
    """
    for name, value, limits in (("Input", input_hz, inputs), ("Output", output_hz, outputs)):
        if value not in limits:
            raise ValueError(f"{name} of the PLL must be {limits[0] / 1e6:g} to "
                             f"{limits[-1] / 1e6:g} MHz, not {value / 1e6:g} MHz")
    best = min(candidates, key=lambda dividers: (
        abs(dividers.output_hz(input_hz) - output_hz), preference(dividers)))
    if best.output_hz(input_hz) != output_hz:
        nearest = float(best.output_hz(input_hz)) / 1e6
        raise ValueError(f"Output of the PLL must be a frequency that it can make of "
                         f"{input_hz / 1e6:g} MHz, as {nearest:.6g} MHz, "
                         f"not {output_hz / 1e6:g} MHz")
    return best
