# amaranth: UnusedElaboratable=no

import pytest

from hw.engine.counters import EVENTS, Counters
from sw.format.status import Counter


NAMES = [name for name, _ in EVENTS]


async def read(ctx, dut, index):
    ctx.set(dut.index, index)
    await ctx.tick()
    return ctx.get(dut.count)


def test_each_event_has_its_counter(simulate):
    dut = Counters(4)

    async def testbench(ctx):
        for number, name in enumerate(NAMES):
            for _ in range(number + 1):
                ctx.set(dut.events, dict.fromkeys(NAMES, 0) | {name: 1})
                await ctx.tick()
        ctx.set(dut.events, dict.fromkeys(NAMES, 0))
        for number, name in enumerate(NAMES):
            assert await read(ctx, dut, Counter[name.upper()]) == number + 1

        ctx.set(dut.run_starts, 1)
        await ctx.tick()
        ctx.set(dut.run_starts, 0)
        assert await read(ctx, dut, Counter.CYCLES) == 0
        assert await read(ctx, dut, Counter.LOAD_CYCLES) == NAMES.index("load_cycles") + 1
        ctx.set(dut.load_starts, 1)
        await ctx.tick()
        ctx.set(dut.load_starts, 0)
        assert await read(ctx, dut, Counter.LOAD_CYCLES) == 0

    simulate(dut, testbench)


def test_ends_of_layers(simulate):
    dut = Counters(4)

    async def run(ctx, lengths):
        ctx.set(dut.run_starts, 1)
        await ctx.tick()
        ctx.set(dut.run_starts, 0)
        for length in lengths:
            ctx.set(dut.events.cycles, 1)
            for cycle in range(length):
                ctx.set(dut.events.waiting, cycle % 2)
                await ctx.tick()
            ctx.set(dut.events, dict.fromkeys(NAMES, 0))
            ctx.set(dut.layer_done, 1)
            await ctx.tick()
            ctx.set(dut.layer_done, 0)

    async def testbench(ctx):
        for lengths in ([7, 4, 2], [3, 1, 10, 5]):
            await run(ctx, lengths)
            for layer in range(len(lengths)):
                total = sum(lengths[:layer + 1])
                waited = sum(length // 2 for length in lengths[:layer + 1])
                assert await read(ctx, dut, Counter.LAYER + layer) == total
                assert await read(ctx, dut, Counter.LAYER_WAITING + layer) == waited

    simulate(dut, testbench)


@pytest.mark.parametrize("layers", [0, 1, 3, 128])
def test_bad_number_of_layers_rejected(layers):
    with pytest.raises(ValueError, match=f"2, 4, ... 64, not {layers}"):
        Counters(layers)
