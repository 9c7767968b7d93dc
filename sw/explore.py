"""What a network's shared weights score, for `sw.quantize.exploration`."""

from dataclasses import dataclass, field, replace
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import FloatNetwork, Network, float_network
from .quantize.exploration import Exploration, explore
from .quantize.grid import FloatArray
from .score import agreement, answer, score


__all__ = ["WeightScore", "explore_network", "with_weights"]


def with_weights(network: FloatNetwork, weights: Sequence[FloatArray]) -> FloatNetwork:
    """Return ``network`` with other weights in the layers that have any."""
    remaining = iter(weights)
    return replace(network, layers=tuple(
        replace(layer, weights=next(remaining).astype(np.float32))
        if layer.operation.has_weights else layer for layer in network.layers))


@dataclass(frozen=True, eq=False)
class WeightScore:
    """Scores weights of a network by what it then answers, computed with floats.

    Executors of processes can send it.

    Parameters
    ----------
    network : FloatNetwork
        Whose weights are replaced.
    x : array, shape (n, H, W, C)
        Inputs as the user gives them, one or more.
    y : array of integers, shape (n,), optional
        Their classes. The score is then that of `sw.score.score`; without them, it is the
        agreement with what the network answers with the weights it has.
    """

    network: FloatNetwork
    x: NDArray[Any]
    y: NDArray[np.integer] | None = None
    expected: NDArray[np.intp] | NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        if not len(self.x):
            raise ValueError("Weights must be scored on one input or more, not 0")
        object.__setattr__(self, "expected", answer(self.network, self.x))

    def __call__(self, weights: Sequence[FloatArray]) -> float:
        """Return the score with ``weights``, of each layer that has any, in order."""
        answers = answer(with_weights(self.network, weights), self.x)
        return (agreement(answers, self.expected) if self.y is None
                else score(answers, self.y))


def explore_network(source: FloatNetwork | Network, x: NDArray[Any],
                    y: NDArray[np.integer] | None = None, *, drop: float, **options: Any
                    ) -> Exploration:
    """Choose how many weights each layer of a network shares, as `explore` does.

    Parameters
    ----------
    source : FloatNetwork or Network
        The scales of int8 weights are undone first.
    x, y : array
        As in `WeightScore`.
    drop : float
        How much less the score may be, e.g. 0.01 for a point of accuracy.
    **options
        Those of `explore`.

    Raises
    ------
    ValueError
        As `explore`.
    """
    network = float_network(source) if isinstance(source, Network) else source
    layers = [layer.weights for layer in network.weighted if layer.weights is not None]
    return explore(layers, WeightScore(network, x, y), drop=drop, **options)
