# amaranth: UnusedElaboratable=no
# Shapes that can't be built are refused by components, which nobody uses then.
"""Decoder cores that stand alone, and coded data for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from hw.decode.prefix import PrefixDecoder
from hw.decode.raw import RawDecoder
from hw.decode.rice import RiceCore
from hw.decode.runlength import RunLengthCore
from hw.decode.tans import TansDecoder
from sw.codecs.huffman import HuffmanCodec
from sw.codecs.raw import RawCodec
from sw.codecs.rice import RiceCodec
from sw.codecs.runlength import RunLengthCodec
from sw.codecs.tans import TansCodec, symbols_of_rows, to_symbols
from sw.format.lanes import TansLanes
from sw.format.sections import pack_code
from sw.format.tables import GROUP, RAW_WIDTHS, RiceCode, RunLengthCode
from sw.quantize.grid import zigzag_symbols


__all__ = ["Huffman", "Raw", "Rice", "RunLength", "Sample", "Tans", "flatten", "words_of"]


#: Symbols of the longest run that a decoder takes.
LONGEST_RUN = (1 << 16) - 1


@dataclass(frozen=True)
class Sample:
    """Coded data for a core, and what it is to make of them.

    Parameters
    ----------
    symbols : array of int
        What comes out.
    bits : int
        Of coded data and tables.
    words : list of int
        Coded data: what stream ``i`` takes. Zeros are to follow.
    streams : dict of str to list of int
        What other streams take beside them.
    tables : dict of str to list of int
        What other streams take before.
    constants : dict of str to int
        What ports that are no streams are set to.
    """

    symbols: np.ndarray
    bits: int
    words: list[int]
    streams: dict[str, list[int]] = field(default_factory=dict)
    tables: dict[str, list[int]] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tans:
    """Lanes of tANS, with the runs that choose tables and the check at the end."""

    shape: TansLanes
    symbol_bits = 8

    @property
    def places(self):
        """Symbols of a transfer."""
        return self.shape.lanes * self.shape.tuple_size

    def component(self):
        return TansDecoder(self.shape)

    @staticmethod
    def symbols(layers):
        """Return what stands for weights, layer by layer: themselves."""
        return layers

    def fit(self, symbols):
        """Return the code of ``symbols``, layer by layer."""
        return TansCodec(self.shape, deltas=False).fit(symbols)

    def sample(self, symbols, code=None):
        """Return ``symbols`` of all layers, coded: with a ``code`` that has deltas, differences."""
        code = code or self.fit(symbols)
        values = flatten(symbols).astype(np.int64).astype(np.int8)
        coded = TansCodec(self.shape.code).encode(values, code)
        runs = []
        for table, group in groupby(zip(*map(np.ndarray.tolist, symbols_of_rows(code)),
                                        strict=True), lambda row: row[0]):
            count = sum(symbols for _, symbols in group)
            runs += [(table, LONGEST_RUN)] * (count // LONGEST_RUN)
            runs += [(table, count % LONGEST_RUN)] * (count % LONGEST_RUN > 0)
        table_bits = (self.shape.tables - 1).bit_length()
        address_bits = table_bits + self.shape.code.table_bits
        rows = [row for table in code.tables for row in self.shape.rows(table)]
        return Sample(
            self.values_of(values, code), 8 * (len(pack_code(code)) + len(coded)),
            words_of(coded, self.shape.word_bits // 8),
            {"runs": [table | count << table_bits | (number == len(runs) - 1) << table_bits + 16
                      for number, (table, count) in enumerate(runs)]},
            {"rows": [address | row << address_bits for address, row in enumerate(rows)]},
            {"run": 1})

    def values_of(self, values, code):
        """Return what rows and raw bits make of ``values``; a tuple takes all its places."""
        symbols, raws, used = to_symbols(values, code)
        found = np.zeros((len(symbols), self.shape.tuple_size), np.int64)
        for number, table in enumerate(code.tables):
            packed = np.array(self.shape.meanings(table))[symbols[used == number]]
            for place in range(self.shape.tuple_size):
                value = packed >> place * self.shape.value_bits
                sign = 1 << self.shape.value_bits - 1
                found[used == number, place] = (value & 2 * sign - 1 ^ sign) - sign
        found[:, 0] += raws
        return (found.ravel() + 128) % 256 - 128


@dataclass(frozen=True)
class Huffman:
    """Automaton of a prefix code with zero runs; it gives indices."""

    shape: object
    places = GROUP

    @property
    def symbol_bits(self):
        """Width of a symbol."""
        return self.shape.symbol_bits

    def component(self):
        return PrefixDecoder(self.shape)

    @staticmethod
    def symbols(layers):
        """Return what stands for weights, layer by layer: their indices in one codebook."""
        values = np.unique(flatten(layers))
        others = values[values != 0]
        # Runs stand for index 0.
        index = np.zeros(256, np.int64)
        index[others.view(np.uint8)] = np.arange(1, len(others) + 1)
        return [index[layer.view(np.uint8)] for layer in layers]

    def sample(self, symbols, table=None):
        """Return ``symbols`` of all layers, coded."""
        symbols = flatten(symbols)
        table = table or HuffmanCodec(self.shape).fit([symbols])
        section = pack_code(table)
        coded = HuffmanCodec(self.shape).encode(symbols, table)
        return Sample(symbols, 8 * (len(section) + len(coded)), words_of(coded, 4),
                      tables={"code": code_words(section)}, constants={"run": 1})


@dataclass(frozen=True)
class Raw:
    """Symbols of fixed width, which the code says."""

    symbol_bits = 8
    places = GROUP

    def component(self):
        return RawDecoder(None)

    @staticmethod
    def symbols(layers):
        """Return what stands for weights, layer by layer: themselves, modulo 256."""
        return [layer.view(np.uint8) for layer in layers]

    def sample(self, symbols, table=None):
        """Return ``symbols`` of all layers, coded."""
        symbols = flatten(symbols).astype(np.int64)
        codec = RawCodec(RAW_WIDTHS)
        table = table or codec.fit([symbols])
        section = pack_code(table)
        coded = codec.encode(symbols, table)
        return Sample(symbols, 8 * (len(section) + len(coded)), words_of(coded, 4),
                      tables={"code": code_words(section)}, constants={"run": 1})


@dataclass(frozen=True)
class Rice:
    """Golomb-Rice codes; it gives weights."""

    symbol_bits = 8
    places = 1
    codec = RiceCodec()
    code = RiceCode()

    def component(self):
        return RiceCore()

    @staticmethod
    def symbols(layers):
        """Return what stands for weights, layer by layer: their places in 0, -1, 1, -2, ..."""
        return [zigzag_symbols(layer) for layer in layers]

    def sample(self, symbols, table=None):
        """Return ``symbols`` of all layers, coded; weights come out if there is no codebook."""
        symbols = flatten(symbols).astype(np.int64)
        table = table or self.code
        coded = self.codec.encode(symbols, table)
        direct = not table.entries
        return Sample(symbols >> 1 ^ -(symbols & 1) if direct else symbols,
                      8 * (len(pack_code(table)) + len(coded)), words_of(coded, 4),
                      constants={"direct": int(direct)})


@dataclass(frozen=True)
class RunLength(Rice):
    """Runs of zeros and values; it gives weights."""

    codec = RunLengthCodec()
    code = RunLengthCode()

    def component(self):
        return RunLengthCore()


def flatten(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Return the values of all ``layers``, one after the other."""
    return np.concatenate([layer.ravel() for layer in layers])


def words_of(data, size):
    """Return words of ``size`` bytes, the last one filled with zeros."""
    data += bytes(-len(data) % size)
    return [int.from_bytes(data[start:start + size], "little")
            for start in range(0, len(data), size)]


def code_words(section):
    """Return words of section CODE, with their mark of the last one."""
    words = words_of(section, 4)
    return [word | (number == len(words) - 1) << 32 for number, word in enumerate(words)]
