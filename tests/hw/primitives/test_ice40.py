# amaranth: UnusedElaboratable=no

"""The iCE40's blocks: twins, and netlists with yosys' own models, which must equal them."""

import random
from types import SimpleNamespace

import pytest
from amaranth import *
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.primitives.sb_mac16 import SB_MAC16
from hw.primitives.sb_pll40_pad import (FILTERS, OSCILLATOR, OUTPUT, PHASE_DETECTOR, SB_PLL40_PAD,
                                        Dividers)
from hw.primitives.sb_ram40_4k import SB_RAM40_4K
from hw.primitives.sb_spram256ka import SB_SPRAM256KA
from hw.rtl import generate
from tests.hw.netlist import CELLS, OPTIONS, synthesise_netlist
from tests.hw.primitives.model_bench import ModelBench


UP5K = SimpleNamespace(device="iCE40UP5K")

INPUTS = ("a", "b", "write", "write_address", "write_data", "read", "read_address",
          "enable", "bytes", "address", "data")

BENCH = ModelBench("Blocks", inputs=INPUTS, outputs=("products", "word", "large_word"),
                   cells=[CELLS])


class Blocks(wiring.Component):
    a: In(16)
    b: In(16)
    products: Out(32)
    write: In(1)
    write_address: In(8)
    write_data: In(16)
    read: In(1)
    read_address: In(8)
    word: Out(16)
    enable: In(1)
    bytes: In(2)
    address: In(14)
    data: In(16)
    large_word: Out(16)

    def elaborate(self, platform):
        m = Module()

        m.submodules.multiplier = multiplier = SB_MAC16()
        m.submodules.small = small = SB_RAM40_4K()
        m.submodules.large = large = SB_SPRAM256KA()
        m.d.comb += [
            multiplier.a.eq(self.a),
            multiplier.b.eq(self.b),
            self.products.eq(multiplier.products),
            small.writes.valid.eq(self.write),
            small.writes.payload.address.eq(self.write_address),
            small.writes.payload.data.eq(self.write_data),
            small.reads.valid.eq(self.read),
            small.reads.payload.eq(self.read_address),
            self.word.eq(small.data),
            large.enable.eq(self.enable),
            large.write.eq(self.bytes),
            large.address.eq(self.address),
            large.write_data.eq(self.data),
            self.large_word.eq(large.data),
        ]

        return m


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Compile a program that prints the netlist's outputs for each line of inputs."""
    folder = tmp_path_factory.mktemp("netlist")
    verilog = generate(Blocks(), name="Blocks", platform=UP5K)
    return BENCH.compile(folder, synthesise_netlist(verilog, top="Blocks", folder=folder),
                         *OPTIONS)


def make_inputs(rng, cycles):
    edges = (0, 0x7f7f, 0x8080, 0x80ff, 0xffff)
    addresses = (0, 1, 255, 4096, 16383)
    for address in addresses:
        # The large memory begins with anything.
        yield dict.fromkeys(INPUTS, 0) | {"enable": 1, "bytes": 3, "address": address}
    for _ in range(cycles):
        inputs = {
            "a": rng.choice((*edges, rng.randrange(1 << 16))),
            "b": rng.choice((*edges, rng.randrange(1 << 16))),
            "write": rng.randrange(2), "write_address": rng.choice((0, 1, 127, 255)),
            "write_data": rng.randrange(1 << 16),
            "read": rng.randrange(2), "read_address": rng.choice((0, 1, 127, 255)),
            "enable": int(rng.randrange(4) > 0), "bytes": rng.randrange(4),
            "address": rng.choice(addresses), "data": rng.randrange(1 << 16),
        }
        if inputs["write_address"] == inputs["read_address"]:
            inputs["write"] = 0
        yield inputs


class Reference:
    """What the blocks are to give, from their inputs."""

    def __init__(self):
        self.factors = self.products = 0, 0
        self.small = [0] * 256
        self.large = {}
        self.word = 0
        self.large_word = 0     # None behind a write.

    def step(self, inputs):
        def signed(byte):
            return (byte & 255 ^ 128) - 128
        self.products = self.factors
        self.factors = tuple(signed(inputs["a"] >> place) * signed(inputs["b"] >> place)
                             for place in (0, 8))
        if inputs["read"]:
            self.word = self.small[inputs["read_address"]]
        if inputs["write"]:
            self.small[inputs["write_address"]] = inputs["write_data"]
        if inputs["enable"]:
            old = self.large.get(inputs["address"], 0)
            mask = (inputs["bytes"] & 1) * 0xff | (inputs["bytes"] >> 1) * 0xff00
            self.large[inputs["address"]] = old & ~mask | inputs["data"] & mask
            self.large_word = None if mask else old

    def check(self, products, word, large_word):
        low, high = self.products
        assert products == low & 0xffff | (high & 0xffff) << 16
        assert word == self.word
        assert self.large_word in (None, large_word)


def test_netlist_does_what_is_documented(program):
    inputs = list(make_inputs(random.Random(1), 3000))
    result = BENCH.run(program, inputs)
    assert result.returncode == 0, result.stderr
    reference = Reference()
    outputs = [tuple(map(int, line.split())) for line in result.stdout.splitlines()]
    for cycle, output in zip(inputs, outputs, strict=True):
        reference.step(cycle)
        reference.check(*output)


def test_twins_do_what_is_documented(simulate):
    dut = Blocks()
    reference = Reference()

    async def testbench(ctx):
        for cycle in make_inputs(random.Random(2), 3000):
            for name, value in cycle.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            reference.step(cycle)
            reference.check(*(ctx.get(getattr(dut, name)) for name in BENCH.outputs))

    simulate(dut, testbench)


def test_read_of_a_word_being_written_is_caught(simulate):
    dut = Blocks()

    async def testbench(ctx):
        ctx.set(dut.write, 1)
        ctx.set(dut.read, 1)
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match="SB_RAM40_4K: a word is read while it is written"):
        simulate(dut, testbench)


@pytest.mark.parametrize("block, device, family", [
    (SB_RAM40_4K, "LFE5U-85F", "an iCE40"),
    (SB_SPRAM256KA, "iCE40HX8K", "an iCE40 UltraPlus"),
    (SB_MAC16, "iCE40HX8K", "an iCE40 UltraPlus"),
])
def test_other_devices_refused(block, device, family):
    with pytest.raises(NotImplementedError, match=f"must be built for {family}, not {device}"):
        block().elaborate(SimpleNamespace(device=device))


@pytest.mark.parametrize("input_hz, output_hz", [
    (12_000_000, 24_000_000), (12_000_000, 20_250_000), (12_000_000, 48_000_000),
    (48_000_000, 30_000_000), (100_000_000, 50_000_000),
])
def test_dividers_are_exact_and_within_the_limits(input_hz, output_hz):
    dividers = Dividers.find(input_hz, output_hz)
    assert dividers.output_hz(input_hz) == output_hz
    detector = input_hz / (dividers.reference + 1)
    assert PHASE_DETECTOR[0] <= detector <= PHASE_DETECTOR[-1]
    assert OSCILLATOR[0] <= detector * (dividers.feedback + 1) <= OSCILLATOR[-1]
    assert output_hz in OUTPUT
    assert detector <= {setting: limit for limit, setting in FILTERS}[dividers.filter]
    assert dividers.reference < 16
    assert dividers.feedback < 128
    assert dividers.output < 8


def test_dividers_are_those_of_icepll():
    # icepll -i 12 -o 48
    assert Dividers.find(12_000_000, 48_000_000) == Dividers(0, 63, 4, 1)
    # icepll -i 48 -o 30
    assert Dividers.find(48_000_000, 30_000_000) == Dividers(0, 19, 5, 4)


@pytest.mark.parametrize("input_hz, output_hz, complaint", [
    (9_000_000, 24_000_000, "Input of the PLL must be 10 to 133 MHz, not 9 MHz"),
    (12_000_000, 15_000_000, "Output of the PLL must be 16 to 275 MHz, not 15 MHz"),
    (12_000_000, 20_000_000, "of 12 MHz, as 19.875 MHz, not 20 MHz"),
])
def test_impossible_frequencies_refused(input_hz, output_hz, complaint):
    with pytest.raises(ValueError, match=complaint):
        Dividers.find(input_hz, output_hz)


def test_pll_of_other_devices_refused():
    pll = SB_PLL40_PAD(None, input_hz=12_000_000, output_hz=24_000_000)
    with pytest.raises(NotImplementedError, match="must be built for an iCE40, not LFE5U-85F"):
        Fragment.get(pll, SimpleNamespace(device="LFE5U-85F"))
