"""Files with a user's inputs."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from sw.importers.npz import Archive


__all__ = ["read_input"]


def read_input(path: Path, *, channels: int = 1) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the inputs in a file, and their classes if it has them.

    Parameters
    ----------
    path : Path
        A npy file, a npz file with ``x`` and perhaps ``y``, or a PNG.
    channels : int
        What a PNG is converted to: grey or red, green and blue. Its values become int8, black -128
        and white 127.

    Raises
    ------
    ValueError
        If it is neither, or damaged.
    OSError
        If it can't be read.
    """
    match path.suffix:
        case ".npz":
            with Archive(path) as archive:
                x, y = (archive.read(name, str(archive.members[name].dtype))
                        if name in archive.members else None for name in ("x", "y"))
            if x is None:
                raise ValueError(f"{path}: array x is missing")
            return x, y
        case ".npy":
            try:
                return np.load(path, allow_pickle=False), None
            except (ValueError, EOFError) as error:
                raise ValueError(f"{path}: not a npy file of numbers") from error
        case ".png":
            if channels not in (1, 3):
                raise ValueError(f"{path}: a picture is for networks with 1 or 3 channels, not "
                                 f"{channels}")
            try:
                with Picture.open(path, formats=["PNG"]) as picture:
                    pixels = np.array(picture.convert("L" if channels == 1 else "RGB"))
            except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
                raise ValueError(f"{path}: not a good PNG: {error}") from error
            return (pixels ^ 0x80).view(np.int8), None
    raise ValueError(f"{path}: input must be a npy, npz or png file")
