from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.codecs import HuffmanCodec, decode
from sw.codecs.huffman import code_lengths, count_gaps
from sw.format.sections import FormatError, pack_code
from sw.format.tables import GROUP, MAX_CODE_LENGTH, AutomatonShape, PrefixTable


SMALL = AutomatonShape(symbol_bits=2, step_bits=2, substreams=2)
SHAPES = [AutomatonShape(), AutomatonShape(5, 5), AutomatonShape(4, 6), AutomatonShape(5, 4, 8),
          AutomatonShape(3, 2, 2), SMALL]

#: Codewords 0, 10, 110, 111.
LITERALS = PrefixTable(SMALL, (1, 2, 3, 3), (), 4)
#: Symbol 2 (codeword 110) stands for two zeros, symbol 3 (111) for five.
RUNS = PrefixTable(SMALL, (1, 2, 3, 3), (2, 5), 2)

# The groups are 0 10 110 111, 0 0 0 10 and 111 111 0 0. Substream 0 takes the first, substream 1
# the second, and in its third turn, having one bit left, the third. In pieces of two bits:
# 01 00, 01 01, 10 01, 11 11, 10 11, 00 10, 00 00.
GOLDEN = [0, 1, 2, 3, 0, 0, 0, 1, 3, 3, 0, 0]


def laplace(shape, scale, count, seed=0):
    magnitudes = np.rint(np.random.default_rng(seed).exponential(scale, count)).astype(int)
    return np.minimum(magnitudes, shape.symbols - 1)


def test_golden_words():
    coded = HuffmanCodec(SMALL).encode(np.array(GOLDEN), LITERALS)
    assert coded.hex() == "a2f94d00"
    assert decode(coded, LITERALS, 12).tolist() == GOLDEN


def test_golden_trace():
    trace = HuffmanCodec(SMALL).trace(np.array(GOLDEN), LITERALS)
    assert trace.finish.tolist() == [8, 5, 13]
    assert trace.weights.tolist() == [4, 8, 12]


def test_golden_runs():
    # Eight zeros are a run of five, a run of two and a zero: the groups are 111 110 0 10 and
    # 10 0 0 0, whose last two symbols are padding; 11 10, 11 00, 10 0-, 01 --, 0- --.
    symbols = np.array([0] * 8 + [1, 1, 0])
    coded = HuffmanCodec(SMALL).encode(symbols, RUNS)
    assert coded.hex() == "37210000"
    assert decode(coded, RUNS, 11).tolist() == symbols.tolist()
    assert HuffmanCodec(SMALL).trace(symbols, RUNS).weights.tolist() == [9, 13]


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("scale", [0.2, 1.5, 6])
def test_round_trip(shape, scale):
    codec = HuffmanCodec(shape)
    layers = [laplace(shape, scale, 999), laplace(shape, scale, 502, seed=1)]
    symbols = np.concatenate(layers)
    table = codec.fit(layers)
    coded = codec.encode(symbols, table)
    assert np.array_equal(decode(coded, table, len(symbols)), symbols)
    assert codec.bits(layers) == 8 * len(coded) + 8 * len(pack_code(table))


@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_round_trip_of_anything(data, shape):
    symbols = np.array(data.draw(st.lists(st.integers(0, shape.symbols - 1), max_size=60)), int)
    codec = HuffmanCodec(shape)
    table = codec.fit([symbols])
    assert np.array_equal(decode(codec.encode(symbols, table), table, len(symbols)), symbols)


@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_bits_are_within_their_limits(data, shape):
    symbols = np.array(data.draw(st.lists(st.integers(0, shape.symbols - 1) | st.just(0),
                                          min_size=1, max_size=200)), int)
    codec = HuffmanCodec(shape)
    least, most = codec.limits(np.bincount(symbols), count_gaps(symbols))
    assert least <= codec.bits([symbols]) <= most < least + 1000


@given(coded=st.binary(max_size=60).map(lambda data: data[:len(data) & ~3]),
       count=st.integers(0, 200), table=st.sampled_from([LITERALS, RUNS]))
def test_noise_is_refused_or_is_the_code_of_something(coded, count, table):
    try:
        symbols = decode(coded, table, count)
    except FormatError:
        return
    assert len(symbols) == count


def test_every_flipped_bit_is_refused_or_changes_a_symbol():
    codec = HuffmanCodec(SMALL)
    coded = codec.encode(np.array(GOLDEN), LITERALS)
    for bit in range(len(coded) * 8):
        flipped = bytearray(coded)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert decode(bytes(flipped), LITERALS, len(GOLDEN)).tolist() != GOLDEN
        except FormatError:
            pass


@pytest.mark.parametrize("coded, count, complaint", [
    ("a2f94d", 12, "whole words of 4 bytes, not 3"),
    ("a2f94d00", 8, "must end with the last weight"),
    ("a2f94d00", 30, r"end after \d+ of 30 weights"),
    ("a2f94d0000000000", 12, "must end with the last weight, padded with zeros"),
    ("a2f94d80", 12, "must end with the last weight, padded with zeros"),
])
def test_bad_coded_data_rejected(coded, count, complaint):
    with pytest.raises(FormatError, match=complaint):
        decode(bytes.fromhex(coded), LITERALS, count)


def test_run_beyond_the_last_weight_rejected():
    with pytest.raises(FormatError, match="a run reaches 1 weights too far"):
        decode(bytes.fromhex("37210000"), RUNS, 4)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_substreams_as_a_decoder_meets_them(shape):
    """Decode turn by turn with the automaton's rows, as gateware does."""
    codec = HuffmanCodec(shape)
    symbols = laplace(shape, 0.8, 700)
    table = codec.fit([symbols])
    bits = np.unpackbits(np.frombuffer(codec.encode(symbols, table), np.uint8), bitorder="little")
    trace = codec.trace(symbols, table)
    sizes = {table.first_run + number: run for number, run in enumerate(table.runs)}

    states = [0] * shape.substreams
    groups = []
    current = [None] * shape.substreams
    finish = {}
    for turn in range(trace.finish.max() + 1):
        substream = turn % shape.substreams
        piece = bits[turn * shape.step_bits:(turn + 1) * shape.step_bits]
        row = table.rows[states[substream] << shape.step_bits
                         | int(piece @ (1 << np.arange(shape.step_bits)))]
        count = row >> shape.row_symbols * shape.symbol_bits & 3
        states[substream] = row >> shape.row_symbols * shape.symbol_bits + 2
        found = [row >> place * shape.symbol_bits & shape.symbols - 1 for place in range(count)]
        while found or states[substream]:
            if current[substream] is None:
                current[substream] = len(groups)
                groups.append([])
            if not found:
                break
            group = groups[current[substream]]
            group.append(found.pop(0))
            if len(group) == GROUP:
                finish[current[substream]] = turn
                current[substream] = None

    decoded = [weight for group in groups[:len(trace.finish)] for symbol in group
               for weight in ([0] * sizes[symbol] if symbol in sizes else [symbol])]
    assert decoded[:len(symbols)] == symbols.tolist()
    assert [finish[group] for group in range(len(trace.finish))] == trace.finish.tolist()


@pytest.mark.parametrize("frequencies, least, most, lengths", [
    ([8, 4, 2, 1, 1], 1, 12, (1, 2, 3, 4, 4)),
    ([8, 4, 2, 1, 1], 1, 3, (1, 3, 3, 3, 3)),
    ([8, 4, 2, 1, 1], 2, 12, (2, 2, 2, 3, 3)),
    ([1, 1, 1, 1, 1], 1, 12, (2, 2, 2, 3, 3)),
    ([5, 0, 0, 3, 0, 0], 2, 12, (2, 2, 2, 2, 0, 0)),
])
def test_golden_code_lengths(frequencies, least, most, lengths):
    assert code_lengths(frequencies, least, most) == lengths


@given(st.lists(st.integers(0, 1000), min_size=6, max_size=6), st.sampled_from([(1, 12), (2, 3)]))
def test_no_code_is_shorter(frequencies, limits):
    least, most = limits
    lengths = code_lengths(frequencies, least, most)
    spent = sum(n * length for n, length in zip(frequencies, lengths, strict=True))
    used = sorted((n for n in frequencies if n), reverse=True)
    used += [0] * ((1 << least) - len(used))
    assert spent == min(
        sum(n * length for n, length in zip(used, code, strict=True))
        for code in combinations_with_replacement(range(least, min(most, 6) + 1), len(used))
        if sum(Fraction(1, 1 << length) for length in code) == 1)


def test_code_lengths_are_bounded():
    lengths = code_lengths([1 << place for place in range(32)], 2, MAX_CODE_LENGTH)
    assert max(lengths) == MAX_CODE_LENGTH
    assert min(lengths) == 2


def test_run_symbols_pay_where_zeros_abound():
    shape = AutomatonShape()
    symbols = laplace(shape, 0.2, 5000)
    table = HuffmanCodec(shape).fit([symbols])
    assert table.runs
    coded = HuffmanCodec(shape).encode(symbols, table)
    assert 8 * len(coded) < shape.min_code_length * len(symbols)


def test_code_length_out_of_reach_rejected():
    with pytest.raises(ValueError, match="Code of 2 to 12 bits must have 4 to 4096 symbols, not 3"):
        code_lengths([1, 1, 1], 2, 12)


def test_too_many_symbols_rejected():
    with pytest.raises(ValueError, match="automaton of 4 symbols can't decode 5"):
        HuffmanCodec(SMALL).fit([np.array([4])])


def test_symbol_without_codeword_rejected():
    with pytest.raises(ValueError, match="Symbol 3 has no codeword"):
        HuffmanCodec(SMALL).encode(np.array([3]), PrefixTable(SMALL, (1, 2, 2, 0), (), 3))
