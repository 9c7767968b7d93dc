"""PyTorch's .pt2 archives, as `torch.export.save` writes them, without PyTorch.

Only the graph, which is JSON, and raw weights are read. What PyTorch itself would unpickle, sample
inputs among them, is never opened.
"""

import io
import json
from collections import Counter
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.format.layers import Operation
from sw.network import Activation, FloatNetwork

from .channels_first import Builder, pair
from .npz import MAX_BYTES, ZIP_DAMAGE, ModelError, first_line, open_zip, read_file


__all__ = ["load", "network_of"]


FloatArray = NDArray[np.float32]

#: The most bytes of a JSON member: parsed, one takes up to 30 times as many. PyTorch writes 2 to
#: 3 kB for an operator.
MAX_JSON = 4 << 20
#: The most bytes of the members that say how the archive is written.
MAX_FORMAT = 16
#: The most characters of a message, and of a name in it.
MAX_COMPLAINT = 300
MAX_SHOWN = 80

#: Types of weights, by the number of PyTorch's ScalarType, and their bytes. bfloat16 is the upper
#: half of a float32.
FLOATS = {6: "<f2", 7: "<f4", 8: "<f8", 13: "<u2"}
BFLOAT16 = 13

#: Versions of the graph's schema that are known.
SCHEMA = 8

#: What malformed JSON makes the walk over it raise.
DAMAGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError,
          FloatingPointError)

#: Operators that change nothing when a network runs.
PASSED_ON = ("alias", "alpha_dropout", "clone", "contiguous", "detach", "dropout",
             "feature_alpha_dropout", "feature_dropout")
#: Operators that give, or may give, the memory of their input another name.
VIEWS = (*PASSED_ON, "flatten", "permute", "reshape", "squeeze", "unsafe_view", "view")


def load(path: Path) -> FloatNetwork:
    """Return the network of a .pt2 file.

    Convolutions (also depthwise), linear layers, max- and average-pooling (also adaptive), zeros
    around a convolution's input, batch normalisation after a convolution or a linear layer
    (folded), ReLU and ReLU6, addition, flattening and softmax over classes. Inputs are NHWC: what
    the module takes, with channels last.

    Raises
    ------
    ModelError
        If it can't be read, asks for a pickle, custom objects or compiled code, or holds anything
        else; the message names the operator and its node.
    """
    return read_file(path, network_of)


def network_of(data: bytes, name: str) -> FloatNetwork:
    """Return the network that ``data``, the bytes of a .pt2 file, describe.

    Raises
    ------
    ModelError
        As `load`.
    """
    try:
        return Reader(Archive(data), name).network()
    except ModelError as error:
        complaint = str(error)
    except DAMAGE as error:
        complaint = f"the graph is damaged: {type(error).__name__}: {first_line(error)}"
    # Names and numbers of the file are in it.
    raise ModelError(shown(complaint, MAX_COMPLAINT))


class Archive:
    """The members of a .pt2 file, all below one folder."""

    def __init__(self, data: bytes) -> None:
        if data[:2] != b"PK":
            raise ModelError("is not a .pt2 archive")
        self.zip = open_zip(io.BytesIO(data), "member")
        entries = self.zip.infolist()
        self.entries = {entry.filename.partition("/")[2]: entry for entry in entries}
        if len(self.entries) < len(entries):
            raise ModelError("must have each member once, in one folder")
        if self.read("archive_format", MAX_FORMAT) != b"pt2":
            raise ModelError("is not a .pt2 archive: its archive_format is another")
        if self.read("byteorder", MAX_FORMAT) != b"little":
            raise ModelError("must be little-endian")
        compiled = sorted(name for name in self.entries if name.startswith("data/aotinductor/"))
        if compiled:
            raise ModelError(f"holds compiled code, {shown(compiled[0])}, which is never run")

    def size(self, name: str) -> int:
        """Return how many bytes a member has."""
        if name not in self.entries:
            raise ModelError(f"member {shown(name)!r} is missing")
        return self.entries[name].file_size

    def read(self, name: str, most: int) -> bytes:
        """Return the bytes of a member, of which there must be ``most`` at most."""
        if self.size(name) > most:
            raise ModelError(f"member {shown(name)!r} must have at most {most} bytes, "
                             f"not {self.size(name)}")
        try:
            return self.zip.read(self.entries[name])
        except ZIP_DAMAGE as error:
            raise ModelError(f"member {shown(name)!r} is damaged: {first_line(error)}") from None

    def json(self, name: str) -> Any:
        try:
            return json.loads(self.read(name, MAX_JSON))
        except (ValueError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"member {shown(name)!r} is not JSON: {first_line(error)}") from None


class Reader:
    """Walks the nodes of the archive's graph."""

    def __init__(self, archive: Archive, name: str) -> None:
        self.archive = archive
        models = [member.removeprefix("models/").removesuffix(".json")
                  for member in archive.entries
                  if member.startswith("models/") and member.endswith(".json")]
        if len(models) != 1:
            raise ModelError(f"must hold one model, not {len(models)}")
        model = archive.json(f"models/{models[0]}.json")
        if model["schema_version"]["major"] != SCHEMA:
            raise ModelError(f"must have schema version {SCHEMA}, "
                             f"not {model['schema_version']['major']!r:.20}")
        self.graph = model["graph_module"]["graph"]
        self.specs = model["graph_module"]["signature"]["input_specs"]
        if self.graph.get("custom_obj_values"):
            raise ModelError("asks for custom objects, which could run any code")
        self.stored = {part: self.config(part, models[0]) for part in ("weights", "constants")}

        #: What each constant of the graph is: the folder and the name that its array has.
        self.constants: dict[str, tuple[str, str]] = {}
        #: Constants that the graph turned.
        self.turned: dict[str, FloatArray] = {}
        #: Bytes of all constants that were asked for, as float32.
        self.taken = 0
        #: Values whose memory is used by another name, too.
        self.aliases: set[str] = set()
        nodes = self.graph["nodes"]
        self.uses = Counter(value for node in nodes for entry in node["inputs"]
                            for value in tensors(entry["arg"]))
        self.uses.update(value for output in self.graph["outputs"] for value in tensors(output))
        self.builder = Builder(name, self.uses)

    def config(self, part: str, model: str) -> dict[str, Any]:
        entries = self.archive.json(f"data/{part}/{model}_{part}_config.json")["config"]
        for name, entry in entries.items():
            if entry["use_pickle"] or entry["path_name"].startswith(("custom_obj", "opaque")):
                raise ModelError(f"{part} {shown(name)!r} asks for a pickle, which could run any "
                                 f"code")
        return dict(entries)

    def network(self) -> FloatNetwork:
        inputs: dict[str, tuple[int, ...]] = {}
        for spec in self.specs:
            (kind, entry), = spec.items()
            if kind == "user_input":
                value, = tensors(entry["arg"])
                inputs[value] = self.sizes(value)
            elif kind == "parameter":
                self.constants[entry["arg"]["name"]] = ("weights", entry["parameter_name"])
            elif kind == "buffer":
                folder = "weights" if entry["persistent"] else "constants"
                self.constants[entry["arg"]["name"]] = (folder, entry["buffer_name"])
            elif kind == "tensor_constant":
                self.constants[entry["arg"]["name"]] = ("constants", entry["tensor_constant_name"])
            else:
                raise ModelError(f"inputs must be tensors, not {kind!r:.40}")
        # Operators are what says most about a model that can't be used.
        handlers = [self.handler(node) for node in self.graph["nodes"]]
        for value, shape in inputs.items():
            self.builder.input(value, shape)
        for node, handler in zip(self.graph["nodes"], handlers, strict=True):
            try:
                self.call(node, handler)
            except DAMAGE as error:
                raise ModelError(f"{described(node)}: {first_line(error)}") from None
        if len(self.graph["outputs"]) != 1:
            raise ModelError(f"must have one output, not {len(self.graph['outputs'])}")
        output, = tensors(self.graph["outputs"][0])
        return self.builder.network(output)

    def sizes(self, value: str) -> tuple[int, ...]:
        """Return the shape that the graph gives a value."""
        return whole(self.graph["tensor_values"][value]["sizes"])

    def constant(self, value: str) -> FloatArray:
        if value in self.turned:
            self.take(self.turned[value].size)
            return self.turned[value]
        if value not in self.constants:
            raise ModelError(f"{value!r:.60} must be a constant")
        folder, name = self.constants[value]
        if name not in self.stored[folder]:
            raise ModelError(f"{folder} {shown(name)!r} must be stored")
        entry = self.stored[folder][name]
        declared = entry["tensor_meta"]
        shape, strides = whole(declared["sizes"]), whole(declared["strides"])
        if declared["dtype"] not in FLOATS:
            raise ModelError(f"{shown(name)} must hold floats, not type {declared['dtype']!r:.20}")
        dtype = np.dtype(FLOATS[declared["dtype"]])
        # The stride of an axis of one step says nothing.
        axes = sorted(range(len(shape)), key=lambda axis: (shape[axis] != 1, -strides[axis]))
        stored = tuple(shape[axis] for axis in axes)
        dense = all(shape[axis] == 1 or strides[axis] == prod(stored[place + 1:])
                    for place, axis in enumerate(axes))
        if declared["storage_offset"] != {"as_int": 0} or not dense:
            raise ModelError(f"{shown(name)} must be stored densely, from its beginning")
        member = f"data/{folder}/{entry['path_name']}"
        size = prod(shape) * dtype.itemsize
        if self.archive.size(member) != size:
            raise ModelError(f"{shown(name)} must have {size} bytes of data, "
                             f"not {self.archive.size(member)}")
        self.take(prod(shape))
        values: NDArray[Any] = np.frombuffer(self.archive.read(member, size), dtype)
        if declared["dtype"] == BFLOAT16:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):
            floats: FloatArray = values.astype(np.float32).reshape(stored)
        if not np.isfinite(floats).all():
            raise ModelError(f"{shown(name)} holds NaN or infinity")
        return floats.transpose(np.argsort(axes))

    def take(self, count: int) -> None:
        """Count the floats of a constant: each layer has a copy, even where the file shares one."""
        self.taken += 4 * count
        if self.taken > MAX_BYTES:
            raise ModelError(f"weights must take at most {MAX_BYTES} bytes as float32, each use "
                             f"counted")

    def optional(self, value: str | None) -> FloatArray | None:
        return None if value is None else self.constant(value)

    def handler(self, node: dict[str, Any]) -> Callable[..., None]:
        """Return what makes the layer of a node."""
        package, operator, _ = parts(node)
        found: Callable[..., None] | None = getattr(self, f"do_{operator}", None)
        if operator in PASSED_ON:
            found = self.keep
        if package != "torch.ops.aten" or found is None:
            raise ModelError(f"{described(node)}: the operator isn't supported")
        return found

    def call(self, node: dict[str, Any], handler: Callable[..., None]) -> None:
        _, operator, in_place = parts(node)
        outputs = list(tensors(node["outputs"][0]))
        arguments = {entry["name"]: plain(entry["arg"]) for entry in node["inputs"]}
        arguments["x"] = arguments.pop("self", None) or arguments.pop("input", None)
        alone = self.uses[arguments["x"]] == 1 and arguments["x"] not in self.aliases
        if in_place and not alone:
            raise ModelError("it must not change a value in place that is used elsewhere, too")
        if operator in VIEWS and not alone:
            self.aliases.add(outputs[0])
        handler(outputs[0], **arguments)

    def keep(self, output: str, x: str, **others: Any) -> None:
        self.builder.keep(output, x)

    def do_conv2d(self, output: str, x: str, weight: str, bias: str | None = None, stride: Any = 1,
                  padding: Any = 0, dilation: Any = 1, groups: int = 1) -> None:
        border: Any = padding
        if padding == "valid":
            border = (0, 0, 0, 0)
        elif not isinstance(padding, str):
            border = pair(padding) * 2
        self.builder.convolution(output, x, self.constant(weight), self.optional(bias),
                                 stride=pair(stride), border=border, dilation=pair(dilation),
                                 groups=groups)

    def do_convolution(self, output: str, x: str, weight: str, bias: str | None, stride: Any,
                       padding: Any, dilation: Any, transposed: bool, output_padding: Any,
                       groups: int) -> None:
        if transposed:
            raise ModelError("a transposed convolution isn't supported")
        self.do_conv2d(output, x, weight, bias, stride, padding, dilation, groups)

    def do_linear(self, output: str, x: str, weight: str, bias: str | None = None) -> None:
        self.builder.linear(output, x, self.constant(weight), self.optional(bias))

    def do_addmm(self, output: str, x: str, mat1: str, mat2: str, beta: float = 1,
                 alpha: float = 1) -> None:
        if (alpha, beta) != (1, 1):
            raise ModelError(f"factors must be 1, not {alpha} and {beta}")
        self.builder.linear(output, mat1, self.constant(mat2).T, self.constant(x))

    def do_mm(self, output: str, x: str, mat2: str) -> None:
        self.builder.linear(output, x, self.constant(mat2).T, None)

    def do_permute(self, output: str, x: str, dims: Any) -> None:
        if x in self.constants:
            self.turned[output] = self.constant(x).transpose(dims)
        else:
            self.builder.turn(output, x, tuple(dims))

    def do_t(self, output: str, x: str) -> None:
        self.turned[output] = self.constant(x).T

    def do_batch_norm(self, output: str, x: str, weight: str | None, bias: str | None,
                      running_mean: str, running_var: str, training: bool = False,
                      momentum: float = 0, eps: float = 1e-5, cudnn_enabled: bool = True) -> None:
        if training:
            raise ModelError("batch normalisation must not be training")
        mean = self.constant(running_mean)
        given = self.optional(weight), self.optional(bias)
        self.builder.batch_normalisation(
            output, x, np.ones_like(mean) if given[0] is None else given[0],
            np.zeros_like(mean) if given[1] is None else given[1], mean,
            self.constant(running_var), eps)

    do_native_batch_norm_legit_no_training = do_batch_norm

    def do_relu(self, output: str, x: str) -> None:
        self.builder.activation(output, x, Activation.RELU)

    def do_relu6(self, output: str, x: str) -> None:
        self.builder.activation(output, x, Activation.RELU6)

    def do_hardtanh(self, output: str, x: str, min_val: float = -1, max_val: float = 1) -> None:
        self.builder.clip(output, x, min_val, max_val)

    def do_clamp(self, output: str, x: str, min: float | None = None, max: float | None = None
                 ) -> None:
        self.builder.clip(output, x, -np.inf if min is None else min,
                          np.inf if max is None else max)

    def do_clamp_min(self, output: str, x: str, min: float) -> None:
        self.builder.clip(output, x, min, np.inf)

    def do_max_pool2d(self, output: str, x: str, kernel_size: Any, stride: Any = (),
                      padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False) -> None:
        if pair(dilation) != (1, 1):
            raise ModelError(f"dilation must be 1, not {dilation}")
        self.builder.pool(output, x, Operation.MAX_POOL, pair(kernel_size),
                          pair(stride or kernel_size), pair(padding) * 2, ceil=ceil_mode)

    do_max_pool2d_with_indices = do_max_pool2d

    def do_avg_pool2d(self, output: str, x: str, kernel_size: Any, stride: Any = (),
                      padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
                      divisor_override: int | None = None) -> None:
        if divisor_override is not None or (count_include_pad and pair(padding) != (0, 0)):
            raise ModelError(f"average pooling must not count padding, nor have a divisor of its "
                             f"own, not {padding} and {divisor_override}")
        self.builder.pool(output, x, Operation.AVERAGE_POOL, pair(kernel_size),
                          pair(stride or kernel_size), pair(padding) * 2, ceil=ceil_mode)

    def do_adaptive_avg_pool2d(self, output: str, x: str, output_size: Any) -> None:
        self.adapt(output, x, Operation.AVERAGE_POOL, pair(output_size))

    def do_adaptive_max_pool2d(self, output: str, x: str, output_size: Any) -> None:
        self.adapt(output, x, Operation.MAX_POOL, pair(output_size))

    def adapt(self, output: str, x: str, operation: Operation, size: tuple[int, int]) -> None:
        """Pool to a size that divides the input's."""
        before = self.builder.pixels(x).shape[:2]
        if min(size) < 1 or before[0] % size[0] or before[1] % size[1]:
            raise ModelError(f"the output's size must divide {before}, not be {size}")
        if size == before:
            return self.builder.keep(output, x)
        kernel = before[0] // size[0], before[1] // size[1]
        self.builder.pool(output, x, operation, kernel, kernel)

    def do_pad(self, output: str, x: str, pad: Any, mode: str = "constant",
               value: float | None = None) -> None:
        if mode != "constant" or value not in (None, 0) or len(pad) not in (2, 4):
            raise ModelError(f"padding must be of zeros, in width and height, not {mode} of "
                             f"{value} by {pad}")
        left, right, above, below = (*pad, 0, 0)[:4]
        self.builder.pad(output, x, (above, left, below, right))

    def do_constant_pad_nd(self, output: str, x: str, pad: Any, value: float = 0) -> None:
        self.do_pad(output, x, pad, value=value)

    def do_mean(self, output: str, x: str, dim: Any, keepdim: bool = False, dtype: Any = None
                ) -> None:
        if sorted(axis % 4 for axis in dim) != [2, 3] or dtype is not None:
            raise ModelError(f"the mean must be of height and width, not of dimensions {dim}")
        self.builder.mean(output, x, flat=not keepdim)

    def do_flatten(self, output: str, x: str, start_dim: int = 0, end_dim: int = -1) -> None:
        self.builder.flatten(output, x, self.sizes(output))

    def do_view(self, output: str, x: str, size: Any = (), shape: Any = ()) -> None:
        self.builder.flatten(output, x, self.sizes(output))

    def do_squeeze(self, output: str, x: str, dim: Any = None) -> None:
        self.builder.flatten(output, x, self.sizes(output))

    do_reshape = do_view
    do_unsafe_view = do_view

    def do_add(self, output: str, x: str, other: Any, alpha: float = 1) -> None:
        if alpha != 1 or not isinstance(other, str):
            raise ModelError(f"it must add two values, not {other} times {alpha}")
        self.builder.add(output, x, other)

    def do_softmax(self, output: str, x: str, dim: int, dtype: Any = None,
                   half_to_float: bool = False) -> None:
        if len(self.sizes(output)) != 2 or dim not in (1, -1):
            raise ModelError(f"softmax must be over classes, not dimension {dim}")
        self.builder.softmax(output, x)


def tensors(argument: dict[str, Any]) -> list[str]:
    """Return the names of the tensors that an argument is."""
    (kind, value), = argument.items()
    if kind == "as_tensor":
        return [str(value["name"])]
    if kind == "as_tensors":
        return [str(entry["name"]) for entry in value]
    return []


def plain(argument: dict[str, Any]) -> Any:
    """Return an argument as Python has it; a tensor as its name."""
    (kind, value), = argument.items()
    if kind == "as_tensor":
        return str(value["name"])
    if kind == "as_none":
        return None
    if kind == "as_sym_ints":
        return list(whole(value))
    if kind not in ("as_int", "as_ints", "as_float", "as_bool", "as_string", "as_memory_format"):
        raise ModelError(f"an argument must be a number, a text or a tensor, not {kind!r:.40}")
    return value


def whole(sizes: list[dict[str, int]]) -> tuple[int, ...]:
    """Return sizes that must be known."""
    if any("as_expr" in size for size in sizes):
        raise ModelError("sizes must be fixed: export the module without dynamic shapes")
    found = tuple(size.get("as_int") for size in sizes)
    if len(found) > 8 or not all(type(size) is int and 0 <= size <= MAX_BYTES for size in found):
        raise ModelError(f"sizes must be a few known numbers, not {found!r:.60}")
    return found  # type: ignore[return-value]


def parts(node: dict[str, Any]) -> tuple[str, str, bool]:
    """Return package and operator of a node, and whether it changes its input in place."""
    package, _, operator = node["target"].rpartition(".")[0].rpartition(".")
    return package, operator.strip("_"), operator.endswith("_")


def described(node: dict[str, Any]) -> str:
    return f"node {shown(node['name'])} ({shown(node['target']).removeprefix('torch.ops.')})"


def shown(text: Any, most: int = MAX_SHOWN) -> str:
    """Return a text of the file, short, and without what a line or a terminal can't have."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:most])
