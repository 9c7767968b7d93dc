"""Weight memory in block RAM: holds the ROM image."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.pipeline import delay
from hw.primitives.trellis_ff import TRELLIS_FF
from sw.format.timing import BANK_WORDS, memory_latency


__all__ = ["WRITE", "WeightMemory"]


#: A word for the weight memory, and where it belongs.
WRITE = data.StructLayout({"address": 16, "data": 32})


class WeightMemory(wiring.Component):
    """Keeps words of 32 bits, initialised with the bitstream and writable while nobody reads.

    Takes a read and a write a cycle; a read's word follows ``latency`` cycles later: 2, or 4 with
    more than ``BANK_WORDS`` words. A word must not be read in the cycle in which it is written.
    Addresses beyond the memory wrap.

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
        self.latency = memory_latency(words)
        self.init = init
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        if self.words > BANK_WORDS:
            for byte in range(4):
                init = [word >> 8 * byte & 0xff for word in self.init]
                m.submodules[f"byte{byte}"] = banks = ByteBanks(self.words, init=init)
                m.d.comb += [
                    banks.write.eq(self.writes.valid),
                    banks.write_address.eq(self.writes.payload.address),
                    banks.write_data.eq(self.writes.payload.data.word_select(byte, 8)),
                    banks.read.eq(self.reads.valid),
                    banks.read_address.eq(self.reads.payload),
                    self.o.payload.word_select(byte, 8).eq(banks.data),
                ]
            m.d.comb += self.o.valid.eq(
                delay(m, self.reads.valid, self.latency, reset_less=False))
            return m

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


class ByteBanks(wiring.Component):
    """Keeps a byte of each word, in banks that may lie far from other bytes' and from each other.

    As `WeightMemory`, with registers on both sides that take addresses and data there: one in
    front, and behind each bank one, from which the byte is chosen for a last one.

    Parameters
    ----------
    words : int
        Bytes to keep; a multiple of ``BANK_WORDS``.
    init : sequence of int
        Those at power-on.

    Members
    -------
    write : In(1), write_address : In(16), write_data : In(8)
        A byte to keep.
    read : In(1), read_address : In(16)
        Asks for one.
    data : Out(8)
        The byte that was asked for 4 cycles before.
    """

    write: In(1)
    write_address: In(16)
    write_data: In(8)
    read: In(1)
    read_address: In(16)
    data: Out(8)

    def __init__(self, words, *, init):
        self.words = words
        self.init = init
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        bank_bits = BANK_WORDS.bit_length() - 1
        wanted = Cat(self.write, self.write_address, self.write_data, self.read, self.read_address)
        m.submodules.near = near = TRELLIS_FF(len(wanted))
        write, read = Signal(), Signal()
        write_address, read_address = Signal(16), Signal(16)
        write_data = Signal(8)
        m.d.comb += [
            near.i.eq(wanted),
            Cat(write, write_address, write_data, read, read_address).eq(near.o),
        ]

        count = self.words // BANK_WORDS
        written = write_address[bank_bits:][:exact_log2(count)]
        chosen = delay(m, read_address[bank_bits:][:exact_log2(count)], 2)
        found = Array(Signal(8, name=f"found{bank}", reset_less=True) for bank in range(count))
        m.d.sync += self.data.eq(found[chosen])
        for bank in range(count):
            memory = Memory(shape=8, depth=BANK_WORDS,
                            init=self.init[bank * BANK_WORDS:(bank + 1) * BANK_WORDS])
            m.submodules[f"bank{bank}"] = memory
            write_port = memory.write_port()
            read_port = memory.read_port()
            m.d.comb += [
                write_port.en.eq(write & (written == bank)),
                write_port.addr.eq(write_address),
                write_port.data.eq(write_data),
                read_port.en.eq(read),
                read_port.addr.eq(read_address),
            ]
            m.d.sync += found[bank].eq(read_port.data)

        return m
