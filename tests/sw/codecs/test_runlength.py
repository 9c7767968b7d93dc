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
    """Return the bits of the coded data, decoded and compared."""
    table = RunLengthCodec().fit(layers)
    coded = RunLengthCodec().encode(flat(layers), table)
    assert len(coded) % 4 == 0
    assert np.array_equal(decode(coded, table, flat(layers).size), flat(layers))
    assert RunLengthCodec().bits(layers) == 8 * (len(pack_code(table)) + len(coded))
    assert 0 <= 8 * len(coded) - sum(RunLengthCodec().layer_bits(layers, table)) < 32
    return 8 * len(coded)


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
    [np.repeat([0, 1, 0, 2, 0], [127, 1, 127, 1, 128])],
], ids=["sparse", "one value", "two weights", "one weight each", "empty layers", "all values",
        "whole blocks"])
def test_round_trips(layers):
    round_trip(layers)


@given(st.lists(st.tuples(st.integers(1, 700), st.floats(0, 1), st.integers(1, 255),
                          st.integers(0, 99)), min_size=1, max_size=4))
def test_any_layers_round_trip(sizes):
    round_trip([draw(*layer) for layer in sizes])


@pytest.mark.parametrize("value, bits", [(0, 8 << 17), (1, 136 << 17), (255, 1032 << 17)])
def test_many_weights_of_one_value(value, bits):
    assert round_trip([np.full(1 << 24, value)]) == bits


def test_golden_words():
    # docs/format.md works this example out.
    symbols = zigzag_symbols(np.array([0, 0, -1, 0, 0, 1, 0, -1, 0, 0, 0, -1, 0, 0]))
    assert symbols.tolist() == [0, 0, 1, 0, 0, 2, 0, 1, 0, 0, 0, 1, 0, 0]
    assert pack_code(RunLengthCode()).hex() == "04000000"
    coded = RunLengthCodec().encode(symbols, RunLengthCode())
    assert coded.hex() == "21728600"
    assert decode(coded, RunLengthCode(), 14).tolist() == symbols.tolist()
    assert RunLengthCodec().layer_bits([symbols[:3], symbols[3:]], RunLengthCode()) == [11, 13]


@pytest.mark.parametrize("block, run_bits, value_bits", [
    ([0, 0, 0], 0, 0), ([1, 0, 1, 0], 0, 1), ([7, 4, 1, 9], 0, 4), ([1] * 128, 0, 1),
    ([0, 1, 0, 0, 2] * 9, 2, 1), ([*[0] * 15, 200] * 8, 5, 8), ([*[0] * 127, 1], 7, 0),
    ([255, 0, 0, 254], 1, 8), ([255] * 3, 0, 8),
])
def test_best_widths(block, run_bits, value_bits):
    coded = RunLengthCodec().encode(np.array(block), RunLengthCode())
    assert coded[0] == run_bits << 4 | value_bits
    assert decode(coded, RunLengthCode(), len(block)).tolist() == block


def words(bits):
    """Return coded data of bits, the first one first."""
    return int(bits[::-1] or "0", 2).to_bytes(-(-len(bits) // 32) * 4, "little")


def header(run_bits, value_bits):
    return f"{value_bits:04b}"[::-1] + f"{run_bits:04b}"[::-1]


@pytest.mark.parametrize("bits, weights, complaint", [
    ("", 1, "they end before the last of 1 weights"),
    (header(1, 7) + "0" * 24, 4, "they end before the last of 4 weights"),
    (header(1, 1) + "0" * 24, 13, "they end before the last of 13 weights"),
    (header(0, 7) + "0" * 24, 4, "they end before the last of 4 weights"),
    (header(0, 0) * 4, 513, "they end before the last of 513 weights"),
    ("0" * 32, 1 << 24, "they end before the last of 16777216 weights"),
    (header(8, 0), 1, "the block of weight 0 must have runs of 0 to 7 bits and values of 0 to 8"),
    (header(0, 0) + header(0, 9), 129, "the block of weight 128 must have runs of 0 to 7 bits"),
    (header(2, 0) + "1101", 4, "the run before weight 5 must end with its block"),
    (header(7, 0) + "11111110100000", 129, "the run before weight 129 must end with its block"),
    (header(1, 8) + "011111111", 1, "weight 0 must have a symbol of 0 to 255"),
    (header(1, 8) + "11", 1, "padding must be zero"),
    (header(1, 8) + "0" * 64, 1, "they must end after 1 words, not 3"),
    (header(0, 0) * 4 + "0" * 32, 512, "they must end after 1 words, not 2"),
])
def test_damaged_data_are_refused(bits, weights, complaint):
    with pytest.raises(FormatError, match=complaint):
        decode(words(bits), RunLengthCode(), weights)


def test_runs_end_with_their_block():
    bits = header(7, 0) + "11111111000000" + header(2, 0) + "110001"
    assert decode(words(bits), RunLengthCode(), 134).tolist() == [0] * 131 + [1, 0, 0]


def test_nothing_takes_no_bits():
    assert RunLengthCodec().encode(np.zeros(0, np.int64), RunLengthCode()) == b""
    assert decode(b"", RunLengthCode(), 0).size == 0


@given(st.binary(max_size=60).map(lambda data: data + bytes(-len(data) % 4)),
       st.integers(0, 400))
def test_any_data_are_symbols_or_refused(data, count):
    with suppress(FormatError):
        symbols = decode(data, RunLengthCode(), count)
        coded = RunLengthCodec().encode(symbols, RunLengthCode())
        assert len(coded) <= len(data)
        assert np.array_equal(decode(coded, RunLengthCode(), count), symbols)


@pytest.mark.parametrize("entries", [0, 4, 256])
def test_section(entries):
    section = pack_code(RunLengthCode(entries))
    assert section == bytes([4, entries // 4, 0, 0])
    assert unpack_code(section, [(2, 3)]) == RunLengthCode(entries)


def test_odd_codebooks_are_refused():
    with pytest.raises(FormatError, match=r"code: Codebooks must have .* up to 256, not 260"):
        unpack_code(bytes([4, 65, 0, 0]), [(2, 3)])


@pytest.mark.parametrize("symbols, complaint", [
    ([0, 256], "not 0 to 256"), ([-1, 0], "not -1 to 0")])
def test_symbols_beyond_a_byte_are_refused(symbols, complaint):
    with pytest.raises(ValueError, match=f"Symbols must be 0 to 255, {complaint}"):
        RunLengthCodec().fit([np.array(symbols)])


@pytest.mark.parametrize("model, most", [
    ("kws_ref_model", 8.07), ("pretrainedResnet_quant", 8.07), ("vww_96_int8", 1.63),
    ("ad01_int8", 6.33)])
def test_real_weights(model, most):
    layers = [zigzag_symbols(layer.weights)
              for layer in load(shared_file(f"models/{model}.tflite")).weighted]
    assert round_trip(layers) / flat(layers).size < most
