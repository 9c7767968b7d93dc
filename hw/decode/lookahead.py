"""Register that is known a cycle ahead."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


__all__ = ["Lookahead"]


class Lookahead(wiring.Component):
    """Keeps the next payload of a stream, and tells whether there is one in the next cycle.

    So who takes payloads can decide a cycle ahead whether to. Payloads follow one another without a
    gap. Reset empties it and puts 0 into ``payload``.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i : In(stream.Signature(shape))
        The stream. ``ready`` follows ``take`` combinationally.
    payload : Out(shape)
        The payload that is kept, if ``valid``.
    valid : Out(1)
        There is one.
    next_valid : Out(1)
        There will be one in the next cycle.
    take : In(1)
        The payload is taken; only while ``valid``.
    """

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "i": In(stream.Signature(shape)),
            "payload": Out(shape),
            "valid": Out(1),
            "next_valid": Out(1),
            "take": In(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.d.comb += [
            self.i.ready.eq(~self.valid | self.take),
            self.next_valid.eq(Mux(self.i.ready, self.i.valid, 1)),
        ]
        m.d.sync += self.valid.eq(self.next_valid)
        with m.If(self.i.ready):
            m.d.sync += self.payload.eq(self.i.payload)

        return m
