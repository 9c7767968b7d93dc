"""Encoder of the coded data, written bit by bit after the format, and codes to test with."""

import random
from collections import deque
from itertools import repeat

from sw.format.tables import GROUP, MAX_CODE_LENGTH, PrefixTable


__all__ = ["encode", "expand", "gaps", "make_table", "pad", "random_table", "skewed_table",
           "to_words"]


def gaps(seed, longest):
    """Yield endless random numbers of idle cycles."""
    rng = random.Random(seed)
    while True:
        yield rng.randint(0, longest)


def random_table(shape, seed, *, runs=()):
    """Return a table of a random code of random size."""
    rng = random.Random(seed)
    lengths = [shape.min_code_length] * (1 << shape.min_code_length)
    size = rng.randint(max(len(lengths), len(runs) + 1), shape.symbols)
    while len(lengths) < size:
        split(lengths, rng.choice([n for n, length in enumerate(lengths)
                                   if length < MAX_CODE_LENGTH]))
    rng.shuffle(lengths)
    return make_table(shape, lengths, runs)


def skewed_table(shape, *, runs=()):
    """Return a table with the shortest and the longest codewords that the shape allows."""
    lengths = [shape.min_code_length] * (1 << shape.min_code_length)
    while len(lengths) < shape.symbols and min(lengths[-1:]) < MAX_CODE_LENGTH:
        split(lengths, len(lengths) - 1)
    return make_table(shape, lengths, runs)


def split(lengths, leaf):
    lengths[leaf] += 1
    lengths.append(lengths[leaf])


def make_table(shape, lengths, runs=()):
    """Return a table of ``lengths``, the last ones those of ``runs``."""
    first_run = len(lengths) - len(runs)
    lengths = (*lengths, *repeat(0, shape.symbols - len(lengths)))
    return PrefixTable(shape, lengths, tuple(runs), first_run)


def to_words(bits):
    """Return ``bits`` as words of 32, bit 0 first, padded with zeros."""
    bits = [*bits, *repeat(0, -len(bits) % 32)]
    return [sum(bit << place for place, bit in enumerate(bits[start:start + 32]))
            for start in range(0, len(bits), 32)]


def pad(symbols, table):
    """Return ``symbols`` padded to whole groups."""
    filler = next(symbol for symbol, length in enumerate(table.lengths) if length)
    return [*symbols, *repeat(filler, -len(symbols) % GROUP)]


def encode(symbols, table):
    """Return the coded data of ``symbols``, run symbols among them, as words."""
    shape = table.shape
    symbols = pad(symbols, table)
    groups = deque(symbols[start:start + GROUP] for start in range(0, len(symbols), GROUP))
    pending = [[] for _ in range(shape.substreams)]
    bits = []
    while groups or any(pending):
        for substream in pending:
            while len(substream) < shape.step_bits and groups:
                for symbol in groups.popleft():
                    length, codeword = table.lengths[symbol], table.codewords[symbol]
                    substream += [codeword >> place & 1 for place in reversed(range(length))]
            piece = substream[:shape.step_bits]
            del substream[:shape.step_bits]
            bits += [*piece, *repeat(0, shape.step_bits - len(piece))]
    return to_words(bits)


def expand(symbols, table):
    """Return the indices that ``symbols`` stand for: literals, and zeros of runs."""
    indices = []
    for symbol in symbols:
        run = symbol - table.first_run
        indices += [symbol] if run < 0 else [0] * table.runs[run]
    return indices
