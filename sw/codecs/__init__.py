"""Lossless codecs: from the symbols of a network to coded data, and back."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..format.lanes import TansLanes
from ..format.sections import FormatError
from ..format.tables import (AutomatonShape, CodeTable, PrefixTable, RawShape, RawTable, RiceCode,
                             RiceShape, RunLengthCode, RunLengthShape, TansCode, TansShape)
from .huffman import HuffmanCodec
from .raw import RawCodec
from .rice import RiceCodec
from .runlength import RunLengthCodec
from .tans import TansCodec


__all__ = ["CODECS", "SHAPES", "Codec", "Decoder", "HuffmanCodec", "RawCodec", "RiceCodec",
           "RunLengthCodec", "TansCodec", "codec_name", "decode", "layer_bits"]


#: Shapes of decoders, each for one codec.
Decoder = RawShape | AutomatonShape | TansShape | TansLanes | RiceShape | RunLengthShape


Table = TypeVar("Table", bound=CodeTable)


class Codec(Protocol[Table]):
    """What a codec can do. Symbols are arrays of whole numbers, one for each weight.

    Weights that are symbols themselves are int8 modulo 256 to the raw codec and tANS, and in the
    order 0, -1, 1, -2, ... to the others.
    """

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

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: Table) -> Sequence[float]:
        """Return the bits of each layer's symbols, without tables and padding."""

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that table and coded data take."""


#: Every codec by its name, with the parameters of the targets that ship.
CODECS: dict[str, Codec[Any]] = {
    "raw": RawCodec(), "huffman": HuffmanCodec(AutomatonShape()), "tans": TansCodec(),
    "rice": RiceCodec(), "runlength": RunLengthCodec()}

#: What decodes each codec's data where no target says more.
SHAPES: dict[str, Decoder] = {
    "raw": RawShape(), "huffman": AutomatonShape(), "tans": TansShape(), "rice": RiceShape(),
    "runlength": RunLengthShape()}


def codec_name(table: CodeTable) -> str:
    """Return which codec ``table`` belongs to."""
    return {RawTable: "raw", PrefixTable: "huffman", TansCode: "tans",
            RiceCode: "rice", RunLengthCode: "runlength"}[type(table)]


def codec_of(table: CodeTable) -> Codec[Any]:
    """Return the codec of ``table``."""
    if isinstance(table, TansCode):
        return TansCodec(table.shape)
    if isinstance(table, PrefixTable):
        return HuffmanCodec(table.shape)
    return CODECS[codec_name(table)]


def decode(coded: bytes, table: CodeTable, count: int) -> NDArray[np.int64]:
    """Return the ``count`` symbols that ``coded`` holds, by the codec of ``table``.

    Raises
    ------
    FormatError
        If it doesn't hold exactly as many, or padding isn't zero.
    """
    if len(coded) % 4:
        raise FormatError(f"coded data must be whole words of 4 bytes, not {len(coded)} bytes")
    return codec_of(table).decode(coded, table, count)


def layer_bits(layers: Sequence[NDArray[np.integer]], table: CodeTable) -> Sequence[float]:
    """Return the bits of each layer's symbols in ``table``, without tables and padding."""
    return codec_of(table).layer_bits(layers, table)
