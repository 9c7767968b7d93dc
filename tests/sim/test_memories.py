# amaranth: UnusedElaboratable=no

"""The controllers of flash and SDRAM at the models of the chips, in Verilator."""

import json
import random

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.memory.contract import source_members
from hw.memory.flash import FlashMemory
from hw.memory.sdram import SdramMemory, write_layout
from hw.rtl import generate
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.format.status import Error


CLOCK_HZ = 80_000_000

OFFSET = 0x1234 * 4

BITS = 20


class FlashOnBoard(wiring.Component):
    """A flash memory with its flash."""

    def __init__(self):
        super().__init__(source_members(BITS) | {"identify": In(1), "fault": Out(Error)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = FlashMemory(
            address_bits=BITS, clock_hz=CLOCK_HZ, offset=OFFSET)
        connect(m, flipped(self.regions), memory.regions)
        connect(m, memory.o, flipped(self.o))
        pins = memory.pins
        m.d.comb += [
            memory.stop.eq(self.stop),
            memory.identify.eq(self.identify),
            self.fault.eq(memory.fault),
        ]
        m.submodules.board = Instance(
            "flash_board", i_clk=pins.clk, i_cs_n=pins.cs_n, i_o=pins.o, i_oe=pins.oe, o_i=pins.i)
        return m


class SdramOnBoard(wiring.Component):
    """An SDRAM memory with its SDRAM."""

    def __init__(self):
        super().__init__(
            source_members(BITS) | {"writes": In(stream.Signature(write_layout(BITS)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = SdramMemory(address_bits=BITS, clock_hz=CLOCK_HZ)
        connect(m, flipped(self.regions), memory.regions)
        connect(m, flipped(self.writes), memory.writes)
        connect(m, memory.o, flipped(self.o))
        pins = memory.pins
        m.d.comb += memory.stop.eq(self.stop)
        m.submodules.board = Instance(
            "sdram_board", i_clk=ClockSignal(), i_ras_n=pins.ras_n, i_cas_n=pins.cas_n,
            i_we_n=pins.we_n, i_ba=pins.ba, i_a=pins.a, i_o=pins.o, i_oe=pins.oe, o_i=pins.i)
        return m


@pytest.fixture(scope="module")
def flash():
    return compile_for_cocotb(generate(FlashOnBoard(), name="FlashOnBoard", platform=None),
                              top="FlashOnBoard")


@pytest.fixture(scope="module")
def sdram():
    return compile_for_cocotb(generate(SdramOnBoard(), name="SdramOnBoard", platform=None),
                              top="SdramOnBoard")


@pytest.fixture
def run(tmp_path):
    def run(folder, top, plusargs=(), *, stall=1, **job):
        job |= {"clock_hz": CLOCK_HZ, "stall": stall, "results": str(tmp_path / "results.npz")}
        (tmp_path / "job.json").write_text(json.dumps(job))
        run_cocotb(folder, top=top, bench="sim.benches.memory", testcase="stream",
                   environment={"HEADRACE_JOB": str(tmp_path / "job.json")}, plusargs=plusargs,
                   log=tmp_path / "simulation.log")
        return np.load(tmp_path / "results.npz")
    return run


@pytest.fixture
def contents(tmp_path):
    words = np.frombuffer(random.Random(7).randbytes(16_000), "<u4")
    (tmp_path / "flash.bin").write_bytes(bytes(OFFSET) + words.tobytes())
    return words, f"+flash={tmp_path / 'flash.bin'}"


REGIONS = [(0, 12), (1000, 1), (5, 0), (7, 2000), (3999, 1), (3000, 40)]


def expected(words):
    return [word for address, count in REGIONS for word in words[address:address + count]]


@pytest.mark.parametrize("chip", [(), ("+flash_winbond",), ("+flash_qe=1",),
                                  ("+flash_winbond", "+flash_qe=0"),
                                  ("+flash_winbond", "+flash_jedec=ef7018")])
def test_flash_streams_regions(flash, run, contents, chip):
    words, option = contents
    results = run(flash, "FlashOnBoard", (option, *chip), regions=REGIONS, identify=True)
    assert results["fault"] == Error.NONE
    assert results["words"].tolist() == expected(words)
    # Half a byte each clock of the flash, which has half the frequency: without a gap.
    long = results["cycles"][14:2013]
    assert (np.diff(long) == FlashMemory.word_cycles).all()


@pytest.mark.parametrize("stall", [13, 41])
def test_flash_waits_for_its_consumer(flash, run, contents, stall):
    words, option = contents
    results = run(flash, "FlashOnBoard", (option,), regions=REGIONS, identify=True, stall=stall)
    assert results["words"].tolist() == expected(words)


def test_flash_is_stopped(flash, run, contents):
    words, option = contents
    regions = [(100, 9), (2000, 500)]
    results = run(flash, "FlashOnBoard", (option,), regions=regions, identify=True, stop=123)
    assert results["words"].tolist() == [*words[100:109], *words[2000:2123], *words[100:109]]


@pytest.mark.parametrize("options, error", [
    (("+flash_absent",), Error.NO_FLASH),
    (("+flash_jedec=ffffff",), Error.NO_FLASH),
    (("+flash_jedec=c22018",), Error.FLASH_ID),
])
def test_flash_faults(flash, run, contents, options, error):
    results = run(flash, "FlashOnBoard", (contents[1], *options), regions=[(0, 4)], identify=True)
    assert results["fault"] == error
    assert not len(results["words"])


def test_sdram_keeps_words_and_streams_them(sdram, run):
    rng = random.Random(2)
    words = {address: rng.getrandbits(32)
             for first, count in ((0, 300), (250_000, 700)) for address in
             range(first, first + count)}
    regions = [(250_000, 700), (0, 300), (250_255, 2), (254, 9), (0, 0), (299, 1)]
    results = run(sdram, "SdramOnBoard", regions=regions, writes=list(words.items()))
    assert results["words"].tolist() == [
        words[address + i] for address, count in regions for i in range(count)]


@pytest.mark.parametrize("stall", [3, 17])
def test_sdram_waits_for_its_consumer(sdram, run, stall):
    rng = random.Random(4)
    words = [rng.getrandbits(32) for _ in range(600)]
    results = run(sdram, "SdramOnBoard", regions=[(0, 600), (3, 9)], stall=stall,
                  writes=list(enumerate(words)))
    assert results["words"].tolist() == words + words[3:12]


def test_sdram_is_stopped(sdram, run):
    rng = random.Random(5)
    words = [rng.getrandbits(32) for _ in range(600)]
    results = run(sdram, "SdramOnBoard", regions=[(100, 9), (20, 500)], stop=77,
                  writes=list(enumerate(words)))
    assert results["words"].tolist() == words[100:109] + words[20:97] + words[100:109]


def test_sdram_reaches_its_share_of_the_peak(sdram, run):
    results = run(sdram, "SdramOnBoard", regions=[(1000, 30_000)])
    cycles = results["cycles"]
    assert 2 * (len(cycles) - 1) / (cycles[-1] - cycles[0]) >= 0.95


@pytest.mark.parametrize("clock_hz", [900_000, 160_000_000])
def test_flash_clock_refused(clock_hz):
    with pytest.raises(ValueError, match="Clock of a flash memory must be 1 to 150 MHz, not"):
        FlashMemory(address_bits=20, clock_hz=clock_hz)


def test_flash_offset_refused():
    with pytest.raises(ValueError, match="multiple of 4 below 16777216, not 6"):
        FlashMemory(address_bits=20, clock_hz=CLOCK_HZ, offset=6)


@pytest.mark.parametrize("clock_hz", [10_000_000, 133_000_000])
def test_sdram_clock_refused(clock_hz):
    with pytest.raises(ValueError, match="Clock of an SDRAM memory must be 20 to 100 MHz, not"):
        SdramMemory(address_bits=20, clock_hz=clock_hz)


def test_sdram_address_bits_refused():
    with pytest.raises(ValueError, match="must be 1 to 23, not 24"):
        SdramMemory(address_bits=24, clock_hz=CLOCK_HZ)
