"""The Verilog models of the ECP5's blocks against their twins, in Verilator."""

import random
import re
from types import SimpleNamespace

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.primitives.mult18x18d import MULT18X18D
from hw.primitives.pdpw16kd import PDPW16KD
from hw.primitives.trellis_ff import TRELLIS_FF
from hw.rtl import generate
from tests.hw.primitives.model_bench import ModelBench


ECP5 = SimpleNamespace(device="LFE5U-85F")

INPUTS = ("a", "b", "write", "write_address", "write_data", "read", "read_address")

BENCH = ModelBench("Blocks", inputs=INPUTS, outputs=("product", "word", "kept"),
                   models=("mult18x18d", "pdpw16kd", "trellis_ff"))


class Blocks(wiring.Component):
    a: In(18)
    b: In(18)
    product: Out(36)
    write: In(1)
    write_address: In(9)
    write_data: In(36)
    read: In(1)
    read_address: In(9)
    word: Out(36)
    kept: Out(18)

    def elaborate(self, platform):
        m = Module()

        m.submodules.multiplier = multiplier = MULT18X18D()
        m.submodules.memory = memory = PDPW16KD()
        m.submodules.register = register = TRELLIS_FF(18)
        m.d.comb += [
            multiplier.a.eq(self.a),
            multiplier.b.eq(self.b),
            self.product.eq(multiplier.product),
            memory.writes.valid.eq(self.write),
            memory.writes.payload.address.eq(self.write_address),
            memory.writes.payload.data.eq(self.write_data),
            memory.reads.valid.eq(self.read),
            memory.reads.payload.eq(self.read_address),
            self.word.eq(memory.data),
            register.i.eq(self.a),
            self.kept.eq(register.o),
        ]

        return m


@pytest.fixture(scope="module")
def verilog():
    return generate(Blocks(), name="Blocks", platform=ECP5)


@pytest.fixture(scope="module")
def program(tmp_path_factory, verilog):
    """Compile a program that prints the outputs of the models for each line of inputs."""
    return BENCH.compile(tmp_path_factory.mktemp("model"), verilog)


def make_inputs(rng, cycles):
    for _ in range(cycles):
        inputs = {
            "a": rng.choice((0, 1, 0x1ffff, 0x20000, 0x3ffff, rng.randrange(1 << 18))),
            "b": rng.choice((0, 1, 0x1ffff, 0x20000, 0x3ffff, rng.randrange(1 << 18))),
            "write": rng.randrange(2), "write_address": rng.choice((0, 1, 255, 511)),
            "write_data": rng.randrange(1 << 36),
            "read": rng.randrange(2), "read_address": rng.choice((0, 1, 255, 511)),
        }
        if inputs["write_address"] == inputs["read_address"]:
            inputs["write"] = 0
        yield inputs


def test_models_equal_their_twins(simulate, program):
    inputs = list(make_inputs(random.Random(1), 3000))
    result = BENCH.run(program, inputs)
    assert result.returncode == 0, result.stderr
    outputs = [tuple(map(int, line.split())) for line in result.stdout.splitlines()]
    assert len(outputs) == len(inputs)
    dut = Blocks()

    async def testbench(ctx):
        for cycle, output in zip(inputs, outputs, strict=True):
            for name, value in cycle.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            assert tuple(map(ctx.get, (dut.product, dut.word, dut.kept))) == output

    simulate(dut, testbench)


def test_model_catches_read_of_a_word_being_written(program):
    inputs = dict.fromkeys(INPUTS, 1)
    result = BENCH.run(program, [inputs])
    assert result.returncode != 0
    assert "PDPW16KD: a word is read while it is written" in result.stdout + result.stderr


@pytest.mark.parametrize("parameter, value", [
    ("REG_INPUTA_CLK", '"NONE"'),
    ("REG_OUTPUT_CLK", '"NONE"'),
    ("REG_PIPELINE_CLK", '"CLK0"'),
    ("SOURCEB_MODE", '"C_SHIFT"'),
    ("REGMODE", '"NOREG"'),
    ("DATA_WIDTH_W", "32'sd18"),
    ("CSDECODE_W", '"0b001"'),
    ("CEMUX", '"CE"'),
])
def test_models_refuse_other_modes(tmp_path, verilog, parameter, value):
    changed = re.sub(rf"\.{parameter}\(.*?\)", f".{parameter}({value})", verilog)
    assert changed != verilog
    result = BENCH.verilate(tmp_path, changed, "--lint-only")
    assert result.returncode != 0
    assert "_mode_without_model" in result.stderr
