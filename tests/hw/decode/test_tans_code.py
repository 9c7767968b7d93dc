# amaranth: UnusedElaboratable=no

import random
import struct
from dataclasses import replace

import numpy as np
import pytest

from hw.decode.tans_code import TansCode
from sw.codecs.tans import TansCodec
from sw.format.lanes import SMALL, TansLanes
from sw.format.sections import pack_code
from sw.format.tables import LayerCode, RawTable, TansShape, TansTable
from sw.format.tables import TansCode as Code

from ..streams import NEVER, receive, send
from .reference import gaps


SHAPES = [
    TansLanes(TansShape(8, 64), lanes=2, raw_bits=7),
    TansLanes(TansShape(8, 16), lanes=2),
    TansLanes(TansShape(10, 64), lanes=4, tables=2, raw_bits=4),
    TansLanes(TansShape(10, 8), lanes=1, tables=1),
    TansLanes(TansShape(8, 4), lanes=1, port_bits=SMALL),
]

SIZES = {"entries": 32, "layers": 8, "channels": 64}

#: Cycles within which any section must be worked off.
LIMIT = 50_000


def words_of(section):
    return list(struct.unpack(f"<{len(section) // 4}I", section))


def random_code(lanes, seed):
    """Return a code for layers of several widths, with as many tables as the decoder has."""
    rng = np.random.default_rng(seed)
    limit = 1 << lanes.value_bits - 1
    layers = []
    for filters, size in ((12, 9), (20, 30), (5, 64)):
        spread = np.exp2(rng.integers(0, 5, (filters, 1, 1, 1)))
        values = np.rint(rng.laplace(0, spread, (filters, 1, 1, size)))
        least, most = (-128, 127) if lanes.raw_bits else (-min(limit, 40), min(limit, 40) - 1)
        layers.append(np.clip(values, least, most).astype(np.int8))
    return TansCodec(lanes, deltas=False).fit(layers)


def load(simulate, lanes, contents, *, idle=NEVER):
    """Return rows (address: row), runs and error for each (code's layers, words)."""
    dut = TansCode(lanes, **SIZES)
    results = []
    rows = {}

    async def testbench(ctx):
        for layers, words in contents:
            rows.clear()
            for number, layer in enumerate(layers):
                ctx.set(dut.layers.payload, {
                    "filters": layer.filters, "size": layer.size, "first": number == 0})
                ctx.set(dut.layers.valid, 1)
                await ctx.tick()
            ctx.set(dut.layers.valid, 0)
            for number, word in enumerate(words):
                await send(ctx, dut.i, [{"data": word, "last": number == len(words) - 1}],
                           idle=idle)
            while ctx.get(dut.busy):
                await ctx.tick()
            runs = []
            if not ctx.get(dut.error):
                ctx.set(dut.run, 1)
                for payload in await receive(ctx, dut.runs, sum(one.filters for one in layers)):
                    runs.append((payload.table, payload.count, payload.last))
                for _ in range(5):
                    await ctx.tick()
                    assert not ctx.get(dut.runs.valid)
                ctx.set(dut.run, 0)
                await ctx.tick()
            results.append((dict(rows), runs, ctx.get(dut.error)))

    async def collect(ctx):
        while True:
            *_, valid, row = await ctx.tick().sample(dut.rows.valid, dut.rows.payload)
            if valid:
                assert row.address not in rows
                rows[row.address] = row.data.as_bits()

    simulate(dut, testbench, background=[collect], max_cycles=LIMIT * len(contents))
    return results


def expected_runs(code):
    runs = []
    for layer in code.layers:
        tables = layer.tables * (layer.filters if len(layer.tables) == 1 else 1)
        runs += [[table, layer.size, 0] for table in tables]
    runs[-1][2] = 1
    return [tuple(run) for run in runs]


def assert_loaded(lanes, code, result):
    rows, runs, error = result
    assert not error
    assert runs == expected_runs(code)
    expected = {table << lanes.code.table_bits | state: row
                for table, own in enumerate(code.tables)
                for state, row in enumerate(lanes.rows(own))}
    assert rows == expected


@pytest.mark.parametrize("lanes", SHAPES, ids=str)
def test_rows_and_runs(simulate, lanes):
    code = random_code(lanes, 1)
    assert len(code.tables) > 1 or lanes.tables == 1
    result, = load(simulate, lanes, [(code.layers, words_of(pack_code(code)))],
                   idle=gaps(2, 5 if lanes.code.table_bits == 8 else 0))
    assert_loaded(lanes, code, result)


def test_choices_in_order_and_one_by_one(simulate):
    lanes = SHAPES[0]
    rng = random.Random(3)
    tables = (*random_code(lanes, 4).tables, *random_code(lanes, 1).tables)[:3]
    choices = (tuple(rng.randrange(len(tables)) for _ in range(20)),
               (0,) * 3 + (1,) * 14 + (2,) * 13, (1,))
    assert len(tables) == 3
    code = Code(lanes.code, tables, (LayerCode(20, 3, 0, choices[0]),
                                     LayerCode(30, 700, 0, choices[1]),
                                     LayerCode(14, 1, 0, choices[2])))
    result, = load(simulate, lanes, [(code.layers, words_of(pack_code(code)))])
    assert_loaded(lanes, code, result)


def test_another_code_follows(simulate):
    lanes = SHAPES[1]
    codes = [random_code(lanes, seed) for seed in range(3)]
    contents = [(code.layers, words_of(pack_code(code))) for code in codes]
    # One that is refused in between leaves nothing behind.
    contents.insert(1, (codes[0].layers, contents[0][1][:-1]))
    results = load(simulate, lanes, contents)
    assert results.pop(1)[2]
    for code, result in zip(codes, results, strict=True):
        assert_loaded(lanes, code, result)


def test_one_symbol(simulate):
    lanes = SHAPES[1]
    table = TansTable(-3, 0, 1, 1, (), 0, (256,))
    code = Code(lanes.code, (table,), (LayerCode(2, 5, 0, (0,)),))
    result, = load(simulate, lanes, [(code.layers, words_of(pack_code(code)))])
    assert_loaded(lanes, code, result)


def changed(words, bit):
    words = list(words)
    words[bit // 32] ^= 1 << bit % 32
    return words


def test_what_cannot_be_held_is_refused(simulate):
    lanes = SHAPES[1]
    code = random_code(lanes, 5)
    layers, words = code.layers, words_of(pack_code(code))
    raw = random_code(SHAPES[0], 5)
    raw = replace(raw, shape=lanes.code)
    tuples = TansTable(0, 0, 2, 2, (), 0, (64, 64, 64, 64))
    one = (LayerCode(2, 5, 0, (0,)),)
    contents = [
        (layers, words_of(pack_code(RawTable(8)))),
        (layers, changed(words, 8)),                                    # 10 bits of state.
        (layers, changed(words, 12)),                                   # Other states.
        (layers, [words[0] & ~0xff0000, *words[1:]]),                   # No table.
        (layers, [words[0] | 8 << 16, *words[1:]]),                     # More tables.
        (layers, [words[0] | 9 << 24, *words[1:]]),                     # More entries.
        (layers, words[:-1]), (layers, words[:3]), (layers, [*words, 0]),
        (raw.layers, words_of(pack_code(raw))),
        (one, words_of(pack_code(Code(lanes.code, (tuples,), one)))),
        (layers, words_of(pack_code(replace(code, layers=tuple(
            replace(layer, delta=1) for layer in layers))))),
        ((replace(layers[0], filters=64), *layers[1:]), words),         # More filters.
        ((replace(layers[0], size=0), *layers[1:]), words),
    ]
    results = load(simulate, lanes, [*contents, (layers, words)])
    assert [error for *_, error in results] == [1] * len(contents) + [0]


@pytest.mark.slow
def test_any_bits_end(simulate):
    lanes = TansLanes(TansShape(8, 16), lanes=2, tables=2, raw_bits=7)
    rng = random.Random(6)
    code = random_code(lanes, 7)
    words = words_of(pack_code(code))
    contents = []
    for _ in range(12):
        damaged = list(words)
        for _ in range(rng.randint(1, 4)):
            damaged = changed(damaged, rng.randrange(32, 32 * len(words)))
        contents.append((code.layers, damaged))
        contents.append((code.layers, [words[0], *(rng.getrandbits(32) for _ in words[1:])]))
        contents.append((code.layers, [words[0], *[rng.choice((0, 0xffffffff))] * 100]))
    *_, last = load(simulate, lanes, [*contents, (code.layers, words)])
    assert_loaded(lanes, code, last)
