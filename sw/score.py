"""What networks are judged by on data: classes, or how anomalies are told from the rest."""

from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import golden
from .format.layers import Operation
from .network import FloatNetwork, Layer, Network, Quantisation


__all__ = ["agreement", "answer", "metric", "score"]


#: Inputs that are run at once.
BLOCK = 500


def metric(network: FloatNetwork | Network) -> str:
    """Return what ``network`` is judged by.

    ``"auc"``, the area under the ROC curve, for an autoencoder, whose output has as many values as
    its input; ``"accuracy"`` for others, whose greatest output is the class.
    """
    last = network.layers[-1]
    descriptor = last.descriptor if isinstance(last, Layer) else last
    rebuilds = (prod(descriptor.output_shape) == prod(network.input_shape)
                and descriptor.operation is not Operation.SOFTMAX)
    return "auc" if rebuilds else "accuracy"


def answer(network: FloatNetwork | Network, x: ArrayLike) -> NDArray[np.intp] | NDArray[np.float64]:
    """Return what a network says of each of the user's inputs ``x``.

    Returns
    -------
    array, shape (n,)
        Classes, integers; of an autoencoder the mean squared differences between outputs and
        inputs, floats.
    """
    if metric(network) == "accuracy":
        return (golden.classify(network, x) if isinstance(network, Network)
                else network.classify(x))
    inputs = np.reshape(x, (-1, *network.input_shape))
    return np.concatenate([np.zeros(0), *(rebuilding_error(network, inputs[start:start + BLOCK])
                                          for start in range(0, len(inputs), BLOCK))])


def rebuilding_error(network: FloatNetwork | Network, x: NDArray[np.generic]
                     ) -> NDArray[np.float64]:
    if isinstance(network, Network):
        quantised = network.quantise_input(x)
        last = network.layers[-1].descriptor
        outputs = Quantisation(last.output_scale, last.output_zero_point).restore(
            golden.run(network, quantised)[-1])
        inputs = Quantisation(network.input.scale, network.input.zero_point).restore(quantised)
    else:
        inputs = network.normalise(x).astype(np.float64)
        outputs = network.run(x)[-1].astype(np.float64)
    error: NDArray[np.float64] = np.square(
        outputs.reshape(len(x), -1) - inputs.reshape(len(x), -1)).mean(axis=1)
    return error


def score(answers: NDArray[np.intp] | NDArray[np.float64], y: NDArray[np.integer]) -> float:
    """Return how good answers are.

    Parameters
    ----------
    answers : array, shape (n,)
        From `answer`.
    y : array of integers, shape (n,)
        The right classes; for an autoencoder 1 for anomalies, 0 for others.

    Returns
    -------
    float
        Share of right classes; or the probability that an anomaly's error is greater than that of
        another input (equal ones count half), the area under the ROC curve.

    Raises
    ------
    ValueError
        If there are no answers, or an area's inputs are all anomalies, or none is.
    """
    if not len(y):
        raise ValueError("Score must have labelled inputs")
    if answers.dtype.kind != "f":
        return float(np.mean(answers == y))
    anomalies, others = answers[y != 0], np.sort(answers[y == 0])
    if not len(anomalies) or not len(others):
        raise ValueError("Area under the ROC curve must have inputs of both classes, 0 and others")
    below = np.searchsorted(others, anomalies, "left") + np.searchsorted(others, anomalies, "right")
    return float(below.mean() / (2 * len(others)))


def agreement(answers: NDArray[np.intp] | NDArray[np.float64],
              expected: NDArray[np.intp] | NDArray[np.float64]) -> float:
    """Return how much a network's answers are those of another one.

    Returns
    -------
    float
        Share of equal classes; or Pearson's correlation of an autoencoder's errors, 0 where it
        doesn't exist.
    """
    if answers.dtype.kind != "f":
        return float(np.mean(answers == expected))
    one, two = answers - answers.mean(), expected - expected.mean()
    norm = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / norm if norm else 0.0
