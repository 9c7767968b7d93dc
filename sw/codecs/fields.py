"""Fields of bits, in which codes without a table write symbols of 8 bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled


__all__ = ["check_symbols", "joined", "layer_totals", "word_count", "write_fields"]


def check_symbols(layers: Sequence[NDArray[np.integer]]) -> None:
    """Refuse symbols that aren't 0 to 255, with a ValueError."""
    for layer in layers:
        if layer.size and not 0 <= int(layer.min()) <= int(layer.max()) <= 255:
            raise ValueError(f"Symbols must be 0 to 255, not {layer.min()} to {layer.max()}")


def joined(layers: Sequence[NDArray[np.integer]]) -> NDArray[np.uint8]:
    """Return the symbols of all layers, one after another."""
    return np.concatenate([np.zeros(0, np.uint8),
                           *(layer.ravel().astype(np.uint8) for layer in layers)])


def layer_totals(widths: NDArray[np.uint8], layers: Sequence[NDArray[np.integer]]) -> list[int]:
    """Return the bits of each layer's fields."""
    ends = np.cumsum([layer.size for layer in layers], dtype=np.int64)
    return [int(part.sum(dtype=np.int64)) for part in np.split(widths, ends)[:len(layers)]]


def word_count(widths: NDArray[np.uint8]) -> int:
    """Return the words of 32 bits that fields take."""
    return -(-int(widths.sum(dtype=np.int64)) // 32)


def write_fields(fields: NDArray[np.uint32], widths: NDArray[np.uint8]) -> bytes:
    """Return fields of 0 to 32 bits one after another, each lowest bit first, in whole words."""
    words: NDArray[np.uint32] = pack(fields, widths, word_count(widths))
    return words.astype("<u4").tobytes()


@compiled
def pack(fields: Any, widths: Any, count: int) -> Any:
    # One word more takes fields without bits behind the last whole word.
    words = np.zeros(count + 1, np.uint32)
    held = np.uint64(0)
    filled = 0
    word = 0
    for place in range(len(fields)):
        held |= np.uint64(fields[place]) << np.uint64(filled)
        filled += widths[place]
        if filled >= 32:
            words[word] = np.uint32(held & np.uint64(0xffffffff))
            held >>= np.uint64(32)
            filled -= 32
            word += 1
    words[word] = np.uint32(held)
    return words[:count]
