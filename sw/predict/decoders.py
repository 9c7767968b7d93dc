"""What the parameters of predictors stand for: exact integers, as gateware makes them."""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.predictors import (BASIS_VALUES, FEEDBACK, FRACTION_BITS, Autoencoder, Expression,
                                 Hypernetwork, LayerPredictor, Operator, Perceptron, Seeds,
                                 SeedShape, WeightShape)


__all__ = ["basis", "evaluate", "predict", "run_perceptron", "scaled_sums"]


Integers = NDArray[np.int64]
Int16Array = NDArray[np.int16]

#: Values that are computed at once.
CHUNK = 1 << 18


def predict(parameters: LayerPredictor, shape: WeightShape) -> NDArray[np.int8]:
    """Return the weights that a predictor generates for a layer.

    Parameters
    ----------
    shape : tuple of int
        Cout, KH, KW, Cin.

    Returns
    -------
    array of int8
        Of that shape.
    """
    rows: NDArray[np.integer]
    match parameters:
        case Seeds():
            rows = sums_of(parameters)
        case Expression():
            rows = evaluate(parameters, shape)
        case Autoencoder():
            blocks = parameters.latents.reshape(-1, parameters.decoder.inputs)
            rows = run_perceptron(parameters.decoder, blocks)
        case Hypernetwork():
            return generate(parameters, shape)
    kept = rows.reshape(shape[0], -1)[:, :prod(shape[1:])]
    return kept.reshape(shape).astype(np.int8)


def to_int8(values: NDArray[Any]) -> NDArray[Any]:
    clipped: NDArray[Any] = np.clip(values, -128, 127)
    return clipped


@lru_cache(maxsize=4)
def basis(shape: SeedShape) -> NDArray[np.int8]:
    """Return what each seed, from 1 up, generates: shape (2 ** seed_bits - 1, terms, block).

    The register gives two bits for each value, weight by weight and term by term.
    """
    found: NDArray[np.int8] = generate_basis(
        shape.seed_bits, FEEDBACK[shape.seed_bits], shape.terms, shape.block,
        np.array(BASIS_VALUES, np.int8))
    return found


@compiled
def generate_basis(seed_bits: int, feedback: int, terms: int, block: int, values: Any) -> Any:
    found = np.empty(((1 << seed_bits) - 1, terms, block), np.int8)
    for seed in range(1, 1 << seed_bits):
        state = seed
        for place in range(block):
            for term in range(terms):
                choice = 0
                for bit in range(2):
                    low = state & 1
                    choice |= low << bit
                    state >>= 1
                    if low:
                        state ^= feedback
                found[seed - 1, term, place] = values[choice]
    return found


def scaled_sums(sums: Integers, exponents: Integers) -> Integers:
    """Return the weights of blocks: sums (n, block) times 2 ** (exponent - 2), rounded, clipped."""
    return to_int8((sums << exponents[:, None]) + (1 << FRACTION_BITS >> 1) >> FRACTION_BITS)


def sums_of(seeds: Seeds) -> Integers:
    vectors = basis(seeds.shape)
    flat, shifts = seeds.seeds.ravel(), seeds.exponents.ravel()
    coefficients = seeds.coefficients.reshape(len(flat), -1)
    rows = np.empty((len(flat), seeds.shape.block), np.int64)
    for start in range(0, len(flat), CHUNK):
        part = slice(start, start + CHUNK)
        sums = np.einsum("nt,ntb->nb", coefficients[part], vectors[flat[part] - 1])
        rows[part] = scaled_sums(sums, shifts[part])
    return rows


def evaluate(expression: Expression, shape: WeightShape) -> NDArray[np.int16]:
    """Return the weights of an expression, a row for each filter."""
    weights = prod(shape[1:])
    step = max(1, CHUNK // weights)
    memory = expression.memory.astype(np.int16)
    return np.concatenate([
        to_int8(rows_of(expression, shape, memory[start:start + step]))
        for start in range(0, len(memory), step)])


def rows_of(expression: Expression, shape: WeightShape, memory: Int16Array) -> Int16Array:
    """Return what an expression gives with other memories, (rows, cells); 16 bits wrap around."""
    _, _, width, channels = shape
    number = np.arange(prod(shape[1:]))
    place = number // expression.spacing
    known = {Operator.ROW: number // (width * channels),
             Operator.COLUMN: number // channels % width, Operator.CHANNEL: number % channels,
             Operator.PLACE: place}
    sources = {operator: values.astype(np.int16)[None] for operator, values in known.items()}
    stack: list[Int16Array] = []
    for instruction in expression.program:
        operator = instruction.operator
        taken = [stack.pop() for _ in range(operator.taken)][::-1]
        if operator in sources:
            stack.append(sources[operator])
        elif operator is Operator.CONSTANT:
            stack.append(np.full((1, 1), instruction.value, np.int16))
        else:
            stack.append(apply(operator, memory, *taken))
    shown = np.broadcast_to(stack.pop(), (len(memory), len(number))).copy()
    shown[:, ::expression.spacing] = memory[:, place[::expression.spacing]]
    return shown


def apply(operator: Operator, memory: Int16Array, *taken: Int16Array) -> Int16Array:
    found: Int16Array
    match operator:
        case Operator.LOOK_UP:
            cells = np.clip(taken[0], 0, memory.shape[1] - 1).astype(np.int64)
            found = (memory[:, cells[0]] if len(cells) == 1
                     else np.take_along_axis(memory, cells, axis=1))
        case Operator.ADD:
            found = taken[0] + taken[1]
        case Operator.SUBTRACT:
            found = taken[0] - taken[1]
        case Operator.HALVE:
            found = taken[0] >> 1
        case Operator.NEGATE:
            found = -taken[0]
        case Operator.MINIMUM:
            found = np.minimum(*taken)
        case Operator.MAXIMUM:
            found = np.maximum(*taken)
        case Operator.EXCLUSIVE_OR:
            found = taken[0] ^ taken[1]
        case _:
            found = np.where(taken[0] < 0, taken[1], taken[2])
    return found


def run_perceptron(perceptron: Perceptron, x: NDArray[np.integer]) -> Integers:
    """Return outputs (n, outputs) for inputs (n, inputs)."""
    parts = []
    step = CHUNK // 256
    for start in range(0, max(1, len(x)), step):
        # All sums are whole numbers far below 2 ** 53: floats are exact, and fast.
        values = x[start:start + step].astype(np.float64)
        for number, (matrix, bias, shift) in enumerate(zip(
                perceptron.matrices, perceptron.biases, perceptron.shifts, strict=True)):
            sums = (values @ matrix.T.astype(np.float64)).astype(np.int64) + bias >> shift
            last = number == len(perceptron.matrices) - 1
            values = to_int8(sums) if last else np.clip(sums, 0, 255).astype(np.float64)
        parts.append(values.astype(np.int64))
    return np.concatenate(parts)


def generate(parameters: Hypernetwork, shape: WeightShape) -> NDArray[np.int8]:
    outputs, height, width, inputs = shape
    own, met = parameters.embeddings[:outputs], parameters.embeddings[outputs:]
    weights = np.empty(shape, np.int8)
    for channel, values in enumerate(own):
        pairs = np.hstack([np.broadcast_to(values, met.shape), met])
        kernels = run_perceptron(parameters.decoder, pairs)
        weights[channel] = kernels.reshape(inputs, height, width).transpose(1, 2, 0)
    return weights
