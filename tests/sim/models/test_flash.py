"""The models of the flash chips, against their data sheets: what they do and what they forbid."""

import random
from dataclasses import dataclass

import pytest

from tests.sim.models.pin_bench import PinBench


BENCH = """
module Bench(input [1:0] cs_n, input clk, input [3:0] o, oe, output [3:0] i);
    wire [3:0] dq;
    assign dq[0] = oe[0] ? o[0] : 1'bz;
    assign dq[1] = oe[1] ? o[1] : 1'bz;
    assign dq[2] = oe[2] ? o[2] : 1'bz;
    assign dq[3] = oe[3] ? o[3] : 1'bz;
    assign i = dq;
    W25Q128JV winbond(.cs_n(cs_n[0]), .clk(clk), .dq(dq));
    IS25LP128 issi(.cs_n(cs_n[1]), .clk(clk), .dq(dq));
endmodule
"""

INPUTS = ("cs_n", "clk", "o", "oe")


@dataclass(frozen=True)
class Chip:
    name: str
    jedec: bytes
    quad_enable: bytes      # instruction that writes the register with QE, and its byte
    deselect_ns: float
    reset_ns: float
    program_ns: float


CHIPS = (
    Chip("W25Q128JV", bytes.fromhex("ef4018"), b"\x31\x02", 50, 30_000, 400_000),
    Chip("IS25LP128", bytes.fromhex("9d6018"), b"\x01\x40", 7, 35_000, 200_000),
)

PERIOD = 20_000  # ps

WAKE_NS = 3000


class Driver:
    """Collects steps of the pins, and in which of them bits come back."""

    def __init__(self, chip, period=PERIOD):
        self.chip = chip
        self.period = period
        self.steps = []
        self.reads = []
        self.wait = 0
        self.step(100_000, 1, 0, 0b1100, 0b1101)

    def step(self, delay, cs_n, clk, o=0, oe=0):
        selects = 0b11 if cs_n else 0b11 ^ 1 << CHIPS.index(self.chip)
        self.steps.append((delay + self.wait, selects, clk, o, oe))
        self.wait = 0

    def begin(self):
        self.step(0, 0, 0, 0b1101, 0b1101)

    def send(self, data, lanes=1):
        for byte in data:
            for shift in range(8 - lanes, -1, -lanes):
                bits = byte >> shift & (1 << lanes) - 1
                o, oe = (bits, 0b1111) if lanes == 4 else (bits | 0b1100, 0b1101)
                self.step(self.period // 2, 0, 0, o, oe)
                self.step(self.period // 2, 0, 1, o, oe)

    def clocks(self, count, oe=0):
        for _ in range(count):
            self.step(self.period // 2, 0, 0, 0b1100, oe)
            self.step(self.period // 2, 0, 1, 0b1100, oe)

    def receive(self, count, lanes=1):
        read = []
        for _ in range(count * 8 // lanes):
            oe = 0 if lanes == 4 else 0b1101
            self.step(self.period // 2, 0, 0, 0b1100, oe)
            read.append(len(self.steps) - 1)
            self.step(self.period // 2, 0, 1, 0b1100, oe)
        self.reads.append((read, lanes))

    def end(self):
        self.step(self.period // 2, 0, 0, 0b1100, 0b1100)
        self.step(self.period // 2, 1, 0, 0b1100, 0b1100)
        self.wait = round(self.chip.deselect_ns * 1000)

    def command(self, data, receive=0):
        self.begin()
        self.send(data)
        if receive:
            self.receive(receive)
        self.end()

    def pause(self, ns):
        self.wait += round(ns * 1000)

    def write(self, data, ns):
        """Send an instruction that writes, and wait for its end."""
        self.command(b"\x06")
        self.command(data)
        self.pause(ns)

    def results(self, outputs):
        for read, lanes in self.reads:
            value = 0
            for step in read:
                pins = outputs[step][0]
                value = value << lanes | (pins if lanes == 4 else pins >> 1 & 1)
            yield value.to_bytes(len(read) * lanes // 8, "big")


@pytest.fixture(params=CHIPS, ids=lambda chip: chip.name)
def chip(request):
    return request.param


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = PinBench(BENCH, inputs=INPUTS, outputs=("i",),
                     models=("spi_flash", "w25q128jv", "is25lp128"))
    program = bench.compile(tmp_path_factory.mktemp("flash"))

    def run(driver, *options):
        return list(driver.results(bench.outputs_of(program, driver.steps, *options)))

    def fail(driver, *options):
        result = bench.run(program, driver.steps, *options)
        assert result.returncode != 0
        return result.stdout + result.stderr

    run.fail = fail
    return run


@pytest.fixture
def contents(tmp_path):
    data = random.Random(3).randbytes(70_000)
    (tmp_path / "flash.bin").write_bytes(data)
    return data, f"+flash={tmp_path / 'flash.bin'}"


def address(value):
    return value.to_bytes(3, "big")


def quad_enable(driver):
    driver.write(driver.chip.quad_enable, 20_000_000)


def test_identification(bench, chip):
    driver = Driver(chip)
    driver.command(b"\x9f", receive=3)
    assert bench(driver) == [chip.jedec]
    assert bench(driver, "+flash_jedec=123456") == [b"\x12\x34\x56"]
    assert bench(driver, "+flash_absent") in ([b"\0\0\0"], [b"\xff\xff\xff"])


def test_reads(bench, chip, contents):
    data, option = contents
    driver = Driver(chip)
    quad_enable(driver)
    driver.command(b"\x03" + address(65_530), receive=20)
    driver.command(b"\x0b" + address(4321) + b"\0", receive=5)
    driver.begin()
    driver.send(b"\x6b" + address(777))
    driver.clocks(8)
    driver.receive(9, lanes=4)
    driver.end()
    driver.begin()
    driver.send(b"\xeb")
    driver.send(address(1000) + b"\0", lanes=4)
    driver.clocks(4)
    driver.receive(300, lanes=4)
    driver.end()
    driver.command(b"\x03" + address((1 << 24) - 2), receive=4)
    assert bench(driver, option) == [
        data[65_530:65_550], data[4321:4326], data[777:786], data[1000:1300],
        b"\xff\xff" + data[:2]]


def test_program_erase_and_status(bench, chip, contents):
    data, option = contents
    driver = Driver(chip)
    driver.command(b"\x06")
    driver.command(b"\x05", receive=1)
    driver.command(b"\x04")
    driver.command(b"\x05", receive=1)
    # A page wraps; programming only clears bits.
    driver.command(b"\x06")
    driver.command(b"\x02" + address(8190) + b"\x5a\xc3\x0f\xf0")
    driver.command(b"\x05", receive=1)
    driver.pause(chip.program_ns)
    driver.command(b"\x05", receive=1)
    driver.command(b"\x03" + address(8190), receive=2)
    driver.command(b"\x03" + address(7936), receive=3)
    driver.write(b"\x20" + address(8000), 100_000_000)
    driver.command(b"\x03" + address(4095), receive=2)
    driver.command(b"\x03" + address(8191), receive=2)
    driver.write(b"\xd8" + address(3), 200_000_000)
    driver.command(b"\x03" + address(65_535), receive=2)
    driver.write(b"\x02" + address(5) + b"\x12", chip.program_ns)
    driver.command(b"\x03" + address(5), receive=2)
    driver.write(b"\xc7", 50_000_000_000)
    driver.command(b"\x03" + address(65_535), receive=2)

    def both(old, new):
        return bytes(a & b for a, b in zip(old, new, strict=True))

    quad = 0x40 if chip.name == "IS25LP128" else 0
    status = bench(driver, option, f"+flash_qe={int(quad != 0)}")
    assert status == [
        bytes([quad | 2]), bytes([quad]), bytes([quad | 1]), bytes([quad]),
        both(data[8190:8192], b"\x5a\xc3"), both(data[7936:7938], b"\x0f\xf0") + data[7938:7939],
        data[4095:4096] + b"\xff", b"\xff" + data[8192:8193], b"\xff" + data[65_536:65_537],
        b"\x12\xff", b"\xff\xff"]


def test_reset(bench, chip):
    driver = Driver(chip)
    driver.command(b"\x66")
    driver.command(b"\x99")
    driver.pause(chip.reset_ns)
    driver.command(b"\x9f", receive=3)
    assert bench(driver) == [chip.jedec]


def test_power_down(bench):
    driver = Driver(CHIPS[0])
    for _ in range(2):
        driver.command(b"\xab")
        driver.pause(WAKE_NS)
        driver.command(b"\x9f", receive=3)
        driver.command(b"\xb9")
    assert bench(driver, "+flash_asleep") == [CHIPS[0].jedec] * 2


def asleep(driver):
    driver.command(b"\xb9")
    driver.command(b"\x9f", receive=3)


def half_awake(driver):
    driver.command(b"\xab")
    driver.pause(WAKE_NS / 2)
    driver.command(b"\x9f", receive=3)


@pytest.mark.parametrize("break_rule, message", [
    (asleep, "instruction b9 while powered down"), (half_awake, "instruction 9f while busy")])
def test_asleep_or_half_awake_it_takes_nothing(bench, break_rule, message):
    driver = Driver(CHIPS[0])
    break_rule(driver)
    assert f"W25Q128JV: {message}" in bench.fail(driver, "+flash_asleep")


def unknown(driver):
    driver.command(b"\x77")


def busy(driver):
    driver.command(b"\x06")
    driver.command(b"\x02" + address(0) + b"\0")
    driver.pause(driver.chip.program_ns / 2)
    driver.command(b"\x03" + address(0), receive=1)


def busy_after_reset(driver):
    driver.command(b"\x66")
    driver.command(b"\x99")
    driver.pause(driver.chip.reset_ns / 2)
    driver.command(b"\x9f", receive=3)


def no_quad(driver):
    driver.begin()
    driver.send(b"\x6b" + address(0))


def no_write_enable(driver):
    driver.command(b"\x02" + address(0) + b"\0")


def write_enable_is_used_up(driver):
    driver.write(b"\x20" + address(0), 100_000_000)
    driver.command(b"\x20" + address(0))


def reset_alone(driver):
    driver.command(b"\x99")


def reset_enable_forgotten(driver):
    driver.command(b"\x66")
    driver.command(b"\x9f", receive=1)
    driver.command(b"\x99")


def half_a_byte(driver):
    driver.command(b"\x06")
    driver.begin()
    driver.send(b"\x02" + address(0))
    driver.clocks(4, oe=0b1101)
    driver.end()


def too_long(driver):
    driver.command(b"\x06\x00")


def status_of_three_bytes(driver):
    driver.command(b"\x06")
    driver.command(b"\x01\0\0\0")


def held(driver):
    driver.begin()
    driver.step(10_000, 0, 1, 0, 0b1101)


def fast(driver):
    driver.period = 7_400
    driver.command(b"\x9f", receive=1)


def fast_read(driver):
    driver.period = 19_000
    driver.command(b"\x03" + address(0), receive=1)


def short_deselect(driver):
    driver.command(b"\x9f", receive=1)
    driver.wait -= 1000
    driver.command(b"\x9f", receive=1)


def clock_high(driver):
    driver.step(0, 1, 1)
    driver.step(100_000, 0, 1)


def continuous(driver):
    quad_enable(driver)
    driver.begin()
    driver.send(b"\xeb")
    driver.send(address(0) + b"\xa5", lanes=4)


@pytest.mark.parametrize("break_rule, options, message", [
    (unknown, (), "unknown instruction 77"),
    (busy, (), "instruction 03 while busy"),
    (busy_after_reset, (), "instruction 9f while busy"),
    (no_quad, ("+flash_qe=0",), "quad read 6b with QE = 0"),
    (no_write_enable, (), "instruction 02 without write enable"),
    (write_enable_is_used_up, (), "instruction 20 without write enable"),
    (reset_alone, (), "reset without reset enable"),
    (reset_enable_forgotten, (), "reset without reset enable"),
    (half_a_byte, (), "deselected in the middle of instruction 02"),
    (too_long, (), "deselected in the middle of instruction 06"),
    (status_of_three_bytes, (), "3 bytes for a status register"),
    (held, ("+flash_qe=0",), "HOLD# is low"),
    (fast, (), "clock period of 7.400 ns"),
    (fast_read, (), "clock period of 19.000 ns in a plain read"),
    (short_deselect, (), "deselected for"),
    (clock_high, (), "selected while the clock is high"),
    (continuous, (), "the model has no continuous read (mode a5)"),
])
def test_violations_end_the_run(bench, chip, break_rule, options, message):
    driver = Driver(chip)
    break_rule(driver)
    assert f"{chip.name}: {message}" in bench.fail(driver, *options)


def test_somebody_else_at_the_pins(bench, chip, tmp_path):
    (tmp_path / "zeros.bin").write_bytes(bytes(16))
    driver = Driver(chip)
    driver.begin()
    driver.send(b"\x03" + address(0))
    driver.step(10_000, 0, 0, 0b1110, 0b1111)
    driver.step(10_000, 0, 1, 0b1110, 0b1111)
    assert "somebody else drives the pins" in bench.fail(
        driver, f"+flash={tmp_path / 'zeros.bin'}")


def test_missing_file(bench, chip):
    driver = Driver(chip)
    driver.command(b"\x9f", receive=1)
    assert "no file nowhere.bin" in bench.fail(driver, "+flash=nowhere.bin")
