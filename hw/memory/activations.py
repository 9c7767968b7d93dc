"""Activation memory: banks of bytes, read and written at any byte address."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.pipeline import delay


__all__ = ["READ", "ActivationMemory", "padding", "rotate"]


#: Consecutive bytes to read: their address, and what tells which of them are padding.
READ = data.StructLayout({
    "address": 16,
    "offset": signed(17),
    "row_bytes": 16,
    "inside": 1,
    "fill": signed(8),
})


class ActivationMemory(wiring.Component):
    """Keeps activations; padding is made on the way out.

    Accepts a read of ``read_bytes`` consecutive bytes and a write of up to ``requantisers``
    consecutive bytes a cycle, at any byte address, modulo the size. What was read appears
    ``latency`` cycles later. A write takes part in reads that are accepted in later cycles; a byte
    must not be read in the cycle in which it is written.

    Parameters
    ----------
    target : Target
        Size of the memory, of reads (``read_bytes``) and of writes (``requantisers``).

    Members
    -------
    reads : In(stream.Signature(READ, always_ready=True))
        Byte b of the bytes from ``address`` on lies ``offset + b`` bytes from the beginning of its
        row of the image. It reads as ``fill`` unless the row is ``inside`` the image and
        ``0 <= offset + b < row_bytes``.
    activations : Out(stream)
        Bytes that were read.
    writes : In(stream)
        The first ``count`` bytes of ``data`` go to consecutive addresses from ``address`` on.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "reads": In(stream.Signature(READ, always_ready=True)),
            "activations": Out(stream.Signature(
                data.ArrayLayout(signed(8), target.read_bytes), always_ready=True)),
            "writes": In(stream.Signature(data.StructLayout({
                "address": 16,
                "data": data.ArrayLayout(8, target.requantisers),
                "count": range(target.requantisers + 1),
            }), always_ready=True)),
        })

    @property
    def latency(self):
        # Registers for addresses, block RAM, its bytes, bytes rotated in one step or in two, filled
        # bytes.
        return 5 + self.target.spread

    def elaborate(self, platform):
        m = Module()

        spread = int(self.target.spread)
        banks = self.target.read_bytes
        bank_bits = exact_log2(banks)
        read = self.reads.payload
        read_bank, read_word = read.address[:bank_bits], read.address[bank_bits:]
        write = self.writes.payload
        write_bank, write_word = write.address[:bank_bits], write.address[bank_bits:]

        bytes_written = [Cat(byte, index < write.count) for index, byte in enumerate(write.data)]
        bytes_written += [Const(0, 9)] * (banks - len(bytes_written))
        bytes_written = rotate(bytes_written, -write_bank)

        bytes_read = []
        for bank in range(banks):
            memory = Memory(shape=8, depth=self.target.activation_bytes // banks, init=[])
            m.submodules[f"bank{bank}"] = memory
            read_port = memory.read_port()
            write_port = memory.write_port()
            m.d.sync += [
                read_port.addr.eq(read_word + (bank < read_bank)),
                read_port.en.eq(self.reads.valid),
                write_port.addr.eq(write_word + (bank < write_bank)),
                write_port.data.eq(bytes_written[bank][:8]),
                write_port.en.eq(self.writes.valid & bytes_written[bank][8]),
            ]
            bytes_read.append(delay(m, read_port.data, 1))
        amount = delay(m, read_bank, 3)
        if spread:
            bytes_read = [delay(m, byte, 1) for byte in rotate(bytes_read, amount, end=2)]
            bytes_read = rotate(bytes_read, delay(m, amount, 1), begin=2)
        else:
            bytes_read = rotate(bytes_read, amount)

        image = delay(m, self.image_bytes(m), 2 + spread)
        fill = delay(m, read.fill, 4 + spread)
        for byte, value in enumerate(bytes_read):
            m.d.sync += self.activations.payload[byte].eq(
                Mux(image[byte], delay(m, value, 1), fill))
        m.d.comb += self.activations.valid.eq(
            delay(m, self.reads.valid, self.latency, reset_less=False))

        return m

    def image_bytes(self, m):
        """Return, two cycles after a read, a bit for each byte: whether it isn't padding."""
        count = self.target.read_bytes
        read = self.reads.payload

        inside = delay(m, read.inside, 1)
        offset = delay(m, read.offset, 1)
        remaining = delay(m, read.row_bytes - read.offset, 1)

        return delay(m, padding(count, inside=inside, offset=offset, remaining=remaining), 1)


def padding(count, *, inside, offset, remaining):
    """Return a bit for each of ``count`` bytes that are read: whether it isn't padding.

    Parameters
    ----------
    count : int
        A power of two.
    inside : Value(1)
        Their row is in the image.
    offset : Value(signed)
        How far the first of them lies from the beginning of its row, in bytes.
    remaining : Value(signed)
        How far its row's end lies from it.
    """
    # Where a row begins or ends within the read, the lower bits say at which byte.
    low_bits = exact_log2(count)
    begun = [~offset[-1] | (offset[low_bits:].all() & (offset[:low_bits] >= count - byte))
             for byte in range(count)]
    ended = [remaining[-1] | (~remaining[low_bits:].any() & (remaining[:low_bits] <= byte))
             for byte in range(count)]
    return Cat(inside & begin & ~end for begin, end in zip(begun, ended, strict=True))


def rotate(values, amount, *, begin=0, end=None):
    """Return ``values`` so rotated that the one numbered ``amount`` comes first.

    Only bits ``begin`` to ``end`` - 1 of ``amount`` count, by default all of them.
    """
    for bit in range(exact_log2(len(values)))[begin:end]:
        step = 1 << bit
        values = [Mux(amount[bit], values[(index + step) % len(values)], value)
                  for index, value in enumerate(values)]
    return values
