# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.table_runs import TableRuns
from sw.format.lanes import TansLanes
from sw.format.tables import TansShape

from ..streams import NEVER, send
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


async def take_choices(ctx, dut, stall=NEVER):
    """Yield choices up to the last one."""
    last = False
    while not last:
        for _ in range(next(stall)):
            told = ctx.get(dut.next_valid)
            await ctx.tick()
            assert ctx.get(dut.valid) == told
        valid, choice = ctx.get(dut.valid), ctx.get(dut.payload)
        ctx.set(dut.take, valid)
        told = ctx.get(dut.next_valid)
        await ctx.tick()
        ctx.set(dut.take, 0)
        assert ctx.get(dut.valid) == told
        if valid:
            yield choice
            last = choice.last


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("shortest, rest", [(1, 0), (1, 5), (8, 3)])
def test_choices(simulate, shortest, rest, lanes, longest_idle, longest_stall):
    shape = lanes_of(lanes)
    dut = TableRuns(shape, skipped=2)
    runs = drawn(1, shortest)
    total = sum(count for _, count in runs)
    runs.append((2, -total % 8 + 8 + rest))

    async def producer(ctx):
        await send_runs(ctx, dut, runs, gaps(2, longest_idle))

    async def consumer(ctx):
        expected = choices_of(shape, runs)
        found = [choice async for choice in take_choices(ctx, dut, gaps(3, longest_stall))]
        begin = shape.turns - 2
        assert all(choice.begins and not (choice.live or choice.ended or choice.last)
                   for choice in found[:begin])
        # The last choice has no lane where symbols end with a choice.
        expected += [["beyond"] * lanes] * (len(found) - begin - len(expected))
        assert len(expected) - len(choices_of(shape, runs)) <= 1
        for choice, symbols in zip(found[begin:], expected, strict=True):
            assert not choice.begins
            for lane, symbol in enumerate(symbols):
                assert choice.ended >> lane & 1 == (symbol is None)
                assert symbol in (None, "beyond", choice.tables[lane])
            assert choice.live == isinstance(symbols[0], int)
        for _ in range(20):
            assert not ctx.get(dut.valid)
            assert ctx.get(dut.payload.last)
            await ctx.tick()

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_a_choice_per_cycle(simulate, lanes):
    shape = lanes_of(lanes)
    dut = TableRuns(shape, skipped=2)
    runs = [(number & 3, lanes + number % 3) for number in range(40)]

    async def producer(ctx):
        await send_runs(ctx, dut, runs)

    async def consumer(ctx):
        ctx.set(dut.take, 1)
        for _ in range(shape.turns - 2 + len(choices_of(shape, runs))):
            assert ctx.get(dut.valid)
            await ctx.tick()

    simulate(dut, producer, consumer)
