# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.mac.array import MacArray
from sw.format.schedule import POOL_WEIGHT, Dataflow
from sw.format.target import Target


SIZES = [Target(rows=4, columns=4, requantisers=1),
         Target(rows=8, columns=4, requantisers=2),
         Target(rows=4, columns=8, requantisers=2),
         Target(rows=8, columns=8, requantisers=2),
         Target(rows=18, columns=4, requantisers=2)]


def make_beat(rng, target, dataflow, values):
    return {
        "activations": [values(rng) for _ in range(target.read_bytes)],
        "weights": [[values(rng) for _ in range(target.columns)] for _ in range(target.rows)],
        "dataflow": dataflow,
        "first": 0,
        "last": 0,
        "tag": rng.randrange(0x100),
    }


def make_sum(rng, target, dataflow, length, values):
    """Return the beats of one sum."""
    beats = [make_beat(rng, target, dataflow, values) for _ in range(length)]
    beats[0]["first"] = 1
    beats[-1]["last"] = 1
    return beats


def expected(target, beats):
    """Return the rows that count and their sums."""
    activations = [beat["activations"] for beat in beats]
    diagonal = range(min(target.rows, target.read_bytes))
    match beats[0]["dataflow"]:
        case Dataflow.DENSE:
            return [sum(a * w for beat in beats
                        for a, w in zip(beat["activations"], beat["weights"][row], strict=False))
                    for row in range(target.rows)]
        case Dataflow.DIAGONAL:
            return [POOL_WEIGHT * sum(beat[row] for beat in activations) for row in diagonal]
        case Dataflow.MAXIMUM:
            return [2 * max(beat[row] for beat in activations) for row in diagonal]
        case Dataflow.DEPTHWISE:
            return [sum(beat["activations"][row] * beat["weights"][row][0] for beat in beats)
                    for row in diagonal]
        case Dataflow.ADD:
            return [256 * activations[0][row] + sum(beat[row] for beat in activations[1:])
                    for row in diagonal]


async def check_sums(ctx, dut, sums, gap=lambda: 0):
    """Send all beats, a cycle after the other but for gaps; check sums, tags and latency."""
    cycles = []
    for beats in sums:
        for beat in beats:
            cycles += [None] * gap() + [beat]
    cycles += [None] * dut.latency

    results = iter(sums)
    for cycle, beat in enumerate(cycles):
        ctx.set(dut.beats.valid, beat is not None)
        if beat is not None:
            ctx.set(dut.beats.payload, beat)
        past = cycles[cycle - dut.latency] if cycle >= dut.latency else None
        assert ctx.get(dut.sums.valid) == bool(past is not None and past["last"])
        if past is not None and past["last"]:
            result = ctx.get(dut.sums.payload)
            rows = expected(dut.target, next(results))
            assert [result.sums[row] for row in range(len(rows))] == rows
            assert result.tag == past["tag"]
        await ctx.tick()
    assert next(results, None) is None


def int8(rng):
    return rng.randint(-128, 127)


def extreme(rng):
    return rng.choice((-128, 127))


@pytest.mark.parametrize("longest_gap", [0, 3])
@pytest.mark.parametrize("values", [int8, extreme])
@pytest.mark.parametrize("target", SIZES)
def test_sums_of_all_dataflows(simulate, target, values, longest_gap):
    dut = MacArray(target, 8)
    rng = random.Random(1)
    sums = [make_sum(rng, target, rng.choice(list(Dataflow)), rng.choice((1, 1, 2, 3, 9)), values)
            for _ in range(40)]

    async def testbench(ctx):
        await check_sums(ctx, dut, sums, lambda: rng.randint(0, longest_gap))

    simulate(dut, testbench)


def test_negative_maximum_after_greater_one(simulate):
    target = SIZES[0]
    dut = MacArray(target, 8)

    async def testbench(ctx):
        rng = random.Random(2)
        sums = [make_sum(rng, target, Dataflow.MAXIMUM, 2, lambda rng, value=value: value)
                for value in (127, -128, 0, -1)]
        await check_sums(ctx, dut, sums)

    simulate(dut, testbench)


@pytest.mark.parametrize("dataflow", Dataflow)
def test_unfinished_sum_leaves_no_trace(simulate, dataflow):
    target = SIZES[0]
    dut = MacArray(target, 8)
    rng = random.Random(4)

    async def testbench(ctx):
        for unfinished in make_sum(rng, target, dataflow, 3, int8)[:2]:
            ctx.set(dut.beats.payload, unfinished)
            ctx.set(dut.beats.valid, 1)
            await ctx.tick()
        await check_sums(ctx, dut, [make_sum(rng, target, dataflow, 2, int8)])

    simulate(dut, testbench)


def test_sums_wrap_like_int32(simulate):
    target = SIZES[0]
    dut = MacArray(target, 8)
    beats = 0x8000

    async def testbench(ctx):
        beat = make_sum(random.Random(3), target, Dataflow.DENSE, 1, lambda rng: -128)[0]
        ctx.set(dut.beats.payload, beat | {"last": 0})
        ctx.set(dut.beats.valid, 1)
        await ctx.tick()
        ctx.set(dut.beats.payload, beat | {"first": 0, "last": 0})
        await ctx.tick().repeat(beats - 2)
        ctx.set(dut.beats.payload, beat | {"first": 0})
        await ctx.tick()
        ctx.set(dut.beats.valid, 0)
        await ctx.tick().repeat(dut.latency - 1)
        assert ctx.get(dut.sums.valid)
        assert ctx.get(dut.sums.payload.sums[0]) == beats * target.columns * 0x4000 - (1 << 32)

    simulate(dut, testbench, max_cycles=beats + 100)
