"""From a network to one whose weights are predicted: what `sw.compression` leaves to predictors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .format.predictor_records import predictor_bits
from .format.predictors import Predicted
from .metrics import entropy
from .network import FloatNetwork, Network
from .plan import RESIDUAL_BITS, Plan
from .predict import OTHERS_BITS, fit, fit_integers
from .predict.coding import coded_arrays
from .quantize.grid import zigzag_symbols


__all__ = ["Prediction", "predict_residuals", "predict_weights"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """How a network's weights are predicted.

    Parameters
    ----------
    layers : tuple of Predicted
        One for each layer that has weights.
    notes : tuple of str
        Which layers the predictor didn't suit, and why.
    """

    layers: tuple[Predicted, ...]
    notes: tuple[str, ...]


def predict_weights(trained: FloatNetwork, x: ArrayLike | None, plan: Plan,
                    progress: Callable[[str], None]
                    ) -> tuple[Prediction, FloatNetwork,
                               list[tuple[NDArray[np.int8], NDArray[np.float64]]]]:
    """Predict weights, with the error that the predictor makes.

    Parameters
    ----------
    x : array, optional
        Calibration inputs as the user gives them.

    Returns
    -------
    Prediction
    FloatNetwork
        ``trained`` with biases that make up for the errors' mean.
    list of (array of int8, array of float64)
        Weights of each layer, and what a unit of each filter's stands for.

    Raises
    ------
    ValueError
        If the predictor suits no layer, or isn't installed.
    """
    found, corrected = fit(plan.predictor, trained, x, bits=plan.rate, seconds=plan.time,
                           progress=progress)
    layers = tuple(Predicted(one.predictor, residual=one.predictor is None) for one in found)
    notes = tuple(f"{one.refusal}: rounded to {OTHERS_BITS} bits instead" for one in found
                  if one.refusal)
    return Prediction(layers, notes), corrected, [(one.integers, one.scale) for one in found]


def predict_residuals(network: Network, plan: Plan, progress: Callable[[str], None]
                      ) -> Prediction | None:
    """Predict the integers of a network, which stay as they are, where that saves bits.

    None if it doesn't in any layer, by order-0 entropy.
    """
    wanted = [layer.weights for layer in network.layers if layer.weights is not None]
    names = [layer.name for layer in network.weighted]
    found = fit_integers(plan.predictor, names, wanted, bits=RESIDUAL_BITS[plan.predictor],
                         seconds=plan.time, progress=progress)
    layers, notes = [], []
    for name, predictor, weights in zip(names, found, wanted, strict=True):
        plain, predicted = Predicted(), Predicted(predictor)
        saved = estimate(plain, weights) - estimate(predicted, weights)
        if saved <= 0:
            notes.append(f"{name}: a prediction would cost {-saved / weights.size:.2f} b/w more")
        layers.append(predicted if saved > 0 else plain)
    return Prediction(tuple(layers), tuple(notes)) if any(
        layer.predictor for layer in layers) else None


def estimate(layer: Predicted, weights: NDArray[np.int8]) -> float:
    """Return about how many bits a layer takes."""
    arrays = coded_arrays([layer], [weights])
    return predictor_bits(layer) + sum(
        array.size * entropy([zigzag_symbols(array)]) for array in arrays)
