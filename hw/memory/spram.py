"""The UP5K's large RAM as one memory of bytes, and who may use it when."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.memory.activations import padding, rotate
from hw.memory.contract import source_members
from hw.pipeline import delay
from hw.primitives.sb_spram256ka import SB_SPRAM256KA


__all__ = ["ADDRESS_BITS", "BYTES", "HOST", "READ", "READ_BYTES", "SpramMemory", "write_layout"]


#: Size of the memory.
BYTES = 1 << 17

#: Bytes of a read.
READ_BYTES = 8

#: Bits of the address of a word of 32 bits, and of a number of such words.
ADDRESS_BITS = 15

#: Consecutive bytes to read, as `hw.memory.activations.READ`, but anywhere in the memory.
READ = data.StructLayout({
    "address": range(BYTES),
    "offset": signed(17),
    "row_bytes": 16,
    "inside": 1,
    "fill": signed(8),
})

#: A byte that the host reads, or writes.
HOST = data.StructLayout({"write": 1, "address": range(BYTES), "data": 8})

#: An access to the four blocks of RAM: its first byte, and for a write where which bytes go.
ACCESS = data.StructLayout({
    "address": range(BYTES),
    "write": READ_BYTES,
    "data": 8 * READ_BYTES,
})


def write_layout(write_bytes):
    """Return the layout of a write: the first ``count`` bytes of ``data`` go to ``address``."""
    return data.StructLayout({
        "address": range(BYTES),
        "data": data.ArrayLayout(8, write_bytes),
        "count": range(write_bytes + 1),
    })


class SpramMemory(wiring.Component):
    """Keeps 131,072 bytes in the four blocks of RAM; one access of up to 8 bytes a cycle.

    Of those who ask in a cycle the first of these has the access: a word of a region, bytes that
    are written, bytes that are read, the host. The first ones need few accesses and mustn't wait,
    the later ones are fast and do:

    ======  ================================================  ===================================
    what    throughput                                        who waits for it
    ======  ================================================  ===================================
    words   one in 3 cycles                                   ``writes``, ``reads``, ``host``: at
                                                              most a cycle in 3
    writes  one a cycle                                       ``reads``, ``host``
    reads   one a cycle                                       ``host``
    host    a byte a cycle written, one in 3 cycles read      ``reads``, until it takes a byte
                                                              that it has read
    ======  ================================================  ===================================

    Coded data of 3 bits take a tenth of the cycles while a weight is decoded in each, bytes a
    fourth. An access yields two words, of which one is kept: with both, there would be half as many
    accesses and 45 logic cells more. No ``ready`` depends on that of another stream. Accesses take
    place in the order in which they are accepted: a read gives what was written before. What hasn't
    been written reads as anything.

    Parameters
    ----------
    write_bytes : int
        Bytes of a write; 1, 2 or 4.

    Members
    -------
    regions, o, stop
        As in `source_members`; word n is the bytes from 4 n on, the low one first. The first word
        follows its region after ``word_latency`` cycles. Behind the last word comes the first one.
    reads : In(stream.Signature(READ))
        As in `hw.memory.activations.ActivationMemory`, but an odd address gives 7 bytes only; the
        last one is of no meaning then. Bytes beyond the memory are those of its beginning.
    activations : Out(stream)
        Bytes that were read, ``latency`` cycles after they were asked for.
    writes : In(stream.Signature(write_layout(write_bytes)))
        Bytes to keep.
    host : In(stream.Signature(HOST))
        A byte to read or to write. The next one waits until a byte that was read is taken.
    host_bytes : Out(stream.Signature(8))
        Bytes that the host reads, ``latency`` cycles after they were asked for.
    """

    #: From a read to its bytes: a register in the memory, and one behind rotator and padding.
    latency = 2

    #: From a region to its first word.
    word_latency = 4

    def __init__(self, *, write_bytes=1):
        if write_bytes not in (1, 2, 4):
            raise ValueError(f"Bytes of a write must be 1, 2 or 4, not {write_bytes}")
        self.write_bytes = write_bytes
        super().__init__(source_members(ADDRESS_BITS) | {
            "reads": In(stream.Signature(READ)),
            "activations": Out(stream.Signature(
                data.ArrayLayout(signed(8), READ_BYTES), always_ready=True)),
            "writes": In(stream.Signature(write_layout(write_bytes))),
            "host": In(stream.Signature(HOST)),
            "host_bytes": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.banks = banks = Banks()
        m.submodules.words = words = WordStream()
        connect(m, flipped(self.regions), words.regions)
        connect(m, words.o, flipped(self.o))
        m.d.comb += [words.stop.eq(self.stop), words.data.eq(banks.data)]

        # Who has the access.
        host_waits = Signal()
        host_reads = self.host.valid & self.host.ready & ~self.host.payload.write
        reads = self.reads.valid & self.reads.ready
        m.d.comb += [
            self.writes.ready.eq(~words.asks),
            self.reads.ready.eq(~words.asks & ~self.writes.valid & ~host_waits),
            self.host.ready.eq(~words.asks & ~self.writes.valid & ~self.reads.valid & ~host_waits),
            banks.enable.eq(words.asks | self.writes.valid | reads
                            | (self.host.valid & self.host.ready)),
        ]
        # Every byte of the memory sees the one that may be meant for it.
        for byte in range(READ_BYTES):
            m.d.comb += banks.access.data.word_select(byte, 8).eq(Mux(
                self.writes.valid,
                rotate(list(self.writes.payload.data), byte - self.writes.payload.address)[0],
                self.host.payload.data))
        count = Signal(range(self.write_bytes + 1))
        with m.If(words.asks):
            m.d.comb += banks.access.address.eq(words.address[1:] << 3)
        with m.Elif(self.writes.valid):
            m.d.comb += [
                banks.access.address.eq(self.writes.payload.address),
                count.eq(self.writes.payload.count),
            ]
        with m.Elif(self.reads.valid):
            m.d.comb += banks.access.address.eq(self.reads.payload.address)
        with m.Else():
            m.d.comb += [
                banks.access.address.eq(self.host.payload.address),
                count.eq(self.host.payload.write),
            ]
        m.d.comb += banks.access.write.eq(Cat(
            Cat((count > place) & (banks.access.address[:3] == (byte - place) % READ_BYTES)
                for place in range(self.write_bytes)).any() for byte in range(READ_BYTES)))

        # What was read is rotated and padded on its way out.
        read = self.reads.payload
        image = padding(READ_BYTES, inside=read.inside, offset=read.offset,
                        remaining=read.row_bytes - read.offset)
        image = delay(m, image | host_reads.replicate(READ_BYTES), 1)
        fill = delay(m, read.fill, 1)
        first = delay(m, banks.access.address[:3], 1)
        reads_now = delay(m, reads, 1, reset_less=False)
        host_reads_now = delay(m, host_reads, 1, reset_less=False)
        bytes_read = [banks.data.word_select(byte, 8) for byte in range(READ_BYTES)]
        for byte, value in enumerate(rotate(bytes_read, first)):
            with m.If(reads_now | host_reads_now):
                m.d.sync += self.activations.payload[byte].eq(Mux(image[byte], value, fill))
        m.d.sync += self.activations.valid.eq(reads_now)

        m.d.comb += self.host_bytes.payload.eq(self.activations.payload[0])
        with m.If(self.host_bytes.ready):
            m.d.sync += self.host_bytes.valid.eq(0)
        with m.If(host_reads_now):
            m.d.sync += self.host_bytes.valid.eq(1)
        m.d.comb += host_waits.eq(host_reads_now | self.host_bytes.valid)

        return m


class Banks(wiring.Component):
    """Four blocks of RAM side by side; an access may begin in any of them.

    Members
    -------
    enable : In(1)
        There is an access.
    access : In(ACCESS)
        A read, if no byte is to be written. Bit n of ``write`` and byte n of ``data`` are of the
        byte whose address is n, modulo 8.
    data : Out(8 * READ_BYTES)
        What was read a cycle before, placed likewise: the block where the first byte lies, and the
        three behind it. It stays until the next access.
    """

    enable: In(1)
    access: In(ACCESS)
    data: Out(8 * READ_BYTES)

    def elaborate(self, platform):
        m = Module()

        first, word = self.access.address[1:3], self.access.address[3:]
        following = Signal.like(word)
        m.d.comb += following.eq(word + 1)
        for number in range(4):
            m.submodules[f"block{number}"] = block = SB_SPRAM256KA()
            m.d.comb += [
                block.enable.eq(self.enable),
                block.write.eq(self.access.write.word_select(number, 2)),
                block.address.eq(Mux(number < first, following, word)),
                block.write_data.eq(self.access.data.word_select(number, 16)),
                self.data.word_select(number, 16).eq(block.data),
            ]

        return m


class WordStream(wiring.Component):
    """Streams the words of regions, one for each access.

    Members
    -------
    regions, o, stop
        As in `SpramMemory`.
    asks : Out(1)
        It has the access in this cycle.
    address : Out(ADDRESS_BITS)
        Where, in words.
    data : In(64)
        The two words at its half, a cycle later.
    """

    def __init__(self):
        super().__init__(source_members(ADDRESS_BITS) | {
            "asks": Out(1),
            "address": Out(ADDRESS_BITS),
            "data": In(64),
        })

    def elaborate(self, platform):
        m = Module()

        # There are words to be asked for, up to but without `end`.
        busy = Signal()
        end = Signal(ADDRESS_BITS)
        more = busy & (self.address != end)
        lands = Signal()
        odd = Signal()
        taken = self.o.valid & self.o.ready
        m.d.comb += self.regions.ready.eq(~more & ~self.stop)
        m.d.sync += [
            self.asks.eq(more & ~self.asks & ~lands & (taken | ~self.o.valid)),
            lands.eq(self.asks),
        ]
        with m.If(taken):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.asks):
            m.d.sync += [self.address.eq(self.address + 1), odd.eq(self.address[0])]
        with m.If(lands):
            m.d.sync += [self.o.payload.eq(self.data.word_select(odd, 32)), self.o.valid.eq(1)]
        with m.If(self.regions.valid & self.regions.ready):
            m.d.sync += [
                busy.eq(1),
                self.address.eq(self.regions.payload.address),
                end.eq(self.regions.payload.address + self.regions.payload.words),
            ]
        with m.If(self.stop):
            m.d.sync += [busy.eq(0), self.o.valid.eq(0)]

        return m
