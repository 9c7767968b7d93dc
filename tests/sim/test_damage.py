"""Damaged tiles, at least 10,000: an error or the weights that there are, and nothing hangs."""

# amaranth: UnusedElaboratable=no

import json

import numpy as np
import pytest

from hw.decode.prefix import PrefixDecoder
from hw.decode.rice import RiceCore
from hw.decode.runlength import RunLengthCore
from hw.decode.tans import TansDecoder
from sim.benches.tiles import END
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.codecs import RiceCodec, RunLengthCodec
from sw.codecs.substreams import pack, unpack
from sw.codecs.tans import TansCodec
from sw.format.lanes import TansLanes
from sw.format.sections import FormatError, pack_code, unpack_code
from sw.format.tables import (GROUP, AutomatonShape, LayerCode, RiceCode, RunLengthCode, TansCode,
                              TansShape)
from tests.hw.decode.reference import expand, pad, random_table
from tests.hw.decode.test_tans import random_table as random_tans_table
from tests.hw.decode.test_tans import random_values

from .damage import damaged, rice_symbols, run_length_symbols, tans_values


pytestmark = pytest.mark.slow

TILES = 2600

#: Weights of a tile; every third one is whole, which shows that the one before did no harm.
WEIGHTS = 64


def rhythm(rng):
    """Return how often the ports of a tile pause: hardly ever, or in one cycle of a few."""
    return {"stall": int(rng.choice([2, 3, 7, 1000])), "idle": int(rng.choice([2, 5, 1000]))}


def to_words(coded):
    return np.frombuffer(coded + bytes(-len(coded) % 4), "<u4").tolist()


@pytest.fixture
def run(verilog_of, tmp_path):
    """Run tiles through a core; return the transfers, the error and the end of each."""
    def run(core, name, tiles, **job):
        job |= {"tiles": tiles, "results": str(tmp_path / "results.npz")}
        (tmp_path / "job.json").write_text(json.dumps(job))
        folder = compile_for_cocotb(verilog_of(core, name), top=name)
        run_cocotb(folder, top=name, bench="sim.benches.tiles", testcase="decode_tiles",
                   environment={"HEADRACE_JOB": str(tmp_path / "job.json")},
                   log=tmp_path / "tiles.log")
        results = np.load(tmp_path / "results.npz")
        return [(results[f"tile{number}"].tolist(), bool(error), int(end)) for number, (error, end)
                in enumerate(zip(results["errors"], results["ends"], strict=True))]
    return run


@pytest.mark.parametrize("core, codec, code, symbols_of", [
    (RiceCore, RiceCodec, RiceCode, rice_symbols),
    (RunLengthCore, RunLengthCodec, RunLengthCode, run_length_symbols)])
def test_without_a_table(run, core, codec, code, symbols_of):
    rng = np.random.default_rng(1)
    coded = []
    for number in range(TILES):
        symbols = rng.integers(0, rng.choice([3, 20, 256]), WEIGHTS) * (
            rng.random(WEIGHTS) < rng.choice([0.2, 0.9]))
        whole = codec().encode(symbols.astype(np.uint8), code())
        coded.append(whole if number % 3 == 0 else damaged(whole, rng))
    tiles = [{"words": to_words(data), "transfers": WEIGHTS, **rhythm(rng)} for data in coded]
    for data, (transfers, _, end) in zip(coded, run(core(), "core", tiles, direct=0), strict=True):
        assert end != END["hung"]
        try:
            expected = symbols_of(data, WEIGHTS)
        except EOFError:
            continue        # Changes of parameters all the way: the engine reports it.
        assert end == END["whole"]
        assert all(want in (None, got) for want, got in zip(expected, transfers, strict=True))
        try:
            decoded = codec().decode(data, code(), WEIGHTS)
        except FormatError:
            continue
        assert transfers == decoded.tolist()


@pytest.mark.parametrize("lanes, states", [(1, 8), (4, 64)])
def test_tans(run, lanes, states):
    rng = np.random.default_rng(lanes)
    shape = TansLanes(TansShape(8, states), lanes=lanes, tables=2)
    cases, tiles = [], []
    for number in range(TILES):
        noise = number % 10 == 8        # In the tables, too.
        if number % 10 in (0, 8, 9):
            tables = [random_tans_table(int(seed), int(rng.integers(2, 60)))
                      for seed in rng.integers(1 << 30, size=2)]
            rows = [shape.rows(table) for table in tables]
            if noise:
                rows = [rng.integers(1 << 18, size=256).tolist() for _ in tables]
        runs = [(int(table), int(count)) for table, count in zip(
            rng.integers(0, 2, 3), rng.integers(1, 30, 3), strict=True)]
        values = np.concatenate([random_values(tables[table], int(rng.integers(1 << 30)), count)
                                 for table, count in runs])
        code = TansCode(shape.code, tuple(tables), tuple(
            LayerCode(1, count, 0, (table,)) for table, count in runs))
        whole = TansCodec(shape.code).encode(values, code)
        coded = whole if number % 3 == 0 else damaged(whole, rng)
        count = len(values)
        cases.append((coded, rows, runs, None if noise else code, count,
                      values if coded == whole and not noise else None))
        tile = {"words": to_words(coded), "transfers": -(-count // lanes), **rhythm(rng),
                "runs": [table | count << 1 | (place == 2) << 17
                         for place, (table, count) in enumerate(runs)]}
        if number % 10 in (0, 8, 9):
            tile["rows"] = [table << 8 | state | int(row) << 9 for table in range(2)
                            for state, row in enumerate(rows[table])]
        tiles.append(tile)
    for case, (transfers, error, end) in zip(
            cases, run(TansDecoder(shape), "tans", tiles), strict=True):
        coded, rows, runs, code, count, values = case
        assert end == END["whole"]
        found = np.array(transfers, f"<u{lanes}").view(np.int8)[:count].tolist()
        expected, ended = tans_values(coded, rows, runs, states)
        assert found == expected
        assert error == (not ended)
        if values is not None:
            assert (found, error) == (values.tolist(), False)
        if code is not None and not error:
            try:
                decoded = TansCodec(shape.code).decode(coded, code, count)
            except FormatError:
                continue        # For its length or padding.
            assert found == decoded.astype(np.uint8).view(np.int8).tolist()


def test_prefix_codes(run):
    rng = np.random.default_rng(7)
    shape = AutomatonShape(3, 3, 4)
    cases, tiles = [], []
    for number in range(TILES):
        if number % 10 in (0, 8, 9):
            table = random_table(shape, int(rng.integers(1 << 30)), runs=(2, 9)[:rng.integers(3)])
            section = pack_code(table)
        if number % 10 == 8:
            section = damaged(section, rng)
        symbols = rng.choice([s for s, length in enumerate(table.lengths) if length], WEIGHTS)
        whole = pack(np.array(pad(symbols.tolist(), table), np.uint8), table)
        coded = whole if number % 3 == 0 else damaged(whole, rng)
        cases.append((coded, section))
        tile = {"words": to_words(coded), "transfers": WEIGHTS // GROUP, **rhythm(rng)}
        if number % 10 in (0, 8, 9):
            words = to_words(section)
            tile["code"] = [word | (place == len(words) - 1) << 32
                            for place, word in enumerate(words)]
        tiles.append(tile)
    bits = shape.symbol_bits
    for (coded, section), (transfers, error, end) in zip(
            cases, run(PrefixDecoder(shape), "prefix", tiles), strict=True):
        assert end != END["hung"]
        assert error == (end == END["refused"])
        try:
            table = unpack_code(section, [])
        except FormatError:
            continue
        if pack_code(table) != section:
            continue        # It is longer than it should be, which the core alone refuses.
        assert not error
        indices = [transfer >> bits * place & shape.symbols - 1 for transfer in transfers
                   for place in range(transfer >> bits * GROUP)]
        sequence = unpack(coded + bytes(256), table).tolist()
        assert indices == expand(sequence, table)[:len(indices)]
        assert end == END["whole"]
