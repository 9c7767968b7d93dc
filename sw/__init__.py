"""From a trained network to a ROM image.

>>> from sw import compress
>>> compression = compress("digits")
>>> compression.size.factor > 8
True

What is named here loads when it is first used. The command modules `sw.compress` and `sw.inspect`
are for ``python -m``; programs import from here or from `sw.compression`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from .compression import Compression, compare, compress
    from .files import write_file
    from .format.sections import FormatError
    from .format.target import PRESETS, Target
    from .image import Image, build_image, load_image, read_image
    from .weights import WeightsCompression, compress_weights
    from .weights_image import WeightsImage, load_any_image
    from .zoo import load_data, load_network


__all__ = ["PRESETS", "Compression", "FormatError", "Image", "Target", "WeightsCompression",
           "WeightsImage", "build_image", "compare", "compress", "compress_weights",
           "load_any_image", "load_data", "load_image", "load_network", "read_image", "write_file"]


HOMES = {
    "compression": ("Compression", "compare", "compress"),
    "format.sections": ("FormatError",),
    "format.target": ("PRESETS", "Target"),
    "files": ("write_file",),
    "image": ("Image", "build_image", "load_image", "read_image"),
    "weights": ("WeightsCompression", "compress_weights"),
    "weights_image": ("WeightsImage", "load_any_image"),
    "zoo": ("load_data", "load_network"),
}


def __getattr__(name: str) -> Any:
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
