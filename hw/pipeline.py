"""Registers that delay what accompanies a pipeline, or take it across the device."""

from amaranth import *

from hw.primitives.trellis_ff import TRELLIS_FF


__all__ = ["copies", "delay"]


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


def copies(m, value, target, name):
    """Return ``value`` for each of the target's requantisers, and the rows beside it.

    Where the target is ``spread``, these are registers: the value of a cycle ago, apart from one
    another, near what they drive. Elsewhere it is the value itself.
    """
    if not target.spread:
        return [value] * target.requantisers
    found = []
    for index in range(target.requantisers):
        m.submodules[f"{name}{index}"] = register = TRELLIS_FF(len(Value.cast(value)))
        copy = Signal(value.shape(), name=f"{name}{index}")
        m.d.comb += [register.i.eq(value), copy.eq(register.o)]
        found.append(copy)
    return found
