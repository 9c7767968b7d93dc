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
    """Return the bits of the coded data, decoded and compared."""
    table = RiceCodec().fit(layers)
    coded = RiceCodec().encode(flat(layers), table)
    assert len(coded) % 4 == 0
    assert np.array_equal(decode(coded, table, flat(layers).size), flat(layers))
    assert RiceCodec().bits(layers) == 8 * (len(pack_code(table)) + len(coded))
    assert 0 <= 8 * len(coded) - sum(RiceCodec().layer_bits(layers, table)) < 32
    return 8 * len(coded)


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


@pytest.mark.parametrize("value, bits", [
    (0, 1 << 24), (255, (9 << 24) + 32),
    pytest.param(7, (4 << 24) + 32, marks=pytest.mark.slow)])
def test_many_weights_of_one_value(value, bits):
    assert round_trip([np.full(1 << 24, value)]) == bits


def test_golden_words():
    # docs/format.md works this example out.
    symbols = zigzag_symbols(np.array([0, -1, 0, 9, 0, 1, 0, -1, 20, -19, 17, 24, -21]))
    assert symbols.tolist() == [0, 1, 0, 18, 0, 2, 0, 1, 40, 37, 34, 48, 41]
    assert pack_code(RiceCode()).hex() == "03000000"
    coded = RiceCodec().encode(symbols, RiceCode())
    assert coded.hex() == "f22f61fa2f085512c1120000"
    assert decode(coded, RiceCode(), 13).tolist() == symbols.tolist()
    assert RiceCodec().layer_bits([symbols[:8], symbols[8:]], RiceCode()) == [27, 51]


def test_parameters_change_where_that_saves_bits():
    low, high = draw((64, 1, 1, 64), 0.3, 1), draw((64, 1, 1, 64), 30, 2)
    apart = [round_trip([layer]) for layer in (low, high)]
    mixed = np.concatenate([low[:32], high, low[32:]])
    assert abs(round_trip([mixed]) - sum(apart)) < 100
    assert RiceCodec().layer_bits([mixed], RiceCode()) == [sum(
        RiceCodec().layer_bits([mixed[:32], mixed[32:96], mixed[96:]], RiceCode()))]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=6), st.integers(0, 7))
def test_no_parameters_are_better(symbols, parameter):
    one = "" if parameter == 0 else escape(parameter)
    one += "".join(codeword(symbol, parameter) for symbol in symbols)
    coded = RiceCodec().encode(np.array(symbols, np.int64), RiceCode())
    assert len(coded) <= len(words(one))
    assert decode(words(one), RiceCode(), len(symbols)).tolist() == symbols


def escape(byte):
    return "1" * 8 + "".join(str(byte >> bit & 1) for bit in range(8))


def codeword(symbol, parameter):
    """Return a codeword after docs/format.md."""
    quotient = symbol >> parameter
    if quotient >= 8:
        return escape(symbol)
    return "1" * quotient + "0" + "".join(str(symbol >> bit & 1) for bit in range(parameter))


def words(bits):
    """Return coded data of bits, the first one first."""
    return int(bits[::-1] or "0", 2).to_bytes(-(-len(bits) // 32) * 4, "little")


@pytest.mark.parametrize("parameter", range(8))
def test_every_parameter_writes_every_symbol(parameter):
    bits = escape(parameter) if parameter else ""
    bits += "".join(codeword(symbol, parameter) for symbol in range(256))
    assert decode(words(bits), RiceCode(), 256).tolist() == list(range(256))


@pytest.mark.parametrize("bits, weights, complaint", [
    ("", 1, "they end before the last of 1 weights"),
    (escape(6) + "0" * 16, 3, "they end before the last of 3 weights"),
    (escape(6) + escape(5), 1, "the parameter must change at most once before weight 0"),
    ("0" * 32, 1 << 24, "they end before the last of 16777216 weights"),
    # Quotient 4 and the low bits 0 are 256; 63 needs no escape with 3, nor 255 with 5.
    (escape(6) + "0" * 7 + "11110000000", 2, "weight 1 must have the shortest codeword of a sy"),
    (escape(3) + escape(63), 1, "weight 0 must have the shortest codeword of a symbol, 0 to 255"),
    (escape(5) + escape(255), 1, "weight 0 must have the shortest codeword of a symbol, 0 to 25"),
    (escape(0) + "0", 1, "the parameter must change at most once before weight 0, to another one"),
    ("0" + escape(3) + "0000" + escape(3) + "0000", 3, "at most once before weight 2, to another"),
    ("01", 1, "padding must be zero"),
    ("0" + escape(3), 1, "padding must be zero"),
    ("0" * 64, 1, "they must end after 1 words, not 2"),
])
def test_damaged_data_are_refused(bits, weights, complaint):
    with pytest.raises(FormatError, match=complaint):
        decode(words(bits), RiceCode(), weights)


def test_nothing_takes_no_bits():
    assert RiceCodec().encode(np.zeros(0, np.int64), RiceCode()) == b""
    assert decode(b"", RiceCode(), 0).size == 0


@given(st.binary(max_size=200).map(lambda data: data + bytes(-len(data) % 4)),
       st.integers(0, 300))
def test_any_data_are_symbols_or_refused(data, count):
    with suppress(FormatError):
        symbols = decode(data, RiceCode(), count)
        coded = RiceCodec().encode(symbols, RiceCode())
        assert len(coded) <= len(data)
        assert np.array_equal(decode(coded, RiceCode(), count), symbols)


@pytest.mark.parametrize("entries", [0, 4, 256])
def test_section(entries):
    section = pack_code(RiceCode(entries))
    assert section == bytes([3, entries // 4, 0, 0])
    assert unpack_code(section, [(2, 3)]) == RiceCode(entries)


@pytest.mark.parametrize("entries", [-4, 6, 260])
def test_odd_codebooks_are_refused(entries):
    with pytest.raises(ValueError, match=f"multiple of 4 entries, up to 256, not {entries}"):
        RiceCode(entries)
    with pytest.raises(FormatError, match=r"code: Codebooks must have .* up to 256, not 260"):
        unpack_code(bytes([3, 65, 0, 0]), [(2, 3)])


@pytest.mark.parametrize("symbols, complaint", [
    ([0, 256], "not 0 to 256"), ([-1, 0], "not -1 to 0")])
def test_symbols_beyond_a_byte_are_refused(symbols, complaint):
    with pytest.raises(ValueError, match=f"Symbols must be 0 to 255, {complaint}"):
        RiceCodec().fit([np.array(symbols)])


@pytest.mark.parametrize("model, most", [
    ("kws_ref_model", 7.89), ("pretrainedResnet_quant", 7.47), ("vww_96_int8", 2.37),
    ("ad01_int8", 5.24)])
def test_real_weights(model, most):
    layers = [zigzag_symbols(layer.weights)
              for layer in load(shared_file(f"models/{model}.tflite")).weighted]
    assert round_trip(layers) / flat(layers).size < most
