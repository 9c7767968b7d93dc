"""TensorFlow Lite models: int8 ones become integer networks, float ones float networks."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tflite
from numpy.typing import NDArray

from sw.format.layers import InputDescription, LayerDescriptor, Operation, Rounding
from sw.format.sections import MAX_LAYERS
from sw.network import (Activation, FloatLayer, FloatNetwork, Layer, Network, Shape,
                        quantise_multiplier)

from .npz import ModelError, read_file


__all__ = ["ACTIVATIONS", "IDENTIFIER", "activation_range", "load", "network_of", "padded"]


#: What bytes 4 to 7 of a model file are.
IDENTIFIER = b"TFL3"

#: Operators that become layers, with their tables of options.
OPERATIONS = {
    "CONV_2D": (Operation.CONV2D, tflite.Conv2DOptions),
    "DEPTHWISE_CONV_2D": (Operation.DEPTHWISE_CONV2D, tflite.DepthwiseConv2DOptions),
    "FULLY_CONNECTED": (Operation.FULLY_CONNECTED, tflite.FullyConnectedOptions),
    "AVERAGE_POOL_2D": (Operation.AVERAGE_POOL, tflite.Pool2DOptions),
    "MAX_POOL_2D": (Operation.MAX_POOL, tflite.Pool2DOptions),
    "ADD": (Operation.ADD, tflite.AddOptions),
    "SOFTMAX": (Operation.SOFTMAX, tflite.SoftmaxOptions),
    "RESHAPE": (Operation.RESHAPE, None),
}
ACTIVATIONS = {
    tflite.ActivationFunctionType.NONE: Activation.NONE,
    tflite.ActivationFunctionType.RELU: Activation.RELU,
    tflite.ActivationFunctionType.RELU6: Activation.RELU6,
}


def names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


OPERATORS = names(tflite.BuiltinOperator)
TYPES = names(tflite.TensorType)
FUNCTIONS = names(tflite.ActivationFunctionType)
DTYPES: dict[str, np.dtype[Any]] = {
    "INT8": np.dtype("i1"), "INT32": np.dtype("<i4"), "FLOAT32": np.dtype("<f4")}

#: What the flatbuffer library raises where offsets or lengths lead outside the file.
DAMAGE = (struct.error, ValueError, TypeError, IndexError, AttributeError, OverflowError)


def load(path: Path) -> Network | FloatNetwork:
    """Return the network of a .tflite file.

    Raises
    ------
    ModelError
        If it can't be read, isn't a sound model, or holds what a network here can't express; the
        message names the operator and its place in the graph.
    """
    return read_file(path, network_of)


def network_of(data: bytes, name: str) -> Network | FloatNetwork:
    """Return the network that ``data``, the bytes of a .tflite file, describe.

    An int8 model gives an integer network that computes what LiteRT's reference kernels do. A float
    model gives a float network, whose input is not normalised, nor its quantisation chosen yet.
    Quantisation of a float or uint8 input becomes part of the input's description, dequantisation
    of the output vanishes.

    Raises
    ------
    ModelError
        As `load`.
    """
    if data[4:8] != IDENTIFIER:
        raise ModelError(f"is not a TensorFlow Lite model: bytes 4 to 7 are {data[4:8]!r}, "
                         f"not {IDENTIFIER!r}")
    try:
        return Reader(data).network(name)
    except ModelError:
        raise
    except DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"is damaged or truncated: {reason}") from None


@dataclass(frozen=True, eq=False)
class Tensor:
    """What the file says about a tensor; ``table`` is the flatbuffer's."""

    index: int
    table: Any
    data: NDArray[np.uint8] | None

    def refuse(self, complaint: str) -> NoReturn:
        raise ModelError(f"tensor {self.index}: {complaint}")

    @cached_property
    def type(self) -> str:
        return TYPES.get(self.table.Type(), str(self.table.Type()))

    @cached_property
    def dimensions(self) -> tuple[int, ...]:
        if not 0 <= self.table.ShapeLength() <= 4:
            self.refuse(f"must have at most 4 dimensions, not {self.table.ShapeLength()}")
        found = tuple(self.table.Shape(axis) for axis in range(self.table.ShapeLength()))
        if any(size < 1 for size in found):
            self.refuse(f"must not be empty, {found}")
        return found

    @cached_property
    def shape(self) -> Shape:
        """Height, width, channels of an activation."""
        if len(self.dimensions) < 2 or self.dimensions[0] != 1:
            self.refuse(f"must have a batch of 1, not the shape {self.dimensions}")
        height, width, channels = (1, 1, *self.dimensions[1:])[-3:]
        return height, width, channels

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        quantisation = self.table.Quantization()
        if quantisation is None or not quantisation.ScaleLength():
            self.refuse("must be quantised")
        stored = quantisation.ScaleAsNumpy()
        if not np.all(np.isfinite(stored) & (stored > 0)):
            self.refuse("scales must be positive")
        scales: NDArray[np.float64] = stored.astype(np.float64)
        return scales

    @property
    def scale(self) -> float:
        if len(self.scales) != 1:
            self.refuse(f"must have one scale, not {len(self.scales)}")
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        quantisation = self.table.Quantization()
        return int(quantisation.ZeroPoint(0)) if quantisation.ZeroPointLength() else 0

    def array(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return a constant, which must have this type and shape."""
        if self.data is None:
            self.refuse("must be a constant")
        if self.type != dtype or self.dimensions != shape:
            self.refuse(f"must be {dtype} of shape {shape}, not {self.type} of {self.dimensions}")
        if self.table.Sparsity() is not None:
            self.refuse("must be stored densely")
        size = prod(shape) * DTYPES[dtype].itemsize
        if len(self.data) != size:
            self.refuse(f"must have {size} bytes of data, not {len(self.data)}")
        values: NDArray[Any] = np.frombuffer(self.data.tobytes(), DTYPES[dtype])
        return values.reshape(shape)


class Reader:
    """The one graph of a model file."""

    def __init__(self, data: bytes) -> None:
        self.model = tflite.Model.GetRootAs(data)
        if self.model.SubgraphsLength() != 1:
            raise ModelError(f"must have one graph, not {self.model.SubgraphsLength()}")
        self.graph = self.model.Subgraphs(0)
        if self.graph.InputsLength() != 1 or self.graph.OutputsLength() != 1:
            raise ModelError(f"must have one input and one output, not {self.graph.InputsLength()} "
                             f"and {self.graph.OutputsLength()}")
        # Quantisation and dequantisation at the ends are no layers.
        if not 1 <= self.graph.OperatorsLength() <= MAX_LAYERS + 2:
            raise ModelError(f"must have 1 to {MAX_LAYERS} layers, "
                             f"not {self.graph.OperatorsLength()}")

    def tensor(self, index: int) -> Tensor:
        if not 0 <= index < self.graph.TensorsLength():
            raise ModelError(f"tensor {index} must be one of {self.graph.TensorsLength()}")
        table = self.graph.Tensors(index)
        if not 0 <= table.Buffer() < self.model.BuffersLength():
            raise ModelError(f"tensor {index}: there is no buffer {table.Buffer()}")
        buffer = self.model.Buffers(table.Buffer())
        return Tensor(index, table, buffer.DataAsNumpy() if buffer.DataLength() else None)

    def network(self, name: str) -> Network | FloatNetwork:
        """Return the network; its layers are called by operation and number."""
        tensor = self.tensor(self.graph.Inputs(0))
        source, input_shape, dtype = source_of(tensor), tensor.shape, tensor.type
        made = {tensor.index: 0}
        layers: list[Any] = []
        last = self.graph.OperatorsLength() - 1
        for number in range(last + 1):
            operator = self.graph.Operators(number)
            label = self.label(operator)
            with place(number, label):
                inputs, output = self.connections(operator)
                if output.index in made:
                    raise ModelError(f"tensor {output.index} is made twice")
                if label == "QUANTIZE" and not layers and made.get(inputs[0].index) == 0:
                    source, dtype = quantised_source(inputs[0], output), "INT8"
                    made[output.index] = 0
                elif label == "DEQUANTIZE" and number == last and inputs[0].index in made:
                    made[output.index] = made[inputs[0].index]
                else:
                    layers.append(layer_of(operator, label, inputs, output, dtype, made,
                                           len(layers)))
                    made[output.index] = len(layers)
        if not layers or made.get(self.graph.Outputs(0)) != len(layers):
            raise ModelError("the output must be made by the last operator")
        try:
            if dtype == "INT8":
                return Network(name, source, tuple(layers))
            return FloatNetwork(name, source, input_shape, tuple(layers))
        except ValueError as error:
            raise ModelError(str(error)) from None

    def label(self, operator: Any) -> str:
        if operator.OpcodeIndex() >= self.model.OperatorCodesLength():
            raise ModelError(f"there is no operator code {operator.OpcodeIndex()}")
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        # Files of before 2020 have the code in the deprecated field alone.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return OPERATORS.get(builtin, f"operator code {builtin}")

    def connections(self, operator: Any) -> tuple[list[Tensor], Tensor]:
        """Return an operator's inputs, without those that are left out at the end, and output."""
        count = operator.InputsLength()
        if not 1 <= count <= 4 or operator.OutputsLength() != 1:
            raise ModelError(f"must have 1 to 4 inputs and an output, not {count} and "
                             f"{operator.OutputsLength()}")
        indices = [operator.Inputs(position) for position in range(count)]
        while len(indices) > 1 and indices[-1] == -1:
            indices.pop()
        return [self.tensor(index) for index in indices], self.tensor(operator.Outputs(0))


@contextmanager
def place(number: int, label: str) -> Iterator[None]:
    """Say in complaints which operator they are about."""
    try:
        yield
    except DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"operator {number} ({label}): {reason}") from None


def source_of(tensor: Tensor) -> InputDescription:
    if tensor.type == "INT8":
        return InputDescription(tensor.scale, tensor.zero_point, 0.0, 1.0)
    if tensor.type not in ("FLOAT32", "UINT8"):
        tensor.refuse(f"the input must be INT8, UINT8 or FLOAT32, not {tensor.type}")
    return InputDescription(1.0, 0, 0.0, 1.0)


def quantised_source(before: Tensor, after: Tensor) -> InputDescription:
    if after.type != "INT8":
        after.refuse(f"must be INT8, not {after.type}")
    if before.type == "FLOAT32":
        return InputDescription(after.scale, after.zero_point, 0.0, 1.0)
    if before.type != "UINT8" or before.scale != after.scale:
        before.refuse("must be FLOAT32, or UINT8 of the same scale, to be quantised")
    return InputDescription(after.scale, after.zero_point, before.zero_point, 1 / after.scale)


def layer_of(operator: Any, label: str, inputs: list[Tensor], output: Tensor, dtype: str,
             made: dict[int, int], number: int) -> Layer | FloatLayer:
    """Return layer ``number``; ``made`` says which layer, from 1, makes a tensor."""
    if label not in OPERATIONS:
        raise ModelError(f"the operator isn't supported; {', '.join(OPERATIONS)} are")
    operation, kind = OPERATIONS[label]
    options: Any = None
    if kind is not None:
        table = operator.BuiltinOptions()
        options = kind()
        options.Init(table.Bytes, table.Pos)
    activations = inputs[:2] if operation is Operation.ADD else inputs[:1]
    for tensor in activations:
        if tensor.index not in made:
            raise ModelError(f"input tensor {tensor.index} must be made by an earlier operator")
    for tensor in (*activations, output):
        if tensor.type != dtype:
            tensor.refuse(f"must be {dtype}, as the network's input, not {tensor.type}")

    name = f"{operation.name.lower()}_{number}"
    before, after = activations[0].shape, output.shape
    if operation is Operation.FULLY_CONNECTED:
        before, after = (1, 1, prod(before)), (1, 1, prod(after))
    weights, bias = constants(operation, inputs, dtype, before[2], after[2])
    kernel, stride, padding = window(operation, options, before, after, weights)
    activation = activation_of(operation, options)
    sources = tuple(number + 1 - made[tensor.index] for tensor in activations)
    if operation is Operation.SOFTMAX and options.Beta() != 1:
        raise ModelError(f"beta must be 1, not {options.Beta()}")
    if dtype == "FLOAT32":
        return FloatLayer(name, operation, before, after, kernel, stride, padding, activation,
                          weights, bias, sources)

    low, high = activation_range(activation, output.scale, output.zero_point)
    others = [(tensor.scale, tensor.zero_point) for tensor in activations[1:]]
    descriptor = LayerDescriptor(
        operation, before, after, kernel, stride, padding, activations[0].zero_point,
        output.zero_point, low, high, activations[0].scale, output.scale, sources,
        others[0] if others else None,
        Rounding.ONCE if operation is Operation.FULLY_CONNECTED else Rounding.TWICE)
    check_quantisation(descriptor)
    if weights is None or bias is None:
        return Layer.without_arrays(name, descriptor)
    scales = weight_scales(operation, inputs[1], after[2])
    multiplier, shift = multipliers(descriptor.input_scale * scales / descriptor.output_scale)
    return Layer(name, descriptor, weights, scales, bias, multiplier, shift)


def constants(operation: Operation, inputs: list[Tensor], dtype: str, channels: int, filters: int
              ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return weights, shape (Cout, KH, KW, Cin), and bias, where the operation has them."""
    if not operation.has_weights:
        return None, None
    if len(inputs) < 2:
        raise ModelError("must have weights")
    sizes = inputs[1].dimensions
    # Float models may hold int8 weights, for "dynamic range": their floats are what they stand for.
    restored = dtype == "FLOAT32" and inputs[1].type == "INT8"
    stored = "INT8" if restored else dtype
    if operation is Operation.FULLY_CONNECTED:
        weights = inputs[1].array(stored, (filters, channels))[:, None, None]
    elif len(sizes) != 4:
        raise ModelError(f"weights must have 4 dimensions, not {len(sizes)}")
    elif operation is Operation.DEPTHWISE_CONV2D:
        weights = inputs[1].array(stored, (1, *sizes[1:3], filters)).transpose(3, 1, 2, 0)
    else:
        weights = inputs[1].array(stored, (filters, *sizes[1:3], channels))
    if restored:
        scales = weight_scales(operation, inputs[1], filters).astype(np.float32)
        with np.errstate(over="ignore"):
            weights = weights * scales[:, None, None, None]
    if len(inputs) < 3:
        bias = np.zeros(filters, np.int32 if dtype == "INT8" else np.float32)
    else:
        bias = inputs[2].array("INT32" if dtype == "INT8" else dtype, (filters,))
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ModelError("weights and biases must be finite")
    return np.ascontiguousarray(weights), bias


def window(operation: Operation, options: Any, before: Shape, after: Shape,
           weights: NDArray[Any] | None) -> tuple[tuple[int, int], tuple[int, int],
                                                  tuple[int, int]]:
    """Return kernel, stride and padding."""
    if not operation.slides:
        return (1, 1), (1, 1), (0, 0)
    if weights is None:
        kernel = options.FilterHeight(), options.FilterWidth()
    else:
        kernel = weights.shape[1:3]
        dilation = options.DilationHFactor(), options.DilationWFactor()
        if dilation != (1, 1):
            raise ModelError(f"dilation must be 1, not {dilation}")
    stride = options.StrideH(), options.StrideW()
    if min(*kernel, *stride) < 1:
        raise ModelError(f"kernel and stride must be at least 1, not {kernel} and {stride}")
    padding, size = padded(kernel, stride, before, same=options.Padding() == tflite.Padding.SAME)
    if after[:2] != size:
        raise ModelError(f"the output must have the size {size}, not {after[:2]}")
    return kernel, stride, padding


def padded(kernel: tuple[int, int], stride: tuple[int, int], before: Shape, *, same: bool
           ) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return what TensorFlow pads above and to the left, and height and width of the output."""
    axes = tuple(zip(kernel, stride, before, strict=False))
    height, width = (-(-(full - (0 if same else size - 1)) // step) for size, step, full in axes)
    top, left = (max(0, (out - 1) * step + size - full) // 2
                 for out, (size, step, full) in zip((height, width), axes, strict=True))
    return (top, left), (height, width)


def activation_of(operation: Operation, options: Any) -> Activation:
    if operation in (Operation.SOFTMAX, Operation.RESHAPE):
        return Activation.NONE
    function = options.FusedActivationFunction()
    if function not in ACTIVATIONS:
        raise ModelError(f"activation must be one of {', '.join(ACTIVATIONS.values())}, "
                         f"not {FUNCTIONS.get(function, function)}")
    return ACTIVATIONS[function]


def activation_range(activation: Activation, scale: float, zero_point: int) -> tuple[int, int]:
    """Return the least and greatest output, rounded as TFLite does: float32, halves away from 0."""
    with np.errstate(over="ignore"):
        low, high = (limit if np.isinf(limit) else zero_point + np.floor(
            np.float32(limit) / np.float32(scale) + np.float32(0.5))
            for limit in activation.limits)
    return int(max(low, -128)), int(min(high, 127))


def check_quantisation(layer: LayerDescriptor) -> None:
    same = (layer.input_scale, layer.input_zero_point) == (layer.output_scale,
                                                           layer.output_zero_point)
    if (layer.operation.pools or layer.operation is Operation.RESHAPE) and not same:
        raise ModelError("input and output must be quantised alike")
    output = (layer.output_scale, layer.output_zero_point)
    if layer.operation is Operation.SOFTMAX and output != (1 / 256, -128):
        raise ModelError(f"the output's scale and zero point must be 1/256 and -128, not {output}")


def weight_scales(operation: Operation, weights: Tensor, filters: int) -> NDArray[np.float64]:
    quantisation = weights.table.Quantization()
    if quantisation.ZeroPointLength() and quantisation.ZeroPointAsNumpy().any():
        raise ModelError("weights must have the zero point 0")
    axis = 3 if operation is Operation.DEPTHWISE_CONV2D else 0
    if len(weights.scales) not in (1, filters) or (
            len(weights.scales) > 1 and quantisation.QuantizedDimension() != axis):
        raise ModelError(f"weights must have one scale, or one for each of {filters} filters")
    return np.broadcast_to(weights.scales, (filters,))


def multipliers(real: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return multipliers and shifts; factors that TFLite takes for 0 get ones that give 0."""
    tiny = real < 2.0 ** -32
    multiplier, shift = quantise_multiplier(np.where(tiny, 0.5, real))
    return (np.where(tiny, 1, multiplier).astype(np.int32),
            np.where(tiny, -31, shift).astype(np.int8))
