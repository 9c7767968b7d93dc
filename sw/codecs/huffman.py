"""Canonical Huffman codes with bounded lengths and zero runs, for the automaton decoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.sections import FormatError, pack_code
from ..format.tables import GROUP, MAX_CODE_LENGTH, MAX_RUNS, AutomatonShape, PrefixTable
from .substreams import Places, pack, unpack


__all__ = ["HuffmanCodec", "Trace", "chunks", "code_lengths", "count_gaps"]


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
        table, _ = self.fit_counts(counts, count_gaps(symbols))
        return table

    def fit_counts(self, counts: NDArray[np.int64], gaps: NDArray[np.int64]
                   ) -> tuple[PrefixTable, int]:
        """Return the table of `fit`, and the bits of all codewords.

        Parameters
        ----------
        counts : array of int64
            How often each symbol occurs, up to the greatest that does.
        gaps : array of int64
            How many gaps of each length there are, as `count_gaps` says.

        Raises
        ------
        ValueError
            If a symbol is beyond the automaton's alphabet.
        """
        literals = len(counts)
        if literals > self.shape.symbols:
            raise ValueError(f"An automaton of {self.shape.symbols} symbols can't decode "
                             f"{literals}: quantise to fewer bits or use the raw codec")
        repeats = gaps[gaps > 0]
        gaps, = np.nonzero(gaps)

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
        return table, best

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
        counts = np.bincount(split_runs(symbols, table), minlength=table.shape.symbols)
        return int(counts @ table.lengths)

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: PrefixTable) -> list[int]:
        """Return the bits of each layer's codewords, without padding."""
        return [self.codeword_bits(layer.ravel(), table) for layer in layers]

    def trace(self, symbols: NDArray[np.integer], table: PrefixTable) -> Trace:
        """Return when the automaton finishes each group of ``symbols``."""
        sequence = fill_group(split_runs(symbols, table), table)
        places = Places(sequence, table)
        weights = np.cumsum(sizes_of(table)[sequence].reshape(-1, GROUP).sum(axis=1))
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
        symbols = np.zeros(count, np.int64)
        end, total = read_runs(sequence, sizes_of(table), symbols)
        if total < count:
            raise FormatError(f"coded data: they end after {total} of {count} weights")
        if total > count:
            raise FormatError(f"coded data: a run reaches {total - count} weights too far")
        if pack(fill_group(sequence[:end], table), table) != coded:
            raise FormatError("coded data: they must end with the last weight, padded with zeros")
        return symbols

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""
        table = self.fit(layers)
        symbols = np.concatenate([layer.ravel() for layer in layers])
        places = Places(fill_group(split_runs(symbols, table), table), table)
        return 8 * len(pack_code(table)) + 32 * places.words

    def limits(self, counts: NDArray[np.int64], gaps: NDArray[np.int64]) -> tuple[int, int]:
        """Return the least and the most that `bits` may be, given what `fit_counts` takes."""
        table, codewords = self.fit_counts(counts, gaps)
        least = 8 * len(pack_code(table)) + codewords
        # Whoever gets a group holds less than a piece more than any other. So no substream is
        # longer than the average by more than a group and a piece, and it ends in the next piece.
        uneven = self.shape.substreams * (GROUP * MAX_CODE_LENGTH + 2 * self.shape.step_bits)
        padding = (GROUP - 1) * MAX_CODE_LENGTH + 31
        return least, least + uneven + padding


def fill_group(sequence: NDArray[np.uint8], table: PrefixTable) -> NDArray[np.uint8]:
    """Return ``sequence``, padded to whole groups."""
    padding = next(symbol for symbol, length in enumerate(table.lengths) if length)
    return np.pad(sequence, (0, -len(sequence) % GROUP), constant_values=padding)


def sizes_of(table: PrefixTable) -> NDArray[np.int64]:
    """Return how many weights each symbol of the alphabet stands for."""
    sizes = np.ones(table.shape.symbols, np.int64)
    sizes[table.first_run:table.first_run + len(table.runs)] = table.runs
    return sizes


def chunks(symbols: NDArray[np.integer], table: PrefixTable
           ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the weights of each chunk that groups are taken apart into, and its group.

    A chunk is up to ``GROUP`` literals of one group that follow one another, or as many zeros of a
    run: what a decoder expands in a cycle.
    """
    sizes = sizes_of(table)[split_runs(symbols, table)].tolist()
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


def split_gaps(gaps: NDArray[np.int64], runs: tuple[int, ...]) -> NDArray[np.int64]:
    """Return how often each of ``runs`` goes into each gap, the longest first, and what is left."""
    pieces = np.zeros((len(gaps), len(runs) + 1), np.int64)
    for number, run in sorted(enumerate(runs), key=lambda item: -item[1]):
        pieces[:, number], gaps = np.divmod(gaps, run)
    pieces[:, -1] = gaps
    return pieces


def split_runs(symbols: NDArray[np.integer], table: PrefixTable) -> NDArray[np.uint8]:
    """Return ``symbols`` with run symbols in them.

    Raises
    ------
    ValueError
        If a symbol has no codeword.
    """
    literals = range(table.first_run)
    for symbol in (symbols.min(initial=0), symbols.max(initial=0)):
        if symbol not in literals:
            raise ValueError(f"Symbol {symbol} has no codeword")
    longest_first = sorted(zip(table.runs, range(table.first_run, table.shape.symbols),
                               strict=False), reverse=True)
    sizes, zeros = zip(*longest_first, (1, 0), strict=True)
    return write_runs(symbols, np.array(zeros), np.array(sizes))


@compiled
def count_gaps(symbols: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how many gaps of each length there are, empty ones too.

    A gap is the zeros before a symbol that isn't one, or before the end.
    """
    longest = gap = 0
    # Without branches, which would be mispredicted.
    for symbol in symbols:
        gap = (gap + 1) * (symbol == 0)
        longest = max(longest, gap)
    counts = np.zeros(longest + 1, np.int64)
    gap = 0
    for symbol in symbols:
        counts[gap] += symbol != 0
        gap = (gap + 1) * (symbol == 0)
    counts[gap] += 1
    return counts


@compiled
def write_runs(symbols: NDArray[np.integer], zeros: NDArray[np.int64], sizes: NDArray[np.int64]
               ) -> NDArray[np.uint8]:
    """Return ``symbols`` with each gap cut into ``zeros``, which stand for ``sizes`` of them.

    Those come longest first, the last stands for one.
    """
    sequence = np.empty(len(symbols), np.uint8)
    written = gap = 0
    for place in range(len(symbols) + 1):
        if place < len(symbols) and symbols[place] == 0:
            gap += 1
            continue
        for number in range(len(zeros)):
            while gap >= sizes[number]:
                gap -= sizes[number]
                sequence[written] = zeros[number]
                written += 1
        if place < len(symbols):
            sequence[written] = symbols[place]
            written += 1
    return sequence[:written]


@compiled
def read_runs(sequence: NDArray[np.uint8], sizes: NDArray[np.int64], symbols: NDArray[np.int64]
              ) -> tuple[int, int]:
    """Write what ``sequence`` stands for into the zeros of ``symbols``, until they are full.

    Returns
    -------
    read : int
        Symbols of the sequence that were needed, or all.
    total : int
        Weights that these stand for. It exceeds the number of ``symbols`` if a run does.
    """
    total = 0
    for place in range(len(sequence)):
        if total >= len(symbols):
            return place, total
        if sizes[sequence[place]] == 1:
            symbols[total] = sequence[place]
        total += sizes[sequence[place]]
    return len(sequence), total


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
    used.sort(key=lambda symbol: (frequencies[symbol], -symbol))
    coins = np.array([frequencies[symbol] for symbol in used], np.int64)
    merges = package_merge(coins, most - least, len(used) - roots)
    lengths = [0] * len(frequencies)
    for symbol, merged in zip(used, merges.tolist(), strict=True):
        lengths[symbol] = least + merged
    return tuple(lengths)


@compiled
def package_merge(coins: NDArray[np.int64], levels: int, wanted: int) -> NDArray[np.int64]:
    """Return how often each of ``coins``, which are sorted, is in the lightest packages.

    In each level the coins and the packages of the level before are sorted and paired to packages.
    The ``wanted`` lightest ones of the last level count.
    """
    packages = coins[:0]
    single = np.zeros((levels, 2 * len(coins)), np.bool_)
    for level in range(levels):
        row = np.empty(len(coins) + len(packages), np.int64)
        coin = 0
        for place in range(len(row)):
            package = place - coin
            single[level, place] = package == len(packages) or (
                coin < len(coins) and coins[coin] <= packages[package])
            row[place] = coins[coin] if single[level, place] else packages[package]
            coin += single[level, place]
        packages = row[:len(row) - 1:2] + row[1::2]
    # What is lightest in a level is lightest among its coins, and among the packages before.
    merges = np.zeros(len(coins), np.int64)
    for level in range(levels - 1, -1, -1):
        chosen = 2 * wanted
        singles = single[level, :chosen].sum()
        merges[:singles] += 1
        wanted = chosen - singles
    return merges
