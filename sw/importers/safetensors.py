"""Safetensors files: weights alone, without a graph."""

import json
import re
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .npz import (MAX_BYTES, MAX_MEMBERS, MAX_TEXT, ModelError, WeightsAlone, first_line,
                  read_file)


__all__ = ["load", "weights_of"]


#: Bytes of a value, and its type in NumPy; bfloat16 is the upper half of a float32.
DTYPES = {"F64": (8, "<f8"), "F32": (4, "<f4"), "F16": (2, "<f2"), "BF16": (2, "<u2")}
NAME = re.compile(r"[!-~]{1,256}")


def load(path: Path) -> WeightsAlone:
    """Return the arrays of a .safetensors file, as float32, in the order of their data.

    Raises
    ------
    ModelError
        If it can't be read, breaks the format, or holds other numbers than finite floats.
    """
    return read_file(path, lambda data, name: WeightsAlone(name, weights_of(data)))


def weights_of(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the arrays that ``data``, the bytes of a file, hold.

    Raises
    ------
    ModelError
        As `load`.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MAX_TEXT):
        raise ModelError(f"is not a safetensors file: a header of {length} bytes doesn't fit its "
                         f"{len(data)}")
    try:
        header = json.loads(data[8:8 + length].decode())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"header is not JSON: {first_line(error)}") from None
    if not isinstance(header, dict):
        raise ModelError("header must be an object")
    header.pop("__metadata__", None)
    if len(header) > MAX_MEMBERS:
        raise ModelError(f"must hold at most {MAX_MEMBERS} arrays, not {len(header)}")
    places = sorted((*place(name, entry), name) for name, entry in header.items())
    body = data[8 + length:]
    edges = [0, *(end for _, end, _ in places)]
    if any(start != before for (start, _, _), before in zip(places, edges, strict=False)) or (
            edges[-1] != len(body)):
        raise ModelError(f"arrays must fill the {len(body)} bytes of data one after another")
    return {name: array(name, header[name], body[start:end]) for start, end, name in places}


def place(name: str, entry: Any) -> tuple[int, int]:
    """Return where an array begins and ends, its declaration checked."""
    if not NAME.fullmatch(name):
        raise ModelError(f"array {name!r:.40} must have a name of 1 to 256 printable characters")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelError(f"array {name!r} must have dtype, shape and data_offsets")
    if entry["dtype"] not in DTYPES:
        raise ModelError(f"array {name!r} must be one of {', '.join(DTYPES)}, "
                         f"not {entry['dtype']!r:.20}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    for label, values, most in (("shape", shape, 8), ("data_offsets", offsets, 2)):
        if not (isinstance(values, list) and len(values) <= most
                and all(type(value) is int and 0 <= value <= MAX_BYTES for value in values)):
            raise ModelError(f"array {name!r}: {label} must be a few whole numbers, "
                             f"not {values!r:.40}")
    size = prod(shape) * DTYPES[entry["dtype"]][0]
    if len(offsets) != 2 or any(end - start != size for start, end in pairwise(offsets)):
        raise ModelError(f"array {name!r} must have {size} bytes of data, not {offsets}")
    return offsets[0], offsets[1]


def array(name: str, entry: dict[str, Any], data: bytes) -> NDArray[np.float32]:
    values: NDArray[Any] = np.frombuffer(data, DTYPES[entry["dtype"]][1])
    if entry["dtype"] == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"array {name!r} holds NaN or infinity")
    with np.errstate(over="ignore"):
        floats = values.astype(np.float32)
    if not np.isfinite(floats).all():
        raise ModelError(f"array {name!r} must fit float32")
    return floats.reshape(entry["shape"])
