# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.mac.tiles import TileStore
from sw.format.target import Target


SIZES = [Target(rows=4, columns=4, requantisers=1, tile_words=16),
         Target(rows=8, columns=8, requantisers=2, tile_words=256)]


async def write(ctx, dut, **payload):
    ctx.set(dut.writes.payload, payload)
    ctx.set(dut.writes.valid, 1)
    await ctx.tick()
    ctx.set(dut.writes.valid, 0)


async def fill(ctx, dut, rng, addresses):
    """Write all rows at each address, in any order of rows; return what was written."""
    target = dut.target
    tiles = {}
    for address in addresses:
        tiles[address] = [[rng.randint(-128, 127) for _ in range(target.columns)]
                          for _ in range(target.rows)]
        for row in rng.sample(range(target.rows), target.rows):
            for half in range(target.columns // 4):
                await write(ctx, dut, row=row, address=address, half=half,
                            weights=tiles[address][row][4 * half:4 * half + 4])
    return tiles


def word(ctx, dut):
    weights = ctx.get(dut.weights.payload)
    return [[weights[row][column] for column in range(dut.target.columns)]
            for row in range(dut.target.rows)]


@pytest.mark.parametrize("longest_gap", [0, 2])
@pytest.mark.parametrize("target", SIZES)
def test_reads_follow_at_stated_latency(simulate, target, longest_gap):
    dut = TileStore(target)
    rng = random.Random(1)

    async def testbench(ctx):
        last = 2 * target.tile_words - 1
        tiles = await fill(ctx, dut, rng, {0, 1, 5, target.tile_words, last - 1, last})
        cycles = []
        for address in rng.choices(sorted(tiles), k=60):
            cycles += [None] * rng.randint(0, longest_gap) + [address]
        cycles += [None] * dut.latency
        for cycle, address in enumerate(cycles):
            ctx.set(dut.reads.valid, address is not None)
            ctx.set(dut.reads.payload, address or 0)
            past = cycles[cycle - dut.latency] if cycle >= dut.latency else None
            assert ctx.get(dut.weights.valid) == (past is not None)
            if past is not None:
                assert word(ctx, dut) == tiles[past]
            await ctx.tick()

    simulate(dut, testbench)


def test_read_in_the_cycle_after_the_write(simulate):
    dut = TileStore(SIZES[0])

    async def testbench(ctx):
        await write(ctx, dut, row=2, address=7, half=0, weights=[1, -2, 3, -4])
        ctx.set(dut.reads.payload, 7)
        ctx.set(dut.reads.valid, 1)
        await ctx.tick().repeat(dut.latency)
        assert word(ctx, dut)[2] == [1, -2, 3, -4]

    simulate(dut, testbench)


def test_first_half_clears_second(simulate):
    dut = TileStore(SIZES[1])

    async def testbench(ctx):
        for half in (0, 1):
            await write(ctx, dut, row=3, address=9, half=half, weights=[half + 1] * 4)
        await write(ctx, dut, row=3, address=9, half=0, weights=[5] * 4)
        ctx.set(dut.reads.payload, 9)
        ctx.set(dut.reads.valid, 1)
        await ctx.tick().repeat(dut.latency)
        assert word(ctx, dut)[3] == [5] * 4 + [0] * 4

    simulate(dut, testbench)


def test_read_of_a_word_being_written_is_caught(simulate):
    dut = TileStore(SIZES[0])

    async def testbench(ctx):
        ctx.set(dut.reads.payload, 7)
        ctx.set(dut.reads.valid, 1)
        await write(ctx, dut, row=2, address=7, half=0, weights=[1, -2, 3, -4])
        for _ in range(3):
            await ctx.tick()

    with pytest.raises(AssertionError, match="read while it is written"):
        simulate(dut, testbench)
