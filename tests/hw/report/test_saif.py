# amaranth: UnusedElaboratable=no

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from boards import find_board
from hw.report.saif import flip_flop_toggles, flip_flops, toggles
from hw.primitives.trellis_ff import TRELLIS_FF
from hw.rtl import generate


class Counter(wiring.Component):
    value: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.value.eq(self.value + 1)
        return m


class Design(wiring.Component):
    enable: In(1)
    word: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.counter = counter = Counter()
        m.submodules.memory = memory = Memory(shape=8, depth=16, init=range(16))
        write_port = memory.write_port()
        read_port = memory.read_port()
        enabled = Signal()
        m.d.sync += [
            enabled.eq(self.enable),
            self.word.eq(read_port.data),
        ]
        m.d.comb += [
            read_port.addr.eq(counter.value),
            write_port.addr.eq(~counter.value),
            write_port.data.eq(read_port.data),
            write_port.en.eq(enabled),
        ]
        m.submodules.kept = kept = TRELLIS_FF(2)
        m.d.comb += kept.i.eq(counter.value)
        return m


def net(name, count):
    return f"   ({name} (T0 10) (T1 10) (TZ 0) (TX 0) (TB 0) (TC {count}))\n"


SAIF = (
    '(SAIFILE\n(SAIFVERSION "2.0")\n(DIVIDER / )\n(DURATION 20)\n (INSTANCE TOP\n  (NET\n'
    + net("clk", 400)
    + "  )\n  (INSTANCE design\n   (NET\n"
    + net("clk", 400) + net("enabled", 3) + net(r"word\[0\]", 10) + net(r"word\[1\]", 5)
    + net(r"memory__r_data\[0\]", 1000)
    + "   )\n   (INSTANCE counter\n    (NET\n"
    + net("$1", 70) + net(r"value\[0\]", 20) + net(r"value\[3\]", 2)
    + "    )\n   )\n   (INSTANCE kept\n    (NET\n"
    + net(r"i\[0\]", 60) + net("$1", 30) + net("$2", 4)
    + "    )\n   )\n  )\n  (INSTANCE other\n   (NET\n"
    + net(r"value\[0\]", 5000)
    + "   )\n  )\n )\n)\n"
)


@pytest.fixture(scope="module")
def verilog():
    return generate(Design(), name="design", platform=find_board("ulx3s").platform("85F"))


def test_registers_are_found_but_no_memory(verilog):
    assert flip_flops(verilog) == {"design": {"enabled", "word"}, "design.counter": {"value"},
                                   "design.kept": {"$1", "$2"}}


def test_toggles_of_a_net_are_those_of_all_its_bits():
    counts = toggles(SAIF)
    assert counts["TOP.design", "word"] == 15
    assert counts["TOP.design.counter", "value"] == 22
    assert counts["TOP.other", "value"] == 5000


def test_flip_flop_toggles_leave_out_clocks_wires_memories_and_the_bench(verilog):
    assert flip_flop_toggles(SAIF, verilog, top="design") == 3 + 15 + 22 + 34


def test_file_of_another_design_refused(verilog):
    with pytest.raises(ValueError, match="must hold instance elsewhere; it has none"):
        flip_flop_toggles(SAIF, verilog, top="elsewhere")
