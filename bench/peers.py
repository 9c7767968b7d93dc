"""Lossless coders behind one small protocol: the project's own, and others to compare with.

What a coder writes is all that its decoder needs but the shapes of the layers: tables, headers and
checksums of other coders' containers count as they are.
"""

import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import brotli
import constriction
import numpy as np
import zstandard
from numpy.typing import NDArray


__all__ = ["PEERS", "Coder", "Layers", "RangeCoder", "Squeezer"]


Layers = Sequence[NDArray[np.int8]]
Shapes = Sequence[tuple[int, ...]]


class Coder(Protocol):
    """What is compared."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def encode(self, layers: Layers) -> bytes:
        """Return coded weights.

        Raises
        ------
        ValueError
            If the coder can't code such weights.
        """

    def decode(self, coded: bytes, shapes: Shapes) -> list[NDArray[np.int8]]:
        """Return the weights of layers of ``shapes``."""


def split(weights: NDArray[np.int8], shapes: Shapes) -> list[NDArray[np.int8]]:
    """Return ``weights``, layer by layer, in ``shapes``."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape)
            for part, shape in zip(np.split(weights, ends[:-1]), shapes, strict=True)]


@dataclass(frozen=True)
class Squeezer:
    """A compressor of bytes, which gets the int8 weights one after another."""

    name: str
    squeeze: Callable[[bytes], bytes]
    restore: Callable[[bytes], bytes]

    def encode(self, layers: Layers) -> bytes:
        """Return the compressed bytes."""
        return self.squeeze(b"".join(layer.tobytes() for layer in layers))

    def decode(self, coded: bytes, shapes: Shapes) -> list[NDArray[np.int8]]:
        """Return the weights."""
        return split(np.frombuffer(self.restore(coded), np.int8), shapes)


@dataclass(frozen=True)
class RangeCoder:
    """The range coder of *constriction* (Bamler 2022) with empirical probabilities.

    A model is the number of times that each weight from the least to the greatest occurs, in as
    many bits as the greatest number needs, behind four bytes that say how many they are.

    Parameters
    ----------
    apart : bool
        Whether each layer has a model of its own; else all share one.
    """

    apart: bool

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"range coder, {'a model a layer' if self.apart else 'one model'}"

    def encode(self, layers: Layers) -> bytes:
        """Return models, and the words of the range coder."""
        encoder = constriction.stream.queue.RangeEncoder()
        models = b""
        for weights in self.parts(layers):
            least = int(weights.min())
            counts = np.bincount(weights.astype(np.int64) - least)
            models += pack_counts(least, counts)
            encoder.encode(weights.astype(np.int32) - least, categorical(counts))
        words: NDArray[np.uint32] = encoder.get_compressed()
        return models + words.astype("<u4").tobytes()

    def decode(self, coded: bytes, shapes: Shapes) -> list[NDArray[np.int8]]:
        """Return the weights."""
        sizes = [int(np.prod(shape)) for shape in shapes]
        models = []
        for _ in sizes if self.apart else (0,):
            least, counts, coded = unpack_counts(coded)
            models.append((least, categorical(counts)))
        decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(coded, "<u4"))
        weights = [(decoder.decode(model, size) + least).astype(np.int8)
                   for (least, model), size in zip(
                       models, sizes if self.apart else (sum(sizes),), strict=True)]
        return split(np.concatenate(weights), shapes)

    def parts(self, layers: Layers) -> list[NDArray[np.int8]]:
        flat = [layer.ravel() for layer in layers]
        return flat if self.apart else [np.concatenate(flat)]


def categorical(counts: NDArray[np.int64]) -> constriction.stream.model.Categorical:
    # A model must have two symbols at least.
    return constriction.stream.model.Categorical(
        np.append(counts, 0).astype(np.float32), perfect=False)


def pack_counts(least: int, counts: NDArray[np.int64]) -> bytes:
    width = int(counts.max()).bit_length()
    bits = counts[:, None] >> np.arange(width) & 1
    return bytes((least + 128, width)) + len(counts).to_bytes(2, "little") + np.packbits(
        bits.astype(np.uint8), bitorder="little").tobytes()


def unpack_counts(data: bytes) -> tuple[int, NDArray[np.int64], bytes]:
    least, width, number = data[0] - 128, data[1], int.from_bytes(data[2:4], "little")
    end = 4 + -(-width * number // 8)
    bits = np.unpackbits(np.frombuffer(data[4:end], np.uint8), bitorder="little",
                         count=width * number)
    return least, bits.reshape(number, width) @ (1 << np.arange(width)), data[end:]


PEERS: tuple[Coder, ...] = (
    Squeezer("zlib, level 9", lambda data: zlib.compress(data, 9), zlib.decompress),
    Squeezer("lzma, preset 9e", lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
             lzma.decompress),
    Squeezer("brotli, quality 11", lambda data: brotli.compress(data, quality=11),
             brotli.decompress),
    Squeezer("zstd, level 22", zstandard.ZstdCompressor(level=22).compress,
             zstandard.ZstdDecompressor().decompress),
    RangeCoder(apart=False),
    RangeCoder(apart=True),
)
