# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.joiner import WordJoiner

from ..streams import receive, send
from .reference import gaps


@pytest.mark.parametrize("wide", [8, 16, 32])
@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_words_are_joined(simulate, wide, longest_idle, longest_stall):
    dut = WordJoiner(8, wide)
    rng = random.Random(1)
    words = [rng.getrandbits(8) for _ in range(40)]
    parts = wide // 8

    async def producer(ctx):
        await send(ctx, dut.i, words, idle=gaps(2, longest_idle))

    async def consumer(ctx):
        received = await receive(ctx, dut.o, len(words) // parts, stall=gaps(3, longest_stall))
        assert received == [int.from_bytes(words[start:start + parts], "little")
                            for start in range(0, len(words), parts)]

    simulate(dut, producer, consumer, watch=[dut.o])


def test_throughput_and_latency(simulate):
    dut = WordJoiner(8, 32)
    times = []

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for cycle in range(40):
            assert ctx.get(dut.i.ready)
            if ctx.get(dut.o.valid):
                times.append(cycle)
            await ctx.tick()

    simulate(dut, testbench)
    assert times == list(range(4, 40, 4))


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match="a multiple of 32 bits, not 48"):
        WordJoiner(32, 48)
