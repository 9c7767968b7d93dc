"""The array of multipliers and accumulators."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.mac.tiles import weights_layout
from hw.pipeline import copies, delay
from hw.primitives.mult18x18d import MULT18X18D
from sw.format.schedule import POOL_WEIGHT, Dataflow


__all__ = ["MacArray"]


#: What rows multiply their own column by in max-pooling; for additions, the first beat's, so that
#: both beats' fit the sum.
MAXIMUM_WEIGHT = 2
ADD_WEIGHT = 256


class MacArray(wiring.Component):
    """Multiplies and sums: R rows (output channels) x C columns (inputs).

    Accepts a beat a cycle. The beats from one with ``first`` to one with ``last`` make a sum in
    each row, modulo 2**32, which appears ``latency`` cycles after the last beat; the next beat may
    begin a new one. There may be gaps between any two beats. The dataflow must be the same in all
    beats of a sum. A sum that stays without a last beat leaves no trace.

    ========== ======================================================
    dataflow   sum of row r
    ========== ======================================================
    DENSE      sum of ``activations[c] * weights[r][c]`` over columns and beats
    DIAGONAL   ``POOL_WEIGHT`` times the sum of ``activations[r]``
    MAXIMUM    twice the greatest ``activations[r]``
    DEPTHWISE  sum of ``activations[r] * weights[r][0]`` over beats
    ADD        ``ADD_WEIGHT`` times ``activations[r]`` of the first beat, and that of others
    ========== ======================================================

    Rows beyond ``read_bytes`` have a sum in the dense dataflow alone.

    Parameters
    ----------
    target : Target
        Sizes of the array.
    tag : ShapeLike
        What accompanies a sum.

    Members
    -------
    beats : In(stream)
        Activations, at least one for each column, and weights.
    sums : Out(stream)
        Sums, one for each row, with the tag of their last beat.
    """

    def __init__(self, target, tag):
        self.target = target
        self.tag = tag
        super().__init__({
            "beats": In(stream.Signature(data.StructLayout({
                "activations": data.ArrayLayout(signed(8), target.read_bytes),
                "weights": weights_layout(target),
                "dataflow": Dataflow,
                "first": 1,
                "last": 1,
                "tag": tag,
            }), always_ready=True)),
            "sums": Out(stream.Signature(data.StructLayout({
                "sums": data.ArrayLayout(signed(32), target.rows),
                "tag": tag,
            }), always_ready=True)),
        })

    @property
    def latency(self):
        return 2 + self.target.spread + MULT18X18D.latency + exact_log2(self.target.columns) + 1

    def elaborate(self, platform):
        m = Module()

        target = self.target
        beat = self.beats.payload
        dense = beat.dataflow == Dataflow.DENSE
        maximum = beat.dataflow == Dataflow.MAXIMUM

        def late(value, cycles, name):
            """Return ``value`` so much later for each requantiser's rows."""
            return copies(m, delay(m, value, cycles - target.spread, reset_less=False), target,
                          name)

        last = self.beats.valid & beat.last
        valids = late(self.beats.valid, self.latency - 1, "valid")
        lasts = late(last, self.latency - 1, "last")
        # A first beat finds the accumulators cleared. (In max-pooling every beat does, as it is the
        # columns that keep their maximum.) To clear them a cycle before, by the reset of their
        # registers, takes no gate a bit.
        clears = late(self.beats.valid & (beat.first | maximum), self.latency - 2, "clear")

        # Kept apart from what the multipliers read, whose many loads would slow the comparison.
        greatest = Signal.like(beat.activations, reset_less=True)
        for kept, offered in zip(greatest, beat.activations, strict=True):
            with m.If(self.beats.valid & ~(maximum & ~beat.first & (kept > offered))):
                m.d.sync += kept.eq(offered)

        offered_weights = delay(m, beat.weights, 1 + target.spread)
        dense, dataflow = delay(m, dense, 1), delay(m, beat.dataflow, 1)
        first = delay(m, beat.first, 1)
        fixed_weight = Signal(signed(10))
        with m.Switch(dataflow):
            with m.Case(Dataflow.MAXIMUM):
                m.d.comb += fixed_weight.eq(MAXIMUM_WEIGHT)
            with m.Case(Dataflow.ADD):
                m.d.comb += fixed_weight.eq(Mux(first, ADD_WEIGHT, 1))
            with m.Default():
                m.d.comb += fixed_weight.eq(POOL_WEIGHT)
        controls = copies(m, Cat(dense, dataflow == Dataflow.DEPTHWISE, fixed_weight), target,
                          "control")
        greatest = delay(m, greatest, int(target.spread))
        activations = (copies(m, greatest, target, "activations") if target.spread
                       else [delay(m, greatest, 1)] * target.requantisers)
        for row in range(self.target.rows):
            part = row % target.requantisers
            dense, depthwise = controls[part][:2]
            fixed_weight = controls[part][2:].as_signed()
            products = []
            for column in range(self.target.columns):
                offered = offered_weights[row]
                # Where the row's own activation goes.
                own = (column == row % self.target.columns) & (row < self.target.read_bytes)
                activation = activations[part][column]
                if own and row != column:
                    activation = delay(m, Mux(dense, greatest[column], greatest[row]), 1)
                diagonal = Mux(depthwise, offered[0], fixed_weight) if own else 0
                weight = Signal(signed(10 if own else 8), name=f"weight{row}_{column}",
                                reset_less=True)
                m.d.sync += weight.eq(Mux(dense, offered[column], diagonal))

                multiplier = MULT18X18D()
                m.submodules[f"row{row}_column{column}"] = multiplier
                m.d.comb += [
                    multiplier.a.eq(activation),
                    multiplier.b.eq(weight),
                ]
                products.append(multiplier.product[:16].as_signed())

            accumulator = Signal(signed(32), name=f"accumulator{row}", reset_less=True)
            total = accumulator + tree(m, products)
            with m.If(valids[part]):
                m.d.sync += accumulator.eq(total)
            with m.If(clears[part]):
                m.d.sync += accumulator.eq(0)
            with m.If(lasts[part]):
                m.d.sync += self.sums.payload.sums[row].eq(total)

        m.d.comb += self.sums.valid.eq(delay(m, last, self.latency, reset_less=False))
        m.d.comb += self.sums.payload.tag.eq(delay(m, beat.tag, self.latency))

        return m


def tree(m, terms):
    """Return the sum of 2**n ``terms`` n cycles later, by adders with a register after each."""
    while len(terms) > 1:
        sums = []
        for left, right in zip(terms[::2], terms[1::2], strict=True):
            total = Signal((left + right).shape(), name="total", reset_less=True)
            m.d.sync += total.eq(left + right)
            sums.append(total)
        terms = sums
    return terms[0]
