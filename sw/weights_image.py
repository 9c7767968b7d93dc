"""ROM images of weights alone: arrays by name, without a network. docs/format.md specifies them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .codecs import Decoder, RawCodec, decode
from .format.arrays import ArrayDescriptor, holds_arrays, pack_arrays, unpack_arrays
from .format.sections import (FormatError, Section, pack_code, unpack_code, unpack_header)
from .format.tables import (WIDE_RAW_BITS, AutomatonShape, CodeTable,
                            RawShape, RawTable)
from .image import (NO_TARGET, Image, Sized, code, integers_of, pack_sections, read_bytes,
                    read_image, unpack_codebooks, unpack_sections)
from .quantize import Grid, LinearGrid, Symbols


__all__ = ["WeightsImage", "build_weights_image", "is_coded", "load_any_image",
           "read_weights_image"]


Arrays = Mapping[str, NDArray[np.float32]]

#: Sections of which weights alone have nothing.
EMPTY = (Section.SCHEDULE, Section.MULTIPLIER, Section.SHIFT)


@dataclass(frozen=True, eq=False)
class WeightsImage(Sized):
    """What an image of weights alone holds.

    Parameters
    ----------
    name : str
        What reports call it.
    arrays : dict of str to array of float32
        In the order of the image: what symbols stand for, and plain arrays as they were.
    descriptors : tuple of ArrayDescriptor
        One for each array.
    table : CodeTable
        Code of the weights.
    codebooks : tuple of tuple of int
        Weights that symbols stand for, in units of an array's scale: one, or none where symbols are
        weights.
    symbols : tuple of array of int64, shape (first axis, 1, 1, n)
        Of each coded array.
    words : dict of Section to int
        Length of each section, CRC apart.
    """

    name: str
    arrays: dict[str, NDArray[np.float32]]
    descriptors: tuple[ArrayDescriptor, ...]
    table: CodeTable
    codebooks: tuple[tuple[int, ...], ...]
    symbols: tuple[Symbols, ...]
    words: dict[Section, int]

    @property
    def coded(self) -> tuple[ArrayDescriptor, ...]:
        """The arrays that are quantised and coded."""
        return tuple(array for array in self.descriptors if array.coded)

    @property
    def weights(self) -> int:
        """How many values are coded."""
        return sum(array.size for array in self.coded)

    @property
    def plain_values(self) -> int:
        """How many values are stored as they are."""
        return sum(array.size for array in self.descriptors if not array.coded)


def is_coded(array: NDArray[np.float32]) -> bool:
    """Return whether an array is quantised: it has two axes or more, and values."""
    return array.ndim > 1 and array.size > 0


def build_weights_image(arrays: Arrays, grids: Sequence[Grid | LinearGrid],
                        symbols: Sequence[Symbols], decoder: Decoder | None = None) -> bytes:
    """Return the image of ``arrays``, without a schedule.

    Parameters
    ----------
    arrays : mapping of str to array of float32
        In the order in which the image is to hold them. Those that aren't `is_coded` are stored
        plain.
    grids, symbols : sequence
        Of each coded array, in order: what its symbols stand for, and they themselves, of any shape
        with as many values. Linear grids are coded raw, with 16 bits.
    decoder : Decoder, optional
        What the coded data are for; by default, an automaton.

    Raises
    ------
    ValueError
        If there are no or too many arrays, weights or bytes (`ScheduleError`), a name is too long,
        grids have different codebooks, or the decoder can't read so many symbols.
    """
    scales = iter(tuple(grid.scale.tolist()) for grid in grids)
    descriptors = [ArrayDescriptor(name, array.shape, next(scales) if is_coded(array) else ())
                   for name, array in arrays.items()]
    described = pack_arrays(descriptors)
    shapes = [array.weight_shape for array in descriptors if array.coded]
    shaped = [chosen.reshape(shape) for chosen, shape in zip(symbols, shapes, strict=True)]
    table, coded, codebooks = code_arrays(grids, shaped, decoder or AutomatonShape())
    if len(codebooks) > 1:
        raise ValueError(f"Arrays must share one codebook, not {len(codebooks)}")
    sections = dict.fromkeys(Section, b"") | {
        Section.NETWORK: described,
        Section.BIAS: b"".join(array.astype("<f4").tobytes() for array in arrays.values()
                               if not is_coded(array)),
        Section.CODE: pack_code(table),
        Section.CODEBOOK: np.array(codebooks, np.int8).tobytes(),
        Section.CODED_DATA: coded,
    }
    return pack_sections(sections, None)


def code_arrays(grids: Sequence[Grid | LinearGrid], symbols: Sequence[Symbols], decoder: Decoder
                ) -> tuple[CodeTable, bytes, list[tuple[int, ...]]]:
    narrow = [grid for grid in grids if isinstance(grid, Grid)]
    if len(narrow) == len(grids):
        return code(narrow, symbols, decoder, scheduled=False)
    if not isinstance(decoder, RawShape):
        raise ValueError(f"Weights of {WIDE_RAW_BITS} bits must be coded raw")
    table = RawTable(WIDE_RAW_BITS)
    integers = [grid.integers(chosen).astype(np.int16).ravel()
                for grid, chosen in zip(grids, symbols, strict=True)]
    return table, RawCodec().encode(np.concatenate(integers).view(np.uint16), table), []


def load_any_image(path: Path) -> Image | WeightsImage:
    """Return what the image in ``path`` holds, a network or weights alone.

    Raises
    ------
    FormatError
        If the image breaks the format anywhere.
    OSError
        If the file can't be read.
    """
    image = read_bytes(path)
    _, words = unpack_header(image)
    if holds_arrays(unpack_sections(image, words)[Section.NETWORK]):
        return read_weights_image(image, name=path.stem)
    return read_image(image, name=path.stem)


def read_weights_image(image: bytes, *, name: str = "image") -> WeightsImage:
    """Return the weights alone that ``image`` holds, everything checked and decoded.

    Parameters
    ----------
    name : str
        What reports call them.

    Raises
    ------
    FormatError
        If the image breaks the format anywhere, or holds a network.
    """
    target_hash, words = unpack_header(image)
    sections = unpack_sections(image, words)
    if not holds_arrays(sections[Section.NETWORK]):
        raise FormatError("network: image must hold weights alone, not a network")
    if target_hash != NO_TARGET:
        raise FormatError(f"weights alone must have no target, not {target_hash:08x}")
    descriptors = unpack_arrays(sections[Section.NETWORK])
    for section in EMPTY:
        if sections[section]:
            raise FormatError(f"section {section.name}: weights alone must have none, "
                              f"not {len(sections[section])} bytes")
    plain = unpack_plain(sections[Section.BIAS], descriptors)
    coded = [array for array in descriptors if array.coded]
    table = unpack_code(sections[Section.CODE],
                        [(array.weight_shape[0], array.weight_shape[3]) for array in coded])
    if sections[Section.CODE] != pack_code(table):
        raise FormatError("code: what isn't used must be zero, and nothing may follow")
    codebooks = unpack_codebooks(sections[Section.CODEBOOK], table)
    if len(codebooks) > 1:
        raise FormatError(f"codebook: weights alone must share one, not {len(codebooks)}")

    flat = decode(sections[Section.CODED_DATA], table, sum(array.size for array in coded))
    arrays: dict[str, NDArray[np.float32]] = {}
    symbols = []
    for array in descriptors:
        if not array.coded:
            arrays[array.name], plain = plain[:array.size].reshape(array.shape), plain[array.size:]
            continue
        chosen, flat = flat[:array.size].reshape(array.weight_shape), flat[array.size:]
        symbols.append(chosen)
        integers = (chosen.astype(np.uint16).view(np.int16) if table == RawTable(WIDE_RAW_BITS)
                    else integers_of(chosen, table, codebooks))
        arrays[array.name] = restore(array, integers)
    return WeightsImage(name, arrays, descriptors, table, codebooks, tuple(symbols), words)


def unpack_plain(data: bytes, descriptors: Sequence[ArrayDescriptor]) -> NDArray[np.float32]:
    count = sum(array.size for array in descriptors if not array.coded)
    if len(data) != 4 * count:
        raise FormatError(f"section BIAS: {count} plain values take {4 * count} bytes, "
                          f"not {len(data)}")
    values = np.frombuffer(data, "<f4")
    if not np.isfinite(values).all():
        raise FormatError("section BIAS: plain values must be finite")
    return values


def restore(array: ArrayDescriptor, integers: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the floats of an array's integers; those beyond float32 are refused."""
    scales = np.array(array.scales).reshape(-1, 1, 1, 1)
    with np.errstate(over="ignore", under="ignore"):
        floats: NDArray[np.float32] = (integers * scales).astype(np.float32)
    if not np.isfinite(floats).all():
        raise FormatError(f"network: scales of array {array.name!r:.80} must keep within float32")
    return floats.reshape(array.shape)
