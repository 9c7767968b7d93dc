"""Section NETWORK of an image that holds weights alone: arrays by name, without a network."""

import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite, prod

from .sections import INPUT, MAX_WEIGHTS, FormatError


__all__ = ["MAX_ARRAYS", "MAX_AXES", "MAX_NAME", "ArrayDescriptor", "Form", "check_arrays",
           "holds_arrays", "pack_arrays", "unpack_arrays"]


#: Arrays that an image may hold, axes that one may have, and UTF-8 bytes of its name.
MAX_ARRAYS = 1024
MAX_AXES = 8
MAX_NAME = 256

#: Number of arrays; all else is reserved, up to the number of layers, which is 0.
HEADER = struct.Struct("<I27xB")

#: Array: form, axes, bytes of the name.
ARRAY = struct.Struct("<BBH")


class Form(IntEnum):
    """How an array is stored."""

    PLAIN = 0
    #: Quantised and coded, with one scale.
    CODED = 1
    #: Quantised and coded, with a scale for each slice of the first axis.
    CODED_SLICES = 2


@dataclass(frozen=True)
class ArrayDescriptor:
    """An array of weights alone.

    Parameters
    ----------
    name : str
        1 to ``MAX_NAME`` bytes in UTF-8, without control characters.
    shape : tuple of int
        At most ``MAX_AXES`` axes.
    scales : tuple of float
        What one unit of its integers stands for: one for the whole array, or one for each slice of
        the first axis. Empty if it is stored as it is, as an array without values or of fewer than
        two axes must be.

    Raises
    ------
    ValueError
        If any of this can't be stored.
    """

    name: str
    shape: tuple[int, ...]
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        label = f"Array {self.name!r:.80}"
        if any(unicodedata.category(character) == "Cc" for character in self.name):
            raise ValueError(f"{label} must have a name without control characters")
        if not 1 <= len(encoded(self.name)) <= MAX_NAME:
            raise ValueError(f"{label} must have a name of 1 to {MAX_NAME} bytes, "
                             f"not {len(encoded(self.name))}")
        if len(self.shape) > MAX_AXES:
            raise ValueError(f"{label} must have at most {MAX_AXES} axes, not {len(self.shape)}")
        if min(self.shape, default=0) < 0 or prod(max(1, length) for length in self.shape
                                                  ) > MAX_WEIGHTS:
            raise ValueError(f"{label} must have at most {MAX_WEIGHTS} values, "
                             f"not {' x '.join(map(str, self.shape))}")
        if not self.scales:
            return
        if len(self.shape) < 2 or not self.size:
            raise ValueError(f"{label} must be plain, since it has no values of two axes")
        if len(self.scales) not in (1, self.shape[0]):
            raise ValueError(f"{label} must have 1 or {self.shape[0]} scales, "
                             f"not {len(self.scales)}")
        if not all(isfinite(scale) and scale > 0 for scale in self.scales):
            raise ValueError(f"{label} must have scales that are positive and finite")

    @property
    def coded(self) -> bool:
        """Whether it is quantised and coded."""
        return bool(self.scales)

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape as quantisers and codecs take it: slices of the first axis are filters.

        Raises
        ------
        ValueError
            If it isn't coded.
        """
        if not self.coded:
            raise ValueError(f"Array {self.name!r} must be coded to have filters")
        return self.shape[0], 1, 1, prod(self.shape[1:])


def encoded(name: str) -> bytes:
    """Return ``name`` in UTF-8; half a surrogate pair, which has none, is a ValueError."""
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"Array {name!r:.80} must have a name that is Unicode") from None


def holds_arrays(data: bytes) -> bool:
    """Return whether section NETWORK, if it is right, is one of weights alone."""
    return len(data) >= INPUT.size and not data[INPUT.size - 1]


def check_arrays(arrays: Sequence[ArrayDescriptor]) -> None:
    """Refuse arrays that an image can't hold together, with a ValueError."""
    if not 1 <= len(arrays) <= MAX_ARRAYS:
        raise ValueError(f"Image must have 1 to {MAX_ARRAYS} arrays, not {len(arrays)}")
    names = [array.name for array in arrays]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Arrays must have different names, not {name!r:.80} twice")
    for label, coded, least in (("weights", True, 1), ("plain values", False, 0)):
        values = sum(array.size for array in arrays if array.coded is coded)
        if not least <= values <= MAX_WEIGHTS:
            raise ValueError(f"Arrays must have {least} to {MAX_WEIGHTS} {label} together, "
                             f"not {values}")


def pack_arrays(arrays: Sequence[ArrayDescriptor]) -> bytes:
    """Return section NETWORK of weights alone, whole words.

    Raises
    ------
    ValueError
        If there are no or too many arrays or coded weights, or two of one name.
    """
    check_arrays(arrays)
    data = HEADER.pack(len(arrays), 0)
    for array in arrays:
        name = encoded(array.name)
        form = (Form.PLAIN if not array.coded else
                Form.CODED if len(array.scales) == 1 else Form.CODED_SLICES)
        data += ARRAY.pack(form, len(array.shape), len(name)) + name
        data += struct.pack(f"<{len(array.shape)}I", *array.shape)
        data += struct.pack(f"<{len(array.scales)}d", *array.scales)
    return data + bytes(-len(data) % 4)


def unpack_arrays(data: bytes) -> tuple[ArrayDescriptor, ...]:
    """Return the arrays that section NETWORK of weights alone describes.

    Raises
    ------
    FormatError
        If it breaks the format: it ends early or late, a value is out of range, two arrays have one
        name, or there are no or too many weights.
    """
    try:
        count, layers = HEADER.unpack_from(data)
        if layers or not 1 <= count <= MAX_ARRAYS:
            raise FormatError(f"network: weights alone must have 0 layers and 1 to {MAX_ARRAYS} "
                              f"arrays, not {layers} and {count}")
        start = HEADER.size
        arrays = []
        for _ in range(count):
            array, start = unpack_array(data, start)
            arrays.append(array)
        packed = pack_arrays(arrays)
    except struct.error:
        raise FormatError(f"network: arrays end beyond its {len(data)} bytes") from None
    except ValueError as error:
        raise error if isinstance(error, FormatError) else FormatError(
            f"network: {error}") from error
    if packed != data:
        raise FormatError("network: what isn't used must be zero, and nothing may follow")
    return tuple(arrays)


def unpack_array(data: bytes, start: int) -> tuple[ArrayDescriptor, int]:
    """Return the array that is described from ``start`` on, and where the description ends."""
    form, axes, length = ARRAY.unpack_from(data, start)
    start += ARRAY.size
    if axes > MAX_AXES or length > MAX_NAME:
        raise ValueError(f"array must have at most {MAX_AXES} axes and {MAX_NAME} bytes of name, "
                         f"not {axes} and {length}")
    name = data[start:start + length].decode()
    start += length
    shape = struct.unpack_from(f"<{axes}I", data, start)
    start += 4 * axes
    if form == Form.CODED_SLICES and not (shape and shape[0] > 1):
        raise ValueError(f"array {name!r:.80} must have several slices for a scale each")
    count = {Form.PLAIN: 0, Form.CODED: 1, Form.CODED_SLICES: shape[0] if shape else 0}[Form(form)]
    if start + 8 * count > len(data):
        raise FormatError(f"network: {count} scales don't fit its {len(data)} bytes")
    scales = struct.unpack_from(f"<{count}d", data, start)
    return ArrayDescriptor(name, shape, scales), start + 8 * count
