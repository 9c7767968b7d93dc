# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.raw import RawCode, RawUnpacker
from sw.format.tables import GROUP

from ..streams import receive, send
from .reference import gaps, to_words


WIDTHS = [1, 2, 4, 8]


def random_symbols(width, count):
    return [random.Random(width).randrange(1 << width) for _ in range(count)]


def words_of(symbols, width):
    return to_words([symbol >> bit & 1 for symbol in symbols for bit in range(width)])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_groups_of_words(simulate, longest_idle, longest_stall, width):
    dut = RawUnpacker()
    symbols = random_symbols(width, 320)

    async def producer(ctx):
        ctx.set(dut.symbol_bits, width)
        await send(ctx, dut.i, words_of(symbols, width), idle=gaps(1, longest_idle))

    async def consumer(ctx):
        groups = await receive(ctx, dut.o, len(symbols) // GROUP, stall=gaps(2, longest_stall))
        assert [symbol for group in groups for symbol in group] == symbols

    simulate(dut, producer, consumer, watch=[dut.o])


@pytest.mark.parametrize("width", WIDTHS)
def test_a_group_per_cycle(simulate, width):
    dut = RawUnpacker()
    symbols = random_symbols(width, 320)

    async def producer(ctx):
        ctx.set(dut.symbol_bits, width)
        await send(ctx, dut.i, words_of(symbols, width))

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.i.valid)
        for start in range(0, len(symbols), GROUP):
            assert ctx.get(dut.o.valid)
            assert list(ctx.get(dut.o.payload)) == symbols[start:start + GROUP]
            await ctx.tick()
        assert not ctx.get(dut.o.valid)

    simulate(dut, producer, consumer)


def test_group_offered_before_it_is_wanted(simulate):
    dut = RawUnpacker()

    async def testbench(ctx):
        ctx.set(dut.symbol_bits, 8)
        await send(ctx, dut.i, [0x04030201])
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)
        assert list(ctx.get(dut.o.payload)) == [1, 2, 3, 4]

    simulate(dut, testbench)


@pytest.mark.parametrize("words, error", [
    ([0x100], 0), ([0x200], 0), ([0x400], 0), ([0x800], 0),
    ([0x300], 1), ([0x000], 1), ([0x1000], 1), ([0x401], 1), ([0x010400], 1), ([0x01000400], 1),
    ([0x400, 0x400], 1), ([0x400, 0, 0], 1),
])
def test_code(simulate, words, error):
    dut = RawCode()

    async def testbench(ctx):
        for section, expected in ([words, error], [[0x200], 0]):
            for number, word in enumerate(section):
                last = number == len(section) - 1
                await send(ctx, dut.i, [{"data": word, "last": last}])
                assert ctx.get(dut.busy) == (not last)
            assert ctx.get(dut.error) == expected
            if not expected:
                assert ctx.get(dut.symbol_bits) == section[0] >> 8

    simulate(dut, testbench)
