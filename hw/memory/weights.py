"""Weight memory in block RAM: holds the ROM image."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


__all__ = ["WRITE", "WeightMemory"]


#: A word for the weight memory, and where it belongs.
WRITE = data.StructLayout({"address": 16, "data": 32})


class WeightMemory(wiring.Component):
    """Keeps words of 32 bits, initialised with the bitstream and writable while nobody reads.

    Takes a read and a write a cycle; a read's word follows 2 cycles later. A word must not be read
    in the cycle in which it is written. Addresses beyond the memory wrap.

    Parameters
    ----------
    words : int
        Size; a power of two, up to 65536.
    init : iterable of int
        The words at power-on, from address 0; the rest is 0.

    Members
    -------
    writes : In(stream.Signature(WRITE, always_ready=True))
        Words to keep.
    reads : In(stream.Signature(16, always_ready=True))
        Addresses.
    o : Out(stream.Signature(32, always_ready=True))
        The words read, in order.
    """

    latency = 2

    writes: In(stream.Signature(WRITE, always_ready=True))
    reads: In(stream.Signature(16, always_ready=True))
    o: Out(stream.Signature(32, always_ready=True))

    def __init__(self, words, *, init=()):
        init = tuple(init)
        if not 2 <= words <= 1 << 16 or words.bit_count() != 1:
            raise ValueError(f"Weight memory must have 2, 4, ... 65536 words, not {words}")
        if len(init) > words:
            raise ValueError(f"Weight memory of {words} words can't hold {len(init)}")
        self.words = words
        self.init = init
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = Memory(shape=32, depth=self.words, init=self.init)
        write_port = memory.write_port()
        m.d.comb += [
            write_port.en.eq(self.writes.valid),
            write_port.addr.eq(self.writes.payload.address),
            write_port.data.eq(self.writes.payload.data),
        ]

        read_port = memory.read_port()
        fetched = Signal()
        m.d.comb += [
            read_port.en.eq(self.reads.valid),
            read_port.addr.eq(self.reads.payload),
        ]
        # Block RAM is slow from clock to output: a register of its own.
        m.d.sync += [
            fetched.eq(self.reads.valid),
            self.o.valid.eq(fetched),
            self.o.payload.eq(read_port.data),
        ]

        return m
