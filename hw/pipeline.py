"""Registers that delay what accompanies a pipeline."""

from amaranth import *


__all__ = ["delay"]


def delay(m, value, cycles, *, reset_less=True):
    """Return ``value`` as it was ``cycles`` cycles of ``sync`` ago; before that, 0.

    ``reset_less=False`` is for what a reset must take out of the pipeline, e.g. ``valid``. Under
    :py:`m.If` the registers keep their values while its condition doesn't hold.
    """
    for _ in range(cycles):
        later = Signal(value.shape(), name="later", reset_less=reset_less)
        m.d.sync += later.eq(value)
        value = later
    return value
