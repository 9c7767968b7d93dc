# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.mac.outputs import ChannelField, OutputStage
from sw.format.layers import MOST_SHIFT, RECORDS
from sw.format.target import Target
from sw.format.timing import TABLE_CYCLES

from .tflite import requantise, rescale


TARGETS = [Target(rows=4, requantisers=1),
           Target(rows=8, requantisers=2),
           Target(rows=8, columns=8, requantisers=4),
           Target(rows=4, requantisers=4),
           Target(rows=16, columns=8, requantisers=2, channels=2048)]

LAYER = {"zero_point": -11, "minimum": -100, "maximum": 120}

#: Sums that are pairs of inputs, of an addition.
PAIRS = [(-128, -128), (127, 127), (-128, 127), (127, -128), (0, -1), (-1, 0), (5, -77)]


async def load_channels(ctx, dut, rng, most_shift=MOST_SHIFT):
    """Write all channel records, section by section as an image holds them; return them."""
    records = [{"bias": rng.randint(-1 << 20, 1 << 20),
                "multiplier": rng.randint(1 << 30, (1 << 31) - 1),
                "shift": rng.choice((-31, 0, *range(-24, -14), most_shift, most_shift // 2))}
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
            "channel": rng.randrange(0, target.channels - target.rows, RECORDS)}


def writes(target, records, sums, position):
    """Return the writes that a position's sums lead to."""
    outputs = []
    for row in range(position["count"]):
        bank = row % target.requantisers
        record = records[position["channel"] + (bank if position["shared"] else row)]
        record = record | {"shift": max(0, -record["shift"]), "left": max(0, record["shift"])}
        outputs.append(requantise(sums[row], **record, **LAYER) & 0xff)
    return [(position["address"] + row & 0xffff, outputs[row:row + target.requantisers])
            for row in range(0, position["count"], target.requantisers)]


async def check_positions(ctx, dut, records, positions, rng, gap=lambda: 0):
    """Send sums at full rate but for gaps; check that exactly the right writes come in time."""
    target = dut.target
    rounds = target.rows // target.requantisers
    due = {}
    cycle = 0
    for position in positions:
        for _ in range(gap()):
            await check_cycle(ctx, dut, due, cycle)
            cycle += 1
        # Small ones, too, for factors above 1.
        bits = rng.choice((7, 25))
        sums = [rng.randint(-1 << bits, 1 << bits) for _ in range(target.rows)]
        ctx.set(dut.sums.payload, {"sums": sums, "tag": position})
        ctx.set(dut.sums.valid, 1)
        found = writes(target, records, sums, position)
        for step, write in enumerate(found):
            due[cycle + dut.latency - (rounds - 1) + step] = write
        for _ in found:
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

    simulate(dut, testbench, max_cycles=20_000)


@pytest.mark.parametrize("target", TARGETS)
def test_additions(simulate, target):
    dut = OutputStage(target)
    rng = random.Random(3)
    pairs = PAIRS + [(rng.randint(-128, 127), rng.randint(-128, 127)) for _ in range(60)]

    async def testbench(ctx):
        ctx.set(dut.layer, LAYER)
        ctx.set(dut.adds, 1)
        records = await load_channels(ctx, dut, rng, most_shift=0)
        for base in (0, 8):
            ctx.set(dut.base, base)
            ctx.set(dut.prepare, 1)
            await ctx.tick()
            ctx.set(dut.prepare, 0)
            cycles = 1
            while not ctx.get(dut.prepared):
                await ctx.tick()
                cycles += 1
            assert cycles == TABLE_CYCLES
            await ctx.tick()
            inputs = [{name: records[base + RECORDS + number][name] * (-1 if name == "shift" else 1)
                       for name in ("bias", "multiplier", "shift")} for number in range(2)]
            for record in inputs:
                record["bias"] = (record["bias"] + 128) % 256 - 128
            position = {"address": 0, "count": target.rows, "shared": 1, "channel": base}
            for start in range(0, len(pairs) - target.rows, target.rows):
                offered = pairs[start:start + target.rows]
                ctx.set(dut.sums.payload, {"sums": [256 * one + two for one, two in offered],
                                           "tag": position})
                ctx.set(dut.sums.valid, 1)
                await ctx.tick()
                ctx.set(dut.sums.valid, 0)
                totals = [sum(rescale(value, **record)
                              for value, record in zip(pair, inputs, strict=True))
                          for pair in offered]
                expected = []
                for row, total in enumerate(totals):
                    record = records[base + row % target.requantisers]
                    expected.append(requantise(
                        total, bias=0, multiplier=record["multiplier"], shift=-record["shift"],
                        **LAYER) & 0xff)
                found = []
                while len(found) < target.rows:
                    if ctx.get(dut.writes.valid):
                        payload = ctx.get(dut.writes.payload)
                        found += [payload.data[index] for index in range(payload.count)]
                    await ctx.tick()
                assert found == expected

    simulate(dut, testbench, max_cycles=50_000)


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
