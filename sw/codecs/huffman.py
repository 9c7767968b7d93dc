"""Canonical Huffman codes with bounded lengths and zero runs, for the automaton decoder."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..format.sections import FormatError, pack_code
from ..format.tables import GROUP, MAX_CODE_LENGTH, MAX_RUNS, AutomatonShape, PrefixTable


__all__ = ["HuffmanCodec", "Trace", "chunks", "code_lengths"]


#: Lengths of zero runs among which `HuffmanCodec.fit` chooses.
RUN_LENGTHS = (*range(2, 17), 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 255)


@dataclass(frozen=True)
class Trace:
    """When an automaton finishes what it decodes.

    Parameters
    ----------
    weights : array of int64
        Weights up to and including each group, padding included.
    finish : array of int64
        The turn in which each group's last bit is taken. Turn 0 is the first.
    """

    weights: NDArray[np.int64]
    finish: NDArray[np.int64]


class HuffmanCodec:
    """Writes symbols with an optimal prefix code, in the interleaved substreams of an automaton.

    Runs of symbol 0 become run symbols, the longest that fits first. ``docs/format.md`` specifies
    the coded data.

    Parameters
    ----------
    shape : AutomatonShape
        The automaton that decodes them. It bounds the alphabet and the code lengths.
    """

    def __init__(self, shape: AutomatonShape) -> None:
        self.shape = shape

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> PrefixTable:
        """Return a table of an optimal code, with up to three zero runs where they save bits.

        Runs are added one by one, as long as one shortens the coded data; the choice among
        ``RUN_LENGTHS`` is by total length.

        Raises
        ------
        ValueError
            If a symbol is negative or beyond the automaton's alphabet.
        """
        symbols = np.concatenate([np.zeros(0, np.int64), *(layer.ravel() for layer in layers)])
        counts = np.bincount(symbols, minlength=1) if symbols.size else np.ones(1, np.int64)
        literals = len(counts)
        if literals > self.shape.symbols:
            raise ValueError(f"An automaton of {self.shape.symbols} symbols can't decode "
                             f"{literals}: quantise to fewer bits or use the raw codec")
        gaps, repeats = np.unique(zero_gaps(symbols), return_counts=True)

        def build(runs: tuple[int, ...]) -> tuple[int, PrefixTable]:
            first_run = max(literals, (1 << self.shape.min_code_length) - len(runs))
            frequencies = np.zeros(self.shape.symbols, np.int64)
            frequencies[:literals] = counts
            pieces = split_gaps(gaps, runs)
            frequencies[first_run:first_run + len(runs)] = repeats @ pieces[:, :-1]
            frequencies[0] = repeats @ pieces[:, -1]
            lengths = code_lengths(frequencies[:first_run + len(runs)].tolist(),
                                   self.shape.min_code_length, MAX_CODE_LENGTH)
            lengths += (0,) * (self.shape.symbols - len(lengths))
            return int(frequencies @ lengths), PrefixTable(self.shape, lengths, runs, first_run)

        best, table = build(())
        for _ in range(min(MAX_RUNS, self.shape.symbols - literals)):
            trials = [build(tuple(sorted((*table.runs, run))))
                      for run in RUN_LENGTHS if run not in table.runs and run <= gaps.max()]
            bits, longer = min(trials, key=lambda trial: trial[0], default=(best, table))
            if bits >= best:
                break
            best, table = bits, longer
        return table

    def encode(self, symbols: NDArray[np.integer], table: PrefixTable) -> bytes:
        """Return coded data, whole words of 32 bits.

        Raises
        ------
        ValueError
            If a symbol has no codeword.
        """
        return pack(fill_group(split_runs(symbols, table), table), table)

    def codeword_bits(self, symbols: NDArray[np.integer], table: PrefixTable) -> int:
        """Return the bits of the codewords of ``symbols``, without padding."""
        return int(np.array(table.lengths)[split_runs(symbols, table)].sum())

    def trace(self, symbols: NDArray[np.integer], table: PrefixTable) -> Trace:
        """Return when the automaton finishes each group of ``symbols``."""
        sequence = fill_group(split_runs(symbols, table), table)
        places = Places(np.array(table.lengths)[sequence], table.shape)
        weights = np.cumsum(weights_of(sequence, table).reshape(-1, GROUP).sum(axis=1))
        last_bits = places.starts + places.sizes - 1
        shape = table.shape
        return Trace(weights, last_bits // shape.step_bits * shape.substreams + places.substreams)

    def decode(self, coded: bytes, table: PrefixTable, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds.

        Raises
        ------
        FormatError
            If it holds fewer or more, a run crosses the end, or padding isn't zero.
        """
        sequence = unpack(coded, table)
        sizes = weights_of(sequence, table)
        total = np.concatenate([[0], np.cumsum(sizes)])
        end = int(np.searchsorted(total, count))
        if end == len(total):
            raise FormatError(f"coded data: they end after {total[-1]} of {count} weights")
        if total[end] != count:
            raise FormatError(f"coded data: a run reaches {total[end] - count} weights too far")
        if pack(fill_group(sequence[:end], table), table) != coded:
            raise FormatError("coded data: they must end with the last weight, padded with zeros")
        literals = np.where(sequence < table.first_run, sequence, 0)
        return np.repeat(literals[:end], sizes[:end])

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""
        table = self.fit(layers)
        symbols = np.concatenate([layer.ravel() for layer in layers])
        return 8 * (len(pack_code(table)) + len(self.encode(symbols, table)))


class Places:
    """Where the groups of coded data lie.

    Parameters
    ----------
    lengths : array of int64
        Code length of each symbol, in whole groups.
    shape : AutomatonShape
        Substreams and their pieces.

    Attributes
    ----------
    sizes, substreams, starts : array of int64
        Bits of each group, its substream, and its first bit therein.
    words : int
        Words of 32 bits that all groups take.
    """

    def __init__(self, lengths: NDArray[np.int64], shape: AutomatonShape) -> None:
        self.shape = shape
        self.sizes = lengths.reshape(-1, GROUP).sum(axis=1)
        # A substream that holds n bits runs short in its turn n // step_bits. Whoever runs short
        # first takes the next group.
        held = [0] * shape.substreams
        short = list(range(shape.substreams))
        substreams, starts = [], []
        for size in self.sizes.tolist():
            substream = short[0] % shape.substreams
            substreams.append(substream)
            starts.append(held[substream])
            held[substream] += size
            heapq.heapreplace(short, held[substream] // shape.step_bits * shape.substreams
                              + substream)
        self.substreams = np.array(substreams, np.int64)
        self.starts = np.array(starts, np.int64)
        rounds = -(-max(held) // shape.step_bits)
        self.words = -(-rounds * shape.substreams * shape.step_bits // 32)

    def positions(self, groups: NDArray[np.int64], bits: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where in the coded data the given bits of the given groups lie."""
        rounds, rest = np.divmod(self.starts[groups] + bits, self.shape.step_bits)
        turns = rounds * self.shape.substreams + self.substreams[groups]
        return turns * self.shape.step_bits + rest


def pack(sequence: NDArray[np.int64], table: PrefixTable) -> bytes:
    """Return the coded data of ``sequence``: whole groups of symbols, runs among them."""
    lengths = np.array(table.lengths)[sequence]
    codewords = np.array(table.codewords)[sequence]
    if not lengths.all():
        raise ValueError(f"Symbol {sequence[lengths == 0][0]} has no codeword")
    places = Places(lengths, table.shape)
    before = (np.cumsum(lengths.reshape(-1, GROUP), axis=1) - lengths.reshape(-1, GROUP)).ravel()
    bits = np.zeros(places.words * 32, np.uint8)
    for bit in range(int(lengths.max(initial=0))):
        having, = np.nonzero(lengths > bit)
        bits[places.positions(having // GROUP, before[having] + bit)] = (
            codewords[having] >> (lengths[having] - 1 - bit) & 1)
    return np.packbits(bits, bitorder="little").tobytes()


def unpack(coded: bytes, table: PrefixTable) -> NDArray[np.int64]:
    """Return the symbols of all groups that end within ``coded``, in order."""
    shape = table.shape
    bits = np.unpackbits(np.frombuffer(coded, np.uint8), bitorder="little")
    rounds = len(bits) // (shape.substreams * shape.step_bits)
    pieces = bits[:rounds * shape.substreams * shape.step_bits].reshape(
        rounds, shape.substreams, shape.step_bits)
    groups: list[tuple[int, list[int]]] = []
    for substream in range(shape.substreams):
        symbols, starts = split_codewords(pieces[:, substream].ravel(), table)
        groups += ((start // shape.step_bits * shape.substreams + substream,
                    symbols[first:first + GROUP])
                   for first, start in enumerate(starts) if first % GROUP == 0)
    ordered = sorted(group for group in groups if len(group[1]) == GROUP)
    return np.array([symbols for _, symbols in ordered], np.int64).ravel()


def split_codewords(bits: NDArray[np.uint8], table: PrefixTable) -> tuple[list[int], list[int]]:
    """Return the symbols of one substream and where each begins; the last one is whole."""
    symbols = np.zeros(1 << MAX_CODE_LENGTH, np.int64)
    for symbol, (length, codeword) in enumerate(zip(table.lengths, table.codewords, strict=True)):
        if length:
            spare = MAX_CODE_LENGTH - length
            symbols[codeword << spare:(codeword + 1) << spare] = symbol
    padded = np.concatenate([bits, np.zeros(MAX_CODE_LENGTH, np.uint8)]).astype(np.int64)
    windows = sum(padded[bit:bit + len(bits)] << (MAX_CODE_LENGTH - 1 - bit)
                  for bit in range(MAX_CODE_LENGTH))
    symbol_at = symbols[windows]
    end_at = (np.arange(len(bits)) + np.array(table.lengths)[symbol_at]).tolist()

    starts = []
    start = 0
    while start < len(bits) and end_at[start] <= len(bits):
        starts.append(start)
        start = end_at[start]
    return symbol_at[starts].tolist(), starts


def fill_group(sequence: NDArray[np.int64], table: PrefixTable) -> NDArray[np.int64]:
    """Return ``sequence``, padded to whole groups."""
    padding = next(symbol for symbol, length in enumerate(table.lengths) if length)
    return np.pad(sequence, (0, -len(sequence) % GROUP), constant_values=padding)


def weights_of(sequence: NDArray[np.int64], table: PrefixTable) -> NDArray[np.int64]:
    """Return how many weights each symbol of ``sequence`` stands for."""
    sizes = np.ones(table.shape.symbols, np.int64)
    sizes[table.first_run:table.first_run + len(table.runs)] = table.runs
    return sizes[sequence]


def chunks(symbols: NDArray[np.integer], table: PrefixTable
           ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the weights of each chunk that groups are taken apart into, and its group.

    A chunk is up to ``GROUP`` literals of one group that follow one another, or as many zeros of a
    run: what a decoder expands in a cycle.
    """
    sizes = weights_of(split_runs(symbols, table), table).tolist()
    counts: list[int] = []
    groups: list[int] = []
    for start in range(0, len(sizes), GROUP):
        literals = 0
        for size in sizes[start:start + GROUP]:
            if size == 1:
                literals += 1
                continue
            whole, rest = divmod(size, GROUP)
            parts = [literals] * (literals > 0) + [GROUP] * whole + [rest] * (rest > 0)
            counts += parts
            groups += [start // GROUP] * len(parts)
            literals = 0
        if literals:
            counts.append(literals)
            groups.append(start // GROUP)
    return np.array(counts, np.int64), np.array(groups, np.int64)


def zero_gaps(symbols: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the zeros before each symbol that isn't 0, and at last those after the last one."""
    others, = np.nonzero(symbols)
    return np.diff(others, prepend=-1, append=len(symbols)) - 1


def split_gaps(gaps: NDArray[np.int64], runs: tuple[int, ...]) -> NDArray[np.int64]:
    """Return how often each of ``runs`` goes into each gap, the longest first, and what is left."""
    pieces = np.zeros((len(gaps), len(runs) + 1), np.int64)
    for number, run in sorted(enumerate(runs), key=lambda item: -item[1]):
        pieces[:, number], gaps = np.divmod(gaps, run)
    pieces[:, -1] = gaps
    return pieces


def split_runs(symbols: NDArray[np.integer], table: PrefixTable) -> NDArray[np.int64]:
    """Return ``symbols`` with run symbols in them."""
    gaps = zero_gaps(symbols)
    order = sorted(range(len(table.runs)), key=lambda number: -table.runs[number])
    pieces = split_gaps(gaps, table.runs)[:, [*order, -1]]
    zeros = [table.first_run + number for number in order] + [0]
    others = np.append(symbols[symbols != 0], 0)
    once = np.arange(len(gaps)) < len(gaps) - 1
    tokens = np.column_stack([np.tile(zeros, (len(gaps), 1)), others])
    return np.repeat(tokens.ravel(), np.column_stack([pieces, once]).ravel())


def code_lengths(frequencies: Sequence[int], least: int, most: int) -> tuple[int, ...]:
    """Return the lengths of an optimal prefix code of ``least`` to ``most`` bits.

    Package-merge (Larmore and Hirschberg 1990), on the forest that hangs at depth ``least`` of the
    code tree. A symbol of frequency 0 gets no codeword, save the first of them where fewer than
    ``2 ** least`` others occur. Of equally frequent symbols the higher one gets no shorter
    codeword; of equally heavy packages single symbols go first.

    Raises
    ------
    ValueError
        If there are too many symbols, or too few, for such a code.
    """
    roots = 1 << least
    used = [symbol for symbol, frequency in enumerate(frequencies) if frequency]
    used += [symbol for symbol, frequency in enumerate(frequencies) if not frequency][
        :max(0, roots - len(used))]
    if not roots <= len(used) <= 1 << most:
        raise ValueError(f"Code of {least} to {most} bits must have {roots} to {1 << most} "
                         f"symbols, not {len(used)}")
    coins = [(frequencies[symbol], (symbol,))
             for symbol in sorted(used, key=lambda symbol: (frequencies[symbol], -symbol))]
    packages: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(most - least):
        row = sorted([*coins, *packages], key=lambda package: package[0])
        packages = [(one[0] + two[0], one[1] + two[1])
                    for one, two in zip(row[::2], row[1::2], strict=False)]
    lengths = [0] * len(frequencies)
    for symbol in used:
        lengths[symbol] = least
    for _, symbols in packages[:len(used) - roots]:
        for symbol in symbols:
            lengths[symbol] += 1
    return tuple(lengths)
