import numpy as np
import pytest

from sw.codecs.tans import TansCodec, normalise
from sw.format.lanes import TansLanes, join_next, next_width
from sw.format.tables import TansShape, TansTable


SMALL = TansShape(8, 64)


def random_table(seed, table_bits, symbols, **parameters):
    counts = normalise(np.random.default_rng(seed).exponential(1, symbols) ** 3, table_bits)
    return TansTable(**{"first": -10, "raw_bits": 0, "tuple_size": 1, "buckets": symbols,
                        "exact": (), "tail_bits": 0} | parameters, counts=counts)


@pytest.mark.parametrize("table_bits", [8, 10])
def test_every_width_and_base_has_its_code(table_bits):
    for width in range(table_bits + 1):
        for base in range(0, 1 << table_bits, 1 << width):
            field = join_next(width, base, table_bits)
            code = field & 3 | field >> table_bits << 2
            assert next_width(code, table_bits) == width
            assert (field & (1 << table_bits) - 1) >> width << width == base
    assert join_next(table_bits, 0, table_bits) == 0


def test_golden_rows():
    table = TansTable(-1, 0, 1, 3, (), 0, (64, 128, 64))
    lanes = TansLanes(SMALL)
    rows = lanes.rows(table)
    # The states of the example in docs/format.md: base, bits read, value.
    for state, base, width, value in [(12, 12, 1, 0), (18, 0, 2, 1), (13, 14, 1, 0),
                                      (2, 8, 2, -1)]:
        code = (width == 2) | 3 << 8
        assert rows[state] == (value & 0xff) << 10 | code | base
    assert (lanes.row_bits, lanes.value_bits, lanes.word_bits, lanes.turns) == (18, 8, 32, 16)


def test_rows_of_the_small_decoder():
    lanes = TansLanes(TansShape(8, 4), lanes=1, tables=1, port_bits=16)
    assert (lanes.row_bits, lanes.value_bits, lanes.word_bits, lanes.turns) == (16, 6, 8, 4)
    rows = lanes.rows(TansTable(-32, 0, 1, 64, (), 0, (4,) * 64))
    assert [(row >> 10 ^ 32) - 32 for row in rows[::4]].count(-32) == 1
    with pytest.raises(ValueError, match="Values must be -32 to 31, not 32"):
        lanes.rows(TansTable(0, 0, 1, 64, (), 0, (4,) * 64))


@pytest.mark.parametrize("parameters", [
    {"lanes": 4}, {"lanes": 1, "raw_bits": 1}, {"lanes": 1, "tuple_size": 2},
    {"lanes": 1, "code": TansShape(10, 4)},
])
def test_small_decoder_has_one_shape(parameters):
    with pytest.raises(ValueError, match="with a port of 16 bits must have one lane, 256 states"):
        TansLanes(**{"code": TansShape(8, 4), "port_bits": 16} | parameters)


def test_ports_are_those_of_block_rams():
    with pytest.raises(ValueError, match="Port must have 18 or 16 bits, not 17"):
        TansLanes(SMALL, port_bits=17)


def test_rows_of_raw_bits():
    table = random_table(1, 8, 7, raw_bits=2, buckets=4, exact=(0,), tail_bits=3)
    lanes = TansLanes(SMALL, raw_bits=3)
    assert (lanes.row_bits, lanes.symbol_bits, lanes.word_bits) == (36, 11, 64)
    symbols, widths, _ = table.transitions
    for row, symbol, width in zip(lanes.rows(table), symbols, widths, strict=True):
        raw = [2, 2, 2, 2, 0, 3, 3][symbol]
        assert row >> 10 & 31 == width + raw
        assert row >> 15 & 7 == raw
        assert row >> 18 == [-10, -6, -2, 2, 0, -18, 6][symbol] % 256


@pytest.mark.parametrize("code, tuple_size, first, buckets, row_bits, value_bits", [
    (SMALL, 4, -1, 3, 18, 2), (SMALL, 3, -2, 4, 18, 2), (SMALL, 2, -5, 11, 18, 4),
    (TansShape(10, 64), 4, -1, 3, 36, 4), (TansShape(10, 64), 3, -2, 4, 18, 2),
], ids=str)
def test_rows_of_tuples(code, tuple_size, first, buckets, row_bits, value_bits):
    table = random_table(2, code.table_bits, buckets ** tuple_size, tuple_size=tuple_size,
                         first=first, buckets=buckets)
    lanes = TansLanes(code, tuple_size=tuple_size)
    assert (lanes.row_bits, lanes.value_bits) == (row_bits, value_bits)
    at = code.table_bits + (2 if row_bits == 18 else 10)
    for row, symbol in zip(lanes.rows(table), table.transitions[0].tolist(), strict=True):
        for place in range(tuple_size):
            value = row >> at + place * value_bits & (1 << value_bits) - 1
            assert value == (first + symbol // buckets ** place % buckets) % (1 << value_bits)
        assert row >> at + tuple_size * value_bits == 0


def test_all_bytes_fit_tables_of_256_states():
    layer = np.arange(-128, 128).astype(np.int8).repeat(3).reshape(1, 1, 1, -1)
    code = TansCodec(SMALL).fit([layer])
    lanes = TansLanes(SMALL, raw_bits=7)
    assert all(len(lanes.rows(table)) == 256 for table in code.tables)


@pytest.mark.parametrize("parameters, complaint", [
    ({"lanes": 3}, "Lanes must be 1, 2, 4 or 8, not 3"),
    ({"tables": 3}, "Tables must be 1, 2, 4, 8 or 16, not 3"),
    ({"tuple_size": 5}, "1 to 4 values, not 5"),
    ({"raw_bits": 8}, "Raw bits must be 0 to 7, not 8"),
    ({"raw_bits": 1, "tuple_size": 2}, "Tuples must have no raw bits"),
    ({"most_bits": 7}, "must take up to 8 to 8 bits, not 7"),
    ({"raw_bits": 4, "most_bits": 13}, "must take up to 8 to 12 bits, not 13"),
])
def test_shapes_refused(parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        TansLanes(SMALL, **parameters)


@pytest.mark.parametrize("lanes, table, complaint", [
    (TansLanes(SMALL), random_table(3, 10, 9), "Table must have 256 states, not 1024"),
    (TansLanes(SMALL), random_table(4, 8, 9, tuple_size=2, buckets=3), "up to 1 values, not 2"),
    (TansLanes(SMALL), random_table(5, 8, 9, raw_bits=1), "up to 0 raw, not . and 1"),
    (TansLanes(SMALL, raw_bits=4, most_bits=8), random_table(6, 8, 60, raw_bits=2),
     "must take up to 8 bits, up to 4 raw, not 8 and 2|7 and 2"),
    (TansLanes(TansShape(10, 64)), random_table(7, 10, 9, first=30),
     "Values must be -32 to 31, not 32"),
    (TansLanes(SMALL, tuple_size=4), random_table(8, 8, 81, tuple_size=4, first=0, buckets=3),
     "Values must be -2 to 1, not 2"),
])
def test_tables_refused(lanes, table, complaint):
    with pytest.raises(ValueError, match=complaint):
        lanes.rows(table)
