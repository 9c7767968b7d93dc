"""Reader of numbers of any width, bit by bit, out of section CODE."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .layouts import CODE_WORD


__all__ = ["FIELDS", "FIELD_BITS", "BitReader", "field_reader"]


#: Greatest width of a number: one of ones, or of filters.
FIELD_BITS = 13

#: A number that is wanted; see `BitReader`.
FIELDS = wiring.Signature({
    "want": Out(1),
    "width": Out(range(FIELD_BITS + 1)),
    "unary": Out(1),
    "value": In(FIELD_BITS),
    "done": In(1),
    "failed": In(1),
})


class BitReader(wiring.Component):
    """Reads the numbers that section CODE consists of, the lowest bit of each first.

    A bit takes a cycle, and so does a word. While ``want`` is high a number is read; ``value`` is
    it in the cycle in which ``done`` is high, and the next one begins in the cycle after. ``want``
    and ``width`` must stay until then, or until ``failed``: the section ends within the number.
    With ``unary`` a number is written as so many ones and a zero instead of in ``width`` bits; it
    ends with ``2 ** FIELD_BITS - 1`` ones too.

    Members
    -------
    i : In(stream.Signature(CODE_WORD))
        Words of the section. None is taken behind the last one until ``clear``.
    fields : In(FIELDS)
        Numbers.
    clear : In(1)
        Drops all bits; the next word begins another section.
    drop : In(1)
        Drops words as they come. Nothing must be wanted.
    last : Out(1)
        The last word has come.
    """

    i: In(stream.Signature(CODE_WORD))
    fields: In(FIELDS)
    clear: In(1)
    drop: In(1)
    last: Out(1)

    def elaborate(self, platform):
        m = Module()

        fields = self.fields

        bits = Signal(32)
        left = Signal(range(33))
        taken = Signal(range(FIELD_BITS + 1))
        empty = left == 0
        ended = empty & self.last
        m.d.comb += [
            self.i.ready.eq(empty & ~self.last),
            fields.failed.eq(fields.want & ~fields.done & ended),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                bits.eq(self.i.payload.data),
                left.eq(32),
                self.last.eq(self.i.payload.last),
            ]

        takes = Signal()
        with m.If(fields.unary):
            m.d.comb += fields.done.eq(fields.want & ((~empty & ~bits[0]) | fields.value.all()))
            m.d.comb += takes.eq(fields.want & ~fields.value.all())
        with m.Else():
            m.d.comb += fields.done.eq(fields.want & (taken == fields.width))
            m.d.comb += takes.eq(fields.want & ~fields.done)
        with m.If(takes & ~empty):
            m.d.sync += [
                bits.eq(bits >> 1),
                left.eq(left - 1),
                taken.eq(taken + 1),
            ]
            with m.If(fields.unary):
                m.d.sync += fields.value.eq(fields.value + 1)
            with m.Else():
                m.d.sync += fields.value.bit_select(taken, 1).eq(bits[0])
        with m.If(fields.done):
            m.d.sync += [
                taken.eq(0),
                fields.value.eq(0),
            ]
        with m.If(self.drop):
            m.d.sync += left.eq(0)
            m.d.comb += self.i.ready.eq(~self.last)
        with m.If(self.clear):
            m.d.sync += [
                left.eq(0),
                taken.eq(0),
                fields.value.eq(0),
                self.last.eq(0),
            ]

        return m


def field_reader(m, reader, refuse):
    """Return a function that adds an FSM state to ``m`` in which ``reader`` gives a number.

    The reader has the signature `FIELDS`.

    The body of :py:`with read(state, width) as value:` is for the cycle in which it is there; it
    says which state is next. Where the section ends instead, the state ``refuse`` is.
    """
    class Read:
        def __init__(self, state, width, *, unary=False):
            self.state = m.State(state)
            self.width, self.unary = width, unary

        def __enter__(self):
            self.state.__enter__()
            m.d.comb += [
                reader.want.eq(1),
                reader.width.eq(self.width),
                reader.unary.eq(self.unary),
            ]
            with m.If(reader.failed):
                m.next = refuse
            self.done = m.If(reader.done)
            self.done.__enter__()
            return reader.value

        def __exit__(self, *error):
            self.done.__exit__(*error)
            self.state.__exit__(*error)

    return Read
