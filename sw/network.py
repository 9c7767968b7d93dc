"""Networks: in float as they were trained, and in integers as the gateware computes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sw.format.layers import InputDescription, LayerDescriptor, Operation, Rounding
from sw.windows import places, taps, weighted_sums


__all__ = ["Activation", "FloatLayer", "FloatNetwork", "Layer", "Network", "Quantisation",
           "calibrate", "calibrate_input", "float_network", "integer_network", "quantise_input",
           "quantise_multiplier", "replace_weights"]


FloatArray = NDArray[np.float32]
Int8Array = NDArray[np.int8]
Shape = tuple[int, int, int]


class Activation(StrEnum):
    """Function that a layer applies to its sums."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"

    @property
    def limits(self) -> tuple[float, float]:
        """Least and greatest output."""
        return {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}[self]


@dataclass(frozen=True)
class Quantisation:
    """What the int8 values q of a tensor stand for: ``scale * (q - zero_point)``."""

    scale: float
    zero_point: int

    @classmethod
    def between(cls, low: float, high: float) -> "Quantisation":
        """Return the quantisation whose values reach from ``low`` to ``high`` and include 0."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / 255 or 1.0
        return cls(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))

    def quantise(self, x: ArrayLike) -> Int8Array:
        """Return the nearest int8 values, halves to even."""
        q: Int8Array = np.clip(np.rint(np.asarray(x, np.float64) / self.scale) + self.zero_point,
                               -128, 127).astype(np.int8)
        return q

    def restore(self, q: Int8Array) -> NDArray[np.float64]:
        """Return what ``q`` stands for."""
        return self.scale * (q.astype(np.float64) - self.zero_point)


#: Inputs that a float network classifies at once.
BLOCK = 500

#: How softmax's outputs are quantised.
SOFTMAX_OUTPUT = Quantisation(1 / 256, -128)


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """One layer as it was trained. `LayerDescriptor` explains the geometry.

    Parameters
    ----------
    name : str
        What tables call it.
    activation : Activation
        Applied to the values; NONE in softmax and reshape.
    weights : array of float32, shape (Cout, KH, KW, Cin), or None
        None where the operation has none.
    bias : array of float32, shape (Cout,), or None
        Likewise.
    inputs : tuple of int
        How many layers back each input is made, as in `LayerDescriptor`.

    Raises
    ------
    ValueError
        If the shapes don't fit each other.
    """

    name: str
    operation: Operation
    input_shape: Shape
    output_shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    activation: Activation
    weights: FloatArray | None = None
    bias: FloatArray | None = None
    inputs: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        anything = Quantisation(1.0, 0)
        try:
            descriptor = self.describe([anything] * len(self.inputs), anything)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        check_arrays(self.name, descriptor, self.weights, bias=self.bias)
        if (self.operation in (Operation.SOFTMAX, Operation.RESHAPE)
                and self.activation is not Activation.NONE):
            raise ValueError(f"{self.name}: {self.operation.name.lower()} must have no activation, "
                             f"not {self.activation}")

    def describe(self, before: Sequence[Quantisation], after: Quantisation) -> LayerDescriptor:
        """Return the layer for inputs quantised as ``before`` says and outputs as ``after``."""
        low, high = (after.quantise(limit) for limit in self.activation.limits)
        first, *others = before
        return LayerDescriptor(
            self.operation, self.input_shape, self.output_shape, self.kernel, self.stride,
            self.padding, first.zero_point, after.zero_point, int(low), int(high),
            first.scale, after.scale, self.inputs,
            (others[0].scale, others[0].zero_point) if others else None)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Return outputs (n, OH, OW, Cout) for inputs that hold (n, H, W, Cin) in NHWC order."""
        x = inputs[0].reshape(-1, *self.input_shape)
        return np.clip(self.values(x, *inputs[1:]), *self.activation.limits)

    def values(self, x: FloatArray, *others: FloatArray) -> FloatArray:
        match self.operation:
            case Operation.MAX_POOL:
                return reduce(np.maximum, (tap for _, _, tap in taps(x, self, -np.inf)))
            case Operation.AVERAGE_POOL:
                total = sum(tap for _, _, tap in taps(x, self, 0))
                return (total / places(self)).astype(np.float32)
            case Operation.ADD:
                return x + others[0]
            case Operation.SOFTMAX:
                powers = np.exp(x - x.max(axis=-1, keepdims=True))
                shares: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
                return shares
            case Operation.RESHAPE:
                return x.reshape(-1, *self.output_shape)
        assert self.weights is not None
        assert self.bias is not None
        depthwise = self.operation is Operation.DEPTHWISE_CONV2D
        return weighted_sums(x, self, self.weights, self.bias, depthwise=depthwise)


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A trained network: a graph of layers.

    Parameters
    ----------
    name : str
        What reports call it.
    input : InputDescription
        How a user's input is normalised, and how it is quantised then.
    input_shape : tuple of int
        Height, width, channels of an input.
    layers : tuple of FloatLayer
        In order of computation; a fully-connected layer flattens its input, and the last layer's
        output is the network's.

    Raises
    ------
    ValueError
        If a layer doesn't fit its inputs.
    """

    name: str
    input: InputDescription
    input_shape: Shape
    layers: tuple[FloatLayer, ...]

    def __post_init__(self) -> None:
        check_graph(self.name, [(layer.name, layer) for layer in self.layers], self.input_shape)

    @property
    def weighted(self) -> tuple[FloatLayer, ...]:
        """Layers that have weights."""
        return tuple(layer for layer in self.layers if layer.operation.has_weights)

    def normalise(self, x: ArrayLike) -> FloatArray:
        """Return the user's inputs ``x`` as the first layer takes them."""
        values = np.asarray(x, np.float32).reshape(-1, *self.input_shape)
        return ((values - np.float32(self.input.mean)) / np.float32(self.input.divisor))

    def run(self, x: ArrayLike) -> list[FloatArray]:
        """Return every layer's outputs for the user's inputs ``x``, in order."""
        made = [self.normalise(x)]
        for layer in self.layers:
            made.append(layer.apply(*(made[-back] for back in layer.inputs)))
        return made[1:]

    def classify(self, x: ArrayLike) -> NDArray[np.intp]:
        """Return the class of each of the user's inputs: the first of its greatest outputs."""
        inputs = np.reshape(x, (-1, *self.input_shape))
        outputs = [self.run(inputs[start:start + BLOCK])[-1]
                   for start in range(0, len(inputs), BLOCK)]
        classes: NDArray[np.intp] = np.concatenate(outputs).reshape(len(inputs), -1).argmax(axis=1)
        return classes


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of an integer network, with its arrays.

    Parameters
    ----------
    name : str
        What tables call it.
    descriptor : LayerDescriptor
        What it computes.
    weights : array of int8, shape (Cout, KH, KW, Cin), or None
        None where the operation has none.
    weight_scale : array of float64, shape (Cout,)
        What one unit of a filter's weights stands for. Here and below, empty without weights.
    bias : array of int32, shape (Cout,)
        TFLite's, in units of input scale times weight scale.
    multiplier : array of int32, shape (Cout,)
        From sums to outputs: ``multiplier / 2**31 * 2**shift``. 1 to 2**31 - 1.
    shift : array of int8, shape (Cout,)
        -31 to 30, negative to the right.

    Raises
    ------
    ValueError
        If the arrays don't fit the descriptor, or a sum, shifted left where shifts are positive,
        could leave 32 bits.
    """

    name: str
    descriptor: LayerDescriptor
    weights: Int8Array | None
    weight_scale: NDArray[np.float64]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int8]

    @classmethod
    def without_arrays(cls, name: str, descriptor: LayerDescriptor) -> "Layer":
        """Return a layer whose operation has no weights."""
        return cls(name, descriptor, None, np.empty(0, np.float64), np.empty(0, np.int32),
                   np.empty(0, np.int32), np.empty(0, np.int8))

    def __post_init__(self) -> None:
        check_arrays(self.name, self.descriptor, self.weights, weight_scale=self.weight_scale,
                     bias=self.bias, multiplier=self.multiplier, shift=self.shift)
        greatest = self.greatest_sum << max(0, int(self.shift.max(initial=0)))
        if greatest >= 1 << 31:
            raise ValueError(f"{self.name}: sums must fit 32 bits, not reach {greatest}")

    @cached_property
    def greatest_sum(self) -> int:
        """No sum, and no part of one, has a greater magnitude."""
        if self.weights is None:
            return 0
        zero_point = self.descriptor.input_zero_point
        greatest = np.abs(self.weights.astype(np.int64)).sum(axis=(1, 2, 3))
        greatest = greatest * max(128 + zero_point, 127 - zero_point) + np.abs(
            self.bias.astype(np.int64))
        return int(greatest.max())


@dataclass(frozen=True, eq=False)
class Network:
    """A network in integers.

    Parameters
    ----------
    name : str
        What reports call it.
    input : InputDescription
        How a user's input becomes int8.
    layers : tuple of Layer
        In order of computation; a fully-connected layer flattens its input, and the last layer's
        output is the network's.

    Raises
    ------
    ValueError
        If a layer doesn't fit its inputs.
    """

    name: str
    input: InputDescription
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        check_graph(self.name, [(layer.name, layer.descriptor) for layer in self.layers])

    @property
    def input_shape(self) -> Shape:
        """Height, width, channels of an input."""
        return self.layers[0].descriptor.input_shape

    @property
    def weighted(self) -> tuple[Layer, ...]:
        """Layers that have weights."""
        return tuple(layer for layer in self.layers if layer.weights is not None)

    @cached_property
    def weights(self) -> int:
        """Number of weights."""
        return sum(layer.descriptor.weights for layer in self.layers)

    @cached_property
    def macs(self) -> int:
        """Multiplications of a weight by an input, padding included."""
        return sum(layer.descriptor.macs for layer in self.layers)

    def quantise_input(self, x: ArrayLike) -> Int8Array:
        """Return the user's inputs ``x`` as int8, shape (n, H, W, C)."""
        return quantise_input(self.input, np.reshape(x, (-1, *self.input_shape)))


def quantise_input(source: InputDescription, x: ArrayLike) -> Int8Array:
    """Return the user's inputs ``x`` as int8."""
    return Quantisation(source.scale, source.zero_point).quantise(
        (np.asarray(x, np.float64) - source.mean) / source.divisor)


def check_arrays(name: str, descriptor: LayerDescriptor, weights: NDArray[Any] | None,
                 **records: NDArray[Any] | None) -> None:
    found = None if weights is None else weights.shape
    if found != descriptor.weight_shape:
        raise ValueError(f"{name}: weights must have shape {descriptor.weight_shape}, not {found}")
    expected = descriptor.output_shape[2] if descriptor.operation.has_weights else 0
    for label, record in records.items():
        found = (0,) if record is None else record.shape
        if found != (expected,):
            raise ValueError(f"{name}: {label} must have shape {(expected,)}, not {found}")


def check_graph(network: str, layers: Sequence[tuple[str, FloatLayer | LayerDescriptor]],
                input_shape: Shape | None = None) -> None:
    if not layers:
        raise ValueError(f"{network}: a network must have layers")
    made = [input_shape or layers[0][1].input_shape]
    for name, layer in layers:
        if max(layer.inputs) > len(made):
            raise ValueError(f"{name}: inputs must be made 1 to {len(made)} layers back, "
                             f"not {layer.inputs}")
        for before in (made[-back] for back in layer.inputs):
            flatten = layer.operation is Operation.FULLY_CONNECTED
            expected = (1, 1, prod(before)) if flatten else before
            if layer.input_shape != expected:
                raise ValueError(f"{name}: input shape must be {expected}, not {layer.input_shape}")
        made.append(layer.output_shape)


def calibrate_input(network: FloatNetwork, x: ArrayLike) -> FloatNetwork:
    """Return ``network`` with its input quantised from the least to the greatest on ``x``."""
    values = network.normalise(x)
    chosen = Quantisation.between(float(values.min()), float(values.max()))
    return replace(network, input=replace(network.input, scale=chosen.scale,
                                          zero_point=chosen.zero_point))


def calibrate(network: FloatNetwork, x: ArrayLike) -> tuple[Quantisation, ...]:
    """Choose how the outputs of each layer are quantised: from the least to the greatest on ``x``.

    Parameters
    ----------
    x : array
        Inputs as the user gives them, e.g. 100 training samples.

    Returns
    -------
    tuple of Quantisation
        One for each layer. Pooling and reshape keep that of their input; softmax has TFLite's.
    """
    chosen = [Quantisation(network.input.scale, network.input.zero_point)]
    for layer, outputs in zip(network.layers, network.run(x), strict=True):
        if layer.operation is Operation.SOFTMAX:
            chosen.append(SOFTMAX_OUTPUT)
        elif layer.operation.pools or layer.operation is Operation.RESHAPE:
            chosen.append(chosen[-layer.inputs[0]])
        else:
            chosen.append(Quantisation.between(float(outputs.min()), float(outputs.max())))
    return tuple(chosen[1:])


def quantise_multiplier(real: NDArray[np.float64]
                        ) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return multipliers and shifts that stand for ``real`` factors: TFLite's QuantizeMultiplier.

    ``real`` is about ``multiplier / 2**31 * 2**shift``.

    Parameters
    ----------
    real : array of float64
        Factors from sums to outputs.

    Raises
    ------
    ValueError
        If a factor is not 2**-32 to 2**30.
    """
    if not np.all((real >= 2.0 ** -32) & (real < 2.0 ** 30)):
        raise ValueError(f"Factors from sums to outputs must be 2**-32 to 2**30, not "
                         f"{real.min():.3g} to {real.max():.3g}")
    shift = np.frexp(real)[1]
    multiplier = np.floor(np.ldexp(real, 31 - shift) + 0.5).astype(np.int64)
    rounded_up = multiplier == 1 << 31
    return (np.where(rounded_up, 1 << 30, multiplier).astype(np.int32),
            (shift + rounded_up).astype(np.int8))


def integer_network(network: FloatNetwork, outputs: Sequence[Quantisation],
                    weights: Sequence[tuple[Int8Array, ArrayLike]]) -> Network:
    """Return ``network`` in integers, which compute what a TFLite model of it does.

    Scales are rounded to float32. LiteRT's reference kernels round twice in convolutions, but since
    version 2 round the exact product once in fully-connected layers (google-ai-edge/LiteRT#8567).

    Parameters
    ----------
    outputs : sequence of Quantisation
        How each layer's outputs are quantised, from `calibrate`.
    weights : sequence of (array of int8, array of float)
        For each layer that has weights: its weights as a quantiser chose them, shape (Cout, KH, KW,
        Cin), and what one unit stands for, in each filter or in all.

    Raises
    ------
    ValueError
        If shapes don't fit, a scale isn't positive, or a bias or a sum needs more than 32 bits.
    """
    network = replace(network, input=replace(network.input,
                                             scale=float(np.float32(network.input.scale))))
    outputs = [replace(output, scale=float(np.float32(output.scale))) for output in outputs]
    layers = []
    made = [Quantisation(network.input.scale, network.input.zero_point)]
    remaining = iter(weights)
    for layer, after in zip(network.layers, outputs, strict=True):
        inputs = [made[-back] for back in layer.inputs]
        descriptor = layer.describe(inputs, after)
        if layer.operation is Operation.FULLY_CONNECTED:
            descriptor = replace(descriptor, rounding=Rounding.ONCE)
        if layer.bias is None:
            layers.append(Layer.without_arrays(layer.name, descriptor))
        else:
            integers, scale = next(remaining)
            layers.append(weighted_layer(layer.name, descriptor, layer.bias, integers,
                                         np.asarray(scale, np.float32)))
        made.append(after)
    return Network(network.name, network.input, tuple(layers))


def weighted_layer(name: str, descriptor: LayerDescriptor, biases: FloatArray, weights: Int8Array,
                   scale: ArrayLike) -> Layer:
    scales = np.broadcast_to(np.asarray(scale, np.float64), biases.shape)
    if not np.all((scales > 0) & np.isfinite(scales)):
        raise ValueError(f"{name}: weight scales must be positive, not {scales}")
    bias = np.rint(biases / (descriptor.input_scale * scales))
    if np.abs(bias).max() >= 1 << 31:
        raise ValueError(f"{name}: biases must fit 32 bits, not reach {np.abs(bias).max():.0f}")
    real = descriptor.input_scale * scales / descriptor.output_scale
    multiplier, shift = quantise_multiplier(real)
    return Layer(name, descriptor, weights, scales, bias.astype(np.int32), multiplier, shift)


def float_network(network: Network) -> FloatNetwork:
    """Return what an integer network stands for, in floats."""
    layers = []
    for layer in network.layers:
        descriptor = layer.descriptor
        zero = descriptor.output_zero_point
        weights = bias = None
        if layer.weights is not None:
            weights = (layer.weights * layer.weight_scale[:, None, None, None]).astype(np.float32)
            bias = (layer.bias * layer.weight_scale * descriptor.input_scale).astype(np.float32)
        activation = Activation.NONE
        bare = descriptor.operation in (Operation.SOFTMAX, Operation.RESHAPE)
        # Where zero is the least int8, outputs without an activation aren't negative either.
        if not bare and descriptor.activation_min == zero:
            activation = (Activation.RELU if descriptor.activation_max == 127
                          else Activation.RELU6)
        layers.append(FloatLayer(
            layer.name, descriptor.operation, descriptor.input_shape, descriptor.output_shape,
            descriptor.kernel, descriptor.stride, descriptor.padding, activation, weights, bias,
            descriptor.inputs))
    return FloatNetwork(network.name, network.input, network.input_shape, tuple(layers))


def replace_weights(network: Network, trained: FloatNetwork,
                    weights: Sequence[tuple[Int8Array, ArrayLike]]) -> Network:
    """Return ``network`` with other weights, and the biases of ``trained``.

    Activations stay quantised as they are. Scales of weights are rounded to float32, as in TFLite.

    Parameters
    ----------
    weights : sequence of (array of int8, array of float)
        As in `integer_network`.

    Raises
    ------
    ValueError
        As there.
    """
    remaining = iter(weights)
    layers = []
    for layer, floats in zip(network.layers, trained.layers, strict=True):
        if floats.bias is not None:
            integers, scale = next(remaining)
            layer = weighted_layer(layer.name, layer.descriptor, floats.bias, integers,
                                   np.asarray(scale, np.float32))
        layers.append(layer)
    return replace(network, layers=tuple(layers))
