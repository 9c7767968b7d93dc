"""Substreams of an automaton: where in coded data the groups of symbols lie."""

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.tables import GROUP, PrefixTable


__all__ = ["Places", "pack", "unpack"]


#: Symbols in the order of the weights, runs among them.
Sequence = NDArray[np.uint8]


class Places:
    """Where the groups of coded data lie.

    Parameters
    ----------
    sequence : array of uint8
        Symbols, in whole groups. Each must have a codeword.
    table : PrefixTable
        Their code, and the automaton with its substreams.

    Attributes
    ----------
    sizes, substreams, starts : array of int64
        Bits of each group, its substream, and its first bit therein.
    words : int
        Words of 32 bits that all groups take.
    """

    def __init__(self, sequence: Sequence, table: PrefixTable) -> None:
        shape = table.shape
        self.sizes, self.substreams, self.starts, rounds = assign_groups(
            sequence, np.array(table.lengths), shape.substreams, shape.step_bits)
        self.words = -(-rounds * shape.substreams * shape.step_bits // 32)


def pack(sequence: Sequence, table: PrefixTable) -> bytes:
    """Return the coded data of ``sequence``: whole groups of symbols, runs among them.

    Raises
    ------
    ValueError
        If a symbol has no codeword.
    """
    missing = sequence[np.equal(table.lengths, 0)[sequence]]
    if missing.size:
        raise ValueError(f"Symbol {missing[0]} has no codeword")
    places = Places(sequence, table)
    coded = np.zeros(places.words * 4, np.uint8)
    write_groups(sequence, np.array(table.lengths), np.array(table.codewords), places.substreams,
                 places.starts, table.shape.substreams, table.shape.step_bits, coded)
    return coded.tobytes()


def unpack(coded: bytes, table: PrefixTable) -> Sequence:
    """Return the symbols of all groups that end within ``coded``, in order.

    The automaton runs turn by turn, as in gateware.
    """
    shape = table.shape
    rounds = len(coded) * 8 // (shape.substreams * shape.step_bits)
    turns = rounds * shape.substreams
    most = turns * shape.step_bits // (GROUP * shape.min_code_length) + shape.substreams
    groups = np.zeros((most, GROUP), np.uint8)
    held = np.zeros(most, np.uint8)
    # A piece may end in the byte after the one in which it begins.
    read_groups(np.frombuffer(coded + bytes(1), np.uint8), np.array(table.rows), turns,
                shape.substreams, shape.step_bits, shape.symbol_bits, shape.row_symbols, groups,
                held)
    whole: Sequence = groups[held == GROUP].ravel()
    return whole


@compiled
def assign_groups(sequence: Sequence, lengths: NDArray[np.int64], substreams: int, step_bits: int
                  ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """Return each group's bits, its substream and first bit therein, and the rounds of all."""
    count = len(sequence) // GROUP
    sizes = np.zeros(count, np.int64)
    owners = np.zeros(count, np.int64)
    starts = np.zeros(count, np.int64)
    # A substream that holds n bits runs short in its turn n // step_bits. Whoever runs short
    # first takes the next group.
    held = np.zeros(substreams, np.int64)
    short = np.arange(substreams)
    for group in range(count):
        for place in range(group * GROUP, (group + 1) * GROUP):
            sizes[group] += lengths[sequence[place]]
        owner = short.argmin()
        owners[group] = owner
        starts[group] = held[owner]
        held[owner] += sizes[group]
        short[owner] = held[owner] // step_bits * substreams + owner
    return sizes, owners, starts, -(-held.max() // step_bits)


@compiled
def write_groups(sequence: Sequence, lengths: NDArray[np.int64], codewords: NDArray[np.int64],
                 owners: NDArray[np.int64], starts: NDArray[np.int64], substreams: int,
                 step_bits: int, coded: NDArray[np.uint8]) -> None:
    """Write the codewords of each group where it lies, into zeros."""
    others = (substreams - 1) * step_bits
    for group in range(len(starts)):
        rounds, rest = divmod(starts[group], step_bits)
        position = (rounds * substreams + owners[group]) * step_bits + rest
        for place in range(group * GROUP, (group + 1) * GROUP):
            symbol = sequence[place]
            for bit in range(lengths[symbol] - 1, -1, -1):
                coded[position >> 3] |= (codewords[symbol] >> bit & 1) << (position & 7)
                position += 1
                rest += 1
                if rest == step_bits:
                    rest = 0
                    position += others


@compiled
def read_groups(coded: NDArray[np.uint8], rows: NDArray[np.int64], turns: int, substreams: int,
                step_bits: int, symbol_bits: int, row_symbols: int, groups: NDArray[np.uint8],
                held: NDArray[np.uint8]) -> None:
    """Run the automaton; write each group's symbols, in the order in which groups begin.

    ``held`` tells how many symbols of each group were found.
    """
    states = np.zeros(substreams, np.int64)
    current = np.full(substreams, -1)
    begun = 0
    for turn in range(turns):
        substream = turn % substreams
        bit = turn * step_bits
        pair = np.int64(coded[bit >> 3]) | np.int64(coded[(bit >> 3) + 1]) << 8
        piece = pair >> (bit & 7) & ((1 << step_bits) - 1)
        row = rows[states[substream] << step_bits | piece]
        count = row >> row_symbols * symbol_bits & 3
        states[substream] = row >> row_symbols * symbol_bits + 2
        # The group that a turn's first bit belongs to begins there, or is the one in progress; at
        # most one begins in a turn.
        if current[substream] < 0:
            current[substream] = begun
            begun += 1
        for _ in range(count):
            group = current[substream]
            if group < 0:
                group = current[substream] = begun
                begun += 1
            groups[group, held[group]] = row & ((1 << symbol_bits) - 1)
            row >>= symbol_bits
            held[group] += 1
            if held[group] == GROUP:
                current[substream] = -1
        if current[substream] < 0 and states[substream]:
            current[substream] = begun
            begun += 1
