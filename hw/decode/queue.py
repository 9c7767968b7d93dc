"""Queue that tells its level soon enough to hold its source."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


__all__ = ["Queue"]


class Queue(wiring.Component):
    """First in, first out. Reset empties it.

    A payload can leave one cycle after it has come. Whoever writes must see to it that the queue
    never overflows: payloads beyond ``depth`` overwrite the oldest ones.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.
    depth : int
        Most payloads that it can keep; a power of two.

    Members
    -------
    i : In(stream.Signature(shape, always_ready=True))
        Payloads.
    o : Out(stream.Signature(shape))
        The same, in order.
    level : Out(range(depth + 1))
        Number of payloads in the queue.
    """

    def __init__(self, shape, depth):
        if depth < 2 or depth.bit_count() != 1:
            raise ValueError(f"Depth must be 2, 4, 8, ..., not {depth}")

        self.shape = shape
        self.depth = depth
        super().__init__({
            "i": In(stream.Signature(shape, always_ready=True)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(depth + 1)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = Memory(shape=self.shape, depth=self.depth, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port(domain="comb")
        m.d.comb += [
            write_port.en.eq(self.i.valid),
            write_port.data.eq(self.i.payload),
            self.o.payload.eq(read_port.data),
        ]

        leaving = self.o.valid & self.o.ready
        with m.If(self.i.valid):
            m.d.sync += write_port.addr.eq(write_port.addr + 1)
        with m.If(leaving):
            m.d.sync += read_port.addr.eq(read_port.addr + 1)
        with m.If(self.i.valid ^ leaving):
            # One more or one less by a single adder.
            one = Cat(1, leaving.replicate(len(self.level) - 1))
            m.d.sync += self.level.eq(self.level + one)
        with m.If(self.i.valid):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(leaving & (self.level == 1)):
            m.d.sync += self.o.valid.eq(0)

        return m
