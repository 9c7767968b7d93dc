import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.codecs import RawCodec, decode
from sw.format.sections import FormatError
from sw.format.tables import UNSCHEDULED_RAW_WIDTHS, RawTable


@pytest.mark.parametrize("bits, symbols, words", [
    (1, [1, 0, 1, 1, 0, 1], "2d000000"),
    (2, [1, 2, 3, 0, 3], "39030000"),
    (3, [1, 7, 2, 0, 4], "b9400000"),
    (4, [1, 2, 15], "210f0000"),
    (5, [1, 31, 0, 0, 0, 0, 21], "e103004005000000"),
    (6, [1, 63, 2], "c12f0000"),
    (8, [1, 0x80, 0xff, 4, 5], "0180ff0405000000"),
    (16, [1, 0x8000, 0xfffe], "01000080feff0000"),
])
def test_golden_words(bits, symbols, words):
    coded = RawCodec().encode(np.array(symbols), RawTable(bits))
    assert coded.hex() == words
    assert decode(coded, RawTable(bits), len(symbols)).tolist() == symbols


@given(st.lists(st.integers(0, 255), max_size=70), st.integers(1, 8))
def test_round_trip(symbols, bits):
    symbols = [symbol & (1 << bits) - 1 for symbol in symbols]
    layers = [np.array(symbols[:7], np.int64), np.array(symbols[7:], np.int64)]
    for codec in (RawCodec(), RawCodec(UNSCHEDULED_RAW_WIDTHS)):
        table = codec.fit(layers)
        coded = codec.encode(np.concatenate(layers), table)
        assert decode(coded, table, len(symbols)).tolist() == symbols
        assert codec.bits(layers) == 32 + 8 * len(coded)


@pytest.mark.parametrize("most, bits", [(0, 1), (1, 1), (2, 2), (4, 4), (15, 4), (16, 8), (255, 8)])
def test_narrowest_table(most, bits):
    assert RawCodec().fit([np.array([0]), np.array([most])]) == RawTable(bits)


@pytest.mark.parametrize("most, bits", [(3, 2), (7, 3), (8, 4), (31, 5), (32, 6), (63, 6), (64, 8)])
def test_narrowest_table_without_a_schedule(most, bits):
    assert RawCodec(UNSCHEDULED_RAW_WIDTHS).fit([np.array([most])]) == RawTable(bits)


@pytest.mark.parametrize("bits", [0, 7, 9])
def test_widths_that_nobody_reads_rejected(bits):
    with pytest.raises(ValueError, match=f"must have 1 to 6, 8 or 16 bits, not {bits}"):
        RawTable(bits)


@pytest.mark.parametrize("symbols, complaint", [
    ([0, 256], "not 0 to 256"), ([-1, 0], "not -1 to 0"),
])
def test_symbols_beyond_a_byte_rejected(symbols, complaint):
    with pytest.raises(ValueError, match=f"Raw symbols must be 0 to 255, {complaint}"):
        RawCodec().fit([np.array(symbols)])


@pytest.mark.parametrize("coded, count, complaint", [
    ("000000", 1, "whole words of 4 bytes, not 3"),
    ("00000000", 9, "9 symbols of 4 bits take 8 bytes, not 4"),
    ("0000000000000000", 8, "8 symbols of 4 bits take 4 bytes, not 8"),
    ("00000010", 7, "padding must be zero"),
])
def test_bad_coded_data_rejected(coded, count, complaint):
    with pytest.raises(FormatError, match=complaint):
        decode(bytes.fromhex(coded), RawTable(4), count)


@pytest.mark.parametrize("bits, coded", [(8, "01020001"), (16, "0100020000000100")])
def test_padding_of_whole_bytes_rejected(bits, coded):
    with pytest.raises(FormatError, match="padding must be zero"):
        decode(bytes.fromhex(coded), RawTable(bits), 3)
    assert decode(bytes.fromhex(coded), RawTable(bits), 4)[:2].tolist() == [1, 2]
