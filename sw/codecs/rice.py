"""Golomb-Rice codes (Golomb 1966, Rice 1979) with a parameter for each layer, escapes bounded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.sections import FormatError, pack_code
from ..format.tables import ESCAPE_ONES, MAX_RICE_PARAMETER, RiceCode


__all__ = ["RiceCodec"]


#: Ways in which coded data may be wrong.
ENDS_EARLY, ILLEGAL = -1, -2


class RiceCodec:
    """Writes each symbol as a unary quotient and some low bits, or plain behind an escape.

    Short codewords are those of low symbols: of weights near 0, or common entries of a codebook.
    ``docs/format.md`` specifies the coded data.
    """

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> RiceCode:
        """Return each layer's best parameter, the least of equal ones.

        Raises
        ------
        ValueError
            If a symbol isn't 0 to 255.
        """
        for layer in layers:
            if layer.size and not 0 <= int(layer.min()) <= int(layer.max()) <= 255:
                raise ValueError(f"Symbols must be 0 to 255, not {layer.min()} to {layer.max()}")
        return RiceCode(tuple(layer.size for layer in layers),
                        tuple(int((LENGTHS @ count(layer)).argmin()) for layer in layers))

    def encode(self, symbols: NDArray[np.integer], table: RiceCode) -> bytes:
        """Return coded data, whole words of 32 bits.

        Raises
        ------
        ValueError
            If the table is one for another number of symbols.
        """
        if len(symbols) != sum(table.weights):
            raise ValueError(f"Table must be one of {len(symbols)} weights, "
                             f"not {sum(table.weights)}")
        words: NDArray[np.uint32] = pack(
            symbols.astype(np.uint8), np.cumsum(table.weights, dtype=np.int64),
            np.array(table.parameters, np.int64), LENGTHS, CODEWORDS)
        return words.astype("<u4").tobytes()

    def decode(self, coded: bytes, table: RiceCode, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds.

        Raises
        ------
        FormatError
            If it holds fewer or more, a codeword is illegal, or padding isn't zero.
        """
        if sum(table.weights) != count:
            raise FormatError(f"coded data: parameters must be those of {count} weights, "
                              f"not {sum(table.weights)}")
        words = np.frombuffer(coded, "<u4")
        # No codeword has less than a bit: what claims more symbols than that gets no memory.
        if count > 32 * len(words):
            raise FormatError(f"coded data: they end before the last of {count} weights")
        status, place, rest, symbols = unpack(
            words, np.cumsum(table.weights, dtype=np.int64), np.array(table.parameters, np.int64))
        if status == ENDS_EARLY:
            raise FormatError(f"coded data: they end before the last of {count} weights")
        if status == ILLEGAL:
            raise FormatError(f"coded data: weight {place} must have the shortest codeword of a "
                              f"symbol, 0 to 255")
        if status != len(words):
            raise FormatError(f"coded data: they must end after {status} words, not {len(words)}")
        if rest:
            raise FormatError("coded data: padding must be zero")
        return np.asarray(symbols, np.int64)

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: RiceCode) -> list[int]:
        """Return the bits of each layer's codewords, without padding."""
        return [int(LENGTHS[parameter] @ count(layer))
                for layer, parameter in zip(layers, table.parameters, strict=True)]

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""
        table = self.fit(layers)
        words = -(-sum(self.layer_bits(layers, table)) // 32)
        return 8 * len(pack_code(table)) + 32 * words


def count(layer: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.bincount(layer.ravel(), minlength=256)


def code_of_each() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the length and the bits of every symbol's codeword, parameter by parameter."""
    symbols = np.arange(256)
    parameters = np.arange(MAX_RICE_PARAMETER + 1)[:, None]
    quotients = symbols >> parameters
    low = symbols & (1 << parameters) - 1
    escaped = quotients >= ESCAPE_ONES
    short = np.minimum(quotients, ESCAPE_ONES)
    return (np.where(escaped, ESCAPE_ONES + 8, quotients + 1 + parameters),
            (1 << short) - 1 | np.where(escaped, symbols << ESCAPE_ONES, low << short + 1))


LENGTHS, CODEWORDS = code_of_each()


@compiled
def pack(symbols: Any, ends: Any, parameters: Any, lengths: Any, codewords: Any) -> Any:
    total = 0
    start = 0
    for layer in range(len(ends)):
        for place in range(start, ends[layer]):
            total += lengths[parameters[layer], symbols[place]]
        start = ends[layer]
    words = np.zeros((total + 31) // 32, np.uint32)
    held = np.uint64(0)
    filled = 0
    word = 0
    start = 0
    for layer in range(len(ends)):
        own_lengths, own_codewords = lengths[parameters[layer]], codewords[parameters[layer]]
        for place in range(start, ends[layer]):
            symbol = symbols[place]
            held |= np.uint64(own_codewords[symbol]) << np.uint64(filled)
            filled += own_lengths[symbol]
            if filled >= 32:
                words[word] = np.uint32(held & np.uint64(0xffffffff))
                held >>= np.uint64(32)
                filled -= 32
                word += 1
        start = ends[layer]
    if filled:
        words[word] = np.uint32(held)
    return words


@compiled
def unpack(words: Any, ends: Any, parameters: Any) -> Any:
    """Return words that were needed or what is wrong, where, padding, and symbols."""
    symbols = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
    held = np.uint64(0)
    filled = 0
    word = 0
    start = 0
    for layer in range(len(ends)):
        parameter = parameters[layer]
        mask = (1 << parameter) - 1
        for place in range(start, ends[layer]):
            if filled < ESCAPE_ONES + 8 and word < len(words):
                held |= np.uint64(words[word]) << np.uint64(filled)
                filled += 32
                word += 1
            window = np.int64(held & np.uint64(0xffff))
            ones = 0
            while ones < ESCAPE_ONES and window >> ones & 1:
                ones += 1
            if ones == ESCAPE_ONES:
                length = ESCAPE_ONES + 8
                symbol = window >> ESCAPE_ONES
                legal = symbol >> parameter >= ESCAPE_ONES
            else:
                length = ones + 1 + parameter
                symbol = ones << parameter | window >> ones + 1 & mask
                legal = symbol < 256
            if length > filled:
                return ENDS_EARLY, place, held, symbols
            if not legal:
                return ILLEGAL, place, held, symbols
            symbols[place] = symbol
            held >>= np.uint64(length)
            filled -= length
        start = ends[layer]
    return word - filled // 32, 0, held, symbols
