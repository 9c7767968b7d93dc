"""Float networks from graphs with channels first, as PyTorch and ONNX have them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.format.layers import InputDescription, Operation
from sw.format.sections import MAX_LAYERS
from sw.network import Activation, FloatLayer, FloatNetwork, Shape

from .npz import ModelError


__all__ = ["Builder", "pair"]


FloatArray = NDArray[np.float32]
Pair = tuple[int, int]

#: Operators that may become part of one layer, so that folding large weights takes bounded time.
MAX_FOLDED = 8

STILL: dict[str, Any] = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0)}


@dataclass(frozen=True)
class Value:
    """A value of the graph: what a layer gives, 0 being the input, in height, width, channels.

    Parameters
    ----------
    order : str
        Axes as the graph has them: ``"chw"``, ``"hwc"``, or ``"flat chw"`` and ``"flat hwc"`` where
        they were made one.
    border : tuple of int
        Zeros that the graph put above, left, below, right.
    shared : bool
        Whether the graph uses what the layer gives elsewhere, too, maybe by another name.
    """

    made: int
    shape: Shape
    order: str = "chw"
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    shared: bool = False

    @property
    def flat(self) -> bool:
        return self.order.startswith("flat")

    @property
    def channel_axis(self) -> int:
        """Which axis the channels are, in the graph."""
        return 3 if self.order == "hwc" else 1


class Builder:
    """Makes the layers of a network, one call for each operator of the graph.

    Batch normalisation and activations become part of the layer before. Weights and shapes are
    given as the graph has them, channels first; the layers have them last.

    Parameters
    ----------
    name : str
        What reports call the network.
    uses : mapping of str to int
        How often each value of the graph is used.

    Raises
    ------
    ModelError
        By every method, if the layers can't express what the graph does.
    """

    def __init__(self, name: str, uses: Mapping[str, int]) -> None:
        self.name = name
        self.uses = uses
        self.layers: list[FloatLayer] = []
        self.values: dict[str, Value] = {}
        self.folded: Counter[int] = Counter()
        self.input_shape: Shape | None = None

    def network(self, output: str) -> FloatNetwork:
        """Return the network whose output is value ``output``."""
        if not self.layers or self.input_shape is None:
            raise ModelError("must have layers")
        value = self.value(output)
        if value.made != len(self.layers):
            raise ModelError("the output must be made by the last layer")
        if value.order == "flat chw" and value.shape[:2] != (1, 1):
            raise ModelError("what is flattened must go to a linear layer")
        return FloatNetwork(self.name, InputDescription(1.0, 0, 0.0, 1.0), self.input_shape,
                            tuple(self.layers))

    def value(self, name: str, *, border: bool = False) -> Value:
        """Return a value, which must have no border unless asked for."""
        if name not in self.values:
            raise ModelError(f"its input {name!r:.60} must be made by an earlier node")
        value = self.values[name]
        if value.border != (0, 0, 0, 0) and not border:
            raise ModelError("only a convolution can take what was padded")
        return value

    def pixels(self, name: str, *, border: bool = False) -> Value:
        """Return a value, likewise, that must have its channels first."""
        value = self.value(name, border=border)
        if value.order != "chw":
            raise ModelError(f"its input must have the axes N, C, H, W, not {value.order}")
        return value

    def derive(self, output: str, source: str, **changes: Any) -> None:
        """Call a value ``output``, too, with ``changes`` to its fields."""
        value = self.values[source]
        self.values[output] = replace(
            value, shared=value.shared or self.uses.get(source) != 1, **changes)

    def input(self, name: str, shape: tuple[int, ...], order: str = "chw") -> None:
        """Declare the input, of shape (1, C, H, W), (1, H, W, C) or (1, n)."""
        if self.input_shape is not None:
            raise ModelError("must have one input")
        if len(shape) not in (2, 4) or shape[0] != 1 or min(shape) < 1:
            raise ModelError(f"its shape must be (1, C, H, W) or (1, n), not {shape}")
        if len(shape) == 2:
            last, order = (1, 1, shape[1]), "flat chw"
        elif order == "hwc":
            last = (shape[1], shape[2], shape[3])
        else:
            last = (shape[2], shape[3], shape[1])
        self.input_shape = last
        self.values[name] = Value(0, last, order)

    def append(self, output: str, operation: Operation, sources: list[Value], after: Shape,
               order: str = "chw", **fields: Any) -> None:
        number = len(self.layers)
        if number == MAX_LAYERS:
            raise ModelError(f"the network must have at most {MAX_LAYERS} layers")
        before = sources[0].shape
        if operation is Operation.FULLY_CONNECTED:
            before = (1, 1, prod(before))
        fields = {"activation": Activation.NONE, **STILL} | fields
        self.layers.append(FloatLayer(
            f"{operation.name.lower()}_{number}", operation, before, after,
            inputs=tuple(number + 1 - source.made for source in sources), **fields))
        self.values[output] = Value(number + 1, after, order)

    def fold(self, source: str) -> FloatLayer:
        """Return the layer that makes ``source``, to be changed by `change`."""
        value = self.value(source)
        if value.made < 1 or value.shared or self.uses.get(source) != 1:
            raise ModelError("its input must be a layer's output, used here alone")
        layer = self.layers[value.made - 1]
        if layer.activation is not Activation.NONE:
            raise ModelError("its input must have no activation yet")
        if self.folded[value.made] == MAX_FOLDED:
            raise ModelError(f"at most {MAX_FOLDED} operators may become part of a layer")
        return layer

    def change(self, output: str, source: str, layer: FloatLayer) -> None:
        value = self.values[source]
        self.layers[value.made - 1] = layer
        self.folded[value.made] += 1
        self.values[output] = value

    def keep(self, output: str, source: str) -> None:
        """Give a value another name."""
        self.value(source, border=True)
        self.derive(output, source)

    def convolution(self, output: str, source: str, weights: FloatArray, bias: FloatArray | None, *,
                    stride: Pair, border: tuple[int, int, int, int] | str, dilation: Pair,
                    groups: int) -> None:
        """Convolve with ``weights`` of shape (Cout, Cin / groups, KH, KW).

        ``border`` is as in `window`.
        """
        value = self.pixels(source, border=True)
        channels = value.shape[2]
        if weights.ndim != 4 or min(weights.shape) < 1:
            raise ModelError(f"weights must have four dimensions, none of them 0, "
                             f"not {weights.shape}")
        if groups not in (1, channels) or dilation != (1, 1):
            raise ModelError(f"groups must be 1 or {channels} and dilation 1, not {groups} and "
                             f"{list(dilation)}")
        if weights.shape[1] * groups != channels:
            raise ModelError(f"weights must take {channels} channels, "
                             f"not {weights.shape[1] * groups}")
        kernel = weights.shape[2:]
        before, after = window(value.shape, kernel, stride, border, value.border)
        depthwise = groups > 1
        self.append(output, Operation.DEPTHWISE_CONV2D if depthwise else Operation.CONV2D, [value],
                    (*after, len(weights)), kernel=kernel, stride=stride, padding=before,
                    weights=np.ascontiguousarray(weights.transpose(0, 2, 3, 1)),
                    bias=bias_of(bias, len(weights)))

    def linear(self, output: str, source: str, weights: FloatArray, bias: FloatArray | None
               ) -> None:
        """Multiply by ``weights`` of shape (outputs, inputs)."""
        value = self.value(source)
        if weights.ndim != 2 or min(weights.shape) < 1 or weights.shape[1] != prod(value.shape):
            raise ModelError(f"weights must have the shape (outputs, {prod(value.shape)}), "
                             f"not {weights.shape}")
        # The last axis is multiplied.
        if not value.flat and (value.order != "hwc" or value.shape[:2] != (1, 1)):
            raise ModelError("its input must be flattened")
        height, width, channels = value.shape
        if value.order.endswith("chw"):
            weights = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        filters = np.ascontiguousarray(weights).reshape(len(weights), 1, 1, -1)
        self.append(output, Operation.FULLY_CONNECTED, [value], (1, 1, len(weights)),
                    "flat chw" if value.flat else "hwc", weights=filters,
                    bias=bias_of(bias, len(weights)))

    def scale(self, output: str, source: str, factor: FloatArray, term: FloatArray) -> None:
        """Multiply each channel by ``factor`` and add ``term``: batch normalisation, biases.

        Arrays of one value serve all channels.
        """
        layer = self.fold(source)
        if layer.weights is None or layer.bias is None:
            raise ModelError("it must follow a convolution or a fully-connected layer")
        filters = len(layer.bias)
        if {factor.size, term.size} - {1, filters}:
            raise ModelError(f"it must have 1 or {filters} values, not {factor.shape} and "
                             f"{term.shape}")
        factor = np.broadcast_to(factor.ravel(), filters).astype(np.float32)
        self.change(output, source, replace(
            layer, weights=finite(layer.weights * factor[:, None, None, None]),
            bias=finite(layer.bias * factor + term.ravel())))

    def batch_normalisation(self, output: str, source: str, weight: FloatArray, bias: FloatArray,
                            mean: FloatArray, variance: FloatArray, epsilon: float) -> None:
        """Normalise each channel by its mean and variance."""
        shapes = {values.shape for values in (weight, bias, mean, variance)}
        if shapes != {(self.value(source).shape[2],)}:
            raise ModelError(f"it must have {self.value(source).shape[2]} values of each kind, "
                             f"not {sorted(shapes)}")
        if (variance < 0).any():
            raise ModelError("variances must not be negative")
        factor = finite(weight / np.sqrt(variance + np.float32(epsilon)))
        self.scale(output, source, factor, bias - mean * factor)

    def activation(self, output: str, source: str, activation: Activation) -> None:
        """Apply ``activation``."""
        self.change(output, source, replace(self.fold(source), activation=activation))

    def clip(self, output: str, source: str, low: float, high: float) -> None:
        """Clip to the limits of an activation."""
        for activation in (Activation.RELU, Activation.RELU6):
            if (low, high) == activation.limits:
                return self.activation(output, source, activation)
        raise ModelError(f"limits must be 0 and 6, or 0 alone, not {low} and {high}")

    def pool(self, output: str, source: str, operation: Operation, kernel: Pair, stride: Pair,
             border: tuple[int, int, int, int] | str = (0, 0, 0, 0), *,
             ceil: bool = False) -> None:
        """Take the greatest or the mean of windows, padding apart."""
        value = self.pixels(source)
        before, after = window(value.shape, kernel, stride, border, ceil=ceil)
        self.append(output, operation, [value], (*after, value.shape[2]), kernel=kernel,
                    stride=stride, padding=before)

    def mean(self, output: str, source: str, *, flat: bool = False) -> None:
        """Take the mean of all pixels."""
        value = self.pixels(source)
        kernel = value.shape[:2]
        self.append(output, Operation.AVERAGE_POOL, [value], (1, 1, value.shape[2]),
                    "flat chw" if flat else "chw", kernel=kernel)

    def add(self, output: str, one: str, two: str) -> None:
        """Add two values of one shape."""
        values = [self.value(one), self.value(two)]
        if values[0].order != values[1].order or values[0].shape != values[1].shape:
            raise ModelError(f"both inputs must have the same shape, not "
                             f"{values[0].order} {values[0].shape} and {values[1].order} "
                             f"{values[1].shape}")
        self.append(output, Operation.ADD, values, values[0].shape, values[0].order)

    def flatten(self, output: str, source: str, shape: tuple[int, ...]) -> None:
        """Make all axes but the first one: the result has the shape (1, n)."""
        value = self.value(source)
        if shape not in ((1, prod(value.shape)), (1, -1), (-1, prod(value.shape))):
            raise ModelError(f"the output must have the shape (1, {prod(value.shape)}), "
                             f"not {shape}")
        order = value.order if value.flat else f"flat {value.order}"
        self.derive(output, source, order=order)

    def turn(self, output: str, source: str, axes: tuple[int, ...]) -> None:
        """Exchange the axes of a value."""
        value = self.value(source)
        turned: dict[tuple[str, tuple[int, ...]], str] = {
            ("chw", (0, 2, 3, 1)): "hwc", ("hwc", (0, 3, 1, 2)): "chw"}
        if (value.order, axes) not in turned:
            raise ModelError(f"axes must be exchanged from N, C, H, W to N, H, W, C or back, "
                             f"not {value.order} by {axes}")
        self.derive(output, source, order=turned[value.order, axes])

    def pad(self, output: str, source: str, border: tuple[int, int, int, int]) -> None:
        """Put zeros above, left, below, right."""
        self.pixels(source)
        if min(border) < 0:
            raise ModelError(f"padding must not be negative, {border}")
        self.derive(output, source, border=border)

    def softmax(self, output: str, source: str, axis: int = 1) -> None:
        """Take the softmax over the classes of a value of one pixel, from ``axis`` of the graph."""
        value = self.value(source)
        rank = 2 if value.flat else 4
        if value.shape[:2] != (1, 1) or axis not in (value.channel_axis, value.channel_axis - rank):
            raise ModelError(f"softmax must be over classes, not axis {axis} of {value.order} "
                             f"{value.shape}")
        self.append(output, Operation.SOFTMAX, [value], value.shape, value.order)


def window(shape: Shape, kernel: tuple[int, ...], stride: Pair,
           border: tuple[int, int, int, int] | str,
           more: tuple[int, int, int, int] = (0, 0, 0, 0), *, ceil: bool = False
           ) -> tuple[Pair, Pair]:
    """Return padding above and left, and height and width of what a sliding window gives.

    ``border`` is what is padded above, left, below, right; ``"same"`` what makes the output as
    large as the input over the stride, an odd zero below and right, ``"same lower"`` above and
    left. ``more`` is what was padded before.
    """
    if len(kernel) != 2 or len(stride) != 2 or min(*kernel, *stride) < 1:
        raise ModelError(f"kernel and stride must be two positive numbers each, not {kernel} and "
                         f"{stride}")
    padded = (shape[0] + more[0] + more[2], shape[1] + more[1] + more[3])
    if border in ("same", "same lower"):
        around = [max(0, (-(-size // step) - 1) * step + width - size)
                  for size, step, width in zip(padded, stride, kernel, strict=True)]
        less, rest = (around[0] // 2, around[1] // 2), (-(-around[0] // 2), -(-around[1] // 2))
        border = (*less, *rest) if border == "same" else (*rest, *less)
    if isinstance(border, str) or len(border) != 4 or min(border) < 0:
        raise ModelError(f"padding must be same or four numbers, not negative, not {border}")
    before = (border[0] + more[0], border[1] + more[1])
    sizes = []
    for axis in range(2):
        room = padded[axis] + border[axis] + border[axis + 2] - kernel[axis]
        if room < 0:
            raise ModelError(f"a kernel of {kernel} must fit its input of {padded}")
        size = (-(-room // stride[axis]) if ceil else room // stride[axis]) + 1
        # A window that would begin behind the input isn't taken.
        if ceil and (size - 1) * stride[axis] >= shape[axis] + before[axis]:
            size -= 1
        sizes.append(size)
    return before, (sizes[0], sizes[1])


def bias_of(bias: FloatArray | None, filters: int) -> FloatArray:
    if bias is None:
        return np.zeros(filters, np.float32)
    if bias.size != filters:
        raise ModelError(f"bias must have {filters} values, not {bias.shape}")
    return bias.reshape(filters)


def finite(values: NDArray[Any]) -> FloatArray:
    if not np.isfinite(values).all():
        raise ModelError("weights must be finite after folding")
    return values.astype(np.float32)


def pair(value: Any, default: int | None = None) -> Pair:
    """Return two numbers for one or two."""
    if isinstance(value, (list, tuple)) and not value and default is not None:
        return default, default
    if isinstance(value, int):
        return value, value
    if (not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 2
            or not all(type(number) is int for number in value)):
        raise ModelError(f"sizes must be one or two numbers, not {value}")
    return value[0], value[-1]
