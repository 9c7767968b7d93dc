# amaranth: UnusedElaboratable=no

import random
import struct

import pytest

from hw.decode.table_builder import TableBuilder
from sw.format.sections import pack_code
from sw.format.tables import AutomatonShape, RawTable

from ..streams import NEVER, send
from .reference import gaps, make_table, random_table, skewed_table


SHAPES = [AutomatonShape(), AutomatonShape(5, 5), AutomatonShape(4, 6), AutomatonShape(2, 3)]

#: Cycles within which any section must be worked off.
LIMIT = 16_000


def words_of(section):
    return list(struct.unpack(f"<{len(section) // 4}I", section))


def build(simulate, shape, sections, *, idle=NEVER):
    """Return rows written (address: row), error and run description for each of ``sections``."""
    dut = TableBuilder(shape)
    results = []

    async def testbench(ctx):
        for words in sections:
            for number, word in enumerate(words):
                last = number == len(words) - 1
                await send(ctx, dut.i, [{"data": word, "last": last}], idle=idle)
            rows = {}
            while ctx.get(dut.busy):
                *_, valid, row = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                if valid:
                    assert row.address not in rows
                    rows[row.address] = row.data.as_bits()
            results.append((rows, ctx.get(dut.error), ctx.get(dut.runs)))

    simulate(dut, testbench, max_cycles=LIMIT * len(sections))
    return results


def assert_rows(rows, table):
    states = sum(length > 0 for length in table.lengths) - 1
    assert set(rows) == set(range(states << table.shape.step_bits))
    assert all(row == table.rows[address] for address, row in rows.items())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_of_random_codes(simulate, shape):
    table = random_table(shape, 1)
    (rows, error, _), = build(simulate, shape, [words_of(pack_code(table))], idle=gaps(2, 3))
    assert not error
    assert_rows(rows, table)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_of_skewed_codes(simulate, shape):
    table = skewed_table(shape)
    (rows, error, _), = build(simulate, shape, [words_of(pack_code(table))])
    assert not error
    assert_rows(rows, table)


def test_runs(simulate):
    table = random_table(AutomatonShape(4, 6), 3, runs=(2, 255))
    (_, _, runs), = build(simulate, table.shape, [words_of(pack_code(table))])
    assert runs.first == table.first_run
    assert list(runs.zeros) == [2, 255, 0]


BROKEN = {
    "codec": (0, 0x04040500),
    "symbol width": (0, 0x04040401),
    "step": (0, 0x04050501),
    "substreams": (0, 0x02040501),
    "over-full": (2, 0x55555554),
    "incomplete": (2, 0x55555556),
    "missing": (2, 0x55555550),
    "too short": (2, 0x55555551),
    "too long": (2, 0x5555555d),
}


@pytest.mark.parametrize("place, word", BROKEN.values(), ids=BROKEN)
def test_bad_codes_refused(simulate, place, word):
    shape = AutomatonShape()
    good = words_of(pack_code(make_table(shape, [5] * 32)))
    (rows, error, _), = build(simulate, shape, [[*good[:place], word, *good[place + 1:]]])
    assert error
    assert not rows


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_other_lengths_refused(simulate, shape):
    table = skewed_table(shape)
    good = words_of(pack_code(table))
    bad = [good[:1], good[:2], good[:-1], [*good, 0], good * 2, [*good, *[0] * 100]]
    *refused, accepted = build(simulate, shape, [*bad, good])
    assert all(error and not rows for rows, error, _ in refused)
    assert not accepted[1]
    assert_rows(accepted[0], table)


def test_raw_table_refused(simulate):
    (rows, error, _), = build(simulate, AutomatonShape(), [words_of(pack_code(RawTable(4)))])
    assert error
    assert not rows


def test_garbage_ends(simulate):
    shape = AutomatonShape(4, 4)
    rng = random.Random(0)
    sections = [[0x04040401, rng.getrandbits(32), *(rng.getrandbits(32) for _ in range(2))]
                for _ in range(20)]
    sections += [[0x04040401, 0, word, word] for word in (0, 0xffffffff, 0x11111111, 0x22222222)]
    for rows, error, _ in build(simulate, shape, sections):
        assert error
        assert not rows


def test_cycles(simulate):
    table = make_table(AutomatonShape(), [5] * 32)
    dut = TableBuilder(table.shape)

    async def testbench(ctx):
        words = words_of(pack_code(table))
        await send(ctx, dut.i, [{"data": word, "last": 0} for word in words[:-1]])
        await send(ctx, dut.i, [{"data": words[-1], "last": 1}])
        cycles = 0
        while ctx.get(dut.busy):
            await ctx.tick()
            cycles += 1
        assert cycles == 5741

    simulate(dut, testbench)
