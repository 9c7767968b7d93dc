# amaranth: UnusedElaboratable=no

import random

import numpy as np
import pytest

from hw.decode.runlength import RunLengthCore
from sw.codecs import RunLengthCodec
from sw.format.tables import BLOCK, RunLengthCode
from sw.quantize.grid import zigzag_symbols

from ..streams import NEVER, receive, send
from .reference import gaps


def draw(count, zeros, greatest, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-greatest, greatest + 1, count) * (rng.random(count) >= zeros)
    return weights.astype(np.int8)


#: Blocks of all kinds: dense, sparse, with long runs, zeros alone, a short one at the end.
MIXED = np.concatenate([
    draw(BLOCK, 0, 127, 1), draw(2 * BLOCK, 0.5, 60, 2), draw(3 * BLOCK, 0.9, 3, 3),
    np.zeros(BLOCK, np.int8), draw(BLOCK, 0.97, 1, 4), draw(BLOCK, 0.8, 1, 5),
    np.full(BLOCK, -128, np.int8), np.repeat(np.array([0, 5], np.int8), [BLOCK - 1, 1]),
    draw(50, 0.7, 9, 6), np.zeros(7, np.int8)])


def words_of(symbols):
    return np.frombuffer(RunLengthCodec().encode(symbols, RunLengthCode()), "<u4").tolist()


def decode(simulate, weights, *, direct=1, idle=NEVER, stall=NEVER):
    dut = RunLengthCore()
    symbols = zigzag_symbols(weights)

    async def producer(ctx):
        ctx.set(dut.direct, direct)
        await send(ctx, dut.i, [*words_of(symbols), 0, 0], idle=idle)

    async def consumer(ctx):
        expected = weights.view(np.uint8) if direct else symbols
        assert await receive(ctx, dut.o, len(weights), stall=stall) == expected.tolist()
        ctx.set(dut.o.ready, 1)     # What follows is nobody's.

    simulate(dut, producer, consumer, watch=[dut.o])


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_weights_of_the_encoder(simulate, longest_idle, longest_stall):
    decode(simulate, MIXED, idle=gaps(1, longest_idle), stall=gaps(2, longest_stall))


def test_indices(simulate):
    decode(simulate, MIXED, direct=0)


@pytest.mark.parametrize("zeros", [0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("greatest", [1, 6, 127])
def test_weights_of_any_sparsity(simulate, zeros, greatest):
    decode(simulate, draw(2 * BLOCK, zeros, greatest, 7))


def test_a_weight_per_cycle_but_for_blocks(simulate):
    dut = RunLengthCore()
    symbols = zigzag_symbols(MIXED)

    async def producer(ctx):
        ctx.set(dut.direct, 1)
        await send(ctx, dut.i, [*words_of(symbols), 0, 0])

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.i.valid & dut.i.ready)
        cycles, received = 0, []
        while len(received) < len(MIXED):
            if ctx.get(dut.o.valid):
                received.append(ctx.get(dut.o.payload))
            await ctx.tick()
            cycles += 1
        assert received == MIXED.view(np.uint8).tolist()
        assert cycles == len(MIXED) + -(-len(MIXED) // BLOCK) + dut.latency

    simulate(dut, producer, consumer)


def test_weight_offered_before_it_is_wanted(simulate):
    dut = RunLengthCore()

    async def testbench(ctx):
        # Values of 2 bits alone: 3, 1.
        await send(ctx, dut.i, [0b0111 << 8 | 2])
        ctx.set(dut.i.valid, 1)
        for _ in range(4):
            await ctx.tick()
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)
        assert await receive(ctx, dut.o, 3) == [3, 1, 0]

    simulate(dut, testbench)


def test_run_ends_with_its_block(simulate):
    dut = RunLengthCore()
    # A run of 127 zeros and one of 100, of which one fits; then a block of values of one bit.
    bits = "0" * 4 + "1110" + "1" * 7 + f"{100:07b}"[::-1] + "1000" + "0000" + "101"
    number = int(bits[::-1], 2)

    async def producer(ctx):
        await send(ctx, dut.i, [number & 0xffffffff, number >> 32, 0, 0])

    async def consumer(ctx):
        assert await receive(ctx, dut.o, 131) == [0] * 128 + [1, 0, 1]
        ctx.set(dut.o.ready, 1)

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("seed", range(3))
def test_garbage_keeps_flowing(simulate, seed):
    dut = RunLengthCore()
    rng = random.Random(seed)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        quiet = 0
        for _ in range(500):
            ctx.set(dut.i.payload, rng.choice([0, 0xffffffff, rng.getrandbits(32)]))
            await ctx.tick()
            quiet = 0 if ctx.get(dut.o.valid) else quiet + 1
            assert quiet < 10

    simulate(dut, testbench)
