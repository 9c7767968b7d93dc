import random

import pytest
from amaranth.sim import Simulator

from hw.memory.copier import Copier


BITS = 12


@pytest.mark.parametrize("idle, stall, slow", [(0, 0, 0), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.8),
                                               (0.4, 0.4, 0.4)])
def test_words_are_handed_on_and_written_where_they_were(idle, stall, slow):
    regions = [(0, 5), (100, 1), (5, 20)]
    words = [random.Random(1).getrandbits(32) for _ in range(26)]
    taken, written = [], []
    dut = Copier(BITS)

    async def ask(ctx):
        asked = 0
        for address, count in regions:
            ctx.set(dut.regions.payload, {"address": address, "words": count})
            ctx.set(dut.regions.valid, 1)
            await ctx.tick().until(dut.regions.ready)
            ctx.set(dut.regions.valid, 0)
            asked += count
            while len(taken) < asked:
                await ctx.tick()

    async def memory(ctx):
        rng = random.Random(2)
        left = iter(words)
        for address, count in regions:
            ctx.set(dut.reads.ready, 1)
            region, = await ctx.tick().sample(dut.reads.payload).until(dut.reads.valid)
            assert (region.address, region.words) == (address, count)
            ctx.set(dut.reads.ready, 0)
            for _ in range(count):
                while rng.random() < idle:
                    await ctx.tick()
                ctx.set(dut.i.payload, next(left))
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)

    async def consume(ctx):
        rng = random.Random(3)
        while True:
            ctx.set(dut.o.ready, rng.random() >= stall)
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                taken.append(payload)

    async def keep(ctx):
        rng = random.Random(4)
        while True:
            ctx.set(dut.writes.ready, rng.random() >= slow)
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.writes.valid, dut.writes.ready, dut.writes.payload)
            if valid and ready:
                written.append((payload.address, payload.data))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(ask)
    simulator.add_testbench(memory)
    simulator.add_testbench(consume, background=True)
    simulator.add_testbench(keep, background=True)
    simulator.run_until(2e-3)
    assert taken == words
    places = [address + i for address, count in regions for i in range(count)]
    assert written == list(zip(places, words, strict=True))
