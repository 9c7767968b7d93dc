# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.tans_small import SmallTansDecoder
from sw.format.lanes import SMALL, TansLanes
from sw.format.tables import TansShape, TansTable

from .reference import gaps
from .test_tans import Job, decode, random_table, transfers_of


SHAPE = TansShape(8, 4)
ONE = TansLanes(SHAPE, lanes=1, tables=1, port_bits=SMALL)
FOUR = TansLanes(SHAPE, lanes=1, tables=4, port_bits=SMALL)


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_values_in_order(simulate, longest_idle, longest_stall):
    job = Job(ONE, [random_table(1)], [(0, 601)])
    values, whole = decode(simulate, job, idle=gaps(3, longest_idle),
                           stall=gaps(4, longest_stall), decoder=SmallTansDecoder)
    assert values == job.values.tolist()
    assert whole


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_tables_of_runs(simulate, longest_idle, longest_stall):
    tables = [random_table(number, 5 + 3 * number) for number in range(4)]
    rng = random.Random(5)
    job = Job(FOUR, tables, [(rng.randrange(4), rng.choice((1, 2, 3, 9, 64))) for _ in range(40)])
    values, whole = decode(simulate, job, idle=gaps(6, longest_idle),
                           stall=gaps(7, longest_stall), decoder=SmallTansDecoder)
    assert values == job.values.tolist()
    assert whole


def test_latency_and_a_transfer_per_cycle(simulate):
    # The symbols of the second table take 8 bits, the most that there may be.
    tables = [random_table(1), TansTable(-1, 0, 1, 2, (), 0, (1, 255))]
    job = Job(FOUR, tables, [(0, 100), (1, 19), (0, 9), (1, 1), (0, 100)])
    job.values[100:119] = -1
    job.encode()
    dut = SmallTansDecoder(FOUR)
    # The end of a run delays its last value by a cycle.
    expected, cycle = [], dut.latency
    for _, count in job.runs:
        expected += range(cycle, cycle + count - 1)
        expected.append(cycle + count)
        cycle += count + 1

    async def testbench(ctx):
        cycles, values = [], []
        cycle = 0
        async for transfer in transfers_of(ctx, dut, job, cycles=expected[-1] + 10):
            if transfer is not None:
                cycles.append(cycle)
                values += transfer
            cycle += 1
        assert values == job.values.tolist()
        assert cycles == expected

    simulate(dut, testbench)


@pytest.mark.parametrize("seed", range(3))
def test_garbage_ends_with_an_error(simulate, seed):
    job = Job(FOUR, [random_table(1), random_table(2)], [(0, 600), (1, 250)])
    job.words = [random.Random(seed).getrandbits(8) for _ in job.words]
    values, whole = decode(simulate, job, stall=gaps(9, 1), decoder=SmallTansDecoder)
    assert len(values) == 850
    assert not whole


@pytest.mark.parametrize("symbol", [96, 97, 98, 99])
def test_a_wrong_bit_of_any_last_state_is_found(simulate, symbol):
    # Each symbol takes 3 bits, behind four states of 8. Those of the last 4 are the last ones.
    job = Job(ONE, [TansTable(-4, 0, 1, 8, (), 0, (32,) * 8)], [(0, 100)])
    at = 4 * 8 + 3 * symbol
    job.words[at // 8] ^= 1 << at % 8
    values, whole = decode(simulate, job, decoder=SmallTansDecoder)
    assert values == job.values.tolist()
    assert not whole


def test_it_begins_anew(simulate):
    jobs = [Job(ONE, [random_table(1)], [(0, count)], seed) for seed, count in ((1, 90), (2, 50))]
    dut = SmallTansDecoder(ONE)

    async def testbench(ctx):
        for job in (jobs[0], jobs[1], jobs[0]):
            ctx.set(dut.run, 0)
            await ctx.tick()
            assert not ctx.get(dut.i.ready | dut.runs.ready | dut.done | dut.error)
            values = []
            cycles = dut.latency + job.symbols + 10
            async for transfer in transfers_of(ctx, dut, job, cycles=cycles):
                values += transfer or []
            assert values == job.values.tolist()
            assert ctx.get(dut.done)
            assert not ctx.get(dut.error)

    simulate(dut, testbench)


@pytest.mark.parametrize("lanes, complaint", [
    (TansLanes(SHAPE, lanes=1), "must have TansLanes with a port of 16 bits, not TansLanes"),
    (TansLanes(TansShape(8, 8), lanes=1, port_bits=SMALL), "States must be 4, not 8"),
])
def test_shapes_refused(lanes, complaint):
    with pytest.raises(ValueError, match=complaint):
        SmallTansDecoder(lanes)
