"""Fixed-width symbols: the baseline, and the codec of plain int8 weights."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..format.sections import FormatError, pack_code
from ..format.tables import GROUP, RAW_WIDTHS, RawTable


__all__ = ["RawCodec"]


class RawCodec:
    """Writes every symbol with equally many bits, from bit 0 of word 0 up.

    The symbols are padded with zeros to whole groups, the bits to whole words of 32 bits.

    Parameters
    ----------
    widths : tuple of int
        What a symbol may take: by default, what gateware reads.
    """

    def __init__(self, widths: tuple[int, ...] = RAW_WIDTHS) -> None:
        self.widths = widths

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> RawTable:
        """Return the narrowest table that holds all symbols.

        Raises
        ------
        ValueError
            If a symbol is negative or has more than 8 bits.
        """
        least = min((int(symbols.min()) for symbols in layers if symbols.size), default=0)
        most = max((int(symbols.max()) for symbols in layers if symbols.size), default=0)
        for bits in self.widths:
            if 0 <= least and most < 1 << bits:
                return RawTable(bits)
        raise ValueError(f"Raw symbols must be 0 to 255, not {least} to {most}")

    def encode(self, symbols: NDArray[np.integer], table: RawTable) -> bytes:
        """Return coded data, whole words of 32 bits."""
        if table.symbol_bits % 8 == 0:
            coded = np.asarray(symbols).astype(f"<u{table.symbol_bits // 8}").tobytes()
        else:
            narrow = np.asarray(symbols).astype(np.uint8)
            bits = narrow[:, None] >> np.arange(table.symbol_bits, dtype=np.uint8) & 1
            coded = np.packbits(bits, bitorder="little").tobytes()
        return coded.ljust(4 * coded_words(len(symbols), table), b"\0")

    def decode(self, coded: bytes, table: RawTable, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds.

        Raises
        ------
        FormatError
            If it has another length than they need, or padding isn't zero.
        """
        if len(coded) != coded_words(count, table) * 4:
            raise FormatError(f"coded data: {count} symbols of {table.symbol_bits} bits take "
                              f"{coded_words(count, table) * 4} bytes, not {len(coded)}")
        used = count * table.symbol_bits
        if table.symbol_bits % 8 == 0:
            padding: NDArray[np.uint8] = np.frombuffer(coded, np.uint8, offset=used // 8)
            symbols: NDArray[np.int64] = np.frombuffer(
                coded[:used // 8], f"<u{table.symbol_bits // 8}").astype(np.int64)
        else:
            bits = np.unpackbits(np.frombuffer(coded, np.uint8), bitorder="little")
            padding = bits[used:]
            symbols = bits[:used].reshape(-1, table.symbol_bits) @ (
                1 << np.arange(table.symbol_bits))
        if padding.any():
            raise FormatError("coded data: padding must be zero")
        return symbols

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: RawTable) -> list[int]:
        """Return the bits of each layer's symbols, without padding."""
        return [layer.size * table.symbol_bits for layer in layers]

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""
        table = self.fit(layers)
        words = coded_words(sum(symbols.size for symbols in layers), table)
        return len(pack_code(table)) * 8 + words * 32


def coded_words(count: int, table: RawTable) -> int:
    """Words of 32 bits that ``count`` symbols take, in whole groups."""
    return -(-(count + -count % GROUP) * table.symbol_bits // 32)
