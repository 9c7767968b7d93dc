# amaranth: UnusedElaboratable=no

import random
from itertools import repeat

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from hw.mac.tiles_small import SmallFiller, SmallTileStore

from ..streams import NEVER, check_stream, send


ROWS, WORDS = 8, 512

#: Filters, kernel rows and weights of these: all rows or some, odd rows, depthwise, the longest.
JOBS = [(8, 3, 9), (5, 10, 4), (8, 9, 1), (1, 1, 1), (3, 1, 2), (8, 2, 7), (2, 1, 2 * WORDS),
        (1, WORDS, 2)]


class FilledTile(wiring.Component):
    """A tile store with what fills it."""

    def __init__(self):
        self.filler = SmallFiller(ROWS, words=WORDS)
        self.tiles = SmallTileStore(ROWS, words=WORDS)
        filler, tiles = self.filler.signature.members, self.tiles.signature.members
        super().__init__({"jobs": filler["jobs"], "values": filler["weights"],
                          "reads": tiles["reads"], "weights": Out(tiles["weights"].shape)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.filler = self.filler
        m.submodules.tiles = self.tiles
        connect(m, flipped(self.jobs), self.filler.jobs)
        connect(m, flipped(self.values), self.filler.weights)
        connect(m, self.filler.writes, self.tiles.writes)
        connect(m, flipped(self.reads), self.tiles.reads)
        m.d.comb += self.weights.eq(self.tiles.weights)
        return m


def tile_words(filters):
    """Return the words of each filter, of whose kernel rows each begins one."""
    return [[(*row[place:place + 2], 0)[:2] for row in kernel for place in range(0, len(row), 2)]
            for kernel in filters]


@pytest.mark.parametrize("idle", [False, True])
def test_tiles_one_after_another(simulate, idle):
    dut = FilledTile()
    rng = random.Random(1)

    async def testbench(ctx):
        for filters, kernel_rows, length in JOBS:
            weights = [[[rng.randint(-128, 127) for _ in range(length)]
                        for _ in range(kernel_rows)] for _ in range(filters)]
            await send(ctx, dut.jobs, [{"filters": filters, "kernel_rows": kernel_rows,
                                        "length": length}])
            gaps = (rng.choice((0, 0, 3)) for _ in repeat(0)) if idle else NEVER
            values = [value for kernel in weights for row in kernel for value in row]
            await send(ctx, dut.values, values, idle=gaps)
            assert ctx.get(dut.jobs.ready)
            expected = tile_words(weights)
            for address in range(len(expected[0])):
                ctx.set(dut.reads.payload, address)
                ctx.set(dut.reads.valid, 1)
                await ctx.tick()
                ctx.set(dut.reads.valid, 0)
                found = ctx.get(dut.weights)
                for row in range(filters):
                    assert tuple(found[row]) == expected[row][address], (row, address)

    async def referee(ctx):
        await check_stream(ctx, dut.jobs)

    simulate(dut, testbench, background=[referee], max_cycles=30_000)


def test_a_weight_each_cycle(simulate):
    dut = SmallFiller()
    weights = 3 * 5 * 7

    async def testbench(ctx):
        ctx.set(dut.jobs.payload, {"filters": 3, "kernel_rows": 5, "length": 7})
        ctx.set(dut.jobs.valid, 1)
        ctx.set(dut.weights.valid, 1)
        # A weight that is there before its job waits.
        assert not ctx.get(dut.weights.ready)
        for _ in range(3):
            assert ctx.get(dut.jobs.ready)
            await ctx.tick()
            for _ in range(weights):
                assert ctx.get(dut.weights.ready)
                assert not ctx.get(dut.jobs.ready)
                await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("component", [SmallFiller, SmallTileStore])
def test_words_must_be_a_power_of_two(component):
    with pytest.raises(ValueError, match="Words must be a power of two, not 500"):
        component(words=500)
