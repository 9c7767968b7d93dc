"""TensorFlow Lite models: what LiteRT's reference kernels compute is what the network computes."""

from dataclasses import astuple, replace
from math import prod
from typing import Any, NoReturn

import flatbuffers
import numpy as np
import tflite
from numpy.typing import ArrayLike, NDArray

from sw.format.layers import LayerDescriptor, Operation
from sw.importers.npz import ModelError
from sw.importers.tflite import ACTIVATIONS, IDENTIFIER, activation_range, network_of, padded
from sw.network import Layer, Network


__all__ = ["write"]


#: Versions that have int8 kernels, by operator; those of an operator's options.
OPERATORS = {
    Operation.CONV2D: ("CONV_2D", 3, "Conv2DOptions"),
    Operation.DEPTHWISE_CONV2D: ("DEPTHWISE_CONV_2D", 3, "DepthwiseConv2DOptions"),
    Operation.FULLY_CONNECTED: ("FULLY_CONNECTED", 4, "FullyConnectedOptions"),
    Operation.AVERAGE_POOL: ("AVERAGE_POOL_2D", 2, "Pool2DOptions"),
    Operation.MAX_POOL: ("MAX_POOL_2D", 2, "Pool2DOptions"),
    Operation.ADD: ("ADD", 2, "AddOptions"),
    Operation.SOFTMAX: ("SOFTMAX", 2, "SoftmaxOptions"),
    Operation.RESHAPE: ("RESHAPE", 1, "ReshapeOptions"),
}
VERSION = 3
ALIGNMENT = 16


def write(network: Network) -> bytes:
    """Return ``network`` as a TFLite model of int8 tensors, a batch of 1.

    The model's input is the network's int8 input: it doesn't normalise.

    Raises
    ------
    ModelError
        If no model computes exactly what the network does: its scales aren't float32, its
        fully-connected layers round twice, or it has padding or activations that TFLite hasn't.
    """
    writer = Writer(network)
    data = writer.model()
    check(network, network_of(data, network.name))
    return data


def check(network: Network, read: Any) -> None:
    """Refuse a model whose kernels wouldn't have the network's integers."""
    for layer, again in zip(network.layers, read.layers, strict=True):
        for name in ("multiplier", "shift"):
            if not np.array_equal(getattr(layer, name), getattr(again, name)):
                refuse(layer, "no float32 scales give its multipliers")
        # A model has no codebooks.
        plain = replace(layer.descriptor, codebook=0)
        differing = [name for name, before, after in zip(
            LayerDescriptor.__dataclass_fields__, astuple(plain), astuple(again.descriptor),
            strict=True) if before != after]
        if differing:
            refuse(layer, f"TFLite has no such {' or '.join(differing).replace('_', ' ')}")


def refuse(layer: Layer, complaint: str) -> NoReturn:
    raise ModelError(f"{layer.name}: can't be exported exactly: {complaint}")


class Writer:
    """One model file, written from its end as flatbuffers are."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.builder = flatbuffers.Builder(1 << 16)
        # By convention, the first buffer is empty.
        self.buffers: list[bytes] = [b""]
        self.tensors: list[int] = []
        self.operators: list[int] = []
        self.codes: list[Operation] = []

    def model(self) -> bytes:
        source = self.network.input
        made = [self.activation("input", (1, *self.network.input_shape), source.scale,
                                source.zero_point)]
        shapes: list[tuple[int, ...]] = [(1, *self.network.input_shape)]
        for layer in self.network.layers:
            inputs = [made[-back] for back in layer.descriptor.inputs]
            shape = output_shape(layer.descriptor, shapes[-layer.descriptor.inputs[0]])
            inputs += self.constants(layer, shape)
            made.append(self.activation(layer.name, shape, layer.descriptor.output_scale,
                                        layer.descriptor.output_zero_point))
            shapes.append(shape)
            self.operator(layer, inputs, made[-1], shape)

        builder = self.builder
        tensors, operators = self.offsets(self.tensors), self.offsets(self.operators)
        ends = [self.numbers([tensor], "i4") for tensor in (made[0], made[-1])]
        graph = self.table("SubGraph", Tensors=tensors, Inputs=ends[0], Outputs=ends[1],
                           Operators=operators)
        codes = self.offsets([self.code(operation) for operation in self.codes])
        buffers = self.offsets([self.buffer(data) for data in self.buffers])
        description = builder.CreateString("Headrace")
        root = self.table("Model", Version=VERSION, OperatorCodes=codes,
                          Subgraphs=self.offsets([graph]), Description=description,
                          Buffers=buffers)
        builder.Finish(root, file_identifier=IDENTIFIER)
        return bytes(builder.Output())

    def table(self, kind: str, **fields: Any) -> int:
        getattr(tflite, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self.builder, value)
        offset: int = getattr(tflite, f"{kind}End")(self.builder)
        return offset

    def offsets(self, tables: list[int]) -> int:
        self.builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self.builder.PrependUOffsetTRelative(table)
        offset: int = self.builder.EndVector()
        return offset

    def numbers(self, values: ArrayLike, dtype: str) -> int:
        offset: int = self.builder.CreateNumpyVector(np.array(values, f"<{dtype}"))
        return offset

    def buffer(self, data: bytes) -> int:
        if not data:
            return self.table("Buffer")
        self.builder.StartVector(1, len(data), ALIGNMENT)
        self.builder.head -= len(data)
        self.builder.Bytes[self.builder.head:self.builder.head + len(data)] = data
        return self.table("Buffer", Data=self.builder.EndVector())

    def code(self, operation: Operation) -> int:
        name, version, _ = OPERATORS[operation]
        builtin = getattr(tflite.BuiltinOperator, name)
        return self.table("OperatorCode", DeprecatedBuiltinCode=builtin, BuiltinCode=builtin,
                          Version=version)

    def activation(self, name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> int:
        return self.tensor(name, shape, "INT8", np.array([scale]), zero_point)

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str,
               scales: NDArray[np.float64] | None = None, zero_point: int = 0, *,
               axis: int = 0, data: bytes = b"") -> int:
        """Write a tensor and return its number."""
        if data:
            self.buffers.append(data)
        fields = {"Shape": self.numbers(shape, "i4"), "Name": self.builder.CreateString(name),
                  "Type": getattr(tflite.TensorType, dtype),
                  "Buffer": len(self.buffers) - 1 if data else 0}
        if scales is not None:
            fields["Quantization"] = self.table(
                "QuantizationParameters", Scale=self.numbers(scales, "f4"),
                ZeroPoint=self.numbers([zero_point] * len(scales), "i8"), QuantizedDimension=axis)
        self.tensors.append(self.table("Tensor", **fields))
        return len(self.tensors) - 1

    def constants(self, layer: Layer, shape: tuple[int, ...]) -> list[int]:
        """Write a layer's constant tensors and return their numbers."""
        descriptor = layer.descriptor
        if descriptor.operation is Operation.RESHAPE:
            return [self.tensor(f"{layer.name}/shape", (len(shape),), "INT32",
                                data=np.array(shape, "<i4").tobytes())]
        if layer.weights is None:
            return []
        weights, axis = layer.weights, 0
        if descriptor.operation is Operation.FULLY_CONNECTED:
            weights = weights[:, 0, 0]
        elif descriptor.operation is Operation.DEPTHWISE_CONV2D:
            weights, axis = weights.transpose(3, 1, 2, 0), 3
        scales = layer.weight_scale.astype(np.float32).astype(np.float64)
        if descriptor.operation is Operation.FULLY_CONNECTED and np.ptp(scales) == 0:
            scales = scales[:1]
        return [
            self.tensor(f"{layer.name}/weights", weights.shape, "INT8", scales, axis=axis,
                        data=weights.tobytes()),
            self.tensor(f"{layer.name}/bias", layer.bias.shape, "INT32",
                        scales * descriptor.input_scale, data=layer.bias.astype("<i4").tobytes())]

    def operator(self, layer: Layer, inputs: list[int], output: int, shape: tuple[int, ...]
                 ) -> None:
        operation = layer.descriptor.operation
        if operation not in self.codes:
            self.codes.append(operation)
        kind = OPERATORS[operation][2]
        options = self.table(kind, **self.options(layer, shape))
        self.operators.append(self.table(
            "Operator", OpcodeIndex=self.codes.index(operation), Inputs=self.numbers(inputs, "i4"),
            Outputs=self.numbers([output], "i4"),
            BuiltinOptionsType=getattr(tflite.BuiltinOptions, kind), BuiltinOptions=options))

    def options(self, layer: Layer, shape: tuple[int, ...]) -> dict[str, Any]:
        descriptor = layer.descriptor
        if descriptor.operation is Operation.SOFTMAX:
            return {"Beta": 1.0}
        if descriptor.operation is Operation.RESHAPE:
            return {"NewShape": self.numbers(shape, "i4")}
        fields: dict[str, Any] = {"FusedActivationFunction": activation_function(layer)}
        if descriptor.operation.slides:
            fields |= {"Padding": padding(layer), "StrideH": descriptor.stride[0],
                       "StrideW": descriptor.stride[1]}
        if descriptor.operation.pools:
            fields |= {"FilterHeight": descriptor.kernel[0], "FilterWidth": descriptor.kernel[1]}
        if descriptor.operation is Operation.DEPTHWISE_CONV2D:
            fields["DepthMultiplier"] = descriptor.output_shape[2] // descriptor.input_shape[2]
        return fields


def padding(layer: Layer) -> int:
    descriptor = layer.descriptor
    for kind in (tflite.Padding.SAME, tflite.Padding.VALID):
        if (descriptor.padding, descriptor.output_shape[:2]) == padded(
                descriptor.kernel, descriptor.stride, descriptor.input_shape,
                same=kind == tflite.Padding.SAME):
            return int(kind)
    refuse(layer, f"TFLite has no padding {descriptor.padding} for these shapes")


def activation_function(layer: Layer) -> int:
    descriptor = layer.descriptor
    limits = descriptor.activation_min, descriptor.activation_max
    for function, activation in ACTIVATIONS.items():
        if limits == activation_range(activation, descriptor.output_scale,
                                      descriptor.output_zero_point):
            return int(function)
    refuse(layer, f"TFLite has no activation from {limits[0]} to {limits[1]}")


def output_shape(layer: LayerDescriptor, before: tuple[int, ...]) -> tuple[int, ...]:
    """Return a tensor's shape; what isn't an image has two dimensions."""
    if layer.operation in (Operation.ADD, Operation.SOFTMAX):
        return before
    if layer.operation is Operation.FULLY_CONNECTED or (
            layer.operation is Operation.RESHAPE and layer.output_shape[:2] == (1, 1)):
        return (1, prod(layer.output_shape))
    return (1, *layer.output_shape)
