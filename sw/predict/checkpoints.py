"""Unfinished fits, kept to be gone on with when they are called again."""

import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..files import write_file


__all__ = ["FOLDER", "PAUSE", "Arrays", "load_arrays", "path_for", "save_arrays"]


#: Where unfinished fits lie.
FOLDER = Path("build/predict")

#: Seconds between two times that one is kept.
PAUSE = 10.0

Arrays = dict[str, NDArray[Any]]


def path_for(name: str, parts: Sequence[ArrayLike], suffix: str = "npz") -> Path:
    """Return the file of a fit: that of the predictor ``name`` with just these numbers."""
    digest = hashlib.sha256(name.encode())
    for part in map(np.asarray, parts):
        digest.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
    return FOLDER / f"{name}-{digest.hexdigest()[:16]}.{suffix}"


def save_arrays(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Write ``arrays``, whole or not at all."""
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: np.asarray(a) for name, a in arrays.items()})
    write_file(path, buffer.getvalue())


def load_arrays(path: Path, wanted: Mapping[str, ArrayLike]) -> Arrays | None:
    """Return the arrays of a file, None without one.

    One that is damaged, or whose arrays aren't those of ``wanted``, by name, type and shape, is no
    reason to stop: the fit begins anew.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found: Arrays = {name: archive[name] for name in wanted}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    for name, like in wanted.items():
        expected = np.asarray(like)
        if (found[name].dtype, found[name].shape) != (expected.dtype, expected.shape):
            return None
    return found
