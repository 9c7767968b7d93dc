# amaranth: UnusedElaboratable=no

import random
import re
from types import SimpleNamespace

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.primitives.dp16kd import DP16KD
from hw.rtl import generate
from tests.hw.primitives.model_bench import ModelBench


ECP5 = SimpleNamespace(device="LFE5U-85F")

INPUTS = ("a_enable", "a_write", "a_address", "a_write_data", "b_enable", "b_address")

BENCH = ModelBench("Block", inputs=INPUTS, outputs=("a_data", "b_data"), models=("dp16kd",))


class Block(wiring.Component):
    """The block with ports of plain names."""

    a_enable: In(1)
    a_write: In(1)
    a_address: In(10)
    a_write_data: In(18)
    a_data: Out(18)
    b_enable: In(1)
    b_address: In(10)
    b_data: Out(18)

    def elaborate(self, platform):
        m = Module()

        m.submodules.block = block = DP16KD()
        for side in ("a", "b"):
            port = getattr(block, side)
            for name, member in port.signature.members.items():
                outer = getattr(self, f"{side}_{name}")
                inner = getattr(port, name)
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)

        return m


def make_inputs(rng, cycles):
    for _ in range(cycles):
        inputs = {
            "a_enable": rng.randrange(4) > 0, "a_write": rng.randrange(2),
            "a_address": rng.choice((0, 1, 512, 1023)), "a_write_data": rng.randrange(1 << 18),
            "b_enable": rng.randrange(4) > 0, "b_address": rng.choice((0, 1, 512, 1023)),
        }
        if inputs["a_address"] == inputs["b_address"]:
            inputs["a_write"] = 0
        yield {name: int(value) for name, value in inputs.items()}


def drive(ctx, dut, inputs):
    for name, value in inputs.items():
        ctx.set(getattr(dut, name), value)


@pytest.fixture(scope="module")
def verilog():
    return generate(Block(), name="Block", platform=ECP5)


@pytest.fixture(scope="module")
def program(tmp_path_factory, verilog):
    """Compile a program that prints the outputs of the model for each line of inputs."""
    return BENCH.compile(tmp_path_factory.mktemp("model"), verilog)


def test_words_follow_two_enabled_cycles_later(simulate):
    dut = Block()

    async def testbench(ctx):
        memory = [0] * 1024
        fetched = {"a": 0, "b": 0}
        data = {"a": 0, "b": 0}
        for inputs in make_inputs(random.Random(0), 3000):
            drive(ctx, dut, inputs)
            await ctx.tick()
            for side in ("a", "b"):
                if inputs[f"{side}_enable"]:
                    data[side] = fetched[side]
                    if side == "b" or not inputs["a_write"]:
                        fetched[side] = memory[inputs[f"{side}_address"]]
                assert ctx.get(getattr(dut, f"{side}_data")) == data[side]
            if inputs["a_enable"] and inputs["a_write"]:
                memory[inputs["a_address"]] = inputs["a_write_data"]

    simulate(dut, testbench)


def test_model_equals_twin(simulate, program):
    inputs = list(make_inputs(random.Random(1), 3000))
    result = BENCH.run(program, inputs)
    assert result.returncode == 0, result.stderr
    outputs = [tuple(map(int, line.split())) for line in result.stdout.splitlines()]
    dut = Block()

    async def testbench(ctx):
        for cycle, output in zip(inputs, outputs, strict=True):
            drive(ctx, dut, cycle)
            await ctx.tick()
            assert (ctx.get(dut.a_data), ctx.get(dut.b_data)) == output

    simulate(dut, testbench)


def test_twin_catches_read_of_a_word_being_written(simulate):
    dut = Block()

    async def testbench(ctx):
        drive(ctx, dut, dict.fromkeys(INPUTS, 1))
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match="DP16KD: a word is read while it is written"):
        simulate(dut, testbench)


def test_model_catches_read_of_a_word_being_written(program):
    result = BENCH.run(program, [dict.fromkeys(INPUTS, 1)])
    assert result.returncode != 0
    assert "DP16KD: a word is read while it is written" in result.stdout + result.stderr


@pytest.mark.parametrize("parameter, value", [
    ("REGMODE_A", '"NOREG"'), ("REGMODE_B", '"NOREG"'), ("DATA_WIDTH_A", "32'sd9"),
    ("DATA_WIDTH_B", "32'sd9"), ("WRITEMODE_A", '"WRITETHROUGH"'), ("GSR", '"ENABLED"'),
    ("RESETMODE", '"ASYNC"'), ("CSDECODE_A", '"0b001"'),
])
def test_model_refuses_other_modes(tmp_path, verilog, parameter, value):
    changed = re.sub(rf"\.{parameter}\(.*?\)", f".{parameter}({value})", verilog)
    assert changed != verilog
    result = BENCH.verilate(tmp_path, changed, "--lint-only")
    assert result.returncode != 0
    assert "_mode_without_model" in result.stderr


def test_other_device_refused():
    with pytest.raises(NotImplementedError, match="must be built for an ECP5, not iCE40UP5K"):
        DP16KD().elaborate(SimpleNamespace(device="iCE40UP5K"))
