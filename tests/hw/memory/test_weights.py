# amaranth: UnusedElaboratable=no

import pytest

from hw.memory.weights import WeightMemory
from sw.format.timing import BANK_WORDS


@pytest.mark.parametrize("size", [16, 4 * BANK_WORDS])
def test_words_at_power_on_and_written(simulate, size):
    dut = WeightMemory(size, init=[7, 0xffff_ffff, 9])
    last = size - 11

    async def testbench(ctx):
        ctx.set(dut.writes.payload, {"address": last, "data": 0x1234_5678})
        ctx.set(dut.writes.valid, 1)
        await ctx.tick()
        ctx.set(dut.writes.valid, 0)
        words = []
        for address in (0, 1, 2, 3, last, size & 0xffff):
            ctx.set(dut.reads.payload, address)
            ctx.set(dut.reads.valid, 1)
            await ctx.tick()
            if ctx.get(dut.o.valid):
                words.append(ctx.get(dut.o.payload))
        ctx.set(dut.reads.valid, 0)
        for _ in range(dut.latency):
            await ctx.tick()
            if ctx.get(dut.o.valid):
                words.append(ctx.get(dut.o.payload))
        assert words == [7, 0xffff_ffff, 9, 0, 0x1234_5678, 7]

    simulate(dut, testbench)


@pytest.mark.parametrize("words", [16, 2 * BANK_WORDS])
def test_latency(simulate, words):
    dut = WeightMemory(words, init=[3])

    async def testbench(ctx):
        ctx.set(dut.reads.valid, 1)
        await ctx.tick()
        ctx.set(dut.reads.valid, 0)
        for cycle in range(1, 6):
            assert ctx.get(dut.o.valid) == (cycle == dut.latency)
            await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("words, init, complaint", [
    (12, [], "2, 4, ... 65536 words, not 12"),
    (1 << 17, [], "2, 4, ... 65536 words, not 131072"),
    (4, [0] * 5, "memory of 4 words can't hold 5"),
])
def test_bad_size_rejected(words, init, complaint):
    with pytest.raises(ValueError, match=complaint):
        WeightMemory(words, init=init)
