# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.engine.filters import FilterCount
from sw.format.schedule import HALFWORDS, RECORD_WORDS, Dataflow


def record(**values):
    """Return the words of a record that has these fields, and others at random."""
    rng = random.Random(0)
    fields = {name: rng.getrandbits(16) for name in HALFWORDS} | values
    halfwords = [fields[name] for name in HALFWORDS]
    return [low | high << 16 for low, high in zip(halfwords[::2], halfwords[1::2], strict=True)]


CASES = [
    (record(flags=Dataflow.DENSE, tiles=1, outputs=8, outputs_last=8, kernel_rows=3,
            kernel_row=27), (8, 81)),
    (record(flags=Dataflow.MAXIMUM, tiles=4, outputs=8, outputs_last=8, kernel_rows=3,
            kernel_row=0), None),
    (record(flags=Dataflow.DEPTHWISE, tiles=3, outputs=16, outputs_last=5, kernel_rows=3,
            kernel_row=9), (37, 9)),
    (record(flags=Dataflow.DENSE, tiles=128, outputs=32, outputs_last=1, kernel_rows=255,
            kernel_row=257), (127 * 32 + 1, 65535)),
    # What doesn't fit is no layer.
    (record(flags=Dataflow.DENSE, tiles=2, outputs=8, outputs_last=8, kernel_rows=256,
            kernel_row=256), (0, 0)),
    (record(flags=Dataflow.DENSE, tiles=0xffff, outputs=8, outputs_last=8, kernel_rows=1,
            kernel_row=1), (0, 1)),
]


@pytest.mark.parametrize("gap", [4, 5, 9])
def test_filters_of_layers(simulate, gap):
    dut = FilterCount()
    told = []

    async def testbench(ctx):
        for _ in range(2):
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for words, _ in CASES:
                for index in range(RECORD_WORDS):
                    ctx.set(dut.words.payload, {"index": index, "data": words[index]})
                    ctx.set(dut.words.valid, 1)
                    await ctx.tick()
                    ctx.set(dut.words.valid, 0)
                    await ctx.tick().repeat(gap - 1)
            await ctx.tick().repeat(20)

    async def collect(ctx):
        while True:
            *_, valid, layer = await ctx.tick().sample(dut.layers.valid, dut.layers.payload)
            if valid:
                told.append((layer.first, layer.filters, layer.size))

    simulate(dut, testbench, background=[collect])
    expected = [layer for _, layer in CASES if layer]
    assert told == [(number == 0, *layer) for number, layer in enumerate(expected)] * 2
