"""What of a network with predictors is left to the codec, and what becomes of it."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..format.predictors import Predicted, WeightShape, with_content
from .decoders import predict


__all__ = ["coded_arrays", "restore"]


Int8Array = NDArray[np.int8]


def coded_arrays(layers: Sequence[Predicted], weights: Sequence[Int8Array]) -> list[Int8Array]:
    """Return the arrays that the codec carries, in order, each (rows, 1, 1, columns).

    Parameters
    ----------
    weights : sequence of array of int8, shape (Cout, KH, KW, Cin)
        What decoding must give.

    Raises
    ------
    ValueError
        If a layer without a residual isn't what its predictor says.
    """
    arrays = []
    for number, (layer, wanted) in enumerate(zip(layers, weights, strict=True)):
        rest = wanted
        if layer.predictor is not None:
            predicted = predict(layer.predictor, wanted.shape)
            # Modulo 256.
            rest = (wanted.astype(np.int16) - predicted).astype(np.int8)
            if layer.predictor.content is not None:
                arrays.append(layer.predictor.content)
        if layer.residual:
            arrays.append(rest.reshape(len(rest), -1))
        elif rest.any():
            raise ValueError(f"Layer {number} without a residual must be what is predicted")
    return [array.reshape(len(array), 1, 1, -1) for array in arrays]


def restore(layers: Sequence[Predicted], arrays: Iterable[Int8Array],
            shapes: Sequence[WeightShape]) -> tuple[list[Predicted], list[Int8Array]]:
    """Return the layers with their content, and the weights of each.

    Parameters
    ----------
    arrays : iterable of array of int8
        As `coded_arrays` gives them.
    """
    remaining = iter(arrays)
    filled, weights = [], []
    for layer, shape in zip(layers, shapes, strict=True):
        predictor = layer.predictor
        total = np.zeros(shape, np.int16)
        if predictor is not None:
            if predictor.content is not None:
                content = next(remaining)
                predictor = with_content(predictor, content.reshape(predictor.content.shape))
            total += predict(predictor, shape)
        if layer.residual:
            total += next(remaining).reshape(shape)
        filled.append(Predicted(predictor, layer.residual))
        weights.append(total.astype(np.int8))
    return filled, weights
