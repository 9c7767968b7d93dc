"""Runs of zeros and values between them, in fields of fixed width, which each layer chooses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.sections import FormatError, pack_code
from ..format.tables import MAX_FIELD_BITS, RunLengthCode


__all__ = ["RunLengthCodec"]


#: Ways in which coded data may be wrong.
ENDS_EARLY, TOO_FAR, ILLEGAL = -1, -2, -3


class RunLengthCodec:
    """Writes how many symbols 0 come next and then another symbol, or every symbol of a layer.

    It is for sparse layers; those without many zeros take as many bits as their greatest symbol.
    ``docs/format.md`` specifies the coded data.
    """

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> RunLengthCode:
        """Return each layer's best widths, the shortest runs of equally good ones.

        Raises
        ------
        ValueError
            If a symbol isn't 0 to 255.
        """
        for layer in layers:
            if layer.size and not 0 <= int(layer.min()) <= int(layer.max()) <= 255:
                raise ValueError(f"Symbols must be 0 to 255, not {layer.min()} to {layer.max()}")
        widths = [best_widths(layer.ravel()) for layer in layers]
        return RunLengthCode(tuple(layer.size for layer in layers),
                             tuple(run for run, _ in widths), tuple(value for _, value in widths))

    def encode(self, symbols: NDArray[np.integer], table: RunLengthCode) -> bytes:
        """Return coded data, whole words of 32 bits.

        Raises
        ------
        ValueError
            If the table is one for another number of symbols, or one of them is too great.
        """
        if len(symbols) != sum(table.weights):
            raise ValueError(f"Table must be one of {len(symbols)} weights, "
                             f"not {sum(table.weights)}")
        ends = np.cumsum(table.weights, dtype=np.int64)
        layers = np.split(symbols, ends[:-1]) if len(ends) else []
        for layer, greatest in zip(layers, table.greatest, strict=True):
            if layer.size and int(layer.max()) > greatest:
                raise ValueError(f"Symbols of this layer must be at most {greatest}, "
                                 f"not {layer.max()}")
        words: NDArray[np.uint32] = pack(
            symbols.astype(np.uint8), ends, np.array(table.run_bits, np.int64),
            np.array(table.value_bits, np.int64), sum(self.layer_bits(layers, table)))
        return words.astype("<u4").tobytes()

    def decode(self, coded: bytes, table: RunLengthCode, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds.

        Raises
        ------
        FormatError
            If it holds fewer or more, a run crosses a layer's end, a symbol has more than 8 bits,
            or padding isn't zero.
        """
        if sum(table.weights) != count:
            raise FormatError(f"coded data: widths must be those of {count} weights, "
                              f"not {sum(table.weights)}")
        words = np.frombuffer(coded, "<u4")
        status, place, rest, symbols = unpack(
            words, np.cumsum(table.weights, dtype=np.int64), np.array(table.run_bits, np.int64),
            np.array(table.value_bits, np.int64))
        if status == ENDS_EARLY:
            raise FormatError(f"coded data: they end before the last of {count} weights")
        if status == TOO_FAR:
            raise FormatError(f"coded data: a run reaches {place} weights beyond its layer")
        if status == ILLEGAL:
            raise FormatError(f"coded data: weight {place} must have a symbol of 0 to 255")
        if status != len(words):
            raise FormatError(f"coded data: they must end after {status} words, not {len(words)}")
        if rest:
            raise FormatError("coded data: padding must be zero")
        return np.asarray(symbols, np.int64)

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: RunLengthCode) -> list[int]:
        """Return the bits of each layer's fields, without padding."""
        return [field_bits(*gaps_of(layer.ravel()), layer.size, run_bits, value_bits)
                for layer, run_bits, value_bits in zip(layers, table.run_bits, table.value_bits,
                                                       strict=True)]

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""
        table = self.fit(layers)
        words = -(-sum(self.layer_bits(layers, table)) // 32)
        return 8 * len(pack_code(table)) + 32 * words


def gaps_of(layer: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """Return how many zeros lie before each other symbol, and behind the last."""
    others = np.flatnonzero(layer)
    ends = np.concatenate([[-1], others, [layer.size]])
    gaps = np.diff(ends) - 1
    return gaps[:-1], int(gaps[-1])


def field_bits(gaps: NDArray[np.int64], tail: int, size: int, run_bits: int, value_bits: int
               ) -> int:
    """Return the bits that a layer of ``size`` symbols takes."""
    if not run_bits:
        return size * value_bits
    longest = (1 << run_bits) - 1
    runs = int((gaps // longest).sum()) + len(gaps) + -(-tail // longest)
    return runs * run_bits + len(gaps) * value_bits


def best_widths(layer: NDArray[np.integer]) -> tuple[int, int]:
    """Return the widths of a layer's runs and values that take the fewest bits."""
    greatest = int(layer.max(initial=0))
    found = gaps_of(layer)
    trials = [(0, greatest.bit_length())]
    trials += [(run_bits, max(0, greatest - 1).bit_length())
               for run_bits in range(1, MAX_FIELD_BITS + 1)]
    return min(trials, key=lambda widths: (field_bits(*found, layer.size, *widths), widths))


@compiled
def pack(symbols: Any, ends: Any, run_bits: Any, value_bits: Any, total: int) -> Any:
    # One word more takes what a last field, of no bits, may touch.
    words = np.zeros((total + 31) // 32 + 1, np.uint32)
    held = np.uint64(0)
    filled = 0
    word = 0
    start = 0
    for layer in range(len(ends)):
        run_width, value_width = run_bits[layer], value_bits[layer]
        longest = (1 << run_width) - 1
        run = np.int64(0)
        for place in range(start, ends[layer]):
            symbol = np.int64(symbols[place])
            if run_width == 0:
                field, width = symbol, value_width
            elif symbol:
                field, width = run | symbol - 1 << run_width, run_width + value_width
                run = np.int64(0)
            else:
                run += 1
                if run < longest and place + 1 < ends[layer]:
                    continue
                field, width = run, run_width
                run = np.int64(0)
            held |= np.uint64(field) << np.uint64(filled)
            filled += width
            if filled >= 32:
                words[word] = np.uint32(held & np.uint64(0xffffffff))
                held >>= np.uint64(32)
                filled -= 32
                word += 1
        start = ends[layer]
    words[word] = np.uint32(held)
    return words[:(total + 31) // 32]


@compiled
def unpack(words: Any, ends: Any, run_bits: Any, value_bits: Any) -> Any:
    """Return words that were needed or what is wrong, where or how much, padding, and symbols."""
    symbols = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
    held = np.uint64(0)
    filled = 0
    word = 0
    place = 0
    for layer in range(len(ends)):
        run_width, value_width = run_bits[layer], value_bits[layer]
        longest = (1 << run_width) - 1
        while place < ends[layer]:
            if filled < 16 and word < len(words):
                held |= np.uint64(words[word]) << np.uint64(filled)
                filled += 32
                word += 1
            run = np.int64(held) & longest
            held >>= np.uint64(run_width)
            filled -= run_width
            if filled < 0:
                return ENDS_EARLY, place, held, symbols
            place += run
            if place > ends[layer]:
                return TOO_FAR, place - ends[layer], held, symbols
            if run_width and (run == longest or place == ends[layer]):
                continue
            symbol = (np.int64(held) & (1 << value_width) - 1) + (1 if run_width else 0)
            held >>= np.uint64(value_width)
            filled -= value_width
            if filled < 0:
                return ENDS_EARLY, place, held, symbols
            if symbol > 255:
                return ILLEGAL, place, held, symbols
            symbols[place] = symbol
            place += 1
    return word - filled // 32, 0, held, symbols
