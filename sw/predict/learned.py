"""What the learned predictors share: small networks in floats, made into integers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..format.predictors import Perceptron


__all__ = ["whole"]


Array = NDArray[np.float64]

#: The greatest value of a matrix, and the largest shift.
GREATEST, MOST_SHIFT = 127, 15

#: The greatest value of a hidden layer.
GREATEST_HIDDEN = 255


def whole(matrices: Sequence[Array], biases: Sequence[Array], hidden: Array | None
          ) -> Perceptron:
    """Return a network of one or two layers in integers.

    Parameters
    ----------
    matrices, biases : sequence of array
        From whole numbers, in units of 1, to weights, in units of 1; a hidden layer is rectified.
    hidden : array, shape (n, hidden), or None
        What a hidden layer gave, for its range.
    """
    factors = [1.0] * len(matrices)
    if hidden is not None:
        factors[0] = GREATEST_HIDDEN / max(float(hidden.max(initial=0)), 1e-9)
        factors[1] = 1 / factors[0]
    made, added, shifts = [], [], []
    for number, (matrix, bias, factor) in enumerate(zip(matrices, biases, factors, strict=True)):
        scaled = matrix * factor
        greatest = max(float(np.abs(scaled).max(initial=0)), 1e-9)
        shift = int(np.clip(np.floor(np.log2(GREATEST / greatest)), 0, MOST_SHIFT))
        made.append(np.clip(np.rint(scaled * 2.0 ** shift), -128, 127).astype(np.int8))
        own = bias * (factors[0] if number == 0 and hidden is not None else 1)
        rounding = (1 << shift) >> 1
        added.append(np.clip(np.rint(own * 2.0 ** shift) + rounding, -32768, 32767)
                     .astype(np.int32))
        shifts.append(shift)
    return Perceptron(tuple(made), tuple(added), tuple(shifts))
