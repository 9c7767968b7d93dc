"""Networks that ship with the project, their data, and the scripts that trained them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.importers.npz import Archive, ModelError, WeightsAlone, load
from sw.network import FloatNetwork


__all__ = ["NAMES", "Data", "load_data", "load_model", "load_network"]


FOLDER = Path(__file__).parent

NAMES = ("digits",)


@dataclass(frozen=True, eq=False)
class Data:
    """What a network is judged and calibrated on, as the user gives inputs.

    Parameters
    ----------
    x : array of uint8, shape (n, H, W, C)
        Inputs that were held out from training.
    y : array of uint8, shape (n,)
        Their classes.
    calibration : array of uint8, shape (m, H, W, C)
        Some training inputs.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    calibration: NDArray[np.uint8]


def find(model: str | Path) -> Path:
    if str(model) in NAMES:
        return FOLDER / f"{model}.npz"
    path = Path(model)
    if not path.is_file():
        raise ModelError(f"{model}: no such model file, nor one of the networks that ship: "
                         f"{', '.join(NAMES)}")
    return path


def load_model(model: str | Path) -> FloatNetwork | WeightsAlone:
    """Return the network that ``model``, a name or a file, stands for, or its weights alone.

    Raises
    ------
    ModelError
        If there is none, or the file can't be used.
    """
    return load(find(model))


def load_network(model: str | Path) -> FloatNetwork:
    """Return the network that ``model``, a name or a file, stands for.

    Raises
    ------
    ModelError
        If there is none, the file can't be used, or holds weights alone.
    """
    network = load_model(model)
    if isinstance(network, WeightsAlone):
        raise ModelError(f"{model}: holds weights alone; a network needs a member 'network'")
    return network


def load_data(model: str | Path) -> Data:
    """Return the data that lie beside a model file ``NAME.npz`` as ``NAME_data.npz``.

    Raises
    ------
    ModelError
        If the file is missing or can't be used.
    """
    path = find(model)
    with Archive(path.with_name(f"{path.stem}_data.npz")) as archive:
        arrays: dict[str, NDArray[Any]] = {
            name: archive.read(name, "uint8") for name in ("x", "y", "calibration")}
        if arrays["y"].shape != arrays["x"].shape[:1] or not arrays["y"].size:
            archive.refuse("must hold one class for each input")
        if arrays["calibration"].shape[1:] != arrays["x"].shape[1:]:
            archive.refuse("must hold calibration inputs of the same shape as the others")
        if not arrays["calibration"].size:
            archive.refuse("must hold a calibration input")
    return Data(**arrays)
