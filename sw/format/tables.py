"""Code tables and codebooks, and the shapes of the decoders that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


__all__ = ["BLOCK", "CODEBOOK_ENTRIES", "ESCAPE_BITS", "ESCAPE_ONES", "GROUP", "MAX_CODE_LENGTH",
           "MAX_ENTRIES", "MAX_EXACT", "MAX_RUNS", "MAX_RUN_BITS", "MAX_SYMBOLS", "MAX_TABLES",
           "MAX_VALUE_BITS", "RAW_ENTRIES", "RAW_WIDTHS", "RICE_PARAMETERS",
           "UNSCHEDULED_RAW_WIDTHS", "WIDE_RAW_BITS", "AutomatonShape", "CodeTable", "LayerCode",
           "PlainCode", "PrefixTable", "RawShape", "RawTable", "RiceCode", "RiceShape",
           "RunLengthCode", "RunLengthShape", "TansCode", "TansShape", "TansTable", "spread"]


#: Symbols in a group, the unit in which substreams take symbols and decoders deliver them.
GROUP = 4

#: Longest codeword, in bits. It bounds by how much one substream may lag behind the others.
MAX_CODE_LENGTH = 12

#: Zero-run symbols that a code table may have.
MAX_RUNS = 3

#: Bits that raw symbols may have. The widest are weights; the others, indices.
RAW_WIDTHS = (1, 2, 4, 8)

#: Bits that they may have in an image that no gateware reads.
UNSCHEDULED_RAW_WIDTHS = (1, 2, 3, 4, 5, 6, 8)

#: Bits that they may have in weights alone, besides.
WIDE_RAW_BITS = 16

#: Entries of a codebook for raw symbols; of more than 4 bits, as many as there are.
RAW_ENTRIES = 16

#: Symbols that a tANS table may have: 7 bits of a row.
MAX_SYMBOLS = 128

#: Values that may have symbols of their own in a tANS table.
MAX_EXACT = 7

#: Tables of a tANS code.
MAX_TABLES = 16

#: Entries of a codebook that gateware can hold for codes that say how many there are.
CODEBOOK_ENTRIES = 32

#: The most entries of a codebook, for symbols of 8 bits.
MAX_ENTRIES = 256

#: Parameters of a Golomb-Rice code: 0 to 7 low bits behind the quotient.
RICE_PARAMETERS = 8

#: Ones that say that a symbol of 8 bits follows, and bits of both, the longest codeword.
ESCAPE_ONES = 8
ESCAPE_BITS = 16

#: Symbols that have widths of their own in a run-length code.
BLOCK = 128

#: Bits that the runs and the values of a run-length code may have.
MAX_RUN_BITS = 7
MAX_VALUE_BITS = 8

#: Bits of a row of the automaton's table: the width of one block RAM port.
ROW_BITS = 18


@dataclass(frozen=True)
class RawShape:
    """Shape of a decoder of fixed-width symbols. It reads symbols of 1, 2, 4 or 8 bits."""

    name = "raw"


@dataclass(frozen=True)
class AutomatonShape:
    """Shape of an automaton, which decodes a prefix code a fixed number of bits at a time.

    A row of its table holds, from bit 0 up, ``row_symbols`` symbols in the order in which they
    were decoded (zero beyond their number), their number in ``count_bits`` bits, the next state.
    Row ``state << step_bits | piece`` says what a piece of ``step_bits`` bits does in a state; bit
    0 of a piece comes first. The states are the inner nodes of the code tree, 0 is its root.

    Parameters
    ----------
    symbol_bits : int
        Width of a symbol; the alphabet has up to ``2 ** symbol_bits`` symbols. 2 to 5.
    step_bits : int
        Bits that a substream takes in a step, the size of a piece. 2 to 8.
    substreams : int
        Independent sequences of symbols, taking turns. A power of two, 2 to 8.

    Raises
    ------
    ValueError
        If a parameter is out of range, no row of 18 bits can hold even one symbol, or the shortest
        codewords are too long for the alphabet.
    """

    name = "automaton"

    symbol_bits: int = 5
    step_bits: int = 4
    substreams: int = 4

    def __post_init__(self) -> None:
        if self.symbol_bits not in range(2, 6):
            raise ValueError(f"Symbols must have 2 to 5 bits, not {self.symbol_bits}")
        if self.step_bits not in range(2, 9):
            raise ValueError(f"A step must take 2 to 8 bits, not {self.step_bits}")
        if self.substreams not in (2, 4, 8):
            raise ValueError(f"Substreams must be 2, 4 or 8, not {self.substreams}")
        if self.row_symbols < 1:
            raise ValueError(f"No row of {ROW_BITS} bits can hold a symbol of {self!r}")
        if 1 << self.min_code_length > self.symbols:
            raise ValueError(f"A step must take fewer than {self.step_bits} bits, since a code of "
                             f"{self.symbols} symbols can't have {self.min_code_length} bits each")

    @property
    def symbols(self) -> int:
        """Size of the alphabet."""
        return 1 << self.symbol_bits

    @property
    def count_bits(self) -> int:
        """Width of a row's number of symbols."""
        return 2

    @property
    def state_bits(self) -> int:
        """Width of a state: a code of n symbols has n - 1 inner nodes."""
        return self.symbol_bits

    @property
    def address_bits(self) -> int:
        """Width of a row's address."""
        return self.state_bits + self.step_bits

    @property
    def row_symbols(self) -> int:
        """The most symbols that a row can hold."""
        room = (ROW_BITS - self.state_bits - self.count_bits) // self.symbol_bits
        return min(room, (1 << self.count_bits) - 1)

    @property
    def min_code_length(self) -> int:
        """The shortest codeword, such that no step finishes more symbols than a row holds."""
        length = 1
        while 1 + (self.step_bits - 1) // length > self.row_symbols:
            length += 1
        return length


@dataclass(frozen=True)
class RawTable:
    """Table of a raw code: each symbol is written with ``symbol_bits`` bits.

    Symbols of 8 and 16 bits are weights, in two's complement; others are indices into a codebook.
    Gateware reads ``RAW_WIDTHS`` alone; networks have no weights of 16 bits.

    Raises
    ------
    ValueError
        If the width isn't one of ``UNSCHEDULED_RAW_WIDTHS``, nor ``WIDE_RAW_BITS``.
    """

    symbol_bits: int

    def __post_init__(self) -> None:
        if self.symbol_bits not in (*UNSCHEDULED_RAW_WIDTHS, WIDE_RAW_BITS):
            raise ValueError(f"Raw symbols must have 1 to 6, 8 or 16 bits, not {self.symbol_bits}")

    @property
    def entries(self) -> int:
        """Entries of a codebook; 0 if there is none."""
        return 0 if self.symbol_bits >= 8 else max(RAW_ENTRIES, 1 << self.symbol_bits)


@dataclass(frozen=True)
class PrefixTable:
    """Table of a canonical prefix code for an automaton.

    Codewords are numbered in order of their length, equal lengths in order of their symbol; the
    first is all zeros (Schwartz and Kallick 1964, as in RFC 1951). The inner nodes of a tree
    level are numbered from left to right, level by level from the root, which is 0.

    Parameters
    ----------
    shape : AutomatonShape
        The automaton that decodes it.
    lengths : tuple of int
        Length of each symbol's codeword in bits, 0 for a symbol that doesn't occur. As many as
        the alphabet has symbols, each ``shape.min_code_length`` to ``MAX_CODE_LENGTH``.
    runs : tuple of int
        Numbers of zeros (each 2 to 255) that symbols ``first_run``, ``first_run + 1``, ... stand
        for. A zero is the weight of symbol 0.
    first_run : int
        The first symbol that stands for a run; those below it stand for one weight each.

    Raises
    ------
    ValueError
        If the lengths don't make a complete code, or anything is out of range.
    """

    shape: AutomatonShape
    lengths: tuple[int, ...]
    runs: tuple[int, ...] = ()
    first_run: int = 0

    def __post_init__(self) -> None:
        if len(self.lengths) != self.shape.symbols:
            raise ValueError(f"Code table must have {self.shape.symbols} code lengths, "
                             f"not {len(self.lengths)}")
        for symbol, length in enumerate(self.lengths):
            if length and not self.shape.min_code_length <= length <= MAX_CODE_LENGTH:
                raise ValueError(f"Code length of symbol {symbol} must be 0 or "
                                 f"{self.shape.min_code_length} to {MAX_CODE_LENGTH}, not {length}")
        total = sum(1 << (MAX_CODE_LENGTH - length) for length in self.lengths if length)
        if total != 1 << MAX_CODE_LENGTH:
            raise ValueError(f"Code lengths must fill the code tree, not "
                             f"{total / (1 << MAX_CODE_LENGTH):.4f} of it")
        if len(self.runs) > MAX_RUNS:
            raise ValueError(f"Code table must have at most {MAX_RUNS} runs, not {len(self.runs)}")
        if any(not 2 <= run <= 255 for run in self.runs):
            raise ValueError(f"Runs must be 2 to 255 zeros, not {self.runs}")
        if not 1 <= self.first_run <= self.shape.symbols - len(self.runs):
            raise ValueError(f"First run symbol must be 1 to "
                             f"{self.shape.symbols - len(self.runs)}, not {self.first_run}")
        for symbol in range(self.first_run + len(self.runs), self.shape.symbols):
            if self.lengths[symbol]:
                raise ValueError(f"Symbol {symbol} has a codeword but no meaning: the table ends "
                                 f"with symbol {self.first_run + len(self.runs) - 1}")

    @cached_property
    def codewords(self) -> tuple[int, ...]:
        """Codeword of each symbol, as a number whose highest bit comes first."""
        codewords = [0] * len(self.lengths)
        code = previous = 0
        for length, symbol in sorted((n, s) for s, n in enumerate(self.lengths) if n):
            code <<= length - previous
            codewords[symbol] = code
            code += 1
            previous = length
        return tuple(codewords)

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """The automaton's table, row by row; rows of states that don't exist are 0."""
        leaves = {(n, self.codewords[s]): s for s, n in enumerate(self.lengths) if n}
        states = {(0, 0): 0}
        level = [(0, 0)]
        while level:
            below = [(length + 1, code << 1 | bit) for length, code in level for bit in (0, 1)]
            level = [node for node in below if node not in leaves]
            for node in level:
                states[node] = len(states)

        shape = self.shape
        rows = [0] * (1 << shape.address_bits)
        for node, state in states.items():
            for piece in range(1 << shape.step_bits):
                length, code = node
                symbols = count = 0
                for position in range(shape.step_bits):
                    length, code = length + 1, code << 1 | (piece >> position & 1)
                    if (length, code) in leaves:
                        symbols |= leaves[length, code] << (count * shape.symbol_bits)
                        count += 1
                        length, code = 0, 0
                rows[state << shape.step_bits | piece] = (
                    symbols
                    | count << (shape.row_symbols * shape.symbol_bits)
                    | states[length, code] << (shape.row_symbols * shape.symbol_bits
                                               + shape.count_bits))
        return tuple(rows)


@dataclass(frozen=True)
class TansShape:
    """Shape of a tANS code: how many states its tables have, and how many run in turn.

    Parameters
    ----------
    table_bits : int
        A table has ``2 ** table_bits`` states: 8, for a block RAM of 256 rows, or 10.
    states : int
        Symbol t uses state ``t % states``. A power of two up to 128: a decoder needs one for each
        symbol that it looks up before the first of them has given its next state.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    name = "tans"

    table_bits: int = 10
    states: int = 8

    def __post_init__(self) -> None:
        if self.table_bits not in (8, 10):
            raise ValueError(f"Table must have 8 or 10 bits of state, not {self.table_bits}")
        if self.states not in (1, 2, 4, 8, 16, 32, 64, 128):
            raise ValueError(f"States must be 1, 2, 4, ..., 128, not {self.states}")


@dataclass(frozen=True)
class TansTable:
    """Table of a tANS code: which values its symbols stand for, and how often each is expected.

    Symbol b below ``buckets`` stands for the values ``first + (b << raw_bits)`` and up, which
    ``raw_bits`` raw bits tell apart; the symbols behind stand for the values in ``exact``. With
    ``tail_bits``, two more symbols stand for the ``2 ** tail_bits`` values below the buckets and as
    many above, modulo 256. With ``tuple_size`` m above 1 a symbol is m values in a row, the first
    one in its lowest digit to the base ``buckets``.

    Parameters
    ----------
    first : int
        Least value of a bucket, int8.
    raw_bits : int
        0 to 4; 0 in tables of tuples.
    tuple_size : int
        Values of a symbol, 1 to 4.
    buckets : int
        1 or more; at most ``MAX_SYMBOLS`` symbols in all.
    exact : tuple of int
        Values with symbols of their own, int8, at most 7; none in tables of tuples.
    tail_bits : int
        0 to 7; 0 in tables of tuples.
    counts : tuple of int
        States of each symbol, 0 for one that doesn't occur. Their sum is the table's size.

    Raises
    ------
    ValueError
        If anything is out of range.
    """

    first: int
    raw_bits: int
    tuple_size: int
    buckets: int
    exact: tuple[int, ...]
    tail_bits: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (0 <= self.raw_bits <= 4 and 0 <= self.tail_bits <= 7
                and 1 <= self.tuple_size <= 4):
            raise ValueError(f"Table must have 0 to 4 raw bits, 0 to 7 in its tails, and 1 to 4 "
                             f"values a symbol, not {self.raw_bits}, {self.tail_bits} and "
                             f"{self.tuple_size}")
        if self.tuple_size > 1 and (self.raw_bits or self.exact or self.tail_bits):
            raise ValueError("Tuples must have neither raw bits nor values of their own")
        if len(self.exact) > MAX_EXACT or len(set(self.exact)) < len(self.exact):
            raise ValueError(f"Table must have at most {MAX_EXACT} different exact values, "
                             f"not {self.exact}")
        symbols = len(self.raw_widths)
        if self.buckets < 1 or symbols > MAX_SYMBOLS:
            raise ValueError(f"Table must have 1 to {MAX_SYMBOLS} symbols, not {symbols}")
        if len(self.counts) != symbols or min(self.counts) < 0:
            raise ValueError(f"Table must have {symbols} counts, none negative, "
                             f"not {len(self.counts)}")
        if any(not -128 <= value <= 127 for value in (self.first, *self.exact)):
            raise ValueError(f"Values must be -128 to 127, not {self.first} and {self.exact}")
        if self.buckets << self.raw_bits > 256 + (1 << self.raw_bits):
            raise ValueError(f"Buckets must cover 256 values, not {self.buckets << self.raw_bits}")

    @property
    def raw_widths(self) -> tuple[int, ...]:
        """Raw bits behind each symbol."""
        buckets = min(int(self.buckets ** self.tuple_size), MAX_SYMBOLS + 1)
        return ((self.raw_bits,) * buckets + (0,) * len(self.exact)
                + (self.tail_bits,) * (2 * bool(self.tail_bits)))

    @property
    def meanings(self) -> tuple[int, ...]:
        """Value of each symbol, its raw bits being 0; not in tables of tuples."""
        tails = (self.first - (1 << self.tail_bits), self.first + (self.buckets << self.raw_bits))
        return (*range(self.first, tails[1], 1 << self.raw_bits), *self.exact,
                *tails[:2 * bool(self.tail_bits)])


    @cached_property
    def transitions(self) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]:
        """Symbol, bits to be read, and base of the next state, by state."""
        size = sum(self.counts)
        table_bits = size.bit_length() - 1
        symbols = spread(self.counts, table_bits)
        order = np.argsort(symbols, kind="stable")
        own = np.concatenate([np.arange(count, 2 * count) for count in self.counts])
        smaller = np.empty(size, np.int64)
        smaller[order] = own
        widths = table_bits - np.floor(np.log2(smaller)).astype(np.int64)
        bases = (smaller << widths) - size
        return symbols.astype(np.uint8), widths.astype(np.int32), bases.astype(np.int32)


@dataclass(frozen=True)
class LayerCode:
    """How the weights of a layer are coded.

    Parameters
    ----------
    filters, size : int
        Filters of the layer, and weights of each.
    delta : int
        Coded are the differences, modulo 256, to the value so many weights before; 0 for the values
        themselves.
    tables : tuple of int
        Number of the table of all filters, or of each.
    """

    filters: int
    size: int
    delta: int
    tables: tuple[int, ...]

    @property
    def ordered(self) -> bool:
        """Whether the filters lie in the order of their tables."""
        return list(self.tables) == sorted(self.tables)


@dataclass(frozen=True)
class TansCode:
    """Tables of a tANS code, and how each layer that has weights uses them.

    Parameters
    ----------
    entries : int
        Entries of each codebook, of which values are indices: a multiple of 4 up to 128. 0 where
        values are the weights themselves.

    Raises
    ------
    ValueError
        If counts don't fill a table, or a layer asks for a table that isn't there.
    """

    shape: TansShape
    tables: tuple[TansTable, ...]
    layers: tuple[LayerCode, ...]
    entries: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.tables) <= MAX_TABLES:
            raise ValueError(f"Code must have 1 to {MAX_TABLES} tables, not {len(self.tables)}")
        if not 0 <= self.entries <= 128 or self.entries % 4:
            raise ValueError(f"Codebooks must have a multiple of 4 entries, up to 128, "
                             f"not {self.entries}")
        for number, table in enumerate(self.tables):
            if sum(table.counts) != 1 << self.shape.table_bits:
                raise ValueError(f"Counts of table {number} must add up to "
                                 f"{1 << self.shape.table_bits}, not {sum(table.counts)}")
        for number, layer in enumerate(self.layers):
            if layer.delta and self.entries:
                raise ValueError(f"Layer {number} must have no delta, since indices have none")
            if not 0 <= layer.delta <= 255:
                raise ValueError(f"Delta of layer {number} must be 0 to 255, not {layer.delta}")
            if len(layer.tables) not in (1, layer.filters):
                raise ValueError(f"Layer {number} must have 1 or {layer.filters} tables, "
                                 f"not {len(layer.tables)}")
            if not all(0 <= table < len(self.tables) for table in layer.tables):
                raise ValueError(f"Tables of layer {number} must be 0 to {len(self.tables) - 1}")


@dataclass(frozen=True)
class RiceShape:
    """Shape of a decoder of Golomb-Rice codes. It needs no size."""

    name = "rice"


@dataclass(frozen=True)
class RunLengthShape:
    """Shape of a decoder of run-length codes. It needs no size."""

    name = "runlength"


@dataclass(frozen=True)
class PlainCode:
    """A code without a table, whose symbols are 0 to 255.

    They are indices into a codebook, or where there is none weights, of which 0, -1, 1, -2, ...
    have the symbols 0, 1, 2, 3, ...

    Parameters
    ----------
    entries : int
        Entries of each codebook: a multiple of 4 up to 256. 0 where there is none.

    Raises
    ------
    ValueError
        If there can't be so many.
    """

    entries: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.entries <= MAX_ENTRIES or self.entries % 4:
            raise ValueError(f"Codebooks must have a multiple of 4 entries, up to {MAX_ENTRIES}, "
                             f"not {self.entries}")


@dataclass(frozen=True)
class RiceCode(PlainCode):
    """A Golomb-Rice code. Its parameters are in the coded data."""


@dataclass(frozen=True)
class RunLengthCode(PlainCode):
    """A run-length code. The widths of its fields are in the coded data."""


CodeTable = RawTable | PrefixTable | TansCode | RiceCode | RunLengthCode


def spread(counts: Sequence[int], table_bits: int) -> NDArray[np.int64]:
    """Return the symbol of each state of a table.

    State after state takes the place ``5/8 * size + 3`` further on, modulo the size, beginning with
    place 0, symbol by symbol (Collet's spread in Finite State Entropy).
    """
    size = 1 << table_bits
    step = (size >> 1) + (size >> 3) + 3
    symbols = np.empty(size, np.int64)
    symbols[np.arange(size) * step % size] = np.repeat(np.arange(len(counts)), counts)
    return symbols
