"""Networks that ship with the project, their data, and the scripts that trained them."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sw.importers.npz import Archive, ModelError, WeightsAlone
from sw.network import FloatNetwork, Network, float_network


__all__ = ["IMPORTERS", "NAMES", "Data", "holds_weights_alone", "load_calibration", "load_data",
           "load_labelled", "load_model", "load_network", "load_source"]


FOLDER = Path(__file__).parent

NAMES = ("digits", "mnist")

#: Modules that read model files, by suffix; others are the project's own, npz.
IMPORTERS = {".onnx": "onnx", ".pt2": "pt2", ".safetensors": "safetensors", ".tflite": "tflite"}


@dataclass(frozen=True, eq=False)
class Data:
    """What a network is judged and calibrated on, as the user gives inputs.

    Parameters
    ----------
    x : array, shape (n, H, W, C)
        Inputs that were held out from training; maybe none.
    y : array of integers, shape (n,)
        Their classes.
    calibration : array, shape (m, H, W, C)
        Some training inputs; maybe none.
    halved : bool
        Whether ``calibration`` is a part of what was given to judge by.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    calibration: NDArray[Any]
    halved: bool = False


def find(model: str | Path) -> Path:
    if str(model) in NAMES:
        return FOLDER / f"{model}.npz"
    path = Path(model)
    if not path.is_file():
        raise ModelError(f"{model}: no such model file, nor one of the networks that ship: "
                         f"{', '.join(NAMES)}")
    return path


def load_model(model: str | Path) -> FloatNetwork | Network | WeightsAlone:
    """Return the network that ``model``, a name or a file, stands for, or its weights alone.

    Raises
    ------
    ModelError
        If there is none, or the file can't be used.
    """
    path = find(model)
    # An importer is loaded with the first file of its kind: some bring large libraries.
    importer = import_module(f"sw.importers.{IMPORTERS.get(path.suffix, 'npz')}")
    network: FloatNetwork | Network | WeightsAlone = importer.load(path)
    return network


def holds_weights_alone(model: str | Path) -> bool:
    """Return whether ``model``, a name or a file, is one of weights alone, without reading them.

    Raises
    ------
    ModelError
        If there is none, or it is an npz file that can't be used.
    """
    path = find(model)
    if path.suffix in IMPORTERS:
        return IMPORTERS[path.suffix] == "safetensors"
    with Archive(path) as archive:
        return "network" not in archive.members


def load_source(model: str | Path) -> FloatNetwork | Network:
    """Return the network that ``model``, a name or a file, stands for, as the file has it.

    Raises
    ------
    ModelError
        If there is none, the file can't be used, or holds weights alone.
    """
    network = load_model(model)
    if isinstance(network, WeightsAlone):
        raise ModelError(f"{model}: holds weights alone, without a network; sw.weights compresses "
                         f"them")
    return network


def load_network(model: str | Path) -> FloatNetwork:
    """Return the network that ``model``, a name or a file, stands for, in floats.

    Raises
    ------
    ModelError
        As `load_source`.
    """
    network = load_source(model)
    return float_network(network) if isinstance(network, Network) else network


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
    return Data(arrays["x"], arrays["y"], arrays["calibration"])


def load_labelled(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return inputs ``x`` and classes ``y`` of an npz file that the user gives.

    Raises
    ------
    ModelError
        If it can't be used.
    """
    with Archive(path) as archive:
        x, y = archive.numbers("x"), archive.numbers("y")
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1] or not y.size:
            archive.refuse("must hold one class, an integer, for each input")
    return x, y


def load_calibration(path: Path) -> NDArray[Any]:
    """Return inputs ``x`` of an npz file that the user gives.

    Raises
    ------
    ModelError
        If it can't be used.
    """
    with Archive(path) as archive:
        x = archive.numbers("x")
        if not x.size:
            archive.refuse("must hold inputs")
    return x
