# amaranth: UnusedElaboratable=no

import random

import numpy as np
import pytest

from hw.predict.seeds import SeedCore
from sw.format.predictors import Seeds, SeedShape
from sw.predict import predict

from ..streams import NEVER, receive, send


SHAPES = [SeedShape(16, 8, 4, 4), SeedShape(12, 6, 3, 4), SeedShape(12, 4, 2, 4),
          SeedShape(8, 16, 1, 2), SeedShape(16, 1, 4, 6)]


def gaps(seed):
    rng = random.Random(seed)
    while True:
        yield rng.choice((0, 0, 0, 1, 3))


def draw(shape, filters, size, seed=0):
    rng = np.random.default_rng(seed)
    blocks = (filters, -(-size // shape.block))
    half = 1 << shape.coefficient_bits - 1
    return Seeds(shape, rng.integers(1, 1 << shape.seed_bits, blocks), rng.integers(0, 4, blocks),
                 rng.integers(-half, half, (*blocks, shape.terms)))


def blocks_of(seeds):
    return [{"seed": int(seed), "exponent": int(exponent), "coefficients": values.tolist()}
            for seed, exponent, values in zip(
                seeds.seeds.ravel(), seeds.exponents.ravel(),
                seeds.coefficients.reshape(seeds.seeds.size, -1), strict=True)]


def generate(simulate, seeds, size, *, idle=NEVER, stall=NEVER):
    dut = SeedCore(seeds.shape)
    expected = predict(seeds, (len(seeds.seeds), 1, 1, size)).ravel().tolist()

    async def producer(ctx):
        ctx.set(dut.filter_size, size)
        await send(ctx, dut.i, blocks_of(seeds), idle=idle)

    async def consumer(ctx):
        assert await receive(ctx, dut.o, len(expected), stall=stall) == expected
        _, _, valid = await ctx.tick().sample(dut.o.valid)
        assert not valid

    simulate(dut, producer, consumer, watch=[dut.o])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("idle, stall", [(False, False), (True, False), (False, True),
                                         (True, True)])
def test_weights_are_the_decoders(simulate, shape, idle, stall):
    generate(simulate, draw(shape, 5, 21), 21, idle=gaps(1) if idle else NEVER,
             stall=gaps(2) if stall else NEVER)


def test_extremes_are_clipped(simulate):
    shape = SeedShape(8, 16, 4, 6)
    rng = np.random.default_rng(0)
    generate(simulate, Seeds(shape, rng.integers(1, 256, (3, 1)), np.full((3, 1), 3),
                             np.full((3, 1, 4), -32)), 16)


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_one_weight_a_cycle(simulate, shape):
    seeds, size = draw(shape, 4, 3 * shape.block), 3 * shape.block
    dut = SeedCore(shape)
    cycles = []

    async def producer(ctx):
        ctx.set(dut.filter_size, size)
        await send(ctx, dut.i, blocks_of(seeds))

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        cycle = 0
        while len(cycles) < 4 * size:
            _, _, valid, taken = await ctx.tick().sample(dut.o.valid, dut.i.valid & dut.i.ready)
            if taken and not cycle:
                cycle = 1
            elif cycle:
                cycle += 1
            if valid:
                cycles.append(cycle - 1)

    simulate(dut, producer, consumer)
    assert cycles == list(range(SeedCore.latency, SeedCore.latency + 4 * size))
