"""Channels in another order: networks that compute the same with their filters sorted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .format.layers import LayerDescriptor, Operation
from .network import FloatLayer, FloatNetwork, Layer, Network


__all__ = ["Order", "by_spread", "orders", "reorder"]


AnyNetwork = TypeVar("AnyNetwork", FloatNetwork, Network)

#: Channels that must stay as they are: the network's inputs and outputs.
FIXED = 0


@dataclass(frozen=True, eq=False)
class Order:
    """Where the filters of a layer, and the inputs of each, come from.

    Parameters
    ----------
    filters, inputs : array of int64
        Filter, or input, n is the one that was number ``filters[n]``, or ``inputs[n]``.
    """

    filters: NDArray[np.int64]
    inputs: NDArray[np.int64]

    def apply(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return weights, or what stands for them, of shape (Cout, KH, KW, Cin), in this order."""
        return weights[self.filters][..., self.inputs]


def orders(network: FloatNetwork | Network, keys: Sequence[ArrayLike]) -> list[Order]:
    """Return orders in which the network computes the same, filters sorted as far as they can be.

    Channels can take another order where all layers that make them, and all that use them, take it:
    not inputs and outputs of the network, nor what a depthwise convolution makes several filters
    of, softmax takes, or a change of shape deals out to other channels.

    Parameters
    ----------
    keys : sequence of array, shape (Cout,)
        What to sort each weighted layer's filters by. Of layers that must agree, the one with the
        most weights decides, where its keys are equal the next, and so on.

    Returns
    -------
    list of Order
        One for each layer that has weights.
    """
    spaces, channels = find_spaces(network)
    numbers = [number for number, layer in enumerate(geometry(network), 1)
               if layer.operation.has_weights]
    sizes = [layer.weights.size for layer in network.weighted if layer.weights is not None]
    smallest_first = sorted(range(len(sizes)), key=sizes.__getitem__)
    found: dict[int, NDArray[np.int64]] = {}
    for space in {spaces[number] for number in numbers} - {FIXED}:
        found[space] = np.lexsort([np.asarray(keys[place]) for place in smallest_first
                                   if spaces[numbers[place]] == space])
    chosen = []
    for number in numbers:
        layer = geometry(network)[number - 1]
        before, after = spaces[number - layer.inputs[0]], spaces[number]
        inputs = np.arange(layer.input_shape[2])
        if layer.operation is Operation.DEPTHWISE_CONV2D:
            inputs = np.arange(1)
        elif before != FIXED:
            # Flattened, channels follow one another fastest.
            inputs = inputs.reshape(-1, channels[before])[:, found[before]].ravel()
        chosen.append(Order(found.get(after, np.arange(layer.output_shape[2])), inputs))
    return chosen


def by_spread(network: Network) -> list[Order]:
    """Return orders that sort filters by the mean magnitude of their integers."""
    return orders(network, [np.abs(layer.weights.astype(np.int64)).mean(axis=(1, 2, 3))
                            for layer in network.weighted if layer.weights is not None])


def reorder(network: AnyNetwork, orders: Sequence[Order]) -> AnyNetwork:
    """Return ``network`` with the filters and inputs of each weighted layer in another order."""
    remaining = iter(orders)
    layers = [layer if layer.weights is None else permuted(layer, next(remaining))
              for layer in network.layers]
    return replace(network, layers=tuple(layers))


def permuted(layer: Any, order: Order) -> Any:
    names = ("bias",) if isinstance(layer, FloatLayer) else ("bias", "weight_scale", "multiplier",
                                                             "shift")
    return replace(layer, weights=order.apply(layer.weights),
                   **{name: getattr(layer, name)[order.filters] for name in names})


def geometry(network: FloatNetwork | Network) -> list[FloatLayer | LayerDescriptor]:
    return [layer.descriptor if isinstance(layer, Layer) else layer for layer in network.layers]


def find_spaces(network: FloatNetwork | Network) -> tuple[list[int], dict[int, int]]:
    """Return which channels must lie in one order, and how many these are.

    The network's input and each layer's output, in turn, have the number of theirs, `FIXED` where
    none but the given order will do.
    """
    spaces = [FIXED]
    channels = {FIXED: network.input_shape[2]}

    def join(one: int, other: int) -> None:
        kept, dropped = sorted((one, other))
        spaces[:] = [kept if space == dropped else space for space in spaces]

    for number, layer in enumerate(geometry(network), 1):
        flattens = layer.operation in (Operation.FULLY_CONNECTED, Operation.RESHAPE)
        for back in layer.inputs:
            space = spaces[-back]
            if not flattens and layer.input_shape[2] != channels[space]:
                join(space, FIXED)
        if layer.operation is Operation.ADD:
            join(*(spaces[-back] for back in layer.inputs))
        same = layer.output_shape[2] == layer.input_shape[2]
        if layer.operation is Operation.SOFTMAX or (
                layer.operation is Operation.DEPTHWISE_CONV2D and not same):
            join(spaces[-layer.inputs[0]], FIXED)
        if layer.operation in (Operation.CONV2D, Operation.FULLY_CONNECTED):
            channels[number] = layer.output_shape[2]
            spaces.append(number)
        else:
            spaces.append(spaces[-layer.inputs[0]])
    join(spaces[-1], FIXED)
    return spaces, channels
