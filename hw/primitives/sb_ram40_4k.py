"""Block RAM of the iCE40."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block import ICE40, Block


__all__ = ["SB_RAM40_4K"]


class SB_RAM40_4K(Block):
    """Keeps 256 words of 16 bits; SB_RAM40_4K with a write port and a read port.

    Accepts a write and a read a cycle. ``data`` is what was read ``latency`` cycles before, and
    stays until the word of the next read comes. Words read as 0 until they are written. A word can
    be read from the cycle after its write on; reading it while it is written is forbidden.

    Instantiated so that a core takes just the block RAM that it was planned with: a memory that
    synthesis infers may become two, or flip-flops.

    Members
    -------
    writes : In(stream)
        Addresses and words.
    reads : In(stream)
        Addresses.
    data : Out(16)
        Words that were read.
    """

    family = ICE40
    latency = 1

    writes: In(stream.Signature(data.StructLayout({"address": 8, "data": 16}), always_ready=True))
    reads: In(stream.Signature(8, always_ready=True))
    data: Out(16)

    def twin(self):
        m = Module()

        m.submodules.memory = memory = Memory(shape=16, depth=256, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port()
        m.d.comb += [
            write_port.en.eq(self.writes.valid),
            write_port.addr.eq(self.writes.payload.address),
            write_port.data.eq(self.writes.payload.data),
            read_port.en.eq(self.reads.valid),
            read_port.addr.eq(self.reads.payload),
            self.data.eq(read_port.data),
        ]

        with m.If(self.writes.valid & self.reads.valid):
            m.d.sync += Assert(self.writes.payload.address != self.reads.payload,
                               "SB_RAM40_4K: a word is read while it is written")

        return m

    def block(self):
        # Mode 0 is 256 x 16; bits of MASK that are 0 are written.
        return Instance(
            "SB_RAM40_4K",
            p_READ_MODE=0, p_WRITE_MODE=0,
            i_WCLK=ClockSignal(), i_WCLKE=Const(1), i_WE=self.writes.valid,
            i_WADDR=Cat(self.writes.payload.address, Const(0, 3)),
            i_WDATA=self.writes.payload.data, i_MASK=Const(0, 16),
            i_RCLK=ClockSignal(), i_RCLKE=Const(1), i_RE=self.reads.valid,
            i_RADDR=Cat(self.reads.payload, Const(0, 3)), o_RDATA=self.data,
        )
