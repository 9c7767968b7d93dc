from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.codecs.tans import TansCodec, in_order, normalise
from sw.format.lanes import TansLanes
from sw.format.sections import FormatError, pack_code, unpack_code
from sw.format.tables import LayerCode, TansCode, TansShape, TansTable, spread
from sw.importers.tflite import load

from ...shared_data import shared_file


SMALL = TansShape(8, 2)


def shapes(layers):
    return [(len(layer), layer[0].size) for layer in layers]


def flat(layers):
    return np.concatenate([layer.ravel() for layer in layers])


def round_trip(layers, codec):
    """Return the bits of section CODE and of the coded data, all decoded and compared."""
    code = codec.fit(layers)
    section = pack_code(code)
    assert unpack_code(section, shapes(layers)) == code
    coded = codec.encode(flat(layers), code)
    assert len(coded) % 4 == 0
    decoded = codec.decode(coded, code, flat(layers).size)
    assert np.array_equal(decoded, flat(layers).astype(np.uint8))
    assert codec.bits(layers) == 8 * (len(section) + len(coded))
    states = code.shape.states * code.shape.table_bits
    assert sum(codec.layer_bits(layers, code)) == pytest.approx(8 * len(coded), rel=0.01,
                                                                abs=70 + states)
    return 8 * len(section), 8 * len(coded)


def draw(shape, spread_of, seed=0):
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(0, spread_of, shape)).clip(-128, 127).astype(np.int8)


@pytest.mark.parametrize("shape", [TansShape(), TansShape(8), TansShape(10, 1), TansShape(8, 4)],
                         ids=str)
@pytest.mark.parametrize("layers", [
    [draw((4, 3, 3, 2), 2), draw((5, 1, 1, 7), 30)],
    [draw((16, 3, 3, 8), 0.4)],
    [draw((64, 1, 1, 64), 50) // np.array([[[[1]]], [[[9]]]] * 32, np.int8)],
    [np.full((3, 1, 1, 5), -128, np.int8)],
    [np.array([127, -128], np.int8).reshape(1, 1, 1, 2)],
    [np.zeros((1, 1, 1, 1), np.int8), np.zeros((2, 1, 1, 1), np.int8)],
    [np.arange(-128, 128).astype(np.int8).reshape(2, 1, 1, 128)],
], ids=["normal", "sparse", "classes", "one value", "two weights", "zeros", "all values"])
def test_round_trips(layers, shape):
    round_trip(layers, TansCodec(shape))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 60),
                          st.integers(0, 99)), min_size=1, max_size=4),
       st.sampled_from([8, 10]), st.sampled_from([1, 2, 4, 8, 64, 128]))
def test_any_layers_round_trip(sizes, table_bits, states):
    layers = [draw((filters, 2, 2, channels), spread_of, seed)
              for filters, channels, spread_of, seed in sizes]
    round_trip(layers, TansCodec(TansShape(table_bits, states)))


def entropy(counts):
    total = sum(counts)
    return -sum(count * np.log2(count / total) for count in counts if count)


@pytest.mark.parametrize("table_bits, most", [(10, 0.003), (8, 0.01)])
@pytest.mark.parametrize("spread_of", [0.5, 1, 2, 4, 8])
def test_overhead_over_the_entropy(table_bits, most, spread_of):
    layer = draw((512, 1, 1, 512), spread_of)
    codec = TansCodec(TansShape(table_bits), most_tables=1)
    coded = codec.encode(layer.ravel(), codec.fit([layer]))
    # Of the values themselves, raw bits included; initial states and padding apart.
    least = entropy(Counter(layer.ravel().tolist()).values())
    assert 8 * len(coded) - 8 * table_bits <= (1 + most) * least + 32


@pytest.mark.parametrize("decoder", [
    TansLanes(TansShape(8, 64), lanes=8), TansLanes(TansShape(10, 64), tables=1),
    TansLanes(TansShape(8, 64), raw_bits=7, most_bits=8, tables=2),
    TansLanes(TansShape(8, 64), raw_bits=2)], ids=str)
def test_tables_that_a_decoder_can_hold(decoder):
    layers = [draw((16, 3, 3, 8), 2, 1), draw((32, 1, 1, 16), 0.8, 2), draw((8, 1, 1, 32), 7, 3)]
    bits = sum(round_trip(layers, TansCodec(decoder)))
    code = TansCodec(decoder).fit(layers)
    assert code.shape == decoder.code
    assert len(code.tables) <= decoder.tables
    assert all(len(decoder.rows(table)) for table in code.tables)
    assert bits < 1.1 * sum(round_trip(layers, TansCodec(decoder.code)))


def test_tuples_for_a_decoder():
    decoder = TansLanes(TansShape(8, 64), lanes=8, tuple_size=4)
    layers = [draw((64, 3, 3, 8), 0.3, 1).clip(-1, 1)]
    code = TansCodec(decoder).fit(layers)
    assert {table.tuple_size for table in code.tables} == {4}
    round_trip(layers, TansCodec(decoder))


def test_values_for_which_a_decoder_holds_no_table():
    with pytest.raises(ValueError, match="must have a table for values -40 to 40"):
        TansCodec(TansLanes(TansShape(10, 8), lanes=1)).fit([np.array([[[[-40, 40, 0]]]], np.int8)])


def test_classes_of_filters_save_bits():
    rng = np.random.default_rng(1)
    spreads = rng.choice([0.5, 4, 25], 128)[:, None, None, None]
    layer = np.rint(rng.normal(0, 1, (128, 1, 1, 256)) * spreads).clip(-127, 127).astype(np.int8)
    apart, together = (sum(round_trip([layer], TansCodec(most_tables=count))) for count in (16, 1))
    assert apart < 0.9 * together
    # In order, they are named at less than a bit a filter.
    ordered = layer[np.argsort(spreads.ravel(), kind="stable")]
    code = TansCodec().fit([ordered])
    assert code.layers[0].ordered
    assert len(pack_code(code)) < len(pack_code(TansCodec().fit([layer])))


def test_filters_in_order_are_counted_where_naming_each_does_not_pay():
    layer = np.concatenate([draw((256, 1, 1, 40), 6), draw((256, 1, 1, 40), 8)])
    code = TansCodec().fit([layer])
    assert len(code.layers[0].tables) == 512
    assert code.layers[0].ordered
    mixed = np.random.default_rng(6).permutation(layer)
    assert len(TansCodec().fit([mixed]).layers[0].tables) == 1
    assert sum(round_trip([layer], TansCodec())) < sum(round_trip([mixed], TansCodec()))


@pytest.mark.parametrize("filters, tables", [(1, 1), (1, 3), (5, 1), (6, 2), (5, 4), (4, 6)])
def test_cheapest_tables_in_order(filters, tables):
    costs = np.random.default_rng(filters).integers(0, 9, (filters, tables)).astype(float)
    chosen, cost = in_order(costs)
    assert cost == min(
        costs[np.arange(filters), each].sum()
        for each in combinations_with_replacement(range(tables), filters))
    assert costs[np.arange(filters), chosen].sum() == cost
    assert (np.diff(chosen) >= 0).all()


def test_differences_of_smooth_weights_save_bits():
    rng = np.random.default_rng(2)
    layer = np.cumsum(rng.normal(0, 1, (64, 1, 1, 128)), axis=0).round().clip(-127, 127)
    layer = layer.astype(np.int8)
    code = TansCodec().fit([layer])
    assert code.layers[0].delta == 128
    assert sum(round_trip([layer], TansCodec())) < 0.7 * sum(
        round_trip([layer], TansCodec(deltas=False)))
    assert TansCodec().fit([draw((64, 1, 1, 128), 5)]).layers[0].delta == 0


def test_tuples():
    table = TansTable(-1, 0, 4, 3, (), 0, normalise(np.ones(81), 10))
    layer = draw((6, 3, 3, 3), 0.5).clip(-1, 1)
    for tables in ((0,), (0,) * 6):
        code = TansCode(TansShape(), (table,), (LayerCode(6, 27, 0, tables),))
        coded = TansCodec().encode(layer.ravel(), code)
        assert np.array_equal(TansCodec().decode(coded, code, 162), layer.ravel().astype(np.uint8))
        # Filters with tables of their own begin with a new tuple.
        assert len(coded) == pytest.approx(len(tables) * -(-162 // len(tables) // 4) * 6.34 / 8
                                           + 10, abs=6)


@pytest.mark.parametrize("values, longest", [(2, 4), (3, 4), (4, 3), (5, 3), (11, 2)])
def test_tuples_save_bits_where_neighbours_are_alike(values, longest):
    rng = np.random.default_rng(3)
    layer = np.repeat(rng.integers(0, values, (64, 240 // longest)), longest).reshape(64, 1, 1, 240)
    layer = np.where(rng.random(layer.shape) < 0.9, layer, rng.integers(0, values, layer.shape))
    codec = TansCodec(deltas=False)
    assert [table.tuple_size for table in codec.fit([layer]).tables] == [longest]
    assert sum(round_trip([layer], codec)) < 0.9 * entropy(Counter(layer.ravel().tolist()).values())


def test_tuples_of_filters_with_tables_of_their_own():
    rng = np.random.default_rng(4)
    # 27 values don't fill tuples of 4 nor 2: each filter's last one is padded.
    alike = np.repeat(rng.integers(-1, 2, (256, 7)), 4, axis=1)[:, :27]
    rare = (rng.random((256, 27)) < 0.02).astype(int)
    layer = np.stack([alike, rare], axis=1).reshape(512, 3, 3, 3)
    code = TansCodec(deltas=False).fit([layer])
    assert len(code.layers[0].tables) == 512
    assert 4 in [table.tuple_size for table in code.tables]
    round_trip([layer], TansCodec(deltas=False))


def test_independent_values_have_no_tuples():
    rng = np.random.default_rng(5)
    layer = rng.choice([-1, 0, 1], (64, 1, 1, 256), p=[0.1, 0.8, 0.1])
    assert [table.tuple_size for table in TansCodec().fit([layer]).tables] == [1]


def test_golden_words():
    # docs/format.md works this example out.
    table = TansTable(-1, 0, 1, 3, (), 0, (64, 128, 64))
    code = TansCode(SMALL, (table,), (LayerCode(2, 4, 0, (0,)),))
    values = np.array([0, 1, 0, -1, 0, 0, 1, 0], np.int8)
    assert pack_code(code).hex() == "02180100ff0002583a000000"
    coded = TansCodec(SMALL).encode(values, code)
    assert coded.hex() == "0c121d00"
    symbols = spread(table.counts, 8)
    assert [symbols[state] for state in (12, 18, 13, 2, 15, 9, 18, 6)] == [1, 2, 1, 0, 1, 1, 2, 1]


@pytest.mark.parametrize("change, complaint", [
    (lambda data: data[:-4], r"they end before the last of \d+ symbols"),
    (lambda data: data + bytes(4), r"they must end after \d+ words, not \d+"),
    (lambda data: data[:-1] + bytes([data[-1] | 0x80]), "their states must end at 0"),
    (lambda data: bytes(len(data)), "their states must end at 0|end before|end after"),
    (lambda data: b"", r"they end before the last of \d+ symbols"),
])
def test_damaged_data_are_refused(change, complaint):
    layer = draw((4, 3, 3, 8), 3)
    code = TansCodec().fit([layer])
    coded = TansCodec().encode(layer.ravel(), code)
    with pytest.raises(FormatError, match=complaint):
        TansCodec().decode(change(coded), code, layer.size)


@pytest.mark.parametrize("written, read, count", [
    (TansTable(-1, 0, 1, 3, (9,), 0, (64,) * 4), TansTable(-1, 0, 1, 3, (1,), 0, (64,) * 4), 8),
    (TansTable(-1, 0, 1, 1, (9,), 1, (64,) * 4), TansTable(-1, 0, 1, 1, (1,), 1, (64,) * 4), 8),
    (TansTable(0, 0, 2, 2, (), 0, (64,) * 4), TansTable(0, 0, 2, 2, (), 0, (64,) * 4), 7),
], ids=["in a bucket", "in a tail", "padding"])
def test_values_with_another_symbol_are_refused(written, read, count):
    values = np.array([0, 1, 0, 1, 1, 0, 0, 1], np.int8)
    written, read = (TansCode(SMALL, (table,), (LayerCode(1, size, 0, (0,)),))
                     for table, size in ((written, 8), (read, count)))
    coded = TansCodec(SMALL).encode(values, written)
    with pytest.raises(FormatError, match="must not stand for a value that another one stands for"):
        TansCodec(SMALL).decode(coded, read, count)


@given(st.binary(max_size=200).map(lambda data: data + bytes(-len(data) % 4)), st.integers(0, 9))
def test_any_data_end(data, seed):
    layer = draw((4, 3, 3, 3), 3, seed)
    code = TansCodec().fit([layer, layer // 3])
    with suppress(FormatError):
        assert TansCodec().encode(TansCodec().decode(data, code, 2 * layer.size), code) == data


@given(st.binary(min_size=1, max_size=100), st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=3))
def test_any_section_is_a_code_or_refused(data, layers):
    data = b"\x02" + data + bytes(-(len(data) + 1) % 4)
    with suppress(FormatError):
        code = unpack_code(data, layers)
        assert unpack_code(pack_code(code), layers) == code


@pytest.mark.parametrize("changes, complaint", [
    ({"first": -129}, "Values must be -128 to 127"),
    ({"raw_bits": 5}, "must have 0 to 4 raw bits"),
    ({"tuple_size": 2, "raw_bits": 1}, "Tuples must have neither raw bits"),
    ({"buckets": 200}, "must have 1 to 128 symbols, not 1"),
    ({"counts": (1024,)}, "must have 3 counts"),
    ({"exact": (1, 1)}, "at most 7 different exact values"),
])
def test_tables_out_of_range_are_refused(changes, complaint):
    table = TansTable(-1, 0, 1, 3, (), 0, (256, 512, 256))
    with pytest.raises(ValueError, match=complaint):
        replace(table, **changes)


@pytest.mark.parametrize("changes, complaint", [
    ({"tables": ()}, "must have 1 to 16 tables, not 0"),
    ({"shape": SMALL}, "must add up to 256, not 1024"),
    ({"layers": (LayerCode(2, 4, 256, (0,)),)}, "must be 0 to 255, not 256"),
    ({"layers": (LayerCode(2, 4, 0, (0, 0, 0)),)}, "must have 1 or 2 tables, not 3"),
    ({"layers": (LayerCode(2, 4, 0, (1,)),)}, "Tables of layer 0 must be 0 to 0"),
    ({"entries": 6}, "multiple of 4 entries"),
    ({"entries": 8, "layers": (LayerCode(2, 4, 1, (0,)),)}, "indices have none"),
])
def test_codes_out_of_range_are_refused(changes, complaint):
    code = TansCode(TansShape(), (TansTable(-1, 0, 1, 3, (), 0, (256, 512, 256)),),
                    (LayerCode(2, 4, 0, (0,)),))
    with pytest.raises(ValueError, match=complaint):
        replace(code, **changes)


def test_values_without_a_symbol_are_refused():
    code = TansCodec().fit([draw((4, 3, 3, 3), 1)])
    with pytest.raises(ValueError, match="must have a symbol for all values, as 90"):
        TansCodec().encode(np.full(108, 90, np.int8), code)
    with pytest.raises(ValueError, match="Symbols must be -128 to 255, not 0 to 300"):
        TansCodec().fit([np.array([0, 300]).reshape(1, 1, 1, 2)])


@given(st.lists(st.integers(0, 10000), min_size=1, max_size=128).filter(any),
       st.sampled_from([8, 10]))
def test_normalised_counts_fill_the_table(occurring, table_bits):
    counts = normalise(np.array(occurring, float), table_bits)
    assert sum(counts) == 1 << table_bits
    assert [count > 0 for count in counts] == [count > 0 for count in occurring]


@pytest.mark.parametrize("model, most", [
    # brotli 11 takes 7.72, 7.39, 1.44 and 5.04.
    ("kws_ref_model", 7.70), ("pretrainedResnet_quant", 7.36), ("vww_96_int8", 1.4325),
    ("ad01_int8", 4.83)])
def test_real_weights_take_fewer_bits_than_peers_need(model, most):
    layers = [layer.weights for layer in load(shared_file(f"models/{model}.tflite")).weighted]
    assert sum(round_trip(layers, TansCodec())) / flat(layers).size < most
