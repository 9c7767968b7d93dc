"""ECP5 block RAM with a write port and a read port of 36 bits."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block import ECP5, Block


__all__ = ["PDPW16KD"]


class PDPW16KD(Block):
    """Keeps 512 words of 36 bits; PDPW16KD with its output register.

    Accepts a write and a read a cycle. ``data`` is what was read ``latency`` cycles before, and
    stays until the word of the next read comes. Words read as 0 until they are written. A word can
    be read from the cycle after its write on; reading it while it is written is forbidden.

    Members
    -------
    writes : In(stream)
        Addresses and words.
    reads : In(stream)
        Addresses.
    data : Out(36)
        Words that were read.
    """

    family = ECP5
    latency = 2

    writes: In(stream.Signature(data.StructLayout({"address": 9, "data": 36}), always_ready=True))
    reads: In(stream.Signature(9, always_ready=True))
    data: Out(36)

    def twin(self):
        m = Module()

        m.submodules.memory = memory = Memory(shape=36, depth=512, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port()
        m.d.comb += [
            write_port.en.eq(self.writes.valid),
            write_port.addr.eq(self.writes.payload.address),
            write_port.data.eq(self.writes.payload.data),
            read_port.en.eq(self.reads.valid),
            read_port.addr.eq(self.reads.payload),
        ]
        m.d.sync += self.data.eq(read_port.data)

        with m.If(self.writes.valid & self.reads.valid):
            m.d.sync += Assert(self.writes.payload.address != self.reads.payload,
                               "PDPW16KD: a word is read while it is written")

        return m

    def block(self):
        # The lower half of a word leaves through the upper pins, as the block is two 18-bit ports
        # that change their roles (see brams_map_16kd.v of yosys, pack.cc of nextpnr).
        word = Cat(self.data[18:], self.data[:18])
        write = self.writes.payload
        return Instance(
            "PDPW16KD",
            p_DATA_WIDTH_W=36, p_DATA_WIDTH_R=36, p_REGMODE="OUTREG", p_GSR="DISABLED",
            p_RESETMODE="SYNC", p_ASYNC_RESET_RELEASE="SYNC",
            p_CSDECODE_W="0b000", p_CSDECODE_R="0b000",
            i_CLKW=ClockSignal(), i_CLKR=ClockSignal(), i_RST=Const(0),
            i_CEW=self.writes.valid, i_CER=self.reads.valid, i_OCER=Const(1),
            **{f"i_BE{i}": Const(1) for i in range(4)},
            **{f"i_CSW{i}": Const(0) for i in range(3)},
            **{f"i_CSR{i}": Const(0) for i in range(3)},
            **{f"i_ADW{i}": write.address[i] for i in range(9)},
            **{f"i_DI{i}": write.data[i] for i in range(36)},
            **{f"i_ADR{i}": Const(0) for i in range(5)},
            **{f"i_ADR{i + 5}": self.reads.payload[i] for i in range(9)},
            **{f"o_DO{i}": word[i] for i in range(36)},
        )
