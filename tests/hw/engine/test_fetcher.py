# amaranth: UnusedElaboratable=no

import random
from itertools import repeat

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.engine.fetcher import REGION, Fetcher
from hw.memory.weights import WeightMemory
from tests.hw.streams import receive, send


WORDS = [random.Random(5).getrandbits(32) for _ in range(64)]
REGIONS = [{"address": 0, "words": 12}, {"address": 12, "words": 1}, {"address": 3, "words": 0},
           {"address": 40, "words": 24}, {"address": 7, "words": 2}]
EXPECTED = [WORDS[region["address"] + i] for region in REGIONS for i in range(region["words"])]


class FetcherWithMemory(wiring.Component):
    regions: In(stream.Signature(REGION))
    o: Out(stream.Signature(32))

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = WeightMemory(64, init=WORDS)
        m.submodules.fetcher = fetcher = Fetcher(memory_latency=memory.latency)
        connect(m, flipped(self.regions), fetcher.regions)
        connect(m, fetcher.reads, memory.reads)
        connect(m, memory.o, fetcher.fetched)
        connect(m, fetcher.o, flipped(self.o))
        return m


def gaps(seed, longest):
    rng = random.Random(seed)
    while True:
        yield rng.randint(0, longest)


@pytest.mark.parametrize("longest_stall", [0, 6])
@pytest.mark.parametrize("longest_idle", [0, 9])
def test_words_of_regions_in_order(simulate, longest_idle, longest_stall):
    dut = FetcherWithMemory()

    async def producer(ctx):
        await send(ctx, dut.regions, REGIONS, idle=gaps(1, longest_idle))

    async def consumer(ctx):
        assert await receive(ctx, dut.o, len(EXPECTED), stall=gaps(2, longest_stall)) == EXPECTED
        for _ in range(10):
            await ctx.tick()
            assert not ctx.get(dut.o.valid)

    simulate(dut, producer, consumer, watch=[dut.o])


def test_latency_and_a_word_a_cycle(simulate):
    dut = FetcherWithMemory()

    async def testbench(ctx):
        ctx.set(dut.o.ready, 1)
        await send(ctx, dut.regions, [{"address": 0, "words": 20}], idle=repeat(0))
        cycles = 1
        while not ctx.get(dut.o.valid):
            await ctx.tick()
            cycles += 1
        assert cycles == WeightMemory(64).latency + 2
        for word in WORDS[:20]:
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload) == word
            await ctx.tick()

    simulate(dut, testbench)


def test_latency_of_no_cycle_rejected():
    with pytest.raises(ValueError, match="at least 1 cycle, not 0"):
        Fetcher(memory_latency=0)
