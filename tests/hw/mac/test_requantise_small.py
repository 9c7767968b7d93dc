import random
from itertools import pairwise, repeat

import pytest

from hw.mac.requantise_small import SmallRequantiser
from sw.format.layers import MOST_SHIFT

from ..streams import send
from .sums import LAYERS, edges, factors_above_one, random_cases, ties
from .tflite import requantise


def check(simulate, layer, cases, *, longest_gap=0):
    """Send the cases, but for gaps as early as they are taken, and compare the outputs."""
    dut = SmallRequantiser()
    rng = random.Random(4)
    cases = list(cases)
    layer = {"once": 0} | layer

    async def source(ctx):
        ctx.set(dut.layer, layer)
        gaps = (rng.randint(0, longest_gap) for _ in repeat(0))
        await send(ctx, dut.i, cases, idle=gaps)

    async def sink(ctx):
        for item in cases:
            output, = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            assert output == requantise(item["sum"], **item["record"], **layer), \
                f"{item} in {layer}"

    simulate(dut, source, sink, max_cycles=(30 + longest_gap) * len(cases))


@pytest.mark.parametrize("layer", LAYERS[::2])
def test_ties_round_like_tflite(simulate, layer):
    check(simulate, layer, ties(random.Random(1)))


@pytest.mark.parametrize("layer", [LAYERS[0], LAYERS[-2]])
def test_edge_values(simulate, layer):
    check(simulate, layer, edges())


@pytest.mark.parametrize("layer", LAYERS[1::3])
def test_factors_above_one(simulate, layer):
    check(simulate, layer, list(factors_above_one(random.Random(3)))[::8])


@pytest.mark.parametrize("longest_gap", [0, 9])
def test_random_values(simulate, longest_gap):
    rng = random.Random(2)
    for layer in LAYERS:
        check(simulate, layer, list(random_cases(rng))[::25], longest_gap=longest_gap)


def taken(left, shift):
    """Return the cycles that a sum takes, where all are like it."""
    return max(4 + left, 1 + shift // 4)


@pytest.mark.parametrize("left, shift", [
    *((0, shift) for shift in (0, 3, 4, 15, 16, 31)), (1, 0), (MOST_SHIFT, 0)])
def test_throughput_and_latency(simulate, left, shift):
    dut = SmallRequantiser()
    item = {"sum": 1000, "record": {"bias": 1, "multiplier": 1 << 30, "left": left,
                                    "shift": shift}}
    count = 6
    begun, ended = [], []

    async def testbench(ctx):
        ctx.set(dut.layer, {"zero_point": 0, "minimum": -128, "maximum": 127, "once": 0})
        ctx.set(dut.i.payload, item)
        ctx.set(dut.i.valid, 1)
        for cycle in range(300):
            ctx.set(dut.i.valid, len(begun) < count)
            _, _, ready, valid = await ctx.tick().sample(dut.i.ready, dut.o.valid)
            if ready and len(begun) < count:
                begun.append(cycle)
            if valid:
                ended.append(cycle)

    simulate(dut, testbench)
    assert ended[0] - begun[0] == dut.latency + left + shift // 4
    assert [later - sooner for sooner, later in pairwise(ended)] == [
        taken(left, shift)] * (count - 1)


def test_nothing_comes_of_nothing(simulate):
    dut = SmallRequantiser()

    async def testbench(ctx):
        for _ in range(50):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid

    simulate(dut, testbench)
