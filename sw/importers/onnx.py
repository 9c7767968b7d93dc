"""ONNX models: float ones become float networks, quantised ones (QDQ) integer networks."""

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
from sw.network import (SOFTMAX_OUTPUT, FloatLayer, FloatNetwork, Network, Quantisation,
                        integer_network)

from .channels_first import Builder
from .npz import MAX_BYTES, ModelError, first_line


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

#: Operators that change nothing when a network runs.
PASSED_ON = ("Identity", "Dropout")

#: What a malformed model makes the walk over it raise.
DAMAGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError,
          FloatingPointError)


def load(path: Path) -> FloatNetwork | Network:
    """Return the network of an .onnx file.

    A float model gives a float network, whose input is not normalised, nor its quantisation chosen
    yet. One with QuantizeLinear and DequantizeLinear around each operator gives an integer network,
    with TFLite's arithmetic: weights are int8, symmetric, activations int8 or uint8, which is
    shifted. Inputs are NHWC, whatever the file says.

    Raises
    ------
    ModelError
        If it can't be read, isn't a sound model, keeps data elsewhere, or holds what a network here
        can't express; the message names the operator and its place in the graph.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: must have at most {MAX_BYTES} bytes, "
                             f"not {path.stat().st_size}")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror}") from None
    try:
        return network_of(data, path.stem)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def network_of(data: bytes, name: str) -> FloatNetwork | Network:
    """Return the network that ``data``, the bytes of an .onnx file, describe.

    Raises
    ------
    ModelError
        As `load`.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError) as error:
        raise ModelError(f"is not an ONNX model: {first_line(error)}") from None
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("") not in OPSETS:
        raise ModelError(f"operator set must be {OPSETS[0]} to {OPSETS[-1]}, "
                         f"not {opsets.get('')}")
    try:
        return Reader(model.graph, name).network()
    except ModelError:
        raise
    except DAMAGE as error:
        raise ModelError(f"the graph is damaged: {first_line(error)}") from None


class Reader:
    """Walks the nodes of a model's graph."""

    def __init__(self, graph: Any, name: str) -> None:
        self.graph = graph
        self.constants: dict[str, NDArray[Any]] = {}
        for number, tensor in enumerate(graph.initializer):
            self.constants[tensor.name] = array(tensor, f"constant {tensor.name or number!r}")
        #: Scales of constants that DequantizeLinear gave, and of the layers' weights.
        self.scales: dict[str, NDArray[np.float64]] = {}
        self.weight_scales: list[NDArray[np.float64] | None] = []
        #: How values of the graph are quantised.
        self.quantised: dict[str, Quantisation] = {}
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
                raise ModelError(f"node {number} {node.name!r:.60} ({node.op_type:.40}): "
                                 f"{first_line(error)}") from None
        network = self.builder.network(self.graph.output[0].name)
        return self.integers(network) if self.quantised else network

    def input(self, value: Any) -> None:
        kind = value.type.tensor_type
        sizes = [size.dim_value if size.HasField("dim_value") else 0 for size in kind.shape.dim]
        # A batch of any size may be of one.
        sizes[:1] = [1] if sizes[:1] in ([0], [1]) else sizes[:1]
        turned = [node for node in self.graph.node if value.name in node.input]
        last = bool(turned) and all(
            node.op_type == "Transpose" and attributes(node).get("perm") == [0, 3, 1, 2]
            for node in turned)
        if kind.elem_type != onnx.TensorProto.FLOAT:
            raise ModelError(f"input {value.name!r:.60} must be float, "
                             f"not type {kind.elem_type}")
        try:
            self.builder.input(value.name, tuple(sizes), "hwc" if last else "chw")
        except ModelError as error:
            raise ModelError(f"input {value.name!r:.60}: {error}") from None

    def integers(self, network: FloatNetwork) -> Network:
        """Return ``network`` with the quantisation that the graph gives."""
        outputs: list[Quantisation] = []
        made = {value.made: self.quantised[name] for name, value in self.builder.values.items()
                if name in self.quantised}
        if 0 not in made:
            raise ModelError("the input must be quantised, since others are")
        for number, layer in enumerate(network.layers, 1):
            if number not in made and layer.operation is not Operation.SOFTMAX:
                raise ModelError(f"the output of {layer.name} must be quantised, since others are")
            outputs.append(made.get(number, SOFTMAX_OUTPUT))
        weights = [self.weights(layer, scale) for layer, scale in zip(
            network.weighted, self.weight_scales, strict=True)]
        source = InputDescription(made[0].scale, made[0].zero_point, 0.0, 1.0)
        return integer_network(FloatNetwork(network.name, source, network.input_shape,
                                            network.layers), outputs, weights, as_tflite=True)

    def weights(self, layer: FloatLayer, scale: NDArray[np.float64] | None
                ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Return the integers of a layer's weights and the scale of each filter."""
        assert layer.weights is not None
        if scale is None:
            raise ModelError(f"weights of {layer.name} must be quantised, since others are")
        if scale.size not in (1, len(layer.weights)):
            raise ModelError(f"{layer.name} must have 1 or {len(layer.weights)} scales of weights, "
                             f"not {scale.size}")
        scales = np.broadcast_to(scale.ravel(), len(layer.weights))
        values = layer.weights / scales[:, None, None, None]
        integers = np.rint(values)
        if np.abs(values - integers).max() > 0.01 or np.abs(integers).max() > 128:
            raise ModelError(f"weights of {layer.name} must be as they were quantised, not scaled "
                             f"afterwards")
        return integers.astype(np.int8), scales

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
        if not node.output:
            raise ModelError("it must have an output")
        if node.op_type in PASSED_ON and node.input[0] in self.constants:
            self.constants[node.output[0]] = self.constants[node.input[0]]
            return
        if node.op_type in PASSED_ON:
            self.builder.keep(node.output[0], node.input[0])
            return
        handler = getattr(self, f"do_{node.op_type}", None)
        if handler is None:
            raise ModelError("the operator isn't supported")
        layers = len(self.builder.layers)
        handler(node.output[0], *node.input, **attributes(node))
        for layer in self.builder.layers[layers:]:
            if layer.operation.has_weights:
                self.weight_scales.append(self.scales.get(node.input[1]))

    def do_QuantizeLinear(self, output: str, x: str, scale: str, zero_point: str = "", *,
                          axis: int = 1, block_size: int = 0, **options: Any) -> None:
        if x not in self.constants:
            self.builder.keep(output, x)
            self.quantised[output] = self.quantisation(scale, zero_point)
            self.quantised.setdefault(x, self.quantised[output])
            return
        values = self.constant(x)
        scales, zero = self.steps(values, scale, zero_point, axis, block_size)
        limits = np.iinfo(zero.dtype)
        self.constants[output] = np.clip(np.rint(values / scales) + zero, limits.min, limits.max
                                         ).astype(zero.dtype)

    def do_DequantizeLinear(self, output: str, x: str, scale: str, zero_point: str = "", *,
                            axis: int = 1, block_size: int = 0, **options: Any) -> None:
        if x not in self.constants:
            self.builder.keep(output, x)
            found = self.quantisation(scale, zero_point)
            if self.quantised.setdefault(x, found) != found:
                raise ModelError("it must undo the quantisation before")
            self.quantised[output] = found
            return
        values = self.constants[x]
        scales, zero = self.steps(values, scale, zero_point, axis, block_size)
        # Unsigned weights are signed ones, 128 higher.
        if values.dtype not in (np.int8, np.uint8, np.int32) or (
                zero != (128 if values.dtype == np.uint8 else 0)).any():
            raise ModelError("weights and biases must be int8 or int32, and symmetric")
        self.constants[output] = ((values.astype(np.int64) - zero) * scales).astype(np.float32)
        self.scales[output] = scales

    def steps(self, values: NDArray[Any], scale: str, zero_point: str, axis: int, block_size: int
              ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return the scales and zero points of a constant, broadcast along its axis."""
        scales = self.constant(scale).astype(np.float64)
        zero = self.constants.get(zero_point, np.zeros(1, np.int8))
        if not (scales > 0).all() or block_size or zero.dtype.kind not in "iu":
            raise ModelError("scales must be positive, for the whole or for each channel")
        shape = [1] * values.ndim
        if scales.size > 1:
            shape[axis] = scales.size
            if values.shape[axis] != scales.size:
                raise ModelError(f"{scales.size} scales must fit an axis of {values.shape[axis]}")
        if zero.size not in (1, scales.size):
            raise ModelError(f"there must be {scales.size} zero points, not {zero.size}")
        scales = scales.reshape(shape)
        return scales, np.broadcast_to(zero.ravel(), scales.size).reshape(shape)

    def quantisation(self, scale: str, zero_point: str) -> Quantisation:
        scales = self.constant(scale)
        if scales.size != 1 or not scales.ravel()[0] > 0:
            raise ModelError(f"an activation must have one scale, above 0, not {scales.size}")
        zero = self.constants.get(zero_point, np.zeros(1, np.uint8))
        if zero.size != 1 or zero.dtype not in (np.int8, np.uint8):
            raise ModelError(f"an activation must have one zero point, int8 or uint8, "
                             f"not {zero.size} of {zero.dtype}")
        shift = 128 if zero.dtype == np.uint8 else 0
        return Quantisation(float(scales.ravel()[0]), int(zero.ravel()[0]) - shift)

    def do_Constant(self, output: str, **options: Any) -> None:
        value = options.get("value")
        if not isinstance(value, onnx.TensorProto):
            raise ModelError("a constant must be a tensor")
        self.constants[output] = array(value, f"constant {output!r:.60}")

    def do_Conv(self, output: str, x: str, weight: str, bias: str = "", *, strides: Any = (1, 1),
                pads: Any = (0, 0, 0, 0), dilations: Any = (1, 1), group: int = 1,
                auto_pad: bytes = b"NOTSET", kernel_shape: Any = None) -> None:
        weights = self.constant(weight)
        if len(strides) != 2 or len(pads) != 4 or len(dilations) != 2:
            raise ModelError("a convolution must have two dimensions")
        self.builder.convolution(
            output, x, weights, self.constant(bias) if bias else None, stride=tuple(strides),
            border=self.border(auto_pad, pads), dilation=tuple(dilations), groups=group)

    def border(self, auto_pad: bytes, pads: Any) -> Any:
        if auto_pad == b"SAME_UPPER":
            return "same"
        if auto_pad == b"VALID":
            return (0, 0, 0, 0)
        if auto_pad != b"NOTSET":
            raise ModelError(f"auto_pad must be NOTSET, VALID or SAME_UPPER, not {auto_pad!r:.20}")
        return tuple(pads)

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

    def do_MaxPool(self, output: str, x: str, *more: str, kernel_shape: Any, strides: Any = None,
                   pads: Any = (0, 0, 0, 0), auto_pad: bytes = b"NOTSET", ceil_mode: int = 0,
                   dilations: Any = (1, 1), storage_order: int = 0) -> None:
        if tuple(dilations) != (1, 1):
            raise ModelError(f"dilations must be 1, not {dilations}")
        self.pool(output, x, Operation.MAX_POOL, kernel_shape, strides, pads, auto_pad, ceil_mode)

    def do_AveragePool(self, output: str, x: str, *, kernel_shape: Any, strides: Any = None,
                       pads: Any = (0, 0, 0, 0), auto_pad: bytes = b"NOTSET", ceil_mode: int = 0,
                       count_include_pad: int = 0, dilations: Any = (1, 1)) -> None:
        if tuple(dilations) != (1, 1) or (count_include_pad and any(pads)):
            raise ModelError("average pooling must not count padding, nor have dilations")
        self.pool(output, x, Operation.AVERAGE_POOL, kernel_shape, strides, pads, auto_pad,
                  ceil_mode)

    def pool(self, output: str, x: str, operation: Operation, kernel: Any, strides: Any, pads: Any,
             auto_pad: bytes, ceil: int) -> None:
        border = self.border(auto_pad, pads)
        if len(kernel) != 2 or len(border) != 4:
            raise ModelError("pooling must have two dimensions, and padding in numbers")
        self.builder.pool(output, x, operation, tuple(kernel), tuple(strides or (1, 1)), border,
                          ceil=bool(ceil))

    def do_GlobalAveragePool(self, output: str, x: str) -> None:
        self.builder.mean(output, x)

    def do_ReduceMean(self, output: str, x: str, where: str = "", *, axes: Any = (),
                      keepdims: int = 1, noop_with_empty_axes: int = 0) -> None:
        chosen = self.whole(where) if where else tuple(axes)
        if sorted(axis % 4 for axis in chosen) != [2, 3]:
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
            channel = 3 if value.flat or value.order == "hwc" else 1
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
        if sorted(axis % 4 for axis in chosen) != [2, 3]:
            raise ModelError(f"axes must be height and width, not {chosen}")
        self.builder.flatten(output, x, (1, self.builder.value(x).shape[2]))

    def do_Transpose(self, output: str, x: str, *, perm: Any = ()) -> None:
        self.builder.turn(output, x, tuple(perm))

    def do_Pad(self, output: str, x: str, pads: str = "", value: str = "", axes: str = "", *,
               mode: bytes = b"constant", **options: Any) -> None:
        sizes = self.whole(pads) if pads else tuple(options.get("pads", ()))
        filled = float(self.constant(value).item()) if value else options.get("value", 0.0)
        if mode != b"constant" or filled or axes or len(sizes) != 8 or any(
                (*sizes[:2], *sizes[4:6])):
            raise ModelError(f"padding must put zeros around height and width, not {sizes}")
        self.builder.pad(output, x, (sizes[2], sizes[3], sizes[6], sizes[7]))

    def do_Softmax(self, output: str, x: str, *, axis: int = -1) -> None:
        if axis not in (1, -1):
            raise ModelError(f"softmax must be over classes, not axis {axis}")
        self.builder.softmax(output, x)


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
    return np.array(stored).astype(dtype).reshape(shape)
