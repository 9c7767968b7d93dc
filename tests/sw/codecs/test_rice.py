from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.codecs import RiceCodec, decode
from sw.format.sections import FormatError, pack_code, unpack_code
from sw.format.tables import RiceCode
from sw.importers.tflite import load
from sw.quantize.grid import zigzag_symbols

from ...shared_data import shared_file


def flat(layers):
    return np.concatenate([layer.ravel() for layer in layers])


def round_trip(layers):
    """Return the bits of section CODE and of the coded data, all decoded and compared."""
    table = RiceCodec().fit(layers)
    section = pack_code(table)
    assert unpack_code(section, [(1, layer.size) for layer in layers]) == table
    coded = RiceCodec().encode(flat(layers), table)
    assert len(coded) % 4 == 0
    assert np.array_equal(decode(coded, table, flat(layers).size), flat(layers))
    assert RiceCodec().bits(layers) == 8 * (len(section) + len(coded))
    assert 0 <= 8 * len(coded) - sum(RiceCodec().layer_bits(layers, table)) < 32
    return 8 * len(section), 8 * len(coded)


def draw(shape, spread, seed=0):
    rng = np.random.default_rng(seed)
    return zigzag_symbols(np.rint(rng.laplace(0, spread, shape)).clip(-128, 127))


@pytest.mark.parametrize("layers", [
    [draw((4, 3, 3, 2), 2), draw((5, 1, 1, 7), 30)],
    [np.full((3, 1, 1, 5), 255)],
    [np.array([[[[254, 255]]]])],
    [np.zeros((1, 1, 1, 1), np.int64), np.full((2, 1, 1, 1), 9)],
    [np.zeros(0, np.int64), draw((2, 1, 1, 4), 5), np.zeros(0, np.int64)],
    [np.arange(256).reshape(2, 1, 1, 128)],
], ids=["normal", "one value", "two weights", "one weight each", "empty layers", "all values"])
def test_round_trips(layers):
    round_trip(layers)


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 60), st.integers(0, 99)), min_size=1,
                max_size=4))
def test_any_layers_round_trip(sizes):
    round_trip([draw(*layer) for layer in sizes])


@pytest.mark.parametrize("parameter", range(8))
def test_every_parameter_writes_every_symbol(parameter):
    table = RiceCode((256,), (parameter,))
    coded = RiceCodec().encode(np.arange(256), table)
    assert decode(coded, table, 256).tolist() == list(range(256))


@pytest.mark.parametrize("value, bits", [(0, 1), (7, 4), (255, 9)])
def test_many_weights_of_one_value(value, bits):
    layer = np.full(1 << 24, value)
    assert round_trip([layer])[1] == bits << 24


def test_golden_words():
    # docs/format.md works this example out.
    table = RiceCode((6, 2), (1, 4))
    symbols = zigzag_symbols(np.array([0, -2, -1, 1, 8, -8, -19, -128]))
    assert symbols.tolist() == [0, 3, 1, 2, 16, 15, 37, 255]
    assert pack_code(table).hex() == "0300000041000000"
    coded = RiceCodec().encode(symbols, table)
    assert coded.hex() == "d4fc43fc5dfdff03"
    assert decode(coded, table, 8).tolist() == symbols.tolist()
    assert RiceCodec().layer_bits([symbols[:6], symbols[6:]], table) == [35, 23]


def words(bits):
    """Return coded data of bits, the first one first."""
    return int(bits[::-1] or "0", 2).to_bytes(-(-len(bits) // 32) * 4, "little")


@pytest.mark.parametrize("bits, weights, parameter, complaint", [
    ("", 1, 0, "they end before the last of 1 weights"),
    ("0" * 32, 5, 6, "they end before the last of 5 weights"),
    ("0" * 32, 1 << 24, 0, "they end before the last of 16777216 weights"),
    # Quotient 4 and the low bits 0 are 256; 7 and, with a parameter of 5, 255 need no escape.
    ("0" * 7 + "11110000000", 2, 6, "weight 1 must have the shortest codeword of a symbol, 0 to"),
    ("1111111111100000", 1, 0, "weight 0 must have the shortest codeword of a symbol, 0 to 255"),
    ("1" * 16, 1, 5, "weight 0 must have the shortest codeword of a symbol, 0 to 255"),
    ("01", 1, 0, "padding must be zero"),
    ("0" * 64, 1, 0, "they must end after 1 words, not 2"),
])
def test_damaged_data_are_refused(bits, weights, parameter, complaint):
    with pytest.raises(FormatError, match=complaint):
        decode(words(bits), RiceCode((weights,), (parameter,)), weights)


def test_parameters_of_other_layers_are_refused():
    table = RiceCode((1, 2), (0, 0))
    with pytest.raises(FormatError, match="parameters must be those of 4 weights, not 3"):
        decode(bytes(4), table, 4)
    with pytest.raises(ValueError, match="Table must be one of 4 weights, not 3"):
        RiceCodec().encode(np.zeros(4, np.int64), table)


@given(st.binary(max_size=200).map(lambda data: data + bytes(-len(data) % 4)),
       st.lists(st.tuples(st.integers(0, 60), st.integers(0, 7)), max_size=3))
def test_any_data_are_what_the_encoder_writes_or_refused(data, layers):
    table = RiceCode(tuple(size for size, _ in layers), tuple(k for _, k in layers))
    with suppress(FormatError):
        symbols = decode(data, table, sum(table.weights))
        assert RiceCodec().encode(symbols, table) == data


@given(st.binary(min_size=1, max_size=100), st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=20))
def test_any_section_is_a_code_or_refused(data, layers):
    data = b"\x03" + data + bytes(-(len(data) + 1) % 4)
    with suppress(FormatError):
        table = unpack_code(data, layers)
        assert unpack_code(pack_code(table), layers) == table


@pytest.mark.parametrize("section, complaint", [
    ("030000000800000000000000", "code: Parameters must be 0 to 7, not 8"),
    ("03000000", "code: 9 parameters don't fit 0 bytes"),
    ("0300000011111111", "code: 9 parameters don't fit 4 bytes"),
    ("03410000 11111111 01000000", "multiple of 4 entries, up to 256, not 260"),
])
def test_sections_out_of_range_are_refused(section, complaint):
    with pytest.raises(FormatError, match=complaint):
        unpack_code(bytes.fromhex(section), [(2, 3)] * 9)


@pytest.mark.parametrize("weights, parameters, entries, complaint", [
    ((1, 2), (0,), 0, "must have 2 parameters, not 1"),
    ((1,), (-1,), 0, "must be 0 to 7, not -1"),
    ((1,), (0,), 6, "multiple of 4 entries, up to 256, not 6"),
])
def test_codes_out_of_range_are_refused(weights, parameters, entries, complaint):
    with pytest.raises(ValueError, match=complaint):
        RiceCode(weights, parameters, entries)


@pytest.mark.parametrize("symbols, complaint", [
    ([0, 256], "not 0 to 256"), ([-1, 0], "not -1 to 0")])
def test_symbols_beyond_a_byte_are_refused(symbols, complaint):
    with pytest.raises(ValueError, match=f"Symbols must be 0 to 255, {complaint}"):
        RiceCodec().fit([np.array(symbols)])


@pytest.mark.parametrize("model, most", [
    ("kws_ref_model", 7.89), ("pretrainedResnet_quant", 7.48), ("vww_96_int8", 2.60),
    ("ad01_int8", 5.36)])
def test_real_weights(model, most):
    layers = [zigzag_symbols(layer.weights)
              for layer in load(shared_file(f"models/{model}.tflite")).weighted]
    assert sum(round_trip(layers)) / flat(layers).size < most
