"""Golomb-Rice codes (Golomb 1966, Rice 1979) with escapes and a parameter that changes at will."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.sections import FormatError, pack_code
from ..format.tables import ESCAPE_BITS, ESCAPE_ONES, RICE_PARAMETERS, RiceCode
from .fields import check_symbols, joined, layer_totals, word_count, write_fields


__all__ = ["RiceCodec"]


#: Ways in which coded data may be wrong.
ENDS_EARLY, ILLEGAL, NEEDLESS = -1, -2, -3


class RiceCodec:
    """Writes each symbol as a unary quotient and some low bits, or plain behind an escape.

    Short codewords are those of low symbols: of weights near 0, or common entries of a codebook.
    ``docs/format.md`` specifies the coded data.
    """

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> RiceCode:
        """Return the code of symbols that are weights.

        Raises
        ------
        ValueError
            If a symbol isn't 0 to 255.
        """
        check_symbols(layers)
        return RiceCode()

    def encode(self, symbols: NDArray[np.integer], table: RiceCode) -> bytes:
        """Return coded data, whole words of 32 bits, with the parameters that make them shortest.

        Of equally short data they are those whose parameters change late and little.
        """
        return write_fields(*fields_of(symbols.astype(np.uint8)))

    def decode(self, coded: bytes, table: RiceCode, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds.

        Raises
        ------
        FormatError
            If it holds fewer or more, a codeword or a change is needless, or padding isn't zero.
        """
        words = np.frombuffer(coded, "<u4")
        # No codeword has less than a bit: what claims more symbols than that gets no memory.
        status, place, rest, symbols = (unpack(words, count) if count <= 32 * len(words)
                                        else (ENDS_EARLY, 0, 0, None))
        if status == ENDS_EARLY:
            raise FormatError(f"coded data: they end before the last of {count} weights")
        if status == ILLEGAL:
            raise FormatError(f"coded data: weight {place} must have the shortest codeword of a "
                              f"symbol, 0 to 255")
        if status == NEEDLESS:
            raise FormatError(f"coded data: the parameter must change at most once before weight "
                              f"{place}, to another one")
        if status != len(words):
            raise FormatError(f"coded data: they must end after {status} words, not {len(words)}")
        if rest:
            raise FormatError("coded data: padding must be zero")
        return np.asarray(symbols, np.int64)

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: RiceCode) -> list[int]:
        """Return the bits of each layer's codewords and changes, without padding."""
        return layer_totals(fields_of(joined(layers))[1], layers)

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""
        return (8 * len(pack_code(self.fit(layers)))
                + 32 * word_count(fields_of(joined(layers))[1]))


def fields_of(symbols: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return each symbol's codeword, with the change before it, and its bits."""
    parameters = cheapest_path(symbols, LENGTHS, ESCAPE_BITS)
    fields, widths = CODEWORDS[parameters, symbols], LENGTHS[parameters, symbols]
    changed = np.flatnonzero(np.diff(parameters, prepend=np.uint8(0)))
    change = (1 << ESCAPE_ONES) - 1 | parameters[changed].astype(np.uint32) << ESCAPE_ONES
    fields[changed] = fields[changed] << ESCAPE_BITS | change
    widths[changed] += ESCAPE_BITS
    return fields, widths


def code_of_each() -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return every symbol's codeword and its bits, parameter by parameter."""
    symbols = np.arange(256)
    parameters = np.arange(RICE_PARAMETERS)[:, None]
    quotients = symbols >> parameters
    low = symbols & (1 << parameters) - 1
    escaped = quotients >= ESCAPE_ONES
    short = np.minimum(quotients, ESCAPE_ONES)
    codewords = (1 << short) - 1 | np.where(escaped, symbols << ESCAPE_ONES, low << short + 1)
    lengths = np.where(escaped, ESCAPE_BITS, quotients + 1 + parameters)
    return codewords.astype(np.uint32), lengths.astype(np.uint8)


CODEWORDS, LENGTHS = code_of_each()


@compiled
def cheapest_path(symbols: Any, lengths: Any, change: int) -> Any:
    """Return each symbol's parameter (Viterbi 1967), where a change costs so many bits."""
    count, states = len(symbols), len(lengths)
    # The cheapest parameter before each symbol, and which ones are reached by a change from it.
    best = np.zeros(count, np.uint8)
    changed = np.zeros(count, np.uint8)
    costs = np.full(states, change)
    costs[0] = 0
    for place in range(count):
        cheapest = 0
        for state in range(1, states):
            if costs[state] < costs[cheapest]:
                cheapest = state
        limit = costs[cheapest] + change
        best[place] = cheapest
        arrivals = 0
        for state in range(states):
            if limit < costs[state]:
                costs[state] = limit
                arrivals |= 1 << state
            costs[state] += lengths[state, symbols[place]]
        changed[place] = arrivals
    parameter: Any = costs.argmin()
    parameters = np.empty(count, np.uint8)
    for place in range(count - 1, -1, -1):
        parameters[place] = parameter
        if changed[place] >> parameter & 1:
            parameter = best[place]
    return parameters


@compiled
def unpack(words: Any, count: int) -> Any:
    """Return words that were needed or what is wrong, where, padding, and symbols."""
    symbols = np.zeros(count, np.uint8)
    held = np.uint64(0)
    filled = 0
    word = 0
    parameter: Any = 0
    before = -1         # Weight before which the parameter changed last.
    place = 0
    while place < count:
        if filled < ESCAPE_BITS and word < len(words):
            held |= np.uint64(words[word]) << np.uint64(filled)
            filled += 32
            word += 1
        window = np.int64(held & np.uint64(0xffff))
        ones = 0
        while ones < ESCAPE_ONES and window >> ones & 1:
            ones += 1
        length = ESCAPE_BITS if ones == ESCAPE_ONES else ones + 1 + parameter
        if length > filled:
            return ENDS_EARLY, place, held, symbols
        held >>= np.uint64(length)
        filled -= length
        if ones < ESCAPE_ONES:
            symbol = ones << parameter | window >> ones + 1 & (1 << parameter) - 1
            legal = symbol < 256
        else:
            symbol = window >> ESCAPE_ONES
            if symbol < RICE_PARAMETERS:
                if symbol == parameter or before == place:
                    return NEEDLESS, place, held, symbols
                parameter, before = symbol, place
                continue
            legal = symbol >> parameter >= ESCAPE_ONES
        if not legal:
            return ILLEGAL, place, held, symbols
        symbols[place] = symbol
        place += 1
    return word - filled // 32, 0, held, symbols
