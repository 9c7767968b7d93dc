# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.table_runs import TableRuns
from sw.format.lanes import TansLanes
from sw.format.tables import TansShape

from ..streams import NEVER, receive, send
from .reference import gaps


def lanes_of(lanes):
    return TansLanes(TansShape(8, 64), lanes=lanes)


def choices_of(shape, runs):
    """Return tables, lanes that have ended, and whether symbols leave, of each choice."""
    symbols = [table for table, count in runs for _ in range(count)]
    states = shape.code.states
    padded = [*symbols, *[None] * states]
    padded += ["beyond"] * (-len(padded) % shape.lanes)
    return [padded[start:start + shape.lanes] for start in range(0, len(padded), shape.lanes)]


def drawn(seed, shortest):
    rng = random.Random(seed)
    return [(rng.randrange(4), rng.choice((shortest, shortest + 1, 9, 16, 30))) for _ in range(30)]


async def send_runs(ctx, dut, runs, idle=NEVER):
    await send(ctx, dut.i, [{"table": table, "count": count, "last": number == len(runs) - 1}
                            for number, (table, count) in enumerate(runs)], idle=idle)


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("shortest, rest", [(1, 0), (1, 5), (8, 3)])
def test_choices(simulate, shortest, rest, lanes, longest_idle, longest_stall):
    shape = lanes_of(lanes)
    dut = TableRuns(shape)
    runs = drawn(1, shortest)
    total = sum(count for _, count in runs)
    runs.append((2, -total % 8 + 8 + rest))

    async def producer(ctx):
        await send_runs(ctx, dut, runs, gaps(2, longest_idle))

    async def consumer(ctx):
        expected = choices_of(shape, runs)
        found = await receive(ctx, dut.o, len(expected), stall=gaps(3, longest_stall))
        for choice, symbols in zip(found, expected, strict=True):
            for lane, symbol in enumerate(symbols):
                assert choice.ended >> lane & 1 == (symbol is None)
                assert symbol in (None, "beyond", choice.tables[lane])
            assert choice.live == isinstance(symbols[0], int)
        if not found[-1].last:
            last, = await receive(ctx, dut.o, 1)
            assert (last.live, last.ended, last.last) == (0, 0, 1)
        assert not any(choice.last for choice in found[:-1])
        ctx.set(dut.o.ready, 1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(dut.o.valid)

    simulate(dut, producer, consumer, watch=[dut.o])


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_a_choice_per_cycle(simulate, lanes):
    shape = lanes_of(lanes)
    dut = TableRuns(shape)
    runs = [(number & 3, lanes + number % 3) for number in range(40)]

    async def producer(ctx):
        await send_runs(ctx, dut, runs)

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.i.valid)
        for _ in choices_of(shape, runs):
            assert ctx.get(dut.o.valid)
            await ctx.tick()

    simulate(dut, producer, consumer)


def test_choice_offered_before_it_is_wanted(simulate):
    dut = TableRuns(lanes_of(4))

    async def testbench(ctx):
        await send(ctx, dut.i, [{"table": 3, "count": 4, "last": 0}])
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)
        assert list(ctx.get(dut.o.payload.tables)) == [3] * 4

    simulate(dut, testbench)
