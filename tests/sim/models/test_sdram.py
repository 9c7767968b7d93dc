"""The model of the SDRAM, against its data sheet: what it does and what it forbids."""

import random
from enum import IntEnum

import pytest

from tests.sim.models.pin_bench import PinBench


BENCH = """
module Bench(input clk, cke, cs_n, ras_n, cas_n, we_n, input [1:0] ba, input [12:0] a,
             input [1:0] dqm, input [15:0] o, input oe, output [15:0] i);
    wire [15:0] dq;
    assign dq = oe ? o : 16'bz;
    assign i = dq;
    MT48LC16M16A2 chip(.clk(clk), .cke(cke), .cs_n(cs_n), .ras_n(ras_n), .cas_n(cas_n),
                       .we_n(we_n), .ba(ba), .a(a), .dqm(dqm), .dq(dq));
endmodule
"""

INPUTS = ("clk", "cke", "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm", "o", "oe")

ALL = 1 << 10


class Command(IntEnum):
    """Commands, as RAS#, CAS# and WE#."""

    MODE = 0
    REFRESH = 1
    PRECHARGE = 2
    ACTIVATE = 3
    WRITE = 4
    READ = 5
    STOP = 6
    NOTHING = 7


class Driver:
    """Collects clock cycles: each sets the pins at the falling edge, before the rising one."""

    def __init__(self, period=10_000):
        self.period = period
        self.steps = []

    def cycle(self, command=Command.NOTHING, ba=0, a=0, *, dqm=0, o=0, oe=0, cke=1, wait=0):
        pins = (cke, 0, command >> 2, command >> 1 & 1, command & 1, ba, a, dqm, o, oe)
        self.steps.append((self.period // 2 + wait, 0, *pins))
        self.steps.append((self.period // 2, 1, *pins))

    def idle(self, count):
        for _ in range(count):
            self.cycle()

    def initialise(self, mode=0x20, refreshes=2):
        self.cycle(wait=100_000_000)
        self.cycle(Command.PRECHARGE, a=ALL)
        self.idle(1)
        for _ in range(refreshes):
            self.cycle(Command.REFRESH)
            self.idle(6)
        self.cycle(Command.MODE, a=mode)
        self.idle(1)

    def activate(self, ba=0, row=0):
        self.cycle(Command.ACTIVATE, ba, row)
        self.idle(1)

    def read(self, count, ba=0, column=0):
        """Read column by column with bursts of 1, and return where the data are."""
        for i in range(count):
            self.cycle(Command.READ, ba, column + i)
        first = len(self.steps)
        self.idle(2)
        # With latency 2 data follow the edge after that of the command, until the next but one.
        return [first - 2 * count + 3 + 2 * i for i in range(count)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = PinBench(BENCH, inputs=INPUTS, outputs=("i",), models=("mt48lc16m16a2",))
    program = bench.compile(tmp_path_factory.mktemp("sdram"))

    def run(driver):
        return [output for output, in bench.outputs_of(program, driver.steps)]

    def fail(driver):
        result = bench.run(program, driver.steps)
        assert result.returncode != 0
        return result.stdout + result.stderr

    run.fail = fail
    return run


def test_words_are_kept(bench):
    rng = random.Random(1)
    driver = Driver()
    driver.initialise()
    words = {(ba, row): [rng.getrandbits(16) for _ in range(8)]
             for ba in range(4) for row in (0, 8191)}
    for (ba, row), data in words.items():
        driver.activate(ba, row)
        for i, word in enumerate(data):
            driver.cycle(Command.WRITE, ba, 504 + i, o=word, oe=1)
        driver.idle(2)
        driver.cycle(Command.PRECHARGE, ba)
        driver.idle(2)
    places = {}
    for ba, row in words:
        driver.activate(ba, row)
        places[ba, row] = driver.read(8, ba, 504)
        driver.cycle(Command.PRECHARGE, ba)
        driver.idle(2)
    outputs = bench(driver)
    for key, data in words.items():
        assert [outputs[place] for place in places[key]] == data


@pytest.mark.parametrize("latency", [2, 3])
def test_bursts_and_latency(bench, latency):
    driver = Driver()
    driver.initialise(mode=latency << 4 | 2)
    driver.activate()
    driver.cycle(Command.WRITE, a=8, o=100, oe=1)
    for i in range(1, 4):
        driver.cycle(o=100 + i, oe=1)
    # Bytes are masked.
    driver.cycle(Command.WRITE, a=12, o=0x5678, oe=1)
    driver.cycle(o=0x1234, oe=1)
    driver.cycle(Command.WRITE, a=13, dqm=2, o=0xffff, oe=1)
    for _ in range(3):
        driver.cycle(dqm=3, oe=1)
    driver.cycle(Command.READ, a=10)
    first = len(driver.steps) - 1
    driver.idle(3)
    driver.cycle(Command.READ, a=12)
    driver.cycle()
    driver.cycle(Command.STOP)
    driver.idle(3)
    outputs = bench(driver)
    data = [outputs[first + 2 * (latency - 1 + i)] for i in range(6)]
    # A burst wraps within its block.
    assert data == [102, 103, 100, 101, 0x5678, 0x12ff]




def early_command(driver):
    driver.cycle(Command.PRECHARGE, a=ALL)


def no_mode(driver):
    driver.cycle(wait=100_000_000)
    driver.cycle(Command.ACTIVATE)


def one_refresh(driver):
    driver.initialise(refreshes=1)


def t_mrd(driver):
    driver.initialise()
    driver.cycle(Command.MODE, a=0x20)
    driver.cycle(Command.ACTIVATE)


def t_rfc(driver):
    driver.initialise()
    driver.cycle(Command.REFRESH)
    driver.idle(5)
    driver.cycle(Command.ACTIVATE)


def t_rcd(driver):
    driver.initialise()
    driver.cycle(Command.ACTIVATE)
    driver.cycle(Command.READ)


def t_ras(driver):
    driver.initialise()
    driver.activate()
    driver.idle(2)
    driver.cycle(Command.PRECHARGE)


def t_ras_max(driver):
    driver.initialise()
    for _ in range(12):
        driver.cycle(Command.REFRESH)
        driver.idle(6)
    driver.activate()
    for _ in range(10):
        driver.idle(1)
        driver.cycle(wait=12_900_000)
    driver.idle(1)


def t_rp(driver):
    driver.initialise()
    driver.activate()
    driver.idle(3)
    driver.cycle(Command.PRECHARGE)
    driver.cycle(Command.ACTIVATE)


def t_rp_before_refresh(driver):
    driver.initialise()
    driver.activate()
    driver.idle(3)
    driver.cycle(Command.PRECHARGE, a=ALL)
    driver.cycle(Command.REFRESH)


def t_rc(driver):
    driver.initialise()
    driver.period = 11_000
    driver.activate()
    driver.idle(2)
    driver.cycle(Command.PRECHARGE)
    driver.period = 10_000
    driver.idle(1)
    driver.cycle(Command.ACTIVATE)


def t_rrd(driver):
    driver.initialise()
    driver.cycle(Command.ACTIVATE, 0)
    driver.cycle(Command.ACTIVATE, 1)


def t_wr(driver):
    driver.initialise()
    driver.activate()
    driver.idle(4)
    driver.cycle(Command.WRITE, oe=1)
    driver.cycle(Command.PRECHARGE)


def t_refi(driver):
    driver.initialise()
    for _ in range(3):
        driver.cycle(Command.REFRESH)
        driver.cycle(wait=7_812_500 * 4)
    driver.cycle(Command.REFRESH)
    driver.idle(8)


def t_ck(driver):
    driver.initialise()
    driver.activate()
    driver.idle(1)
    driver.period = 9_000
    driver.cycle(Command.READ)
    driver.cycle(Command.READ)


def closed(driver):
    driver.initialise()
    driver.activate(1)
    driver.cycle(Command.READ, 0)


def open_twice(driver):
    driver.initialise()
    driver.activate()
    driver.idle(8)
    driver.activate()


def refresh_open(driver):
    driver.initialise()
    driver.activate()
    driver.cycle(Command.REFRESH)


def mode_open(driver):
    driver.initialise()
    driver.activate()
    driver.cycle(Command.MODE, a=0x20)


def latency_of_1(driver):
    driver.initialise(mode=0x10)


def interleaved(driver):
    driver.initialise(mode=0x28)


def autoprecharge(driver):
    driver.initialise()
    driver.activate()
    driver.cycle(Command.READ, a=ALL)


def masked_read(driver):
    driver.initialise()
    driver.activate()
    driver.cycle(Command.READ, dqm=1)


def power_down(driver):
    driver.initialise()
    driver.cycle(cke=0)


def write_into_data(driver):
    driver.initialise()
    driver.activate()
    driver.cycle(Command.READ)
    driver.cycle(Command.WRITE, oe=1)


@pytest.mark.parametrize("break_rule, message", [
    (early_command, "a command in the first 100 us"),
    (no_mode, "no mode has been set"),
    (one_refresh, "a mode before precharge and 2 refreshes"),
    (t_mrd, "tMRD: a command too early after a mode"),
    (t_rfc, "tRFC: a command too early after a refresh"),
    (t_rcd, "tRCD: read or write too early"),
    (t_ras, "tRAS: precharge too early"),
    (t_ras_max, "tRAS: a row is open too long"),
    (t_rp, "tRP: activate too early"),
    (t_rp_before_refresh, "tRP: refresh too early"),
    (t_rc, "tRC: activate too early"),
    (t_rrd, "tRRD: activate too early"),
    (t_wr, "tWR: precharge too early after a write"),
    (t_refi, "tREFI: refreshes are late"),
    (t_ck, "tCK: clock too fast"),
    (closed, "a column of a closed bank"),
    (open_twice, "a bank is open already"),
    (refresh_open, "a refresh while a bank is open"),
    (mode_open, "a mode while a bank is open"),
    (latency_of_1, "CAS latency must be 2 or 3"),
    (interleaved, "the model lacks this mode"),
    (autoprecharge, "the model has no autoprecharge"),
    (masked_read, "the model has no masked reads"),
    (power_down, "the model has no power-down"),
    (write_into_data, "a write while data are read"),
])
def test_violations_end_the_run(bench, break_rule, message):
    driver = Driver()
    break_rule(driver)
    assert f"MT48LC16M16A2: {message}" in bench.fail(driver)
