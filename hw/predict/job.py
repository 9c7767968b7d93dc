"""What the gateware of predictors is given for a layer: the way from an image to the cores."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
from amaranth.lib import wiring

from sw.format.predictors import Autoencoder, Expression, Hypernetwork, Seeds

from .expression import ExpressionCore
from .interpreter import Interpreter, write_layout
from .perceptron import PerceptronCore, bias_layout, matrix_layout, matrix_words
from .seeds import SeedCore, block_layout


__all__ = ["Job", "built", "interpreted", "job_for"]


@dataclass(frozen=True, eq=False)
class Job:
    """A core, and what it takes to generate a layer's weights.

    Parameters
    ----------
    core : Component
        It has the ports below, ``i``, and weights at ``o``.
    levels : dict of str to int
        What ports hold throughout.
    writes : dict of str to list of int
        Payloads, as bits, of streams that are written before, one a cycle.
    inputs : list of int
        Payloads of ``i``.
    order : tuple of int
        Axes of Cout, KH, KW, Cin in the order in which weights leave.
    """

    core: wiring.Component
    inputs: list[int]
    levels: dict[str, int] = field(default_factory=dict)
    writes: dict[str, list[int]] = field(default_factory=dict)
    order: tuple[int, ...] = (0, 1, 2, 3)


def job_for(predictor, shape, *, lanes=8):
    """Return the job of a layer's predictor; an expression is built into gates.

    Parameters
    ----------
    shape : tuple of int
        Cout, KH, KW, Cin.
    lanes : int
        Multipliers of a `PerceptronCore`.

    Raises
    ------
    ValueError
        If a network's matrices don't fit the core.
    """
    size = prod(shape[1:])
    match predictor:
        case Seeds():
            return from_seeds(predictor, size)
        case Expression():
            return built(predictor, shape)
        case Autoencoder():
            return perceived(predictor.decoder, predictor.latents, size, lanes)
        case Hypernetwork():
            # Kernel by kernel, as the network makes them.
            own, met = predictor.embeddings[:shape[0]], predictor.embeddings[shape[0]:]
            pairs = np.hstack([np.repeat(own, len(met), axis=0), np.tile(met, (len(own), 1))])
            return perceived(predictor.decoder, pairs, size, lanes, order=(0, 3, 1, 2))


def from_seeds(seeds, size):
    layout = block_layout(seeds.shape)
    blocks = [bits(layout, {"seed": seed, "exponent": exponent, "coefficients": coefficients})
              for seed, exponent, coefficients in zip(
                  seeds.seeds.ravel().tolist(), seeds.exponents.ravel().tolist(),
                  seeds.coefficients.reshape(-1, seeds.shape.terms).tolist(), strict=True)]
    return Job(SeedCore(seeds.shape), blocks, {"filter_size": size})


def built(expression, shape):
    """Return the job of an expression that is built into gates."""
    return Job(ExpressionCore(expression, shape), octets(expression.memory))


def interpreted(expression, shape, *, cells=256):
    """Return the job of an expression that an interpreter runs, with room for ``cells`` of them.

    Raises
    ------
    ValueError
        If a filter has more cells.
    """
    size = expression.memory.shape[1]
    if size > cells:
        raise ValueError(f"Expression must have at most {cells} cells a filter, not {size}")
    program = [bits(write_layout(), {"place": place, "instruction": {
        "operator": instruction.operator.value, "value": instruction.value}})
        for place, instruction in enumerate(expression.program)]
    _, height, width, channels = shape
    return Job(
        Interpreter(cells=cells), octets(expression.memory),
        {"height": height, "width": width, "channels": channels, "size": size,
         "spacing": expression.spacing, "length": len(expression.program)}, {"program": program})


def perceived(decoder, vectors, size, lanes, *, order=(0, 1, 2, 3)):
    """Return the job of a small network."""
    deep = len(decoder.matrices) - 1
    shifts = sum(shift << 4 * layer for layer, shift in enumerate(decoder.shifts))
    matrix = [bits(matrix_layout(lanes), {"address": address, "weights": word})
              for address, word in enumerate(matrix_words(decoder, lanes))]
    bias = [bits(bias_layout(), {"output": output, "layer": layer, "value": value})
            for layer, biases in enumerate(decoder.biases)
            for output, value in enumerate(biases.tolist())]
    return Job(
        PerceptronCore(lanes=lanes), octets(vectors),
        {"deep": deep, "inputs": decoder.inputs, "outputs": decoder.outputs,
         "hidden": len(decoder.matrices[0]) if deep else 0, "shifts": shifts,
         "filter_size": size}, {"matrix": matrix, "bias": bias}, order)


def bits(layout, value):
    return layout.const(value).as_bits()


def octets(values):
    return values.astype(np.int8).view(np.uint8).ravel().tolist()
