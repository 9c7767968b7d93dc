"""CRC-32 of frames."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.sections import crc32


__all__ = ["FrameCrc"]


#: x**32 + x**26 + ... + 1 with the highest power lowest, as zlib and IEEE 802.3 have it.
POLYNOMIAL = 0xedb88320


class FrameCrc(wiring.Component):
    """Computes the CRC-32 of bytes, a bit each cycle.

    Accepts a byte every 9 cycles; whenever it is ready for one, ``crc`` and ``match`` are those of
    all bytes before. (A byte each cycle would take twice the logic, and none comes so fast.)

    Members
    -------
    i : In(stream.Signature(8))
        Bytes.
    start : In(1)
        Begins a new CRC; only while ``i`` is ready and transfers nothing.
    crc : Out(32)
        CRC of the bytes since the start.
    match : Out(1)
        The last four of these bytes are the CRC of those before.
    """

    i: In(stream.Signature(8))
    start: In(1)
    crc: Out(32)
    match: Out(1)

    def elaborate(self, platform):
        m = Module()

        remainder = Signal(32, init=0xffffffff)
        # The bit above the byte marks its end: when it alone is left, all others are worked off.
        bits = Signal(9, init=1)

        m.d.comb += [
            self.i.ready.eq(bits == 1),
            self.crc.eq(~remainder),
            # All bytes followed by their CRC have the same CRC; no bytes, say, and theirs.
            self.match.eq(self.crc == crc32(crc32(b"").to_bytes(4, "little"))),
        ]
        with m.If(~self.i.ready):
            m.d.sync += [
                bits.eq(bits >> 1),
                remainder.eq((remainder >> 1)
                             ^ Mux(remainder[0] ^ bits[0], C(POLYNOMIAL, 32), 0)),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += bits.eq(Cat(self.i.payload, 1))
        with m.If(self.start):
            m.d.sync += remainder.eq(0xffffffff)

        return m
