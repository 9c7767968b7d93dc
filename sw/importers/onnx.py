"""ONNX models: float ones become float networks, quantised ones (QDQ) integer networks."""

import inspect
from collections import Counter
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from sw.format.layers import InputDescription, Operation
from sw.format.sections import MAX_LAYERS
from sw.network import (SOFTMAX_OUTPUT, FloatLayer, FloatNetwork, Network, Quantisation,
                        integer_network)

from .channels_first import Builder
from .npz import MAX_BYTES, ModelError, first_line, read_file
from .protobuf import check_fields


__all__ = ["load", "network_of"]


FloatArray = NDArray[np.float32]

#: Versions of the operator set whose operators mean what is assumed here.
OPSETS = range(9, 27)

#: Types of constants: the field of a tensor that holds them if they aren't raw, and the bytes.
TYPES = {
    onnx.TensorProto.FLOAT: ("float_data", "<f4"),
    onnx.TensorProto.DOUBLE: ("double_data", "<f8"),
    onnx.TensorProto.INT8: ("int32_data", "<i1"),
    onnx.TensorProto.UINT8: ("int32_data", "<u1"),
    onnx.TensorProto.INT32: ("int32_data", "<i4"),
    onnx.TensorProto.INT64: ("int64_data", "<i8"),
}

#: Operators that move values, but compute none: what they are given may be integers.
MOVES = ("Identity", "Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose")

#: Integers that activations are quantised to, by their type in the file.
INTEGERS: dict[int, np.dtype[Any]] = {
    onnx.TensorProto.INT8: np.dtype(np.int8), onnx.TensorProto.UINT8: np.dtype(np.uint8)}

#: Nodes that a graph may have: a layer with Q and DQ around all that it takes and gives has 12.
MAX_NODES = 32 * MAX_LAYERS

#: Fields that a file may have: names, sizes, attributes, and all that is made of them.
MAX_FIELDS = 1 << 18

#: Least factor from sums to outputs. Sums have 31 bits, so it makes less than half a step of them.
LEAST_FACTOR = 2.0 ** -32 * (1 + 1e-6)

#: Values that (de)quantised constants may have in all, for each byte of the file.
MAX_GROWTH = 4

#: What a malformed model makes the walk over it raise.
DAMAGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError,
          FloatingPointError)


def load(path: Path) -> FloatNetwork | Network:
    """Return the network of an .onnx file.

    A float model gives a float network, whose input is not normalised, nor its quantisation chosen
    yet. One with QuantizeLinear and DequantizeLinear around each operator gives an integer network,
    with TFLite's arithmetic: weights are int8, symmetric, activations int8 or uint8, which is
    shifted; pools keep the quantisation of their input, and a last softmax has TFLite's. Inputs are
    NHWC, whatever the file says.

    Raises
    ------
    ModelError
        If it can't be read, isn't a sound model, keeps data elsewhere, or holds what a network here
        can't express; the message names the operator and its place in the graph.
    """
    return read_file(path, network_of)


def network_of(data: bytes, name: str) -> FloatNetwork | Network:
    """Return the network that ``data``, the bytes of an .onnx file, describe.

    Raises
    ------
    ModelError
        As `load`.
    """
    model = onnx.ModelProto()
    try:
        check_fields(data, model.DESCRIPTOR, MAX_FIELDS)
        model.ParseFromString(data)
    except (DecodeError, ModelError) as error:
        raise ModelError(f"is not an ONNX model: {first_line(error)}") from None
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("") not in OPSETS:
        raise ModelError(f"operator set must be {OPSETS[0]} to {OPSETS[-1]}, "
                         f"not {opsets.get('')}")
    if len(model.graph.node) > MAX_NODES:
        raise ModelError(f"must have at most {MAX_NODES} nodes, not {len(model.graph.node)}")
    try:
        return Reader(model.graph, name, opsets[""], MAX_GROWTH * len(data)).network()
    except ModelError:
        raise
    except DAMAGE as error:
        raise ModelError(f"the graph is damaged: {first_line(error)}") from None


class Reader:
    """Walks the nodes of a model's graph, in operator set ``opset``.

    ``room`` is how many values constants may have in all after (de)quantisation.
    """

    def __init__(self, graph: Any, name: str, opset: int, room: int) -> None:
        self.graph = graph
        self.opset = opset
        self.room = room
        self.constants: dict[str, NDArray[Any]] = {}
        for number, tensor in enumerate(graph.initializer):
            label = f"constant {tensor.name or number!r:.60}"
            if tensor.name in self.constants:
                raise ModelError(f"{label} must be given once")
            self.constants[tensor.name] = array(tensor, label)
        #: Scales of constants that DequantizeLinear gave, and of the layers' weights.
        self.scales: dict[str, NDArray[np.float64]] = {}
        self.weight_scales: list[NDArray[np.float64] | None] = []
        #: How what the input, 0, and the layers give is quantised.
        self.quantised: dict[int, Quantisation] = {}
        #: Values of the graph that are integers, with their type, and those that were.
        self.integers: dict[str, np.dtype[Any]] = {}
        self.restored: set[str] = set()
        #: Layers, from 1, with an input that wasn't quantised.
        self.bare: list[int] = []
        uses = Counter(value for node in graph.node for value in node.input)
        uses.update(output.name for output in graph.output)
        self.builder = Builder(name, uses)

    def network(self) -> FloatNetwork | Network:
        inputs = [value for value in self.graph.input if value.name not in self.constants]
        if len(inputs) != 1 or len(self.graph.output) != 1:
            raise ModelError(f"must have one input and one output, not {len(inputs)} and "
                             f"{len(self.graph.output)}")
        self.input(inputs[0])
        for number, node in enumerate(self.graph.node):
            try:
                with np.errstate(over="raise", invalid="raise"):
                    self.call(node)
            except DAMAGE as error:
                kind = node.op_type if node.op_type.isidentifier() else repr(node.op_type)
                raise ModelError(f"node {number} {node.name!r:.60} ({kind:.40}): "
                                 f"{first_line(error)}") from None
        network = self.builder.network(self.graph.output[0].name)
        if not self.quantised:
            return network
        try:
            with np.errstate(over="raise", invalid="raise"):
                return self.in_integers(network)
        except (ValueError, FloatingPointError) as error:
            raise ModelError(first_line(error)) from None

    def input(self, value: Any) -> None:
        kind = value.type.tensor_type
        sizes = [size.dim_value if size.HasField("dim_value") else 0 for size in kind.shape.dim]
        # A batch of any size may be of one.
        sizes[:1] = [1] if sizes[:1] in ([0], [1]) else sizes[:1]
        last = self.turned_first(value.name)
        if kind.elem_type != onnx.TensorProto.FLOAT:
            raise ModelError(f"input {value.name!r:.60} must be float, "
                             f"not type {kind.elem_type}")
        try:
            self.builder.input(value.name, tuple(sizes), "hwc" if last else "chw")
        except ModelError as error:
            raise ModelError(f"input {value.name!r:.60}: {error}") from None

    def turned_first(self, name: str) -> bool:
        """Return whether all that takes an input first makes NCHW of NHWC."""
        names, found = {name}, []
        for node in self.graph.node:
            if names.isdisjoint(node.input):
                continue
            if node.op_type in ("Identity", "QuantizeLinear", "DequantizeLinear"):
                names.update(node.output)
            else:
                found.append(node.op_type == "Transpose"
                             and attributes(node).get("perm") == [0, 3, 1, 2])
        return bool(found) and all(found)

    def in_integers(self, network: FloatNetwork) -> Network:
        """Return ``network`` with the quantisation that the graph gives."""
        if 0 not in self.quantised:
            raise ModelError("the input must be quantised, since others are")
        made = [self.quantised[0]]
        for number, layer in enumerate(network.layers, 1):
            label = f"the output of {layer.name}"
            if number in self.bare:
                raise ModelError(f"inputs of {layer.name} must be quantised, since others are")
            output = self.quantised.get(number)
            if layer.operation is Operation.SOFTMAX:
                if number < len(network.layers) and output != SOFTMAX_OUTPUT:
                    raise ModelError(f"{label} must be quantised by {spelled(SOFTMAX_OUTPUT)}, "
                                     f"not by {spelled(output)}")
                output = SOFTMAX_OUTPUT
            if output is None:
                raise ModelError(f"{label} must be quantised, since others are")
            made.append(made[-layer.inputs[0]] if layer.operation.pools else output)
        weights = []
        scales = iter(self.weight_scales)
        for number, layer in enumerate(network.layers, 1):
            if layer.operation.has_weights:
                least = LEAST_FACTOR * made[number].scale / made[number - layer.inputs[0]].scale
                weights.append(self.weights(layer, next(scales), least))
        source = InputDescription(made[0].scale, made[0].zero_point, 0.0, 1.0)
        return integer_network(FloatNetwork(network.name, source, network.input_shape,
                                            network.layers), made[1:], weights)

    def weights(self, layer: FloatLayer, scale: NDArray[np.float64] | None, least: float
                ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Return the integers of a layer's weights and the scale of each filter.

        Scales below ``least`` are raised to it: the filter's outputs are 0 with either.
        """
        assert layer.weights is not None
        if scale is None:
            raise ModelError(f"weights of {layer.name} must be quantised, since others are")
        if scale.size not in (1, len(layer.weights)):
            raise ModelError(f"{layer.name} must have 1 or {len(layer.weights)} scales of weights, "
                             f"not {scale.size}")
        scales = np.broadcast_to(scale.ravel(), len(layer.weights))
        values = layer.weights / scales[:, None, None, None]
        integers = np.rint(values)
        if (np.abs(values - integers).max() > 0.01
                or not -128 <= integers.min() <= integers.max() <= 127):
            raise ModelError(f"weights of {layer.name} must be as they were quantised, not scaled "
                             f"afterwards")
        return integers.astype(np.int8), np.maximum(scales, least)

    def constant(self, name: str) -> FloatArray:
        """Return a constant of floats."""
        if name not in self.constants:
            raise ModelError(f"{name!r:.60} must be a constant")
        values = self.constants[name]
        if values.dtype.kind != "f":
            raise ModelError(f"{name!r:.60} must hold floats, not {values.dtype}")
        floats: FloatArray = values.astype(np.float32)
        if not np.isfinite(floats).all():
            raise ModelError(f"{name!r:.60} holds NaN or infinity")
        return floats

    def whole(self, name: str) -> tuple[int, ...]:
        """Return a constant of a few integers."""
        if name not in self.constants or self.constants[name].dtype.kind not in "iu":
            raise ModelError(f"{name!r:.60} must be a constant of integers")
        if self.constants[name].size > 8:
            raise ModelError(f"{name!r:.60} must have at most 8 integers")
        return tuple(map(int, self.constants[name].ravel().tolist()))

    def call(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx"):
            raise ModelError(f"operators of {node.domain!r:.40} aren't supported")
        handler = getattr(self, f"do_{node.op_type}", None)
        if handler is None:
            raise ModelError("the operator isn't supported")
        given = attributes(node)
        check_call(handler, len(node.input), given)
        if not node.output or not node.output[0]:
            raise ModelError("it must have an output")
        for name in node.output:
            if name in self.builder.values or name in self.constants:
                raise ModelError(f"{name!r:.60} must be made once")
        integers = [name for name in node.input if name in self.integers]
        if integers and node.op_type not in (*MOVES, "DequantizeLinear"):
            raise ModelError(f"its input {integers[0]!r:.60} must be floats, not integers")
        layers = len(self.builder.layers)
        handler(node.output[0], *node.input, **given)
        if node.output[0] in self.builder.values:
            self.follow(node, layers)

    def follow(self, node: Any, layers: int) -> None:
        """Note how a node's output is quantised; there were so many ``layers`` before."""
        output = node.output[0]
        made = self.builder.values[output].made
        sources = [name for name in node.input if name in self.builder.values]
        appended = len(self.builder.layers) > layers
        if appended:
            if self.builder.layers[-1].operation.has_weights:
                self.weight_scales.append(self.scales.get(node.input[1]))
            if not self.restored.issuperset(sources) and self.integers.keys().isdisjoint(sources):
                self.bare.append(made)
        if node.op_type in MOVES and sources[0] in self.integers:
            self.integers[output] = self.integers[sources[0]]
            self.quantised[made] = self.quantised[self.builder.values[sources[0]].made]
        elif node.op_type in (*MOVES, "Dropout", "Pad") and not appended:
            if sources[0] in self.restored:
                self.restored.add(output)
        elif not appended and node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            # It became part of a layer, whose values between aren't there any more.
            self.quantised.pop(made, None)

    def do_Identity(self, output: str, x: str) -> None:
        if x in self.constants:
            self.constants[output] = self.constants[x]
        else:
            self.builder.keep(output, x)

    def do_Dropout(self, output: str, x: str, share: str = "", training: str = "", *,
                   ratio: float = 0.5, seed: int = 0) -> None:
        if training and self.constants.get(training, np.ones(1)).any():
            raise ModelError("dropout must not be training")
        self.builder.keep(output, x)

    def do_QuantizeLinear(self, output: str, x: str, scale: str, zero_point: str = "", *,
                          axis: int = 1, block_size: int = 0, saturate: int = 1,
                          output_dtype: int = 0, precision: int = 0) -> None:
        if output_dtype not in (0, *INTEGERS) or precision not in (0, onnx.TensorProto.FLOAT):
            raise ModelError(f"it must make int8 or uint8 of floats, not type {output_dtype} by "
                             f"{precision}")
        zero = self.zero(zero_point, INTEGERS.get(output_dtype, np.dtype(np.uint8)))
        if x in self.constants:
            values = self.constant(x)
            scales, zeros = self.steps(values, scale, zero, axis, block_size)
            limits = np.iinfo(zero.dtype)
            self.constants[output] = np.clip(np.rint(values / scales) + zeros, limits.min,
                                             limits.max).astype(zero.dtype)
            return
        self.builder.keep(output, x)
        made, found = self.builder.values[output].made, self.quantisation(scale, zero)
        if self.quantised.setdefault(made, found) != found:
            raise ModelError(f"its input must be quantised by {spelled(self.quantised[made])}, as "
                             f"elsewhere, not by {spelled(found)}")
        self.integers[output] = zero.dtype

    def do_DequantizeLinear(self, output: str, x: str, scale: str, zero_point: str = "", *,
                            axis: int = 1, block_size: int = 0, output_dtype: int = 0) -> None:
        if output_dtype not in (0, onnx.TensorProto.FLOAT):
            raise ModelError(f"it must make floats, not type {output_dtype}")
        if x in self.constants:
            values = self.constants[x]
            zero = self.zero(zero_point, values.dtype)
            scales, zeros = self.steps(values, scale, zero, axis, block_size)
            # Unsigned weights are signed ones, 128 higher.
            if values.dtype not in (np.int8, np.uint8, np.int32) or zero.dtype != values.dtype or (
                    zero != (128 if values.dtype == np.uint8 else 0)).any():
                raise ModelError("weights and biases must be int8 or int32, and symmetric")
            self.constants[output] = ((values.astype(np.float64) - zeros) * scales
                                      ).astype(np.float32)
            self.scales[output] = scales
            return
        if x not in self.integers:
            raise ModelError(f"its input {x!r:.60} must be quantised by an earlier node")
        self.builder.keep(output, x)
        made = self.builder.values[output].made
        zero = self.zero(zero_point, self.integers[x])
        if (self.quantisation(scale, zero), zero.dtype) != (self.quantised[made],
                                                            self.integers[x]):
            raise ModelError("it must undo the quantisation before")
        self.restored.add(output)

    def zero(self, name: str, default: np.dtype[Any]) -> NDArray[Any]:
        """Return zero points; where they are left out, 0 of the type ``default``."""
        if not name:
            return np.zeros((), default)
        if name not in self.constants or self.constants[name].dtype.kind not in "iu":
            raise ModelError(f"the zero point {name!r:.60} must be a constant of integers")
        return self.constants[name]

    def steps(self, values: NDArray[Any], scale: str, zero: NDArray[Any], axis: int,
              block_size: int) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return the scales and zero points of a constant, broadcast along its axis."""
        self.room -= values.size
        if self.room < 0:
            raise ModelError(f"quantised constants must have at most {MAX_GROWTH} values for each "
                             f"byte of the file, in all")
        scales = self.constant(scale).astype(np.float64)
        if not (scales > 0).all() or block_size:
            raise ModelError("scales must be positive, for the whole or for each channel")
        shape = [1] * values.ndim
        if scales.size > 1:
            if not -values.ndim <= axis < values.ndim or values.shape[axis] != scales.size:
                raise ModelError(f"{scales.size} scales must fit axis {axis} of {values.shape}")
            shape[axis] = scales.size
        if not scales.size or zero.size not in (1, scales.size):
            raise ModelError(f"there must be {scales.size} zero points, not {zero.size}")
        zeros = zero.ravel().astype(np.int64)
        return scales.reshape(shape), np.broadcast_to(zeros, scales.size).reshape(shape)

    def quantisation(self, scale: str, zero: NDArray[Any]) -> Quantisation:
        scales = self.constant(scale)
        if scales.size != 1 or not scales.ravel()[0] > 0:
            raise ModelError(f"an activation must have one scale, above 0, not {scales.size}")
        if zero.size != 1 or zero.dtype not in (np.int8, np.uint8):
            raise ModelError(f"an activation must have one zero point, int8 or uint8, "
                             f"not {zero.size} of {zero.dtype}")
        shift = 128 if zero.dtype == np.uint8 else 0
        return Quantisation(float(scales.ravel()[0]), int(zero.ravel()[0]) - shift)

    def do_Constant(self, output: str, *, value: Any = None, value_float: float | None = None,
                    value_floats: Any = None, value_int: int | None = None,
                    value_ints: Any = None) -> None:
        if isinstance(value, onnx.TensorProto):
            self.constants[output] = array(value, f"constant {output!r:.60}")
            return
        for given, dtype in ((value_float, np.float32), (value_floats, np.float32),
                             (value_int, np.int64), (value_ints, np.int64)):
            if given is not None:
                self.constants[output] = np.asarray(given, dtype)
                return
        raise ModelError("a constant must be a tensor or numbers")

    def do_Conv(self, output: str, x: str, weight: str, bias: str = "", *, strides: Any = (1, 1),
                pads: Any = (0, 0, 0, 0), dilations: Any = (1, 1), group: int = 1,
                auto_pad: bytes = b"NOTSET", kernel_shape: Any = None) -> None:
        weights = self.constant(weight)
        if kernel_shape is not None and tuple(kernel_shape) != weights.shape[2:]:
            raise ModelError(f"kernel_shape must be {weights.shape[2:]}, as the weights have it, "
                             f"not {kernel_shape}")
        self.builder.convolution(
            output, x, weights, self.constant(bias) if bias else None, stride=tuple(strides),
            border=self.border(auto_pad, pads), dilation=tuple(dilations), groups=group)

    def border(self, auto_pad: bytes, pads: Any) -> Any:
        borders: dict[bytes, Any] = {
            b"NOTSET": tuple(pads), b"VALID": (0, 0, 0, 0), b"SAME_UPPER": "same",
            b"SAME_LOWER": "same lower"}
        if auto_pad not in borders:
            raise ModelError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, "
                             f"not {auto_pad!r:.20}")
        return borders[auto_pad]

    def do_Gemm(self, output: str, x: str, weight: str, bias: str = "", *, alpha: float = 1,
                beta: float = 1, transA: int = 0, transB: int = 0) -> None:
        if (alpha, beta, transA) != (1, 1, 0):
            raise ModelError(f"alpha, beta and transA must be 1, 1 and 0, not {alpha}, {beta} and "
                             f"{transA}")
        weights = self.constant(weight)
        self.builder.linear(output, x, weights if transB else weights.T,
                            self.constant(bias) if bias else None)

    def do_MatMul(self, output: str, x: str, weight: str) -> None:
        self.builder.linear(output, x, self.constant(weight).T, None)

    def do_BatchNormalization(self, output: str, x: str, weight: str, bias: str, mean: str,
                              variance: str, *, epsilon: float = 1e-5, momentum: float = 0.9,
                              training_mode: int = 0, spatial: int = 1) -> None:
        if training_mode or not spatial:
            raise ModelError("batch normalisation must not be training, and go by channels")
        self.builder.batch_normalisation(
            output, x, self.constant(weight), self.constant(bias), self.constant(mean),
            self.constant(variance), epsilon)

    def do_Relu(self, output: str, x: str) -> None:
        self.activate(output, x, 0.0, np.inf)

    def do_Clip(self, output: str, x: str, low: str = "", high: str = "", *,
                min: float = -np.inf, max: float = np.inf) -> None:
        limits = [float(self.constant(name).item()) if name else default
                  for name, default in ((low, min), (high, max))]
        self.activate(output, x, *limits)

    def activate(self, output: str, x: str, low: float, high: float) -> None:
        self.builder.clip(output, x, low, high)

    def do_MaxPool(self, output: str, x: str, *, kernel_shape: Any, strides: Any = None,
                   pads: Any = (0, 0, 0, 0), auto_pad: bytes = b"NOTSET", ceil_mode: int = 0,
                   dilations: Any = (1, 1), storage_order: int = 0) -> None:
        if tuple(dilations) != (1, 1):
            raise ModelError(f"dilations must be 1, not {dilations}")
        self.pool(output, x, Operation.MAX_POOL, kernel_shape, strides, pads, auto_pad, ceil_mode)

    def do_AveragePool(self, output: str, x: str, *, kernel_shape: Any, strides: Any = None,
                       pads: Any = (0, 0, 0, 0), auto_pad: bytes = b"NOTSET", ceil_mode: int = 0,
                       count_include_pad: int = 0, dilations: Any = (1, 1)) -> None:
        border = self.border(auto_pad, pads)
        if tuple(dilations) != (1, 1) or (count_include_pad and border != (0, 0, 0, 0)):
            raise ModelError("average pooling must not count padding, nor have dilations")
        self.pool(output, x, Operation.AVERAGE_POOL, kernel_shape, strides, pads, auto_pad,
                  ceil_mode)

    def pool(self, output: str, x: str, operation: Operation, kernel: Any, strides: Any, pads: Any,
             auto_pad: bytes, ceil: int) -> None:
        self.builder.pool(output, x, operation, tuple(kernel), tuple(strides or (1, 1)),
                          self.border(auto_pad, pads), ceil=bool(ceil))

    def do_GlobalAveragePool(self, output: str, x: str) -> None:
        self.builder.mean(output, x)

    def do_ReduceMean(self, output: str, x: str, where: str = "", *, axes: Any = (),
                      keepdims: int = 1, noop_with_empty_axes: int = 0) -> None:
        chosen = self.whole(where) if where else tuple(axes)
        if sorted(axis + 4 * (axis < 0) for axis in chosen) != [2, 3]:
            raise ModelError(f"the mean must be of height and width, not of axes {chosen}")
        self.builder.mean(output, x, flat=not keepdims)

    def do_Add(self, output: str, one: str, two: str) -> None:
        constant = [name for name in (one, two) if name not in self.builder.values]
        if not constant:
            self.builder.add(output, one, two)
        elif len(constant) == 1:
            self.scale(output, one if constant[0] == two else two, np.ones(1, np.float32),
                       self.constant(constant[0]))
        else:
            raise ModelError("it must add to a value of the graph")

    def do_Mul(self, output: str, one: str, two: str) -> None:
        constant = [name for name in (one, two) if name not in self.builder.values]
        if len(constant) != 1:
            raise ModelError("it must multiply a value of the graph by a constant")
        self.scale(output, one if constant[0] == two else two, self.constant(constant[0]),
                   np.zeros(1, np.float32))

    def scale(self, output: str, x: str, factor: FloatArray, term: FloatArray) -> None:
        value = self.builder.value(x)
        for values in (factor, term):
            # Broadcast from the last axis: channels are the third from it, if there are pixels.
            spread = (*(1,) * (4 - values.ndim), *values.shape)
            channel = 3 if value.flat else value.channel_axis
            if values.size > 1 and (len(spread) != 4 or spread[channel] != values.size):
                raise ModelError(f"a constant must have a value for each channel, "
                                 f"not the shape {values.shape}")
        self.builder.scale(output, x, factor, term)

    def do_Flatten(self, output: str, x: str, *, axis: int = 1) -> None:
        if axis != 1:
            raise ModelError(f"axis must be 1, not {axis}")
        self.builder.flatten(output, x, (1, -1))

    def do_Reshape(self, output: str, x: str, shape: str, *, allowzero: int = 0) -> None:
        sizes = self.whole(shape)
        self.builder.flatten(output, x, (1, *sizes[1:]) if sizes[:1] == (0,) else sizes)

    def do_Squeeze(self, output: str, x: str, where: str = "", *, axes: Any = ()) -> None:
        chosen = self.whole(where) if where else tuple(axes)
        if sorted(axis + 4 * (axis < 0) for axis in chosen) != [2, 3]:
            raise ModelError(f"axes must be height and width, not {chosen}")
        self.builder.flatten(output, x, (1, self.builder.pixels(x).shape[2]))

    def do_Transpose(self, output: str, x: str, *, perm: Any = ()) -> None:
        self.builder.turn(output, x, tuple(perm))

    def do_Pad(self, output: str, x: str, where: str = "", fill: str = "", axes: str = "", *,
               mode: bytes = b"constant", pads: Any = (), value: float = 0) -> None:
        sizes = self.whole(where) if where else tuple(pads)
        filled = float(self.constant(fill).item()) if fill else value
        if mode != b"constant" or filled or axes or len(sizes) != 8 or any(
                (*sizes[:2], *sizes[4:6])):
            raise ModelError(f"padding must put zeros around height and width, not {sizes}")
        self.builder.pad(output, x, (sizes[2], sizes[3], sizes[6], sizes[7]))

    def do_Softmax(self, output: str, x: str, *, axis: int | None = None) -> None:
        if axis is None:
            axis = 1 if self.opset < 13 else -1
        # Before version 13 all axes from this one on were one.
        if self.opset < 13 and axis == 1:
            axis = self.builder.value(x).channel_axis
        self.builder.softmax(output, x, axis)


def check_call(handler: Any, inputs: int, given: dict[str, Any]) -> None:
    """Refuse a node with other inputs or attributes than its operator's."""
    # The first argument is the output's name.
    parameters = list(inspect.signature(handler).parameters.values())[1:]
    names = [entry for entry in parameters if entry.kind is entry.POSITIONAL_OR_KEYWORD]
    least = sum(entry.default is entry.empty for entry in names)
    if not least <= inputs <= len(names):
        raise ModelError(f"it must have {least} to {len(names)} inputs, not {inputs}")
    options = {entry.name: entry for entry in parameters if entry.kind is entry.KEYWORD_ONLY}
    for name in given:
        if name not in options:
            raise ModelError(f"attribute {name!r:.40} isn't supported")
    for name, entry in options.items():
        if entry.default is entry.empty and name not in given:
            raise ModelError(f"it must have the attribute {name!r}")


def spelled(found: Quantisation | None) -> str:
    return f"{found.scale:.6g} with zero point {found.zero_point}" if found else "nothing"


def attributes(node: Any) -> dict[str, Any]:
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def array(tensor: Any, label: str) -> NDArray[Any]:
    """Return a constant; its size is checked before anything is allocated."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(f"{label} must not lie in another file")
    if tensor.data_type not in TYPES:
        raise ModelError(f"{label} must be one of float, double, int8, uint8, int32, int64, "
                         f"not type {tensor.data_type}")
    kind, dtype = TYPES[tensor.data_type]
    shape: Sequence[int] = tuple(tensor.dims)
    if any(size < 0 or size > MAX_BYTES for size in shape) or len(shape) > 8:
        raise ModelError(f"{label} must have a shape, not {shape!r:.60}")
    if tensor.HasField("raw_data"):
        values = np.frombuffer(tensor.raw_data, np.uint8)
        if len(values) != prod(shape) * np.dtype(dtype).itemsize:
            raise ModelError(f"{label} must have {prod(shape) * np.dtype(dtype).itemsize} bytes, "
                             f"not {len(values)}")
        return values.view(dtype).reshape(shape)
    stored = getattr(tensor, kind)
    if len(stored) != prod(shape):
        raise ModelError(f"{label} must have {prod(shape)} values, not {len(stored)}")
    numbers = np.array(stored)
    with np.errstate(over="ignore", invalid="ignore"):
        values = numbers.astype(dtype)
    if values.dtype.kind in "iu" and (values != numbers).any():
        raise ModelError(f"{label} must hold values of the type {values.dtype}")
    return values.reshape(shape)
