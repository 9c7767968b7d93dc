"""Weights from seeds: a shift register and adders."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.decode.skid import SkidBuffer
from hw.pipeline import delay
from sw.format.predictors import EXPONENT_BITS, FEEDBACK, FRACTION_BITS


__all__ = ["SeedCore", "block_layout"]


def block_layout(shape):
    """Return how a block lies in an image, lowest bit first."""
    return data.StructLayout({
        "seed": shape.seed_bits, "exponent": EXPONENT_BITS,
        "coefficients": data.ArrayLayout(signed(shape.coefficient_bits), shape.terms)})


class SeedCore(wiring.Component):
    """Generates the weights of blocks, one a cycle.

    The first weight of a block leaves ``latency`` cycles or more after the block has come; between
    blocks there is no bubble while the next one is there. A stall keeps weights. A filter's last
    block ends with the filter. A seed of 0, which no image has, gives a block from all terms' sum.

    Parameters
    ----------
    shape : SeedShape
        Shape of the blocks.

    Members
    -------
    filter_size : In(16)
        Weights of a filter, 1 or more. It must not change within one.
    i : In(stream.Signature(block_layout(shape)))
        Blocks. ``ready`` doesn't follow ``o.ready`` combinationally.
    o : Out(stream.Signature(signed(8)))
        Weights, filter by filter.

    Attributes
    ----------
    latency : int
        Cycles from a block to its first weight.
    """

    latency = 5

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "filter_size": In(16),
            "i": In(stream.Signature(block_layout(shape))),
            "o": Out(stream.Signature(signed(8))),
        })

    def elaborate(self, platform):
        m = Module()
        shape = self.shape

        m.submodules.output = output = SkidBuffer(signed(8))
        wiring.connect(m, output.o, wiring.flipped(self.o))
        room = output.i.ready

        # What a weight takes of the register: two bits for each term.
        state = Signal(shape.seed_bits)
        following, signs, threes = state, [], []
        for _ in range(shape.terms):
            for taken in (signs, threes):
                taken.append(following[0])
                following = self.step(following)

        busy = Signal()
        left = Signal(range(shape.block))       # Weights of the block behind this one.
        filter_left = Signal(16)                # Weights of the filter behind this one.
        fresh = Signal(init=1)                  # The next block begins a filter.
        last = Signal()
        exponent = Signal(EXPONENT_BITS)
        coefficients = Signal(data.ArrayLayout(signed(shape.coefficient_bits), shape.terms))
        thrice = Signal(data.ArrayLayout(signed(shape.coefficient_bits + 2), shape.terms))
        m.d.comb += [
            last.eq((left == 0) | (filter_left == 0)),
            self.i.ready.eq(room & (~busy | last)),
        ]
        with m.If(room & busy):
            m.d.sync += [
                state.eq(following),
                left.eq(left - 1),
                filter_left.eq(filter_left - 1),
                busy.eq(~last),
                fresh.eq(filter_left == 0),
            ]
        begins = Signal()
        m.d.comb += begins.eq(Mux(busy, filter_left == 0, fresh))
        with m.If(self.i.ready & self.i.valid):
            block = self.i.payload
            m.d.sync += [
                busy.eq(1),
                state.eq(block.seed),
                exponent.eq(block.exponent),
                left.eq(shape.block - 1),
            ]
            for own, triple, value in zip(coefficients, thrice, block.coefficients, strict=True):
                m.d.sync += [own.eq(value), triple.eq(value + (value << 1))]
            with m.If(begins):
                m.d.sync += filter_left.eq(self.filter_size - 1)

        with m.If(room):
            total, scale, used = self.add(m, busy, exponent, zip(
                signs, threes, coefficients, thrice, strict=True))
            shifted = Signal(signed(len(total) + (1 << EXPONENT_BITS) - 1))
            m.d.sync += shifted.eq((total << scale) + (1 << FRACTION_BITS - 1) >> FRACTION_BITS)
            valid = delay(m, used, 1, reset_less=False)
        m.d.comb += output.i.valid.eq(valid)
        with m.If(shifted > 127):
            m.d.comb += output.i.payload.eq(127)
        with m.Elif(shifted < -128):
            m.d.comb += output.i.payload.eq(-128)
        with m.Else():
            m.d.comb += output.i.payload.eq(shifted[:8].as_signed())

        return m

    def step(self, state):
        """Return the register's next state."""
        bits = self.shape.seed_bits
        return Cat(state[1:], 0)[:bits] ^ Mux(state[0], Const(FEEDBACK[bits], bits), 0)

    def add(self, m, busy, exponent, terms):
        """Return a weight's sum two cycles on, its exponent, and whether there is one."""
        products = []
        for sign, three, once, thrice in terms:
            product = Signal(signed(len(thrice) + 1))
            chosen = Mux(three, thrice, once)
            m.d.sync += product.eq(Mux(sign, -chosen, chosen))
            products.append(product)
        total = Signal(signed(len(products[0]) + 2))
        m.d.sync += total.eq(sum(products[1:], products[0]))
        return total, delay(m, exponent, 2), delay(m, busy, 2, reset_less=False)
