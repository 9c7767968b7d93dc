"""Windows: what each weight of a kernel, or each place of a pool, meets as it slides."""

from collections.abc import Iterator
from functools import reduce
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


__all__ = ["Window", "places", "taps", "weighted_sums"]


T = TypeVar("T", bound=np.generic)
F = TypeVar("F", bound=np.floating[Any])


class Window(Protocol):
    """A layer that slides a kernel over its input; `LayerDescriptor` explains the members."""

    @property
    def input_shape(self) -> tuple[int, int, int]: ...
    @property
    def output_shape(self) -> tuple[int, int, int]: ...
    @property
    def kernel(self) -> tuple[int, int]: ...
    @property
    def stride(self) -> tuple[int, int]: ...
    @property
    def padding(self) -> tuple[int, int]: ...


def taps(x: NDArray[T], layer: Window, fill: Any) -> Iterator[tuple[int, int, NDArray[T]]]:
    """Yield, for each row and column of the kernel, what it meets at every output position.

    Parameters
    ----------
    x : array of shape (n, H, W, Cin)
        Inputs of ``layer``.
    fill : scalar
        What padding reads as.

    Yields
    ------
    row, column : int
        Place in the kernel.
    inputs : array of shape (n, OH, OW, Cin)
        A view.
    """
    edges = [(0, 0)]
    for axis in range(2):
        reach = (layer.output_shape[axis] - 1) * layer.stride[axis] + layer.kernel[axis]
        before = layer.padding[axis]
        edges.append((before, max(0, reach - before - layer.input_shape[axis])))
    padded = np.pad(x, (*edges, (0, 0)), constant_values=fill)

    height, width, _ = layer.output_shape
    step_y, step_x = layer.stride
    for row in range(layer.kernel[0]):
        for column in range(layer.kernel[1]):
            yield row, column, padded[:, row:row + (height - 1) * step_y + 1:step_y,
                                      column:column + (width - 1) * step_x + 1:step_x]


def places(layer: Window) -> NDArray[np.int64]:
    """Return how many inputs each window holds, padding apart: shape (1, OH, OW, 1)."""
    inside = np.ones((1, *layer.input_shape[:2], 1), np.int64)
    return reduce(np.add, (inputs for _, _, inputs in taps(inside, layer, 0)))


def weighted_sums(x: NDArray[F], layer: Window, weights: NDArray[F], bias: NDArray[F], *,
                  depthwise: bool) -> NDArray[F]:
    """Return what a convolution sums up.

    Parameters
    ----------
    x : array of shape (n, H, W, Cin)
        Inputs of ``layer``. Padding reads as 0.
    weights : array of shape (Cout, KH, KW, Cin)
        The filters; of one channel each in a depthwise convolution.
    bias : array of shape (Cout,)
        What sums begin with.

    Returns
    -------
    array of shape (n, OH, OW, Cout)
    """
    sums = np.empty((len(x), *layer.output_shape), x.dtype)
    sums[:] = bias
    each = len(weights) // layer.input_shape[2]
    for row, column, tap in taps(x, layer, 0):
        if depthwise:
            seen = tap if each == 1 else np.repeat(tap, each, axis=-1)
            sums += seen * weights[:, row, column, 0]
        else:
            sums += tap @ weights[:, row, column].T
    return sums
