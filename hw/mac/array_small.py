"""The array of multipliers and accumulators of an iCE40 UltraPlus: two columns."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.pipeline import delay
from hw.primitives.sb_mac16 import SB_MAC16


__all__ = ["COLUMNS", "SmallMacArray"]


#: Inputs that a row multiplies in a cycle: what one block does in its mode of 8 x 8 bits.
COLUMNS = 2


class SmallMacArray(wiring.Component):
    """Multiplies and sums: R rows (output channels) x 2 columns, and gives one sum after another.

    Accepts a beat a cycle, but none in the cycle behind one with ``last``, and such a one only
    while ``free``. The beats behind one with ``last``, up to the next one, make a sum in each row:
    of ``activations[c] * weights[r][c]`` over columns and beats, or where each row has an input of
    its ``own``, with ``activations[r]`` in place of the first. It wraps at ``sum_bits`` bits. There
    may be gaps between any two beats, and ``own`` may change from one to another.

    The first ``count`` rows' sums are offered one by one, the first one ``latency`` cycles after
    the last beat, and the next in the cycle after a transfer. They wait for as long as they are not
    taken; the array goes on with the next sums meanwhile. It is free again a cycle after the last
    one's transfer; who takes a sum every ``latency + 1`` cycles finds no gap.

    Parameters
    ----------
    rows : int
        Rows, 2 or more; each takes a multiplier block.
    sum_bits : int
        Bits of a sum, 18 to 32. 25 do for 1,023 weights whatever they are.

    Members
    -------
    beats : In(stream)
        Activations, one for each row, of which the first two are the columns', and weights. Where
        rows have inputs of their own, the second weight should be 0.
    free : Out(1)
        There may be a last beat in this cycle.
    sums : Out(stream)
        Sums.
    """

    #: Registers before and behind the multipliers, of the sums, and of those that wait.
    latency = SB_MAC16.latency + 2

    def __init__(self, rows=8, *, sum_bits=25):
        if rows < COLUMNS:
            raise ValueError(f"Rows must be {COLUMNS} or more, not {rows}")
        if not 18 <= sum_bits <= 32:
            raise ValueError(f"Sums must have 18 to 32 bits, not {sum_bits}")
        self.rows = rows
        self.sum_bits = sum_bits
        super().__init__({
            "beats": In(stream.Signature(data.StructLayout({
                "activations": data.ArrayLayout(signed(8), rows),
                "weights": data.ArrayLayout(data.ArrayLayout(signed(8), COLUMNS), rows),
                "own": 1,
                "last": 1,
                "count": range(rows + 1),
            }), always_ready=True)),
            "free": Out(1),
            "sums": Out(stream.Signature(signed(sum_bits))),
        })

    def elaborate(self, platform):
        m = Module()

        beat = self.beats.payload
        # Multipliers without a beat give what nobody adds.
        valid = delay(m, self.beats.valid, SB_MAC16.latency, reset_less=False)
        last = delay(m, self.beats.valid & beat.last, self.latency - 1, reset_less=False)
        count = Signal.like(beat.count)
        with m.If(self.beats.valid & beat.last):
            m.d.sync += count.eq(beat.count)

        # Sums wait here, the next one first.
        waiting = Signal(data.ArrayLayout(signed(self.sum_bits), self.rows))
        left = Signal(range(self.rows + 1))
        taken = self.sums.valid & self.sums.ready
        ways = Signal(self.latency)         # One bit while a last beat is on its way.
        m.d.sync += ways.eq(Cat(self.beats.valid & beat.last, ways))
        m.d.comb += [
            self.free.eq((left == 0) & ~ways[:-1].any()),
            self.sums.valid.eq(left != 0),
            self.sums.payload.eq(waiting[0]),
        ]

        for row in range(self.rows):
            m.submodules[f"row{row}"] = multiplier = SB_MAC16()
            own = beat.activations[row]
            m.d.comb += [
                multiplier.a[0].eq(Mux(beat.own, own, beat.activations[0]) if row else own),
                multiplier.a[1].eq(beat.activations[1]),
                multiplier.b.eq(beat.weights[row]),
            ]
            sum_ = Signal(signed(self.sum_bits), name=f"sum{row}")
            # A constant below keeps synthesis from making a compressor of both additions, which
            # has two gates a bit more than chains of carries.
            pair = Signal(signed(18), name=f"pair{row}")
            m.d.comb += pair.eq(Cat(C(1, 1), multiplier.products[0]).as_signed()
                                + Cat(C(0, 1), multiplier.products[1]).as_signed())
            # The registers' reset clears them without a gate a bit, and a register that alone reads
            # an adder shares its logic cells: worth the cycle behind a sum.
            with m.If(valid):
                m.d.sync += sum_.eq(sum_ + pair[1:].as_signed())
            with m.If(last):
                m.d.sync += [sum_.eq(0), waiting[row].eq(sum_)]
            with m.Elif(taken & (row + 1 < self.rows)):
                m.d.sync += waiting[row].eq(waiting[(row + 1) % self.rows])

        with m.If(last):
            m.d.sync += left.eq(count)
        with m.Elif(taken):
            m.d.sync += left.eq(left - 1)

        return m
