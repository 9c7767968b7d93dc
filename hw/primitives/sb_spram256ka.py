"""Large single-ported RAM of the iCE40 UltraPlus."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block import ULTRAPLUS, Block


__all__ = ["SB_SPRAM256KA"]


class SB_SPRAM256KA(Block):
    """Keeps 16,384 words of 16 bits; SB_SPRAM256KA. It reads or writes, one word a cycle.

    ``data`` is what was read a cycle before, and stays until the next access; behind a write it is
    of no meaning. The memory has no initial value: what hasn't been written reads as anything.

    Members
    -------
    enable : In(1)
        There is an access.
    write : In(ArrayLayout(1, 2))
        Bytes that are written, the low one first; a read if there are none.
    address : In(14)
        Of the word.
    write_data : In(16)
        The word to be written.
    data : Out(16)
        The word that was read.
    """

    family = ULTRAPLUS

    enable: In(1)
    write: In(data.ArrayLayout(1, 2))
    address: In(14)
    write_data: In(16)
    data: Out(16)

    def twin(self):
        m = Module()

        m.submodules.memory = memory = Memory(shape=16, depth=1 << 14, init=[])
        write_port = memory.write_port(granularity=8)
        read_port = memory.read_port()
        m.d.comb += [
            write_port.en.eq(self.write.as_value() & self.enable.replicate(2)),
            write_port.addr.eq(self.address),
            write_port.data.eq(self.write_data),
            read_port.en.eq(self.enable & ~self.write.as_value().any()),
            read_port.addr.eq(self.address),
            self.data.eq(read_port.data),
        ]

        return m

    def block(self):
        # MASKWREN has a bit for each nibble.
        return Instance(
            "SB_SPRAM256KA",
            i_CLOCK=ClockSignal(), i_CHIPSELECT=self.enable,
            i_WREN=self.write.as_value().any(),
            i_MASKWREN=Cat(self.write[byte].replicate(2) for byte in range(2)),
            i_ADDRESS=self.address, i_DATAIN=self.write_data, o_DATAOUT=self.data,
            i_STANDBY=Const(0), i_SLEEP=Const(0), i_POWEROFF=Const(1),
        )
