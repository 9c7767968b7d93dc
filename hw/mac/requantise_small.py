"""Requantisation in logic cells alone, for tiny devices: an output in a few cycles."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .requantise import LAYER, RECORD, saturate


__all__ = ["SmallRequantiser"]


#: Bits of the multiplier that a cycle takes, and how many times there are as many.
BYTE = 8
BYTES = 4

#: Bits that a cycle shifts to the right; what is left of the shift is made at once.
STEP = 4

#: Of twice an output without its zero point: what doesn't fit ends at the range's limits.
TWICE = 10


class SmallRequantiser(wiring.Component):
    """Scales sums to outputs like `Requantiser`, bit for bit, without a multiplier block.

    Takes a sum every 4 cycles, and later by one for each place that it is shifted to the left, or
    by as many as it has multiples of 4 places to the right beyond three. Its output appears
    ``latency`` cycles after the sum where ``left`` is 0 and ``shift`` below 4, and a cycle later
    for each multiple of 4 in ``shift`` and each place of ``left``.

    The product grows from the multiplier's low bits up, a byte a cycle, recoded as digits of -1, 0,
    1 and 2 a cycle before, while its own low bits, which don't matter, are dropped. Both roundings
    are one: floor((floor(x / 2**31) + c) / 2**s) is floor((x + c * 2**31) / 2**(31 + s)), and where
    x is negative, but for so little that the output is 0 anyway, so is the sum. What rounds at
    2**31 is there before the first byte; what rounds at 2**(31 + s) is 1 at the last place but one,
    where the zero point is added.

    Members
    -------
    i : In(stream)
        Sums and their channels' records.
    layer : In(LAYER)
        Stable while there are sums of the layer on their way.
    o : Out(stream)
        Outputs.
    """

    #: A register for the sum, ``BYTES`` for the product, one to shift, one to add, one to limit.
    latency = 1 + BYTES + 3

    i: In(stream.Signature(data.StructLayout({"sum": signed(32), "record": RECORD})))
    layer: In(LAYER)
    o: Out(stream.Signature(signed(8), always_ready=True))

    def elaborate(self, platform):
        m = Module()

        # Sum, enlarged.
        record = self.i.payload.record
        total = Signal(signed(32))
        left = Signal.like(record.left)
        rest = Signal(BYTE * (BYTES - 1))   # Of the multiplier.
        digits = Signal(BYTE)
        carry = Signal()
        shift = Signal.like(record.shift)
        rounds = Signal()
        pending = Signal(BYTES)             # One bit: the bytes that are left.
        first = pending[-1]
        steps = Signal()
        m.d.comb += self.i.ready.eq(~pending.any() | steps & pending[0])
        taken = self.i.ready & self.i.valid
        next_digits, next_carry = recode(Mux(taken, record.multiplier, rest)[:BYTE],
                                         ~taken & carry)
        with m.If(taken | steps):
            m.d.sync += [
                digits.eq(next_digits),
                carry.eq(next_carry),
                rest.eq(Mux(taken, record.multiplier, rest) >> BYTE),
            ]
        with m.If(taken):
            m.d.sync += [
                total.eq(self.i.payload.sum + record.bias),
                left.eq(record.left),
                shift.eq(record.shift),
                rounds.eq(~self.layer.once & (record.shift != 0)),
            ]
        with m.Elif(left != 0):
            m.d.sync += [total.eq(total << 1), left.eq(left - 1)]

        # Product, without the bits that were dropped: in the end 24.
        product = Signal(signed(32 + BYTE + 1))
        kept = Signal(signed(32 + 1))
        scaled = Signal()                   # It is whole.
        shifting = Signal()
        m.d.comb += [
            kept.eq(Mux(first, Cat(C(0, 30), rounds, (rounds & total[-1]).replicate(2)),
                        product >> BYTE)),
            # The product before it has left, or does so in this cycle.
            steps.eq(pending.any() & (left == 0) & ~(scaled & shifting)),
        ]
        grown = add_times(m, kept, total, digits)
        with m.If(steps):
            m.d.sync += [product.eq(grown), pending.eq(pending >> 1)]
        with m.If(taken):
            m.d.sync += pending.eq(1 << BYTES - 1)

        # Shift, from 30 places after the point on.
        places = Signal.like(shift)         # Of the product that is whole.
        with m.If(steps & pending[0]):
            m.d.sync += [scaled.eq(1), places.eq(shift)]
        with m.Elif(~shifting):
            m.d.sync += scaled.eq(0)
        shifted = Signal(signed(len(product) - (30 - BYTE * (BYTES - 1))), reset_less=True)
        occupied = Signal()
        left_places = Signal.like(shift)
        m.d.comb += shifting.eq(occupied & (left_places >= STEP))
        with m.If(shifting):
            m.d.sync += [shifted.eq(shifted >> STEP), left_places.eq(left_places - STEP)]
        with m.Else():
            m.d.sync += [
                shifted.eq(product >> 30 - BYTE * (BYTES - 1)),
                left_places.eq(places),
                occupied.eq(scaled),
            ]

        # Sum with the zero point, and range.
        twice = saturate(saturate(shifted, TWICE + STEP - 1) >> left_places[:2], TWICE)
        output = Signal(signed(TWICE))
        rounded = Signal()
        m.d.sync += [
            output.eq((twice + Cat(C(1, 1), self.layer.zero_point).as_signed()) >> 1),
            rounded.eq(occupied & ~shifting),
            self.o.valid.eq(rounded),
            self.o.payload.eq(output),
        ]
        with m.If(output < self.layer.minimum):
            m.d.sync += self.o.payload.eq(self.layer.minimum)
        with m.Elif(output > self.layer.maximum):
            m.d.sync += self.o.payload.eq(self.layer.maximum)

        return m


def recode(byte, carry):
    """Return a multiplier's byte as digits of -1, 0, 1 or 2, and what the next byte counts more.

    A digit has two bits: 0 is 0, 1 is 1, 2 is 2 and 3 is -1.
    """
    digits = []
    for low, high in zip(byte[::2], byte[1::2], strict=True):
        odd = low ^ carry
        digits += [odd, high ^ (low & ~odd)]
        carry = high & (low | carry)
    return Cat(digits), carry


def add_times(m, start, factor, digits):
    """Return ``start`` and ``digits`` times ``factor``, signed.

    A bit of a digit's product depends on two bits of the factor and two of a register, which is one
    LUT of four inputs. Adders are written so that each is one chain of carries.
    """
    done = []
    for place in range(0, len(digits), 2):
        digit = digits[place:place + 2]
        term = Signal(signed(len(factor) + 1), name="term")
        with m.Switch(digit):
            with m.Case(1):
                m.d.comb += term.eq(factor)
            with m.Case(2):
                m.d.comb += term.eq(factor << 1)
            with m.Case(3):
                m.d.comb += term.eq(~factor)
        # The complement and 1 is -1 times the factor.
        total = Signal(signed(max(len(start), len(term)) + 2), name="total")
        m.d.comb += total.eq(Cat(1, start).as_signed() + Cat(digit.all(), term).as_signed())
        done.append(total[1:3])
        start = total[3:].as_signed()
    return Cat(*done, start).as_signed()
