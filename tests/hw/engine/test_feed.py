import random

import pytest
from amaranth import Module, ResetInserter, Signal

from hw.engine.feed import READ_AHEAD, Feed
from sw.format.sections import crc32
from tests.hw.streams import receive, send


REGION = {"address": 77, "words": 30}
WORDS = [random.Random(2).getrandbits(32) | 1 for _ in range(REGION["words"])]


def gaps(seed, longest):
    rng = random.Random(seed)
    while True:
        yield rng.randint(0, longest)


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_zeros_follow_the_words(simulate, longest_idle, longest_stall):
    dut = Feed()
    seen = []

    async def memory(ctx):
        ctx.set(dut.region, REGION)
        seen.extend(await receive(ctx, dut.regions, 1))
        await send(ctx, dut.i, WORDS, idle=gaps(1, longest_idle))

    async def decoder(ctx):
        count = REGION["words"] + READ_AHEAD
        words = await receive(ctx, dut.o, count, stall=gaps(2, longest_stall))
        assert words == WORDS + [0] * READ_AHEAD
        await ctx.tick()
        assert ctx.get(dut.exceeded)
        for _ in range(10):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()

    simulate(dut, memory, decoder, watch=[dut.o])
    assert [(region.address, region.words) for region in seen] == [(77, 30)]


def test_nothing_comes_before_the_region_is_asked_for(simulate):
    dut = Feed()

    async def testbench(ctx):
        ctx.set(dut.region, {"address": 0, "words": 0})
        ctx.set(dut.o.ready, 1)
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(dut.regions.valid)
            assert not ctx.get(dut.o.valid)
        ctx.set(dut.regions.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.o.valid)
        assert ctx.get(dut.o.payload) == 0

    simulate(dut, testbench)


def test_reset_begins_anew(simulate):
    feed = Feed()
    reset = Signal()
    m = Module()
    m.submodules.feed = ResetInserter(reset)(feed)

    async def testbench(ctx):
        ctx.set(feed.region, {"address": 3, "words": 2})
        for _ in range(2):
            await receive(ctx, feed.regions, 1)
            assert not ctx.get(feed.regions.valid)
            await send(ctx, feed.i, [])
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulate(m, testbench)


@pytest.mark.parametrize("flip", [0, 1 << 7])
@pytest.mark.parametrize("taken", [0, 11, len(WORDS)])
def test_crc_is_compared_whatever_the_decoder_takes(simulate, taken, flip):
    dut = Feed(22, checks=True)
    crc = crc32(b"".join(word.to_bytes(4, "little") for word in WORDS))

    async def memory(ctx):
        ctx.set(dut.region, {"address": 1 << 20, "words": len(WORDS)})
        region, = await receive(ctx, dut.regions, 1)
        assert (region.address, region.words) == (1 << 20, len(WORDS) + 1)
        await send(ctx, dut.i, [*WORDS[:-1], WORDS[-1] ^ flip, crc], idle=gaps(1, 3))

    async def decoder(ctx):
        await receive(ctx, dut.o, taken)
        assert not ctx.get(dut.checked)
        ctx.set(dut.finish, 1)
        await ctx.tick().until(dut.checked)
        assert ctx.get(dut.damaged) == (flip != 0)
        assert not ctx.get(dut.o.valid)

    simulate(dut, memory, decoder)
