"""Layers of an integer network: what they compute, in whole numbers, whatever the target."""

from dataclasses import dataclass
from enum import IntEnum


__all__ = ["InputDescription", "LayerDescriptor", "Operation"]


class Operation(IntEnum):
    """What a layer computes. Shapes are height, width, channels; weights are Cout, KH, KW, Cin."""

    CONV2D = 0
    FULLY_CONNECTED = 1
    AVERAGE_POOL = 2
    MAX_POOL = 3

    @property
    def has_weights(self) -> bool:
        return self in (Operation.CONV2D, Operation.FULLY_CONNECTED)


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
    the shapes. A fully-connected layer sees its input as 1 x 1 x n, in NHWC order.

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
        for axis, label in enumerate(("height", "width")):
            size, out = self.input_shape[axis], self.output_shape[axis]
            kernel, stride, pad = self.kernel[axis], self.stride[axis], self.padding[axis]
            if not 0 <= pad < kernel:
                raise ValueError(f"{name}: padding must be 0 to {kernel - 1}, not {pad}")
            if (out - 1) * stride - pad >= size:
                raise ValueError(f"{name}: the last of {out} outputs lies wholly in padding: "
                                 f"{label} must be at most {(size + pad - 1) // stride + 1}")
        if self.operation is Operation.FULLY_CONNECTED:
            if self.input_shape[:2] != (1, 1) or self.output_shape[:2] != (1, 1):
                raise ValueError(f"{name}: shapes must be 1 x 1 x n, not {self.input_shape} and "
                                 f"{self.output_shape}")
            if (self.kernel, self.stride, self.padding) != ((1, 1), (1, 1), (0, 0)):
                raise ValueError(f"{name}: kernel and stride must be 1 x 1 and padding 0, not "
                                 f"{self.kernel}, {self.stride} and {self.padding}")
        if not self.operation.has_weights and self.input_shape[2] != self.output_shape[2]:
            raise ValueError(f"{name}: pooling keeps the {self.input_shape[2]} channels, "
                             f"not {self.output_shape[2]}")

    @property
    def weight_shape(self) -> tuple[int, int, int, int] | None:
        """Cout, KH, KW, Cin; None where there are no weights."""
        if not self.operation.has_weights:
            return None
        return (self.output_shape[2], *self.kernel, self.input_shape[2])

    @property
    def weights(self) -> int:
        """Number of weights."""
        if not self.operation.has_weights:
            return 0
        return (self.output_shape[2] * self.kernel[0] * self.kernel[1] * self.input_shape[2])

    @property
    def channels(self) -> int:
        """Number of channel records (bias, multiplier, shift): one in pooling, which shares it."""
        return self.output_shape[2] if self.operation.has_weights else 1

    @property
    def macs(self) -> int:
        """Multiplications of a weight by an input, padding included."""
        return self.weights * self.output_shape[0] * self.output_shape[1]
