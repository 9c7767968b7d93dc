# amaranth: UnusedElaboratable=no

import random
from itertools import chain, repeat

import numpy as np
import pytest

from hw.decode.automaton import Automaton
from sw.codecs.huffman import HuffmanCodec
from sw.format.tables import GROUP, AutomatonShape, RawShape

from ..streams import NEVER, receive, send
from .reference import encode, gaps, make_table, pad, random_table, skewed_table


SHAPES = [AutomatonShape(), AutomatonShape(5, 5), AutomatonShape(4, 6), AutomatonShape(3, 7),
          AutomatonShape(2, 6), AutomatonShape(3, 2), AutomatonShape(5, 4, 2)]


async def write_table(ctx, automaton, rows):
    ctx.set(automaton.table.valid, 1)
    for address, row in enumerate(rows):
        ctx.set(automaton.table.payload.address, address)
        ctx.set(automaton.table.payload.data.as_value(), row)
        await ctx.tick()
    ctx.set(automaton.table.valid, 0)


def decode(simulate, table, words, count, *, idle=NEVER, stall=NEVER):
    """Return the first ``count`` symbols of coded data, zeros behind them."""
    dut = Automaton(table.shape)
    symbols = []

    async def producer(ctx):
        await write_table(ctx, dut, table.rows)
        for word in chain(words, repeat(0)):
            await send(ctx, dut.i, [word], idle=idle)
            if len(symbols) == count:
                break

    async def consumer(ctx):
        while len(symbols) < count:
            group, = await receive(ctx, dut.o, 1, stall=stall)
            symbols.extend(group)
        ctx.set(dut.o.ready, 1)

    simulate(dut, producer, consumer, watch=[dut.o])
    return symbols


def random_symbols(table, seed, count):
    """Return symbols as often as the code expects them."""
    weights = [2 ** -length if length else 0 for length in table.lengths]
    return pad(random.Random(seed).choices(range(table.shape.symbols), weights, k=count), table)


def lagging_symbols(table, seed, groups):
    """Return groups of the longest codewords among groups of the shortest ones."""
    shortest = table.lengths.index(table.shape.min_code_length)
    longest = table.lengths.index(max(table.lengths))
    symbols = random.Random(seed).choices([longest, shortest], [1, 9], k=groups)
    return [symbol for symbol in symbols for _ in range(GROUP)]


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 9])
def test_groups_in_order(simulate, longest_idle, longest_stall):
    table = random_table(AutomatonShape(), 1)
    symbols = random_symbols(table, 2, 600)
    decoded = decode(simulate, table, encode(symbols, table), len(symbols),
                     idle=gaps(3, longest_idle), stall=gaps(4, longest_stall))
    assert decoded == symbols


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape(simulate, shape):
    table = random_table(shape, 5)
    symbols = random_symbols(table, 6, 400)
    assert decode(simulate, table, encode(symbols, table), len(symbols)) == symbols


@pytest.mark.parametrize("longest_stall", [0, 40])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lagging_substreams(simulate, shape, longest_stall):
    table = skewed_table(shape)
    symbols = lagging_symbols(table, 7, 150)
    decoded = decode(simulate, table, encode(symbols, table), len(symbols),
                     stall=gaps(8, longest_stall))
    assert decoded == symbols


def test_coded_data_of_the_codec(simulate):
    codec = HuffmanCodec(AutomatonShape())
    weights = np.random.default_rng(9).choice(20, 500, p=np.full(20, 0.05))
    table = codec.fit([weights])
    words = np.frombuffer(codec.encode(weights, table), "<u4").tolist()
    assert decode(simulate, table, words, len(weights)) == weights.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_garbage_keeps_flowing(simulate, seed):
    table = skewed_table(AutomatonShape())
    words = [random.Random(seed).getrandbits(32) for _ in range(100)]
    decode(simulate, table, words, 4000)


@pytest.mark.parametrize("shape", [
    AutomatonShape(), AutomatonShape(5, 5), AutomatonShape(4, 6), AutomatonShape(5, 4, 2)], ids=str)
def test_a_piece_of_each_lane_per_cycle(simulate, shape):
    table = make_table(shape, [shape.symbol_bits] * shape.symbols)
    dut = Automaton(shape)
    rng = random.Random(10)
    cycles = 640

    async def testbench(ctx):
        await write_table(ctx, dut, table.rows)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        words = 0
        for _ in range(cycles):
            ctx.set(dut.i.payload, rng.getrandbits(32))
            *_, ready = await ctx.tick().sample(dut.i.ready)
            words += ready
        assert words >= cycles * shape.substreams // 2 * shape.step_bits // 32

    simulate(dut, testbench)


def test_a_group_per_cycle(simulate):
    table = skewed_table(AutomatonShape())
    symbols = [table.lengths.index(2)] * 400
    dut = Automaton(table.shape)

    async def producer(ctx):
        await write_table(ctx, dut, table.rows)
        await send(ctx, dut.i, [*encode(symbols, table), *repeat(0, 20)])

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.o.valid)
        for _ in range(80):
            await ctx.tick()
            assert ctx.get(dut.o.valid)

    simulate(dut, producer, consumer)


def test_latency(simulate):
    table = skewed_table(AutomatonShape())
    dut = Automaton(table.shape)

    async def testbench(ctx):
        await write_table(ctx, dut, table.rows)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, encode([table.lengths.index(2)] * GROUP, table)[0])
        cycles = 0
        while not ctx.get(dut.o.valid):
            await ctx.tick()
            cycles += 1
        # The group ends in the third pair of pieces.
        assert cycles == 2 + dut.latency

    simulate(dut, testbench)


def test_group_offered_before_it_is_wanted(simulate):
    table = random_table(AutomatonShape(), 11)
    zeros = table.lengths.index(min(n for n in table.lengths if n))
    dut = Automaton(table.shape)

    async def testbench(ctx):
        await write_table(ctx, dut, table.rows)
        await send(ctx, dut.i, [0] * 10)
        for _ in range(100):
            await ctx.tick()
        assert ctx.get(dut.o.valid)
        assert list(ctx.get(dut.o.payload)) == [zeros] * GROUP

    simulate(dut, testbench)


@pytest.mark.parametrize("shape, complaint", [
    (RawShape(), r"an AutomatonShape, not RawShape\(\)"),
    (AutomatonShape(5, 6), "at most 1024 rows, not 2048"),
    (AutomatonShape(5, 4, 8), "2 or 4, not 8"),
])
def test_shapes_refused(shape, complaint):
    with pytest.raises(ValueError, match=complaint):
        Automaton(shape)
