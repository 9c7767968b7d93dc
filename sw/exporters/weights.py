"""Weights alone: float32 arrays by name, in files that other tools read."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sw.importers.npz import NAME
from sw.network import Network, float_network


__all__ = ["FORMATS", "float_weights", "npz", "safetensors"]


#: What a safetensors file says of itself, in place of an array.
METADATA = "__metadata__"

Arrays = Mapping[str, NDArray[np.float32]]


def float_weights(network: Network) -> dict[str, NDArray[np.float32]]:
    """Return ``NAME.weights``, shape (Cout, KH, KW, Cin), and ``NAME.bias`` of each layer."""
    arrays: dict[str, NDArray[np.float32]] = {}
    for layer in float_network(network).weighted:
        if layer.weights is not None and layer.bias is not None:
            arrays |= {f"{layer.name}.weights": layer.weights, f"{layer.name}.bias": layer.bias}
    return arrays


def npz(arrays: Arrays) -> bytes:
    """Return a file of weights alone, as docs/network.md describes it.

    Raises
    ------
    ValueError
        If it doesn't allow an array's name.
    """
    for name in arrays:
        if not NAME.fullmatch(name) or name == "network":
            raise ValueError(f"npz files must have arrays of 1 to 64 of A-Z a-z 0-9 _ . -, other "
                             f"than network, not {name!r:.80}; safetensors may have others")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                npy.write_array(member, array, allow_pickle=False)
    return file.getvalue()


def safetensors(arrays: Arrays) -> bytes:
    """Return a safetensors file: length of a JSON header, the header, the arrays one by one.

    Raises
    ------
    ValueError
        If it doesn't allow an array's name.
    """
    if METADATA in arrays:
        raise ValueError(f"safetensors files must have no array {METADATA}, which means another "
                         f"thing to them")
    header = {}
    start = 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": array.shape,
                        "data_offsets": [start, start + array.nbytes]}
        start += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(
        array.astype("<f4").tobytes() for array in arrays.values())


FORMATS: dict[str, Callable[[Arrays], bytes]] = {".npz": npz, ".safetensors": safetensors}
