# amaranth: UnusedElaboratable=no

"""The UP5K's memory, filled from the model of the flash, in Verilator."""

import json

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.memory.contract import source_members
from hw.memory.flash_fill import FlashFill
from hw.memory.spi_flash import SpiFlash
from hw.memory.spram import ADDRESS_BITS, BYTES, SpramMemory
from hw.rtl import generate
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.format.sections import Section
from sw.format.status import Error
from tests.hw.engine.test_loader import TARGET, flip, make_image


CLOCK_HZ = 24_000_000

OFFSET = 0x200000

CHIP = ("+flash_winbond", "+flash_asleep")

LARGE = make_image({Section.CODED_DATA: bytes(range(256)) * 8})


class SpramOnBoard(wiring.Component):
    """The memory with what fills it; regions wait until it is filled."""

    def __init__(self):
        super().__init__(source_members(ADDRESS_BITS) | {"identify": In(1), "fault": Out(Error)})

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = SpramMemory()
        m.submodules.fill = fill = FlashFill(TARGET, clock_hz=CLOCK_HZ, offset=OFFSET)
        connect(m, fill.o, memory.host)
        connect(m, memory.o, flipped(self.o))
        with m.If(self.identify):
            m.d.sync += fill.enable.eq(1)
        filled = fill.done & (fill.error == Error.NONE)
        m.d.comb += [
            memory.stop.eq(self.stop),
            memory.regions.payload.eq(self.regions.payload),
            memory.regions.valid.eq(self.regions.valid & filled),
            self.regions.ready.eq(memory.regions.ready & filled),
        ]
        with m.If(fill.done):
            m.d.comb += self.fault.eq(fill.error)

        pins = fill.pins
        m.submodules.board = Instance(
            "flash_board", i_clk=pins.clk, i_cs_n=pins.cs_n, i_o=pins.o, i_oe=pins.oe, o_i=pins.i)

        return m


@pytest.fixture(scope="module")
def board():
    return compile_for_cocotb(generate(SpramOnBoard(), name="SpramOnBoard", platform=None),
                              top="SpramOnBoard")


@pytest.fixture
def run(board, tmp_path):
    def run(image, *plusargs, regions):
        (tmp_path / "flash.bin").write_bytes(bytes(OFFSET) + image)
        (tmp_path / "job.json").write_text(json.dumps({
            "clock_hz": CLOCK_HZ, "stall": 1, "regions": regions, "identify": True,
            "results": str(tmp_path / "results.npz")}))
        run_cocotb(board, top="SpramOnBoard", bench="sim.benches.memory", testcase="stream",
                   environment={"HEADRACE_JOB": str(tmp_path / "job.json")},
                   plusargs=[f"+flash={tmp_path / 'flash.bin'}", *plusargs],
                   log=tmp_path / "simulation.log")
        return np.load(tmp_path / "results.npz")
    return run


@pytest.mark.parametrize("chip", [CHIP, CHIP[:1], (*CHIP, "+flash_jedec=c22018")])
def test_memory_is_filled_with_the_image(run, chip):
    words = len(LARGE) // 4
    results = run(LARGE, *chip, regions=[(0, words), (words - 7, 7), (12, 9)])
    assert results["fault"] == Error.NONE
    expected = np.frombuffer(LARGE, "<u4")
    assert results["words"].tolist() == [*expected, *expected[-7:], *expected[12:21]]


IMAGE = make_image()


@pytest.mark.parametrize("image, options, error", [
    (IMAGE, (*CHIP, "+flash_absent"), Error.NO_FLASH),
    (IMAGE, (*CHIP, "+flash_jedec=ffffff"), Error.NO_FLASH),
    (b"", CHIP, Error.FLASH_ERASED),
    (IMAGE[:-4], CHIP, Error.TRUNCATED),
    (flip(IMAGE, 300), CHIP, Error.SECTION_CRC),
], ids=lambda value: getattr(value, "name", ""))
def test_bad_flashes(run, image, options, error):
    results = run(image, *options, regions=[(0, 4)])
    assert results["fault"] == error
    assert not len(results["words"])


@pytest.mark.slow
def test_image_that_is_too_long_for_the_memory(run):
    image = make_image({Section.NETWORK: bytes(BYTES // 2), Section.CODED_DATA: bytes(BYTES // 2)})
    assert run(image, *CHIP, regions=[(0, 4)])["fault"] == Error.LENGTH


@pytest.mark.parametrize("clock_hz", [900_000, 101_000_000])
def test_clock_refused(clock_hz):
    with pytest.raises(ValueError, match="Clock of a plain flash must be 1 to 100 MHz, not"):
        SpiFlash(clock_hz=clock_hz)


def test_offset_refused():
    with pytest.raises(ValueError, match="Offset must be below 16777216, not -1"):
        SpiFlash(clock_hz=CLOCK_HZ, offset=-1)
