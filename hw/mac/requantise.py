"""Requantisation: from 32-bit sums to int8 outputs, with the rounding of TFLite."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.pipeline import delay
from hw.primitives.mult18x18d import MULT18X18D
from sw.format.layers import MOST_SHIFT


__all__ = ["LAYER", "RECORD", "Requantiser"]


#: What all outputs of a layer share: the zero point that is added to them, their range, and whether
#: products are rounded once.
LAYER = data.StructLayout({"zero_point": signed(8), "minimum": signed(8), "maximum": signed(8),
                           "once": 1})

#: What all outputs of a channel share: they are
#: (sum + bias) * 2**left * multiplier / 2**(31 + shift).
RECORD = data.StructLayout({"bias": signed(32), "multiplier": 31, "shift": 5,
                            "left": range(MOST_SHIFT + 1)})


class Requantiser(wiring.Component):
    """Scales sums to outputs: ``MultiplyByQuantizedMultiplier`` of TFLite, bit for bit.

    The sum of ``sum`` and ``bias`` wraps like an int32, and so does that number shifted to the left
    by ``left``, where the factor is above 1. It is multiplied by ``multiplier``, divided by 2**31
    with rounding half up (``SaturatingRoundingDoublingHighMul``, whose multiplier isn't negative
    here), then by 2**shift with rounding half away from zero (``RoundingDivideByPOT``); or
    ``once``, by 2**(31 + shift) with rounding half up, as LiteRT's fully-connected layers do it.
    The zero point is added and the result brought into the layer's range.

    Accepts a sum a cycle; its output appears ``latency`` cycles later.

    Members
    -------
    i : In(stream)
        Sums and their channels' records.
    layer : In(LAYER)
        Stable while there are sums of the layer on their way.
    o : Out(stream)
        Outputs.
    """

    latency = 12 + MULT18X18D.latency

    i: In(stream.Signature(data.StructLayout({"sum": signed(32), "record": RECORD}),
                           always_ready=True))
    layer: In(LAYER)
    o: Out(stream.Signature(signed(8), always_ready=True))

    def elaborate(self, platform):
        m = Module()

        record = self.i.payload.record

        biased = register(m, self.i.payload.sum + record.bias, signed(32))
        enlarged = register(m, biased << delay(m, record.left, 1), signed(32))
        high, cross, low = products(m, enlarged, delay(m, record.multiplier, 2))

        # In units of 2**16, so that 1 << 14 is what rounding adds to a number divided by 2**31.
        # Lower bits don't matter to it. Where only the shift rounds, this division rounds down.
        middle = register(m, cross[0] + cross[1])
        round_here = delay(m, ~self.layer.once | (record.shift == 0), 2 + MULT18X18D.latency)
        low = register(m, low[16:32] + Cat(C(0, 14), round_here))
        middle = register(m, middle + low)
        scaled = register(m, (delay(m, high, 2) << 1) + (middle >> 15), signed(32))

        # Adding just less than half rounds half away from zero if negative; the others add half.
        shift = delay(m, record.shift, 6)
        below_half = register(m, C((1 << 30) - 1, 30) >> ~shift)
        shift = delay(m, shift, 1)
        half_up = ((scaled >= 0) | self.layer.once) & (shift != 0)
        rounded = register(m, scaled + below_half + half_up)
        # What doesn't fit 13 bits ends at the range's limits, whatever shift by 0 to 3 follows.
        shift = delay(m, shift, 1)
        shifted = register(m, rounded >> (shift & 0b11100))
        shift = delay(m, shift[:2], 2)
        shifted = register(m, saturate(shifted, 13))
        shifted = register(m, shifted >> shift)

        output = register(m, shifted + self.layer.zero_point)
        below = register(m, output < self.layer.minimum)
        above = register(m, output > self.layer.maximum)
        output = delay(m, output, 1)
        with m.If(below):
            m.d.sync += self.o.payload.eq(self.layer.minimum)
        with m.Elif(above):
            m.d.sync += self.o.payload.eq(self.layer.maximum)
        with m.Else():
            m.d.sync += self.o.payload.eq(output)
        m.d.comb += self.o.valid.eq(delay(m, self.i.valid, self.latency, reset_less=False))

        return m


def register(m, value, shape=None):
    """Return ``value`` of a cycle ago, cut to ``shape`` if there is one."""
    later = Signal(value.shape() if shape is None else shape, name="later", reset_less=True)
    m.d.sync += later.eq(value)
    return later


def products(m, a, b):
    """Return the products of the halves of ``a``, signed, and ``b``: of the high, mixed, low ones.

    ``a`` has 32 bits, ``b`` up to 32; halves are 16 bits. They take the time of a multiplier.
    """
    def multiply(name, a, b):
        m.submodules[name] = multiplier = MULT18X18D()
        m.d.comb += [
            multiplier.a.eq(a),
            multiplier.b.eq(b),
        ]
        return multiplier.product

    a_low, a_high = a[:16], a[16:].as_signed()
    b_low, b_high = b[:16], b[16:]
    return (multiply("high", a_high, b_high),
            (multiply("high_low", a_high, b_low), multiply("low_high", a_low, b_high)),
            multiply("low", a_low, b_low))


def saturate(value, bits):
    """Return the number of ``bits`` bits, signed, that is nearest to ``value``, signed."""
    sign = value[-1]
    above = value[bits - 1:-1]
    fits = Mux(sign, above.all(), ~above.any())
    return Mux(fits, value[:bits], Cat((~sign).replicate(bits - 1), sign)).as_signed()
