import random

import pytest

from hw.mac.requantise import Requantiser

from .sums import LAYERS, edges, factors_above_one, random_cases, ties
from .tflite import requantise


async def check(ctx, dut, layer, cases, gap=lambda: 0):
    """Send the cases, a cycle after the other but for gaps; check outputs and latency."""
    cycles = []
    for item in cases:
        cycles += [None] * gap() + [item]
    cycles += [None] * dut.latency

    ctx.set(dut.layer, {"once": 0} | layer)
    for cycle, item in enumerate(cycles):
        ctx.set(dut.i.valid, item is not None)
        if item is not None:
            ctx.set(dut.i.payload, item)
        past = cycles[cycle - dut.latency] if cycle >= dut.latency else None
        assert ctx.get(dut.o.valid) == (past is not None)
        if past is not None:
            assert ctx.get(dut.o.payload) == requantise(
                past["sum"], **past["record"], **layer), f"{past} in {layer}"
        await ctx.tick()


@pytest.mark.parametrize("layer", LAYERS)
def test_ties_round_like_tflite(simulate, layer):
    dut = Requantiser()

    async def testbench(ctx):
        await check(ctx, dut, layer, ties(random.Random(1)))

    simulate(dut, testbench)


def test_edge_values(simulate):
    dut = Requantiser()

    async def testbench(ctx):
        for layer in (LAYERS[0], LAYERS[-2]):
            await check(ctx, dut, layer, edges())

    simulate(dut, testbench, max_cycles=20_000)


@pytest.mark.parametrize("layer", LAYERS)
def test_factors_above_one(simulate, layer):
    dut = Requantiser()

    async def testbench(ctx):
        await check(ctx, dut, layer, factors_above_one(random.Random(3)))

    simulate(dut, testbench)


@pytest.mark.parametrize("longest_gap", [0, 3])
def test_random_values(simulate, longest_gap):
    dut = Requantiser()
    rng = random.Random(2)

    async def testbench(ctx):
        for layer in LAYERS:
            await check(ctx, dut, layer, random_cases(rng), lambda: rng.randint(0, longest_gap))

    simulate(dut, testbench, max_cycles=100_000)
