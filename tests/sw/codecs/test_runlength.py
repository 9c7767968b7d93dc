from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.codecs import RunLengthCodec, decode
from sw.format.sections import FormatError, pack_code, unpack_code
from sw.format.tables import RunLengthCode
from sw.importers.tflite import load
from sw.quantize.grid import zigzag_symbols

from ...shared_data import shared_file


def flat(layers):
    return np.concatenate([layer.ravel() for layer in layers])


def round_trip(layers):
    """Return the bits of section CODE and of the coded data, all decoded and compared."""
    table = RunLengthCodec().fit(layers)
    section = pack_code(table)
    assert unpack_code(section, [(1, layer.size) for layer in layers]) == table
    coded = RunLengthCodec().encode(flat(layers), table)
    assert len(coded) % 4 == 0
    assert np.array_equal(decode(coded, table, flat(layers).size), flat(layers))
    assert RunLengthCodec().bits(layers) == 8 * (len(section) + len(coded))
    assert 0 <= 8 * len(coded) - sum(RunLengthCodec().layer_bits(layers, table)) < 32
    return 8 * len(section), 8 * len(coded)


def draw(shape, zeros, greatest, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(1, greatest + 1, shape) * (rng.random(shape) >= zeros)


@pytest.mark.parametrize("layers", [
    [draw((4, 3, 3, 2), 0.8, 9), draw((5, 1, 1, 7), 0.1, 255)],
    [np.full((3, 1, 1, 5), 255)],
    [np.array([[[[0, 1]]]]), np.array([[[[1, 0]]]])],
    [np.zeros((1, 1, 1, 1), np.int64), np.full((2, 1, 1, 1), 9)],
    [np.zeros(0, np.int64), draw((2, 1, 1, 4), 0.5, 3), np.zeros(0, np.int64)],
    [np.arange(256).reshape(2, 1, 1, 128)],
    [np.repeat([0, 1, 0, 2, 0], [255, 1, 509, 1, 510])],
], ids=["sparse", "one value", "two weights", "one weight each", "empty layers", "all values",
        "longest runs"])
def test_round_trips(layers):
    round_trip(layers)


@given(st.lists(st.tuples(st.integers(1, 700), st.floats(0, 1), st.integers(1, 255),
                          st.integers(0, 99)), min_size=1, max_size=4))
def test_any_layers_round_trip(sizes):
    round_trip([draw(*layer) for layer in sizes])


@pytest.mark.parametrize("run_bits", range(9))
@pytest.mark.parametrize("zeros", [0, 0.5, 0.97])
def test_every_width_writes_any_layer(run_bits, zeros):
    layer = draw(2000, zeros, 255, run_bits)
    table = RunLengthCode((2000,), (run_bits,), (8,))
    coded = RunLengthCodec().encode(layer, table)
    assert np.array_equal(decode(coded, table, 2000), layer)
    assert sum(RunLengthCodec().layer_bits([layer], table)) > 8 * len(coded) - 32


@pytest.mark.parametrize("value, bits", [(0, 0), (1, 1 << 24), (255, 8 << 24)])
def test_many_weights_of_one_value(value, bits):
    assert round_trip([np.full(1 << 24, value)])[1] == bits


def test_golden_words():
    # docs/format.md works this example out.
    table = RunLengthCode((12, 2), (2, 0), (1, 3))
    weights = np.array([0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 1, 0, 3, -2])
    symbols = zigzag_symbols(weights)
    assert symbols.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 6, 3]
    assert pack_code(table).hex() == "0400000021030000"
    coded = RunLengthCodec().encode(symbols, table)
    assert coded.hex() == "e3990700"
    assert decode(coded, table, 14).tolist() == symbols.tolist()
    assert RunLengthCodec().layer_bits([symbols[:12], symbols[12:]], table) == [14, 6]


@pytest.mark.parametrize("layer, run_bits, value_bits", [
    ([0, 0, 0], 0, 0), ([1, 0, 1, 0], 0, 1), ([7, 4, 1, 9], 0, 4),
    ([0, 1, 0, 0, 2] * 9, 2, 1), ([*[0] * 15, 200] * 9, 5, 8), ([*[0] * 999, 1] * 9, 8, 0),
])
def test_best_widths(layer, run_bits, value_bits):
    assert RunLengthCodec().fit([np.array(layer)]) == RunLengthCode(
        (len(layer),), (run_bits,), (value_bits,))


def words(bits):
    """Return coded data of bits, the first one first."""
    return int(bits[::-1] or "0", 2).to_bytes(-(-len(bits) // 32) * 4, "little")


@pytest.mark.parametrize("bits, weights, run_bits, value_bits, complaint", [
    ("", 1, 1, 0, "they end before the last of 1 weights"),
    ("0" * 32, 4, 1, 8, "they end before the last of 4 weights"),
    ("0" * 32, 17, 1, 1, "they end before the last of 17 weights"),
    ("0" * 32, 5, 0, 7, "they end before the last of 5 weights"),
    ("0" * 32, 1 << 24, 8, 8, "they end before the last of 16777216 weights"),
    ("1101", 4, 2, 0, "a run reaches 1 weights beyond its layer"),
    ("1111", 4, 2, 0, "a run reaches 2 weights beyond its layer"),
    ("011111111", 1, 1, 8, "weight 0 must have a symbol of 0 to 255"),
    ("11", 1, 1, 8, "padding must be zero"),
    ("0" * 64, 1, 1, 8, "they must end after 1 words, not 2"),
    ("0" * 32, 1 << 24, 0, 0, "they must end after 0 words, not 1"),
])
def test_damaged_data_are_refused(bits, weights, run_bits, value_bits, complaint):
    table = RunLengthCode((weights,), (run_bits,), (value_bits,))
    with pytest.raises(FormatError, match=complaint):
        decode(words(bits), table, weights)


def test_runs_end_with_their_layer():
    table = RunLengthCode((3, 3), (2, 2), (0, 0))
    assert decode(words("101011"), table, 6).tolist() == [0, 1, 0, 0, 0, 0]
    with pytest.raises(FormatError, match="a run reaches 1 weights beyond its layer"):
        decode(words("100111"), table, 6)


def test_widths_of_other_layers_are_refused():
    table = RunLengthCode((1, 2), (1, 0), (1, 1))
    with pytest.raises(FormatError, match="widths must be those of 4 weights, not 3"):
        decode(bytes(4), table, 4)
    with pytest.raises(ValueError, match="Table must be one of 4 weights, not 3"):
        RunLengthCodec().encode(np.zeros(4, np.int64), table)


@pytest.mark.parametrize("symbols, greatest", [([3, 1, 0], 2), ([0, 4, 1], 2), ([2, 0, 2], 1)])
def test_symbols_beyond_a_layers_values_are_refused(symbols, greatest):
    table = RunLengthCode((2, 1), (1, 0), (1, 1))
    with pytest.raises(ValueError, match=f"must be at most {greatest}, not {max(symbols)}"):
        RunLengthCodec().encode(np.array(symbols), table)


@given(st.binary(max_size=60).map(lambda data: data + bytes(-len(data) % 4)),
       st.lists(st.tuples(st.integers(0, 300), st.integers(0, 8), st.integers(0, 8)), max_size=3))
def test_any_data_are_what_the_encoder_writes_or_refused(data, layers):
    table = RunLengthCode(*(tuple(layer[field] for layer in layers) for field in range(3)))
    with suppress(FormatError):
        symbols = decode(data, table, sum(table.weights))
        assert RunLengthCodec().encode(symbols, table) == data


@given(st.binary(min_size=1, max_size=100), st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=20))
def test_any_section_is_a_code_or_refused(data, layers):
    data = b"\x04" + data + bytes(-(len(data) + 1) % 4)
    with suppress(FormatError):
        table = unpack_code(data, layers)
        assert unpack_code(pack_code(table), layers) == table


@pytest.mark.parametrize("section, complaint", [
    ("04000000 19000000", "code: Values must have 0 to 8 bits, not 9"),
    ("04000000 91000000", "code: Runs must have 0 to 8 bits, not 9"),
    ("04000000", "code: 6 widths don't fit 0 bytes"),
    ("04410000 11111100", "multiple of 4 entries, up to 256, not 260"),
])
def test_sections_out_of_range_are_refused(section, complaint):
    with pytest.raises(FormatError, match=complaint):
        unpack_code(bytes.fromhex(section), [(2, 3)] * 3)


@pytest.mark.parametrize("fields, complaint", [
    (((1, 2), (0,), (0, 0)), "Runs must have 2 widths, not 1"),
    (((1, 2), (0, 0), (0,)), "Values must have 2 widths, not 1"),
    (((1,), (9,), (0,)), "Runs must have 0 to 8 bits, not 9"),
    (((1,), (0,), (-1,)), "Values must have 0 to 8 bits, not -1"),
    (((1,), (0,), (0,), 6), "multiple of 4 entries, up to 256, not 6"),
])
def test_codes_out_of_range_are_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        RunLengthCode(*fields)


@pytest.mark.parametrize("symbols, complaint", [
    ([0, 256], "not 0 to 256"), ([-1, 0], "not -1 to 0")])
def test_symbols_beyond_a_byte_are_refused(symbols, complaint):
    with pytest.raises(ValueError, match=f"Symbols must be 0 to 255, {complaint}"):
        RunLengthCodec().fit([np.array(symbols)])


@pytest.mark.parametrize("model, most", [
    ("kws_ref_model", 8.01), ("pretrainedResnet_quant", 8.01), ("vww_96_int8", 1.69),
    ("ad01_int8", 7.78)])
def test_real_weights(model, most):
    layers = [zigzag_symbols(layer.weights)
              for layer in load(shared_file(f"models/{model}.tflite")).weighted]
    assert sum(round_trip(layers)) / flat(layers).size < most
