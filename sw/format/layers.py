"""Layers of an integer network: what they compute, in whole numbers, whatever the target."""

from dataclasses import dataclass
from enum import IntEnum
from math import prod


__all__ = ["MOST_SHIFT", "RECORDS", "InputDescription", "LayerDescriptor", "Operation", "Rounding"]


#: Channel records that an accelerator may take at once: a layer's begin at a multiple of it.
RECORDS = 4

#: Greatest shift of a channel record that an accelerator has: factors are below 2 to the power of
#: it, with which already a sum of 1 is half the way through the outputs.
MOST_SHIFT = 7


class Operation(IntEnum):
    """What a layer computes. Shapes are height, width, channels; weights are Cout, KH, KW, Cin.

    The filters of a depthwise convolution have one input channel: filter c meets channel
    ``c // (Cout // Cin)``.
    """

    CONV2D = 0
    FULLY_CONNECTED = 1
    AVERAGE_POOL = 2
    MAX_POOL = 3
    DEPTHWISE_CONV2D = 4
    ADD = 5
    SOFTMAX = 6
    RESHAPE = 7

    @property
    def has_weights(self) -> bool:
        return self in (Operation.CONV2D, Operation.FULLY_CONNECTED, Operation.DEPTHWISE_CONV2D)

    @property
    def pools(self) -> bool:
        return self in (Operation.AVERAGE_POOL, Operation.MAX_POOL)

    @property
    def slides(self) -> bool:
        return self.pools or self in (Operation.CONV2D, Operation.DEPTHWISE_CONV2D)


class Rounding(IntEnum):
    """How the product of a sum and a multiplier becomes an integer."""

    #: To the upper half, halves up, and then by the shift, halves away from zero.
    TWICE = 0
    #: The exact product by both at once, halves up.
    ONCE = 1


@dataclass(frozen=True)
class InputDescription:
    """How a user's input becomes the network's int8 input.

    ``q = round((x - mean) / divisor / scale) + zero_point``, half to even, clipped to int8.
    """

    scale: float
    zero_point: int
    mean: float
    divisor: float


@dataclass(frozen=True)
class LayerDescriptor:
    """One layer, without its arrays. TFLite's int8 arithmetic applies.

    Padded inputs read as ``input_zero_point`` in convolutions and don't take part in pooling.
    ``padding`` is what lies above and to the left; what lies below and to the right follows from
    the shapes. A fully-connected layer sees its input as 1 x 1 x n, in NHWC order. Where nothing
    slides, kernel and stride are 1 x 1 and padding is 0.

    Parameters
    ----------
    inputs : tuple of int
        How many layers back each input is made: 1 is the layer before; from layer n, n + 1 is the
        network's input. Two in additions.
    addend : tuple of float and int, or None
        Scale and zero point of the second input.
    rounding : Rounding
        Of layers with weights.
    codebook : int
        Which codebook of the image the layer's symbols index.

    Raises
    ------
    ValueError
        If the shapes don't fit each other or a value is out of range.
    """

    operation: Operation
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    input_scale: float
    output_scale: float
    inputs: tuple[int, ...] = (1,)
    addend: tuple[float, int] | None = None
    rounding: Rounding = Rounding.TWICE
    codebook: int = 0

    def __post_init__(self) -> None:
        name = self.operation.name.lower()
        for label, values, most in (("input shape", self.input_shape, 0xffff),
                                    ("output shape", self.output_shape, 0xffff),
                                    ("kernel", self.kernel, 255), ("stride", self.stride, 255)):
            if any(not 1 <= value <= most for value in values):
                raise ValueError(f"{name}: {label} must be 1 to {most} each, not {values}")
        for label, value in (("input zero point", self.input_zero_point),
                             ("output zero point", self.output_zero_point),
                             ("least activation", self.activation_min),
                             ("greatest activation", self.activation_max)):
            if not -128 <= value <= 127:
                raise ValueError(f"{name}: {label} must be -128 to 127, not {value}")
        if self.activation_min > self.activation_max:
            raise ValueError(f"{name}: activations must have a range, not {self.activation_min} "
                             f"to {self.activation_max}")
        self.check_operation(name)
        if self.operation.slides:
            self.check_windows(name)

    def check_windows(self, name: str) -> None:
        for axis, label in enumerate(("height", "width")):
            size, out = self.input_shape[axis], self.output_shape[axis]
            kernel, stride, pad = self.kernel[axis], self.stride[axis], self.padding[axis]
            if not 0 <= pad < kernel:
                raise ValueError(f"{name}: padding must be 0 to {kernel - 1}, not {pad}")
            if (out - 1) * stride - pad >= size:
                raise ValueError(f"{name}: the last of {out} outputs lies wholly in padding: "
                                 f"{label} must be at most {(size + pad - 1) // stride + 1}")

    def check_operation(self, name: str) -> None:
        adds = self.operation is Operation.ADD
        if len(self.inputs) != 1 + adds or any(back < 1 for back in self.inputs):
            raise ValueError(f"{name}: inputs must be {1 + adds} of earlier layers, "
                             f"not {self.inputs}")
        if adds != (self.addend is not None):
            raise ValueError(f"{name}: additions alone must have an addend, not {self.addend}")
        if self.addend is not None and not -128 <= self.addend[1] <= 127:
            raise ValueError(f"{name}: addend's zero point must be -128 to 127, "
                             f"not {self.addend[1]}")
        if self.rounding is Rounding.ONCE and not self.operation.has_weights:
            raise ValueError(f"{name}: there is no product to be rounded once")
        if not 0 <= self.codebook <= 255 * self.operation.has_weights:
            raise ValueError(f"{name}: codebook must be 0 to 255, and 0 without weights, "
                             f"not {self.codebook}")

        before, after = self.input_shape, self.output_shape
        still = ((1, 1), (1, 1), (0, 0))
        if not self.operation.slides and (self.kernel, self.stride, self.padding) != still:
            raise ValueError(f"{name}: kernel and stride must be 1 x 1 and padding 0, not "
                             f"{self.kernel}, {self.stride} and {self.padding}")
        if self.operation is Operation.FULLY_CONNECTED:
            if before[:2] != (1, 1) or after[:2] != (1, 1):
                raise ValueError(f"{name}: shapes must be 1 x 1 x n, not {before} and {after}")
        elif self.operation is Operation.DEPTHWISE_CONV2D:
            if after[2] % before[2]:
                raise ValueError(f"{name}: output channels must be a multiple of {before[2]}, "
                                 f"not {after[2]}")
        elif self.operation.pools and before[2] != after[2]:
            raise ValueError(f"{name}: pooling keeps the {before[2]} channels, not {after[2]}")
        elif self.operation in (Operation.ADD, Operation.SOFTMAX) and before != after:
            raise ValueError(f"{name}: output shape must be {before}, not {after}")
        elif self.operation is Operation.RESHAPE:
            if prod(before) != prod(after):
                raise ValueError(f"{name}: output must have the values of {before}, not {after}")

    @property
    def weight_shape(self) -> tuple[int, int, int, int] | None:
        """Cout, KH, KW, Cin; None where there are no weights."""
        if not self.operation.has_weights:
            return None
        depthwise = self.operation is Operation.DEPTHWISE_CONV2D
        return (self.output_shape[2], *self.kernel, 1 if depthwise else self.input_shape[2])

    @property
    def weights(self) -> int:
        """Number of weights."""
        return prod(self.weight_shape or (0,))

    @property
    def records(self) -> int:
        """Number of channel records (bias, multiplier, shift) in an image.

        One for each output channel of a layer with weights, one in all for pooling, for an addition
        one and two of its inputs; each kind filled up to a multiple of ``RECORDS``.
        """
        if self.operation.has_weights:
            return self.output_shape[2] + -self.output_shape[2] % RECORDS
        return RECORDS * (self.operation.pools + 2 * (self.operation is Operation.ADD))

    @property
    def macs(self) -> int:
        """Multiplications of a weight by an input, padding included."""
        return self.weights * self.output_shape[0] * self.output_shape[1]
