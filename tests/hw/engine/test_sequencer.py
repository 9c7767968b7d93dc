import random

import pytest

from hw.engine.sequencer import Sequencer
from sw.format.schedule import Dataflow
from sw.format.target import Target
from sw.format.timing import output_cycles
from sw.schedule import schedule
from tests.hw.engine.networks import NETWORKS, schedule_memory


DRAIN = 20


def walk(records, target):
    """Yield the beats that the records' documentation promises."""
    tiles_read = 0
    for record in records:
        for tile in range(record.tiles):
            count = record.outputs_last if tile == record.tiles - 1 else record.outputs
            weight_tile = (tiles_read % 2) * target.tile_words
            tiles_read += record.dataflow.has_weights
            for line in range(record.out_height):
                for column in range(record.out_width):
                    window = (record.origin + line * record.y_step + column * record.x_step
                              + tile * record.tile_step)
                    x = record.x_start + column * record.x_step + tile * record.tile_step
                    beats = [(row, beat) for row in range(record.kernel_rows)
                             for beat in range(record.beats)]
                    for number, (row, beat) in enumerate(beats):
                        y = record.y_start + line * record.y_stride + row
                        yield {
                            "address": (window + row * record.row_bytes
                                        + beat * record.beat_step) & 0xffff,
                            "offset": x + beat * record.beat_step,
                            "row_bytes": record.row_bytes,
                            "inside": int(0 <= y < record.in_height),
                            "fill": record.fill,
                            "weight": (number + weight_tile
                                       if record.dataflow.has_weights else None),
                            "dataflow": record.dataflow,
                            "first": int(number == 0),
                            "last": int(number == len(beats) - 1),
                            "out": (record.out_base + tile * record.outputs
                                    + (line * record.out_width + column) * record.out_stride),
                            "channel": record.channel_base + (
                                0 if record.shared else tile * record.outputs),
                            "count": count,
                            "shared": record.shared,
                        }


def observe(beat):
    dataflow = Dataflow(int(beat.dataflow))
    return {
        **{name: getattr(beat.place, name)
           for name in ("address", "offset", "inside", "first", "last")},
        **{name: getattr(beat, name) for name in ("row_bytes", "fill")},
        "weight": beat.weight if dataflow.has_weights else None,
        "dataflow": dataflow,
        "out": beat.position.address,
        **{name: getattr(beat.position, name) for name in ("channel", "count", "shared")},
    }


@pytest.mark.parametrize("target", [Target(), Target(rows=4, requantisers=1),
                                    Target(rows=8, columns=8, requantisers=4)], ids=repr)
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_beats_follow_the_records(simulate, target, layers):
    records = schedule(layers, target)
    expected = list(walk(records, target))
    dut = Sequencer(target, drain=DRAIN)
    rng = random.Random(1)
    beats = []
    ends = []

    async def host(ctx):
        ctx.set(dut.layers, len(records))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        last_end = None
        gap = cycle = 0
        done = False
        while not done:
            _, _, valid, beat, layer_done, done = await ctx.tick().sample(
                dut.beats.valid, dut.beats.payload, dut.layer_done, dut.done)
            cycle += 1
            if valid:
                beats.append(observe(beat))
                if beat.place.last:
                    assert last_end is None or cycle - last_end >= gap
                    last_end = cycle
                    gap = output_cycles(target, beat.position.count)
            if layer_done:
                assert cycle - last_end == DRAIN - 1
                ends.append(len(beats))

    async def filler(ctx):
        for record in records:
            for _ in range(record.tiles if record.dataflow.has_weights else 0):
                await ctx.tick().repeat(1 + rng.randrange(30))
                while filled[0] == 2:
                    await ctx.tick()
                filled[0] += 1
                ctx.set(dut.filled, 1)
                await ctx.tick()
                ctx.set(dut.filled, 0)

    async def count_freed(ctx):
        while True:
            _, _, freed = await ctx.tick().sample(dut.freed)
            filled[0] -= freed

    async def memory(ctx):
        await schedule_memory(ctx, dut, records)

    async def tables(ctx):
        """Take some time for an addition's tables; no beat may come meanwhile."""
        while True:
            _, _, prepare = await ctx.tick().sample(dut.prepare)
            if not prepare:
                continue
            before = len(beats)
            await ctx.tick().repeat(20)
            assert len(beats) == before
            prepared.append(records[len(ends)].dataflow)
            ctx.set(dut.prepared, 1)
            await ctx.tick()
            ctx.set(dut.prepared, 0)

    filled = [0]
    prepared = []
    simulate(dut, host, filler, background=[memory, count_freed, tables], max_cycles=50_000)
    assert beats == expected
    assert prepared == [Dataflow.ADD] * sum(record.dataflow is Dataflow.ADD for record in records)
    assert ends[-1] == len(expected)
    assert len(ends) == len(records)
    assert filled == [0]


def test_a_beat_a_cycle(simulate):
    layers = NETWORKS["convolution"]
    target = Target(rows=4, requantisers=1)
    records = schedule(layers, target)
    dut = Sequencer(target, drain=DRAIN)

    async def host(ctx):
        ctx.set(dut.layers, 1)
        ctx.set(dut.start, 1)
        ctx.set(dut.filled, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick()
        ctx.set(dut.filled, 0)
        await ctx.tick().until(dut.beats.valid)
        record = records[0]
        windows = record.out_height * record.out_width
        for _ in range(windows * record.kernel_rows * record.beats - 1):
            _, _, valid = await ctx.tick().sample(dut.beats.valid)
            assert valid

    async def memory(ctx):
        await schedule_memory(ctx, dut, records)

    simulate(dut, host, background=[memory])
