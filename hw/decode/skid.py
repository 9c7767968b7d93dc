"""Buffer that keeps a stall from reaching its source in the same cycle."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Passes a stream on with ``ready`` from a register.

    A payload leaves one cycle or more after it has come, one per cycle. When a stall begins, one
    more payload is taken and kept behind the one that is stalled.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i : In(stream.Signature(shape))
        The stream.
    o : Out(stream.Signature(shape))
        The same, later.
    next_ready : Out(1)
        ``i.ready`` of the next cycle.
    """

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "next_ready": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        kept = Signal(self.shape)
        kept_valid = Signal()
        stalled = self.o.valid & ~self.o.ready
        m.d.comb += [
            self.i.ready.eq(~kept_valid),
            self.next_ready.eq(~((self.i.valid | kept_valid) & stalled)),
        ]
        m.d.sync += kept_valid.eq(~self.next_ready)
        with m.If(self.i.ready):
            m.d.sync += kept.eq(self.i.payload)
        with m.If(~stalled):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | kept_valid),
                self.o.payload.eq(Mux(kept_valid, kept, self.i.payload)),
            ]

        return m
