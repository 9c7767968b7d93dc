"""Predictors: what generates weights in place of coding each one. docs/format.md explains them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


__all__ = ["BASIS_VALUES", "EXPONENT_BITS", "FEEDBACK", "FRACTION_BITS", "MAX_DEPTH", "MAX_MACS",
           "MAX_PROGRAM", "Autoencoder", "Expression", "Hypernetwork", "Instruction", "Kind",
           "LayerPredictor", "Operator", "Perceptron", "Predicted", "SeedShape", "Seeds",
           "WeightShape", "with_content"]


Int8Array = NDArray[np.int8]
WeightShape = tuple[int, int, int, int]

#: What a Galois register that shifts to the right is changed by after a 1, by its bits. Each one
#: goes through all states but 0.
FEEDBACK = {8: 0xb8, 9: 0x110, 10: 0x240, 11: 0x500, 12: 0xe08, 13: 0x1c80, 14: 0x3802,
            15: 0x6000, 16: 0xd008}

#: What two bits of a register, the first one lowest, stand for in a basis.
BASIS_VALUES = (1, -1, 3, -3)

#: Bits of a block's exponent.
EXPONENT_BITS = 2

#: Bits of a block's sums, times 2 ** exponent, that are rounded away.
FRACTION_BITS = 2

#: Instructions of a program, and numbers that it may hold at once.
MAX_PROGRAM = 63
MAX_DEPTH = 8

#: Inputs, hidden and output values that a perceptron may have.
MAX_WIDTH = 255

#: Multiplications that a generated weight may take.
MAX_MACS = 1024


class Kind(IntEnum):
    """How the weights of a layer are predicted."""

    NONE = 0
    SEEDS = 1
    EXPRESSION = 2
    AUTOENCODER = 3
    HYPERNETWORK = 4


@dataclass(frozen=True)
class SeedShape:
    """Shape of a decoder of seeds.

    Parameters
    ----------
    seed_bits : int
        Bits of the register, 8 to 16.
    block : int
        Weights of a block, 1 to 16.
    terms : int
        Coefficients of a block, 1 to 4.
    coefficient_bits : int
        Bits of a coefficient, 2 to 6.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    seed_bits: int = 16
    block: int = 8
    terms: int = 4
    coefficient_bits: int = 4

    def __post_init__(self) -> None:
        for label, value, least, most in (
                ("Bits of a seed", self.seed_bits, 8, 16),
                ("Weights of a block", self.block, 1, 16), ("Terms", self.terms, 1, 4),
                ("Bits of a coefficient", self.coefficient_bits, 2, 6)):
            if not least <= value <= most:
                raise ValueError(f"{label} must be {least} to {most}, not {value}")

    @property
    def block_bits(self) -> int:
        """Bits of a block: seed, exponent and coefficients."""
        return self.seed_bits + EXPONENT_BITS + self.terms * self.coefficient_bits


@dataclass(frozen=True, eq=False)
class Seeds:
    """Blocks of weights as sums over a basis that a shift register generates from a seed.

    A filter begins a block, and what its last block has too much is dropped.

    Parameters
    ----------
    seeds : array of int64, shape (Cout, blocks)
        1 to 2 ** seed_bits - 1.
    exponents : array of int64, shape (Cout, blocks)
        0 to 3: a block's sums are multiplied by 2 ** (exponent - 2), and rounded.
    coefficients : array of int64, shape (Cout, blocks, terms)

    Raises
    ------
    ValueError
        If a seed is 0, with which the register stands still.
    """

    kind: ClassVar[Kind] = Kind.SEEDS
    shape: SeedShape
    seeds: NDArray[np.int64]
    exponents: NDArray[np.int64]
    coefficients: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.seeds.all():
            raise ValueError("a seed must not be 0: the register would stand still")

    @property
    def content(self) -> None:
        """Nothing is left to the codec."""


class Operator(IntEnum):
    """What an instruction of a program does; docs/format.md has the table."""

    CONSTANT = 0
    ROW = 1
    COLUMN = 2
    CHANNEL = 3
    PLACE = 4
    LOOK_UP = 5
    ADD = 6
    SUBTRACT = 7
    HALVE = 8
    NEGATE = 9
    MINIMUM = 10
    MAXIMUM = 11
    EXCLUSIVE_OR = 12
    SELECT = 13

    @property
    def taken(self) -> int:
        """How many numbers it takes from the stack; it puts one there."""
        return {Operator.LOOK_UP: 1, Operator.HALVE: 1, Operator.NEGATE: 1,
                Operator.SELECT: 3}.get(self, 2 if self >= Operator.ADD else 0)


@dataclass(frozen=True)
class Instruction:
    """One step of a program.

    Parameters
    ----------
    value : int
        Of a constant, -128 to 127; 0 in others.
    """

    operator: Operator
    value: int = 0


@dataclass(frozen=True, eq=False)
class Expression:
    """An expression of a weight's place and of a memory that holds some of its filter's weights.

    Parameters
    ----------
    spacing : int
        Every so many weights of a filter one is in the memory, beginning with the first; 2 to 255.
    program : tuple of Instruction
        In postfix order, for a stack of at most ``MAX_DEPTH`` numbers of 16 bits.
    memory : array of int8, shape (Cout, cells)

    Raises
    ------
    ValueError
        If the spacing is out of range, or the program is too long or doesn't leave one number.
    """

    kind: ClassVar[Kind] = Kind.EXPRESSION
    spacing: int
    program: tuple[Instruction, ...]
    memory: Int8Array

    def __post_init__(self) -> None:
        if not 2 <= self.spacing <= MAX_WIDTH:
            raise ValueError(f"spacing must be 2 to {MAX_WIDTH}, not {self.spacing}")
        if not 1 <= len(self.program) <= MAX_PROGRAM:
            raise ValueError(f"program must have 1 to {MAX_PROGRAM} instructions, "
                             f"not {len(self.program)}")
        depth_of(self.program)

    @property
    def content(self) -> Int8Array:
        """What is left to the codec."""
        return self.memory


def depth_of(program: Sequence[Instruction]) -> int:
    """Return the most numbers that a program has on its stack.

    Raises
    ------
    ValueError
        If it takes a number that isn't there, holds more than ``MAX_DEPTH``, or doesn't leave one.
    """
    depth = most = 0
    for place, instruction in enumerate(program):
        if depth < instruction.operator.taken:
            raise ValueError(f"instruction {place} of the program takes "
                             f"{instruction.operator.taken} numbers, not the {depth} there are")
        depth += 1 - instruction.operator.taken
        most = max(most, depth)
    if depth != 1:
        raise ValueError(f"program must leave one number, not {depth}")
    if most > MAX_DEPTH:
        raise ValueError(f"program must hold at most {MAX_DEPTH} numbers, not {most}")
    return most


@dataclass(frozen=True, eq=False)
class Perceptron:
    """A small network in integers, of one or two layers.

    Outputs are ``(matrix @ x + bias) >> shift``, of a hidden layer clipped to 0 to 255, of the last
    one to int8.

    Parameters
    ----------
    matrices : sequence of array of int8, shape (outputs, inputs)
    biases : sequence of array of int32, shape (outputs,)
        Each fits an int16.
    shifts : tuple of int
        0 to 15.

    Raises
    ------
    ValueError
        If the arrays don't fit each other, or a size is out of range.
    """

    matrices: tuple[Int8Array, ...]
    biases: tuple[NDArray[np.int32], ...]
    shifts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.matrices) == len(self.biases) == len(self.shifts) in (1, 2):
            raise ValueError(f"perceptron must have 1 or 2 layers, not {len(self.matrices)}")
        for matrix, bias, shift in zip(self.matrices, self.biases, self.shifts, strict=True):
            if not all(1 <= size <= MAX_WIDTH for size in matrix.shape):
                raise ValueError(f"matrix must be 1 to {MAX_WIDTH} wide and high, "
                                 f"not {matrix.shape}")
            if bias.shape != matrix.shape[:1] or not 0 <= shift <= 15:
                raise ValueError(f"matrix of shape {matrix.shape} must have as many biases and a "
                                 f"shift of 0 to 15, not {bias.shape} and {shift}")
        for first, second in pairwise(self.matrices):
            if second.shape[1] != len(first):
                raise ValueError(f"matrix must have {len(first)} columns, not {second.shape[1]}")
        if self.macs > MAX_MACS * self.outputs:
            raise ValueError(f"a generated weight must take at most {MAX_MACS} multiplications, "
                             f"not {self.macs / self.outputs:.0f}")

    @property
    def inputs(self) -> int:
        """Values that it takes."""
        return int(self.matrices[0].shape[1])

    @property
    def outputs(self) -> int:
        """Values that it gives."""
        return int(self.matrices[-1].shape[0])

    @property
    def macs(self) -> int:
        """Multiplications of all outputs together."""
        return sum(matrix.size for matrix in self.matrices)


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """Blocks of a filter's weights, each decoded from a few latent values.

    Parameters
    ----------
    decoder : Perceptron
        From the latent values of a block to its weights.
    latents : array of int8, shape (Cout, blocks * decoder.inputs)
    """

    kind: ClassVar[Kind] = Kind.AUTOENCODER
    decoder: Perceptron
    latents: Int8Array

    @property
    def content(self) -> Int8Array:
        """What is left to the codec."""
        return self.latents


@dataclass(frozen=True, eq=False)
class Hypernetwork:
    """Kernels that a small network makes of what is known of an output and an input channel.

    Parameters
    ----------
    decoder : Perceptron
        From a filter's and an input channel's values to the kernel between them, KH x KW.
    embeddings : array of int8, shape (Cout + Cin, decoder.inputs / 2)
        Of the filters, then of the input channels.

    Raises
    ------
    ValueError
        If the perceptron's inputs aren't pairs.
    """

    kind: ClassVar[Kind] = Kind.HYPERNETWORK
    decoder: Perceptron
    embeddings: Int8Array

    def __post_init__(self) -> None:
        if self.decoder.inputs % 2:
            raise ValueError(f"inputs must be pairs, not {self.decoder.inputs}")

    @property
    def content(self) -> Int8Array:
        """What is left to the codec."""
        return self.embeddings


LayerPredictor = Seeds | Expression | Autoencoder | Hypernetwork


@dataclass(frozen=True, eq=False)
class Predicted:
    """How the weights of a layer come about.

    Parameters
    ----------
    predictor : LayerPredictor, optional
        What predicts them; without one they are coded.
    residual : bool
        Whether what is coded is added to the prediction, modulo 256. Without a predictor it is all.

    Raises
    ------
    ValueError
        If there is neither.
    """

    predictor: LayerPredictor | None = None
    residual: bool = True

    def __post_init__(self) -> None:
        if self.predictor is None and not self.residual:
            raise ValueError("weights without a predictor must be coded")

    def coded_shapes(self, weights: WeightShape) -> list[tuple[int, int]]:
        """Return rows and columns of what is coded: content, then weights or residual."""
        content = self.predictor.content if self.predictor else None
        parts = [] if content is None else [(content.shape[0], content.shape[1])]
        return parts + [(weights[0], prod(weights[1:]))] * self.residual


def with_content(predictor: LayerPredictor, content: Int8Array) -> LayerPredictor:
    """Return ``predictor`` with what the codec decoded for it."""
    match predictor:
        case Expression():
            return replace(predictor, memory=content)
        case Autoencoder():
            return replace(predictor, latents=content)
        case Hypernetwork():
            return replace(predictor, embeddings=content)
    raise ValueError("seeds have no content")
