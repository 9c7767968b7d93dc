"""Lossless codecs: from the symbols of a network to coded data, and back."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..format.sections import FormatError
from ..format.tables import AutomatonShape, CodeTable, RawTable
from .huffman import HuffmanCodec
from .raw import RawCodec


__all__ = ["CODECS", "Codec", "HuffmanCodec", "RawCodec", "codeword_bits", "decode"]


Table = TypeVar("Table", bound=CodeTable)


class Codec(Protocol[Table]):
    """What a codec can do. Symbols are arrays of whole numbers, one for each weight."""

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> Table:
        """Return the table with which the symbols of all ``layers`` take the fewest bits.

        Raises
        ------
        ValueError
            If no table holds all symbols.
        """

    def encode(self, symbols: NDArray[np.integer], table: Table) -> bytes:
        """Return coded data, whole words of 32 bits."""

    def decode(self, coded: bytes, table: Table, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds.

        Raises
        ------
        FormatError
            If it doesn't hold exactly as many, or padding isn't zero.
        """

    def codeword_bits(self, symbols: NDArray[np.integer], table: Table) -> int:
        """Return the bits of the codewords of ``symbols``, without padding."""

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""


#: Every codec by its name, with the parameters of the targets that ship.
CODECS: dict[str, Codec[Any]] = {"raw": RawCodec(), "huffman": HuffmanCodec(AutomatonShape())}


def decode(coded: bytes, table: CodeTable, count: int) -> NDArray[np.int64]:
    """Return the ``count`` symbols that ``coded`` holds, by the codec of ``table``.

    Raises
    ------
    FormatError
        If it doesn't hold exactly as many, or padding isn't zero.
    """
    if len(coded) % 4:
        raise FormatError(f"coded data must be whole words of 4 bytes, not {len(coded)} bytes")
    if isinstance(table, RawTable):
        return RawCodec().decode(coded, table, count)
    return HuffmanCodec(table.shape).decode(coded, table, count)


def codeword_bits(symbols: NDArray[np.integer], table: CodeTable) -> int:
    """Return the bits of the codewords of ``symbols`` in ``table``, without padding."""
    if isinstance(table, RawTable):
        return RawCodec().codeword_bits(symbols, table)
    return HuffmanCodec(table.shape).codeword_bits(symbols, table)
