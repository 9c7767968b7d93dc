"""Block RAM of the ECP5, with its output registers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block import ECP5, Block


__all__ = ["DP16KD", "GENERIC"]


#: Device of a platform for which memories are arrays of Verilog.
GENERIC = "generic"


class DP16KD(Block):
    """True dual-port RAM of 1024 words of 18 bits. Both ports read, port A writes as well.

    A read takes two cycles in which the port is enabled: one fetches the word, the next passes it
    on to the output register. A port that isn't enabled keeps both. A write through port A keeps
    what port A has fetched. An address must not be written while port B reads it. The memory
    begins as zeros; no reset clears it or the output registers.

    Instantiated because synthesis never infers the output register (yosys#5814), which makes the
    clock-to-output delay 1.0 ns instead of 5.8 ns.

    Members
    -------
    a : Out(Signature)
        Port A: ``enable``, ``write``, ``address``, ``write_data`` and ``data``, what was read.
    b : Out(Signature)
        Port B: ``enable``, ``address`` and ``data``.
    """

    family = ECP5

    a: Out(wiring.Signature({
        "enable": In(1),
        "write": In(1),
        "address": In(10),
        "write_data": In(18),
        "data": Out(18),
    }))
    b: Out(wiring.Signature({
        "enable": In(1),
        "address": In(10),
        "data": Out(18),
    }))

    def elaborate(self, platform):
        if platform is not None and platform.device == GENERIC:
            return self.twin(checked=False)
        return super().elaborate(platform)

    def twin(self, *, checked=True):
        m = Module()

        m.submodules.memory = memory = Memory(shape=18, depth=1024, init=[])
        write_port = memory.write_port()
        m.d.comb += [
            write_port.en.eq(self.a.enable & self.a.write),
            write_port.addr.eq(self.a.address),
            write_port.data.eq(self.a.write_data),
        ]
        for port, fetch in ((self.a, ~self.a.write), (self.b, 1)):
            read_port = memory.read_port()
            output = Signal(18, reset_less=True)
            m.d.comb += [
                read_port.en.eq(port.enable & fetch),
                read_port.addr.eq(port.address),
                port.data.eq(output),
            ]
            with m.If(port.enable):
                m.d.sync += output.eq(read_port.data)

        if checked:
            with m.If(write_port.en & self.b.enable):
                m.d.sync += Assert(self.a.address != self.b.address,
                                   "DP16KD: a word is read while it is written")

        return m

    def block(self):
        connections = {}
        for name, port in (("A", self.a), ("B", self.b)):
            writes = port is self.a
            # In words of 18 bits, the two lowest address bits are byte enables.
            address = Cat(Const(0b11 if writes else 0, 4), port.address)
            connections |= {f"i_AD{name}{i}": address[i] for i in range(14)}
            connections |= {f"i_DI{name}{i}": port.write_data[i] if writes else Const(0)
                            for i in range(18)}
            connections |= {f"o_DO{name}{i}": port.data[i] for i in range(18)}
            connections |= {f"i_CS{name}{i}": Const(0) for i in range(3)}
            connections |= {
                f"i_CLK{name}": ClockSignal(),
                f"i_CE{name}": port.enable,
                f"i_OCE{name}": port.enable,
                f"i_WE{name}": port.write if writes else Const(0),
                f"i_RST{name}": Const(0),
                f"p_DATA_WIDTH_{name}": 18,
                f"p_REGMODE_{name}": "OUTREG",
                f"p_WRITEMODE_{name}": "NORMAL",
                f"p_CSDECODE_{name}": "0b000",
            }
        return Instance(
            "DP16KD", p_RESETMODE="SYNC", p_ASYNC_RESET_RELEASE="SYNC", p_GSR="DISABLED",
            **connections)
