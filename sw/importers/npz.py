"""The project's own model file: arrays and one JSON member, specified in docs/network.md."""

import io
import json
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sw.format.layers import InputDescription, Operation
from sw.network import Activation, FloatLayer, FloatNetwork, Shape


__all__ = ["VERSION", "Archive", "ModelError", "WeightsAlone", "load", "save"]


VERSION = 1

Model = TypeVar("Model")

#: The most bytes that a model file may hold, packed or unpacked.
MAX_BYTES = 256 << 20
MAX_MEMBERS = 1024
#: The most characters of the JSON member, and of one array's header.
MAX_TEXT = 1 << 20
MAX_HEADER = 4096

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

#: What unpacking a damaged zip file raises.
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError,
              OverflowError)


class ModelError(ValueError):
    """A model file that can't be used. The message says in one line which, where and why."""


@dataclass(frozen=True, eq=False)
class WeightsAlone:
    """Arrays of a file that doesn't say which network they belong to.

    Parameters
    ----------
    name : str
        What reports call them: the file's name.
    arrays : dict of str to array of float32
        In the order of the file.
    """

    name: str
    arrays: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Member:
    """What an array's header declares."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Archive:
    """An npz file, to be opened with ``with``: what its arrays claim to be, then the arrays.

    No array is read, and no memory taken for it, before all sizes that the zip directory and the
    arrays' headers declare were found to agree and to stay below ``MAX_BYTES`` together.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ModelError
        If it is missing, damaged, not an npz file, too big, or holds a pickle.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > MAX_BYTES:
                self.refuse(f"must have at most {MAX_BYTES} bytes, not {path.stat().st_size}")
            with path.open("rb") as file:
                magic = file.read(6)
        except OSError as error:
            self.refuse(f"can't be read: {error.strerror}")
        if magic[:1] == b"\x80":
            self.refuse("is a pickle, which could run any code, and not an npz file")
        if magic[:2] != b"PK":
            self.refuse("is not an npz file")
        try:
            self.zip = open_zip(path, "array")
        except ModelError as error:
            self.refuse(str(error))
        try:
            self.members = self.declarations()
        except BaseException:
            self.zip.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.zip.close()

    def refuse(self, complaint: str) -> NoReturn:
        """Raise a ModelError about this file."""
        raise ModelError(f"{self.path}: {complaint}") from None

    def declarations(self) -> dict[str, Member]:
        members: dict[str, Member] = {}
        for entry in self.zip.infolist():
            name = entry.filename.removesuffix(".npy")
            if name == entry.filename or not NAME.fullmatch(name) or name in members:
                self.refuse(f"holds {entry.filename!r}, which is no array of its own")
            members[name] = self.declaration(entry, name)
        return members

    def declaration(self, entry: zipfile.ZipInfo, name: str) -> Member:
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        try:
            with warnings.catch_warnings(action="error"), self.zip.open(entry) as file:
                version = npy.read_magic(file)
                if version not in read_header:
                    self.refuse(f"array {name!r} has the unknown npy version {version}")
                shape, _, dtype = read_header[version](file, max_header_size=MAX_HEADER)
                header = file.tell()
        except ModelError:
            raise
        except Exception as error:
            # NumPy parses the header as Python, which damaged data can make raise anything.
            self.refuse(f"array {name!r} is damaged: {first_line(error)}")
        if dtype.hasobject:
            self.refuse(f"array {name!r} is a pickle of objects, which could run any code")
        if header + prod(shape) * dtype.itemsize != entry.file_size:
            self.refuse(f"array {name!r} declares {dtype} of shape {shape}, which does not fit the "
                        f"{entry.file_size} bytes that it has")
        return Member(shape, dtype)

    def read(self, name: str, dtype: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        """Return array ``name``, which must have this type, and this shape if one is given.

        Raises
        ------
        ModelError
            If there is no such array, or it isn't as it must be.
        """
        if name not in self.members:
            self.refuse(f"array {name!r} is missing")
        member = self.members[name]
        if member.dtype != np.dtype(dtype):
            self.refuse(f"array {name!r} must be {dtype}, not {member.dtype}")
        if shape is not None and member.shape != shape:
            self.refuse(f"array {name!r} must have shape {shape}, not {member.shape}")
        array = self.unpack(name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            self.refuse(f"array {name!r} holds NaN or infinity")
        return array

    def numbers(self, name: str) -> NDArray[Any]:
        """Return array ``name``, which must hold integers or floats, all finite.

        Raises
        ------
        ModelError
            As `read`.
        """
        if name in self.members and self.members[name].dtype.kind not in "iuf":
            self.refuse(f"array {name!r} must hold numbers, not {self.members[name].dtype}")
        return self.read(name, self.members[name].dtype.str if name in self.members else "f4")

    def text(self, name: str) -> str:
        """Return string ``name``.

        Raises
        ------
        ModelError
            If it isn't one, or too long.
        """
        member = self.members[name]
        if member.dtype.kind != "U" or member.shape:
            self.refuse(f"{name!r} must be one string, not {member.dtype} of {member.shape}")
        if member.dtype.itemsize > 4 * MAX_TEXT:
            self.refuse(f"{name!r} must have at most {MAX_TEXT} characters, "
                        f"not {member.dtype.itemsize // 4}")
        try:
            return str(self.unpack(name))
        except UnicodeError:
            self.refuse(f"{name!r} is not Unicode")

    def unpack(self, name: str) -> NDArray[Any]:
        try:
            data = io.BytesIO(self.zip.read(name + ".npy"))
            array: NDArray[Any] = npy.read_array(data, allow_pickle=False,
                                                 max_header_size=MAX_HEADER)
        except ZIP_DAMAGE as error:
            self.refuse(f"array {name!r} is damaged: {first_line(error)}")
        return array


def open_zip(file: Path | io.BytesIO, kind: str) -> zipfile.ZipFile:
    """Open a zip file, of whose members nothing is unpacked yet.

    Parameters
    ----------
    file : Path or BytesIO
        The file, or its bytes.
    kind : str
        What messages call a member.

    Raises
    ------
    ModelError
        If it is damaged, or declares more than ``MAX_MEMBERS`` members, ``MAX_BYTES`` together, or
        one that is encrypted or compressed in another way than zip files mostly are.
    """
    try:
        archive = zipfile.ZipFile(file)
    except ZIP_DAMAGE as error:
        raise ModelError(f"is damaged or truncated: {first_line(error)}") from None
    try:
        entries = archive.infolist()
        if len(entries) > MAX_MEMBERS:
            raise ModelError(f"must hold at most {MAX_MEMBERS} {kind}s, not {len(entries)}")
        total = sum(entry.file_size for entry in entries)
        if total > MAX_BYTES:
            raise ModelError(f"must unpack to at most {MAX_BYTES} bytes, not {total}")
        for entry in entries:
            if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED,
                                                                  zipfile.ZIP_DEFLATED):
                raise ModelError(f"{kind} {entry.filename!r:.80} is encrypted or compressed in an "
                                 f"unknown way")
    except BaseException:
        archive.close()
        raise
    return archive


def read_file(path: Path, parse: Callable[[bytes, str], Model]) -> Model:
    """Return what ``parse`` makes of a file's bytes and its name.

    Raises
    ------
    ModelError
        If the file can't be read, is too big, or ``parse`` refuses it; it begins with the path.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: must have at most {MAX_BYTES} bytes, "
                             f"not {path.stat().st_size}")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror}") from None
    try:
        return parse(data, path.stem)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def load(path: Path) -> FloatNetwork | WeightsAlone:
    """Read a model file.

    Returns
    -------
    FloatNetwork or WeightsAlone
        The latter if the file has no member ``network``.

    Raises
    ------
    ModelError
        If the file breaks docs/network.md anywhere.
    """
    with Archive(path) as archive:
        if "network" not in archive.members:
            return WeightsAlone(path.stem, {
                name: archive.read(name, "float32") for name in archive.members})
        try:
            description = json.loads(archive.text("network"), parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            archive.refuse(f"'network' is not JSON: {first_line(error)}")
        try:
            return network_of(description, archive)
        except (ValueError, OverflowError) as error:
            if isinstance(error, ModelError):
                raise
            archive.refuse(str(error))


def refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def network_of(description: Any, archive: Archive) -> FloatNetwork:
    version = field(description, "network", "version", int)
    if version != VERSION:
        raise ValueError(f"network: version must be {VERSION}, not {version}")
    source = field(description, "network", "input", dict)
    dtype = field(source, "input", "dtype", str)
    if dtype != "int8":
        raise ValueError(f"input: dtype must be int8, not {dtype}")
    input_shape: Shape = integers(source, "input", "shape", 3)
    shapes = [input_shape]
    layers: list[FloatLayer] = []
    for number, entry in enumerate(field(description, "network", "layers", list)):
        layer = layer_of(entry, f"layer {number}", shapes, archive)
        layers.append(layer)
        shapes.append(layer.output_shape)

    if len({layer.name for layer in layers}) < len(layers):
        raise ValueError("network: layers must have different names")
    network = FloatNetwork(field(description, "network", "name", str), input_of(source),
                           input_shape, tuple(layers))
    unused = archive.members.keys() - {"network"} - {
        f"{layer.name}.{part}" for layer in layers if layer.operation.has_weights
        for part in ("weights", "bias")}
    if unused:
        raise ValueError(f"no layer uses array {min(unused)!r}")
    return network


def input_of(source: dict[str, Any]) -> InputDescription:
    scale, mean, divisor = (float(field(source, "input", name, (int, float)))
                            for name in ("scale", "mean", "divisor"))
    zero_point = field(source, "input", "zero_point", int)
    if scale <= 0 or divisor == 0 or not np.isfinite([scale, mean, divisor]).all():
        raise ValueError(f"input: scale must be positive and divisor not 0, not {scale} "
                         f"and {divisor}")
    if not -128 <= zero_point <= 127:
        raise ValueError(f"input: zero_point must be -128 to 127, not {zero_point}")
    return InputDescription(scale, zero_point, mean, divisor)


def layer_of(entry: Any, label: str, shapes: list[Shape], archive: Archive) -> FloatLayer:
    name = field(entry, label, "name", str)
    if not NAME.fullmatch(name):
        raise ValueError(f"{label}: name must be 1 to 64 of A-Z a-z 0-9 _ . -, not {name!r}")
    kind = field(entry, name, "operation", str)
    try:
        operation = Operation[kind.upper()]
    except KeyError:
        supported = ", ".join(operation.name.lower() for operation in Operation)
        raise ValueError(f"{name}: operation must be one of {supported}, not {kind}") from None
    activation = field(entry, name, "activation", str)
    if activation not in tuple(Activation):
        raise ValueError(f"{name}: activation must be one of {', '.join(Activation)}, "
                         f"not {activation}")
    inputs = tuple(field(entry, name, "inputs", list)) if "inputs" in entry else (1,)
    if not inputs or not all(type(back) is int and 1 <= back <= len(shapes) for back in inputs):
        raise ValueError(f"{name}: inputs must be 1 to {len(shapes)} layers back, "
                         f"not {inputs!r:.40}")
    before = shapes[-inputs[0]]
    if operation is Operation.FULLY_CONNECTED:
        before = (1, 1, prod(before))
    output_shape = integers(entry, name, "output_shape", 3)
    kernel, stride, padding = (integers(entry, name, key, 2)
                               for key in ("kernel", "stride", "padding"))
    weights = bias = None
    if operation.has_weights:
        channels = 1 if operation is Operation.DEPTHWISE_CONV2D else before[2]
        weights = archive.read(f"{name}.weights", "float32", (output_shape[2], *kernel, channels))
        bias = archive.read(f"{name}.bias", "float32", (output_shape[2],))
    return FloatLayer(name, operation, before, output_shape, kernel, stride, padding,
                      Activation(activation), weights, bias, inputs)


def field(entry: Any, label: str, key: str, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(entry, dict):
        raise ValueError(f"{label} must be an object, not {type(entry).__name__}")
    if key not in entry:
        raise ValueError(f"{label}: {key} is missing")
    value = entry[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{label}: {key} is {value!r:.40}, which has the wrong type")
    return value


def integers(entry: Any, label: str, key: str, count: int) -> Any:
    values = field(entry, label, key, list)
    if len(values) != count or not all(type(value) is int for value in values):
        raise ValueError(f"{label}: {key} must be {count} integers, not {values!r:.40}")
    return tuple(values)


def save(path: Path, network: FloatNetwork) -> None:
    """Write ``network`` as a model file; the same network always gives the same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    layers: list[Mapping[str, Any]] = []
    for layer in network.layers:
        layers.append({
            "name": layer.name, "operation": layer.operation.name.lower(),
            "output_shape": layer.output_shape, "kernel": layer.kernel, "stride": layer.stride,
            "padding": layer.padding, "activation": layer.activation, "inputs": layer.inputs})
        if layer.weights is not None and layer.bias is not None:
            arrays |= {f"{layer.name}.weights": layer.weights, f"{layer.name}.bias": layer.bias}
    description = {
        "version": VERSION, "name": network.name,
        "input": {"shape": network.input_shape, "dtype": "int8"} | asdict(network.input),
        "layers": layers}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, network=np.array(json.dumps(description, indent=1)),
                 **arrays)
