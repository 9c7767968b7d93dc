# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.mac.outputs import ChannelField, OutputStage
from sw.format.target import Target

from .tflite import requantise


TARGETS = [Target(rows=4, requantisers=1),
           Target(rows=8, requantisers=2),
           Target(rows=8, columns=8, requantisers=4),
           Target(rows=4, requantisers=4)]

LAYER = {"zero_point": -11, "minimum": -100, "maximum": 120}


async def load_channels(ctx, dut, rng):
    """Write all channel records, section by section as an image holds them; return them."""
    records = [{"bias": rng.randint(-1 << 20, 1 << 20),
                "multiplier": rng.randint(1 << 30, (1 << 31) - 1),
                "shift": rng.choice((-31, 0, *range(-24, -14)))}
               for _ in range(dut.target.channels)]
    for field in ChannelField:
        for channel, record in enumerate(records):
            value = record[field.name.lower()]
            noise = rng.randrange(1 << 24) << 8 if field is ChannelField.SHIFT else 0
            ctx.set(dut.channels.payload, {
                "channel": channel, "field": field,
                "data": value & (0xff if noise else 0xffffffff) | noise,
            })
            ctx.set(dut.channels.valid, 1)
            await ctx.tick()
    ctx.set(dut.channels.valid, 0)
    await ctx.tick()
    return records


def make_position(rng, target, count, shared):
    return {"address": rng.randrange(0x10000), "count": count, "shared": shared,
            "channel": rng.randint(0, target.channels - target.rows)}


def writes(target, records, sums, position):
    """Return the writes that a position's sums lead to."""
    outputs = []
    for row in range(position["count"]):
        record = records[position["channel"] + (0 if position["shared"] else row)]
        record = record | {"shift": -record["shift"]}
        outputs.append(requantise(sums[row], **record, **LAYER) & 0xff)
    return [(position["address"] + row & 0xffff, outputs[row:row + target.requantisers])
            for row in range(0, position["count"], target.requantisers)]


async def check_positions(ctx, dut, records, positions, rng, gap=lambda: 0):
    """Send sums at full rate but for gaps; check that exactly the right writes come in time."""
    target = dut.target
    steps = target.rows // target.requantisers
    due = {}
    cycle = 0
    for position in positions:
        for _ in range(gap()):
            await check_cycle(ctx, dut, due, cycle)
            cycle += 1
        sums = [rng.randint(-1 << 25, 1 << 25) for _ in range(target.rows)]
        ctx.set(dut.sums.payload, {"sums": sums, "tag": position})
        ctx.set(dut.sums.valid, 1)
        for step, write in enumerate(writes(target, records, sums, position)):
            due[cycle + dut.latency - (steps - 1) + step] = write
        for _ in range(steps):
            await check_cycle(ctx, dut, due, cycle)
            ctx.set(dut.sums.valid, 0)
            cycle += 1
    for _ in range(dut.latency):
        await check_cycle(ctx, dut, due, cycle)
        cycle += 1
    assert not due
    assert not ctx.get(dut.busy)


async def check_cycle(ctx, dut, due, cycle):
    write = due.pop(cycle, None)
    assert ctx.get(dut.writes.valid) == (write is not None)
    if write is not None:
        payload = ctx.get(dut.writes.payload)
        assert (payload.address, [payload.data[i] for i in range(payload.count)]) == write
        assert ctx.get(dut.busy)
    await ctx.tick()


@pytest.mark.parametrize("longest_gap", [0, 5])
@pytest.mark.parametrize("target", TARGETS)
def test_writes_of_all_counts(simulate, target, longest_gap):
    dut = OutputStage(target)
    rng = random.Random(1)

    async def testbench(ctx):
        ctx.set(dut.layer, LAYER)
        records = await load_channels(ctx, dut, rng)
        positions = [make_position(rng, target, count, shared)
                     for count in range(1, target.rows + 1) for shared in (0, 1)]
        positions += [make_position(rng, target, target.rows, 0) for _ in range(10)]
        rng.shuffle(positions)
        await check_positions(ctx, dut, records, positions, rng,
                              lambda: rng.randint(0, longest_gap))

    simulate(dut, testbench)


def test_busy_from_sums_to_last_write(simulate):
    dut = OutputStage(TARGETS[1])
    rng = random.Random(2)

    async def testbench(ctx):
        assert not ctx.get(dut.busy)
        position = make_position(rng, dut.target, dut.target.rows, 0)
        ctx.set(dut.sums.payload, {"sums": [0] * dut.target.rows, "tag": position})
        ctx.set(dut.sums.valid, 1)
        await ctx.tick()
        ctx.set(dut.sums.valid, 0)
        for _ in range(dut.latency):
            assert ctx.get(dut.busy)
            await ctx.tick()
        assert not ctx.get(dut.busy)

    simulate(dut, testbench)
