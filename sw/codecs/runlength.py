"""Runs of zeros and values between them, in fields of fixed width, which each block chooses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.sections import FormatError, pack_code
from ..format.tables import BLOCK, MAX_RUN_BITS, MAX_VALUE_BITS, RunLengthCode
from .fields import check_symbols, joined, layer_totals, word_count, write_fields


__all__ = ["RunLengthCodec"]


#: Bits of what a block begins with: widths of values and of runs.
HEADER_BITS = 8
RUN_PLACE = 4

#: Ways in which coded data may be wrong.
ENDS_EARLY, TOO_WIDE, TOO_FAR, ILLEGAL = -1, -2, -3, -4


class RunLengthCodec:
    """Writes how many symbols 0 come next and then another symbol, or every symbol of a block.

    It is for sparse layers; blocks without many zeros take as many bits as their greatest symbol.
    ``docs/format.md`` specifies the coded data.
    """

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> RunLengthCode:
        """Return the code of symbols that are weights.

        Raises
        ------
        ValueError
            If a symbol isn't 0 to 255.
        """
        check_symbols(layers)
        return RunLengthCode()

    def encode(self, symbols: NDArray[np.integer], table: RunLengthCode) -> bytes:
        """Return coded data, whole words of 32 bits, with the widths that make them shortest.

        Of equally short blocks it is the one with the shortest runs.
        """
        return write_fields(*fields_of(symbols.astype(np.uint8)))

    def decode(self, coded: bytes, table: RunLengthCode, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds.

        Raises
        ------
        FormatError
            If it holds fewer or more, a run crosses a block's end, a width or a symbol is too
            large, or padding isn't zero.
        """
        words = np.frombuffer(coded, "<u4")
        # No block has less than a header: what claims more symbols than that gets no memory.
        status, place, rest, symbols = (
            unpack(words, count) if count <= 32 * len(words) * BLOCK // HEADER_BITS
            else (ENDS_EARLY, 0, 0, None))
        if status == ENDS_EARLY:
            raise FormatError(f"coded data: they end before the last of {count} weights")
        if status == TOO_WIDE:
            raise FormatError(f"coded data: the block of weight {place} must have runs of 0 to "
                              f"{MAX_RUN_BITS} bits and values of 0 to {MAX_VALUE_BITS}")
        if status == TOO_FAR:
            raise FormatError(f"coded data: the run before weight {place} must end with its block")
        if status == ILLEGAL:
            raise FormatError(f"coded data: weight {place} must have a symbol of 0 to 255")
        if status != len(words):
            raise FormatError(f"coded data: they must end after {status} words, not {len(words)}")
        if rest:
            raise FormatError("coded data: padding must be zero")
        return np.asarray(symbols, np.int64)

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: RunLengthCode) -> list[int]:
        """Return the bits of each layer's fields, without padding."""
        return layer_totals(fields_of(joined(layers))[1], layers)

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""
        return (8 * len(pack_code(self.fit(layers)))
                + 32 * word_count(fields_of(joined(layers))[1]))


def fields_of(symbols: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return what is written with each symbol, and its bits."""
    fields, widths = blocks_of(symbols)
    return fields, widths


@compiled
def blocks_of(symbols: Any) -> Any:
    """Return `fields_of`: a header with a block's first symbol, a run with the one that ends it."""
    fields = np.zeros(len(symbols), np.uint32)
    widths = np.zeros(len(symbols), np.uint8)
    gaps = np.zeros(BLOCK, np.int64)
    for start in range(0, len(symbols), BLOCK):
        end = min(start + BLOCK, len(symbols))
        greatest: Any = 0
        others = 0
        gap = 0
        for place in range(start, end):
            if symbols[place]:
                greatest = max(greatest, np.int64(symbols[place]))
                gaps[others] = gap
                others += 1
                gap = 0
            else:
                gap += 1

        run_bits, value_bits = 0, 0
        while greatest >> value_bits:
            value_bits += 1
        least = (end - start) * value_bits
        run_value_bits = 0
        while greatest - 1 >> run_value_bits > 0:
            run_value_bits += 1
        for width in range(1, MAX_RUN_BITS + 1):
            longest = (1 << width) - 1
            runs = others + (gap + longest - 1) // longest
            for number in range(others):
                if gaps[number] >= longest:
                    runs += gaps[number] // longest
            bits = runs * width + others * run_value_bits
            if bits < least:
                least, run_bits, value_bits = bits, width, run_value_bits

        longest = (1 << run_bits) - 1
        run = 0
        for place in range(start, end):
            symbol = np.int64(symbols[place])
            if run_bits == 0:
                field, width = symbol, value_bits
            elif symbol:
                field, width = run | symbol - 1 << run_bits, run_bits + value_bits
                run = 0
            else:
                run += 1
                field, width = np.int64(0), 0
                if run == longest or place + 1 == end:
                    field, width = np.int64(run), run_bits
                    run = 0
            if place == start:
                field = value_bits | run_bits << RUN_PLACE | field << HEADER_BITS
                width += HEADER_BITS
            fields[place] = field
            widths[place] = width
    return fields, widths


@compiled
def unpack(words: Any, count: int) -> Any:
    """Return words that were needed or what is wrong, where, padding, and symbols."""
    symbols = np.zeros(count, np.uint8)
    held = np.uint64(0)
    filled = 0
    word = 0
    place: Any = 0
    end: Any = 0
    run_bits: Any = 0
    value_bits: Any = 0
    while place < count:
        # A header, a run and a value together have fewer bits than a word.
        if filled < 24 and word < len(words):
            held |= np.uint64(words[word]) << np.uint64(filled)
            filled += 32
            word += 1
        if place == end:
            header = np.int64(held & np.uint64((1 << HEADER_BITS) - 1))
            held >>= np.uint64(HEADER_BITS)
            filled -= HEADER_BITS
            run_bits, value_bits = header >> RUN_PLACE, header & (1 << RUN_PLACE) - 1
            if run_bits > MAX_RUN_BITS or value_bits > MAX_VALUE_BITS:
                return TOO_WIDE, place, held, symbols
            end = min(place + BLOCK, count)
        longest = (1 << run_bits) - 1
        run = np.int64(held) & longest
        held >>= np.uint64(run_bits)
        filled -= run_bits
        if filled < 0:
            return ENDS_EARLY, place, held, symbols
        place += run
        if place > end:
            return TOO_FAR, place, held, symbols
        if run_bits and (run == longest or place == end):
            continue
        symbol = (np.int64(held) & (1 << value_bits) - 1) + (1 if run_bits else 0)
        held >>= np.uint64(value_bits)
        filled -= value_bits
        if filled < 0:
            return ENDS_EARLY, place, held, symbols
        if symbol > 255:
            return ILLEGAL, place, held, symbols
        symbols[place] = symbol
        place += 1
    return word - filled // 32, 0, held, symbols
