"""Delay of the states of lanes that take longer turns than their loop."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.pipeline import delay
from hw.primitives.dp16kd import DP16KD


__all__ = ["StateDelay"]


#: The longest delay that is made of registers.
REGISTERS = 8


class StateDelay(wiring.Component):
    """Delays what lanes pass on, step by step: in registers, or in block RAM if it is long.

    Parameters
    ----------
    width : int
        Bits of all lanes together.
    steps : int
        The delay.

    Members
    -------
    enable : In(1)
        There is a step.
    i : In(width)
        What goes in.
    o : Out(width)
        What went in ``steps`` steps ago. With a delay, reset clears it.
    """

    def __init__(self, width, steps):
        self.width = width
        self.steps = steps
        super().__init__({
            "enable": In(1),
            "i": In(width),
            "o": Out(width),
        })

    def elaborate(self, platform):
        m = Module()

        if self.steps == 0:
            m.d.comb += self.o.eq(self.i)
            return m

        if self.steps > REGISTERS:
            value = self.remember(m)
        else:
            with m.If(self.enable):
                value = delay(m, self.i, self.steps - 1)
        with m.If(self.enable):
            m.d.sync += self.o.eq(value)

        return m

    def remember(self, m):
        """Return what went in a step less than ``steps`` ago, from block RAM."""
        # A word is written in one step, and fetched and passed on in two others.
        distance = self.steps - 3
        size = 1 << distance.bit_length()
        # Both places count on in the same way; the one is the other's past, round the memory.
        read = Signal(range(size))
        written = read
        with m.If(self.enable):
            m.d.sync += read.eq(read + 1)
            for past in range(1, size - distance + 1):
                later = Signal(range(size), init=size - past)
                m.d.sync += later.eq(written)
                written = later
        words = []
        for start in range(0, self.width, 18):
            m.submodules[f"memory{start // 18}"] = memory = DP16KD()
            m.d.comb += [
                memory.a.enable.eq(self.enable),
                memory.a.write.eq(1),
                memory.a.address.eq(written),
                memory.a.write_data.eq(self.i[start:start + 18]),
                memory.b.enable.eq(self.enable),
                memory.b.address.eq(read),
            ]
            words.append(memory.b.data)
        return Cat(words)
