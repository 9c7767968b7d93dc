# amaranth: UnusedElaboratable=no

import random
from itertools import repeat

import pytest

from hw.mac.array_small import SmallMacArray

from ..streams import check_stream, receive


def make_sum(rng, rows, length, values):
    """Return the beats of one sum; some have inputs for each row."""
    own = rng.random() < 0.5
    return [{
        "activations": [values(rng) for _ in range(rows)],
        "weights": [[values(rng), 0 if own else values(rng)] for _ in range(rows)],
        "own": own,
        "last": number == length - 1,
        "count": rng.randint(1, rows) if number == length - 1 else rng.randint(0, rows),
    } for number in range(length)]


def expected(beats):
    """Return the sums of the rows that count."""
    return [sum(beat["activations"][row if beat["own"] else 0] * beat["weights"][row][0]
                + beat["activations"][1] * beat["weights"][row][1] for beat in beats)
            for row in range(beats[-1]["count"])]


async def give(ctx, dut, sums, gap):
    """Give all beats as early as the array allows, but for gaps."""
    for beats in sums:
        for beat in beats:
            for _ in range(gap()):
                await ctx.tick()
            ctx.set(dut.beats.valid, 0)
            while beat["last"] and not ctx.get(dut.free):
                await ctx.tick()
            ctx.set(dut.beats.payload, beat)
            ctx.set(dut.beats.valid, 1)
            await ctx.tick()
            ctx.set(dut.beats.valid, 0)
        await ctx.tick()


def int8(rng):
    return rng.randint(-128, 127)


def extreme(rng):
    return rng.choice((-128, 127))


@pytest.mark.parametrize("values", [int8, extreme])
@pytest.mark.parametrize("rows", [2, 5, 8])
@pytest.mark.parametrize("longest_gap, longest_stall", [(0, 0), (3, 0), (0, 12), (3, 12)])
def test_sums(simulate, rows, values, longest_gap, longest_stall):
    dut = SmallMacArray(rows)
    rng = random.Random(1)
    stalls = random.Random(2)
    sums = [make_sum(rng, rows, rng.choice((1, 1, 2, 3, 9)), values) for _ in range(25)]

    async def source(ctx):
        await give(ctx, dut, sums, lambda: rng.randint(0, longest_gap))

    async def sink(ctx):
        for beats in sums:
            rows = expected(beats)
            stall = (stalls.randint(0, longest_stall) for _ in repeat(0))
            assert await receive(ctx, dut.sums, len(rows), stall=stall) == rows

    async def referee(ctx):
        await check_stream(ctx, dut.sums)

    simulate(dut, source, sink, background=[referee])


def test_throughput_and_latency(simulate):
    """Long sums follow one another with a gap of one cycle, whatever the rows."""
    dut = SmallMacArray()
    length = 5 * dut.rows
    beats = make_sum(random.Random(3), dut.rows, length, int8)
    beats[-1]["count"] = dut.rows
    begun = []

    async def source(ctx):
        await give(ctx, dut, [beats] * 3, lambda: 0)

    async def sink(ctx):
        ctx.set(dut.sums.ready, 1)
        was_valid = 0
        for cycle in range(3 * (length + 1) + dut.latency):
            _, _, valid = await ctx.tick().sample(dut.sums.valid)
            if valid and not was_valid:
                begun.append(cycle)
            was_valid = valid

    simulate(dut, source, sink)
    assert begun == [length - 1 + dut.latency + n * (length + 1) for n in range(3)]


def test_free_without_gap_for_a_consumer_of_one_sum_in_five_cycles(simulate):
    dut = SmallMacArray()
    beat = make_sum(random.Random(4), dut.rows, 1, int8)[0] | {"count": dut.rows}
    taken = []

    async def source(ctx):
        await give(ctx, dut, [[beat]] * 4, lambda: 0)

    async def sink(ctx):
        for _ in range(4 * dut.rows):
            await ctx.tick().repeat(dut.latency)
            ctx.set(dut.sums.ready, 1)
            assert ctx.get(dut.sums.valid) or not taken
            await ctx.tick().until(dut.sums.valid)
            ctx.set(dut.sums.ready, 0)
            taken.append(1)

    simulate(dut, source, sink)


def test_sums_wrap(simulate):
    dut = SmallMacArray(2, sum_bits=18)
    beats = [{"activations": [-128] * 2, "weights": [[-128, -128], [-128, 0]], "own": 0,
              "last": number == 8, "count": 2} for number in range(9)]

    async def source(ctx):
        await give(ctx, dut, [beats], lambda: 0)

    async def sink(ctx):
        assert await receive(ctx, dut.sums, 2) == [9 * (1 << 15) - (1 << 18),
                                                   9 * (1 << 14) - (1 << 18)]

    simulate(dut, source, sink)


@pytest.mark.parametrize("rows, sum_bits, message", [
    (1, 25, "Rows must be 2 or more, not 1"),
    (8, 17, "Sums must have 18 to 32 bits, not 17"),
    (8, 33, "Sums must have 18 to 32 bits, not 33"),
])
def test_refusals(rows, sum_bits, message):
    with pytest.raises(ValueError, match=message):
        SmallMacArray(rows, sum_bits=sum_bits)
