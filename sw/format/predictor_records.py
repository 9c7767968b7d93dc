"""The predictors of an image, to the bit: what section CODE then begins with."""

import struct
from collections.abc import Sequence
from math import prod

import numpy as np

from .predictors import (EXPONENT_BITS, Autoencoder, Expression, Hypernetwork, Instruction,
                         Int8Array, Kind, Operator, Perceptron, Predicted, Seeds, SeedShape,
                         WeightShape)
from .sections import crc32
from .tans import BitReader, BitWriter


__all__ = ["expression_digest", "join_code", "pack_predictors", "predictor_bits",
           "split_code", "unpack_predictors"]


#: First byte of section CODE where predictors come before the code.
PREDICTED = 5


def join_code(predictors: bytes, code: bytes) -> bytes:
    """Return section CODE of an image with predictors: they come before the code."""
    return struct.pack("<I", PREDICTED | len(predictors) // 4 << 8) + predictors + code


def split_code(data: bytes) -> tuple[bytes | None, bytes]:
    """Return the predictors that section CODE begins with, None without, and the code.

    Raises
    ------
    ValueError
        If they are longer than the section.
    """
    if data[:1] != bytes([PREDICTED]):
        return None, data
    size = 4 * (int.from_bytes(data[:4], "little") >> 8)
    if 4 + size > len(data):
        raise ValueError(f"predictors take {size} bytes, more than the section's {len(data)}")
    return data[4:4 + size], data[4 + size:]


def pack_predictors(layers: Sequence[Predicted]) -> bytes:
    """Return the predictors of all layers that have weights, whole words, without their content."""
    writer = BitWriter()
    for layer in layers:
        pack_layer(writer, layer)
    data = writer.bytes()
    return data + bytes(-len(data) % 4)


def unpack_predictors(data: bytes, shapes: Sequence[WeightShape]) -> tuple[Predicted, ...]:
    """Return how the weights of layers come about, content still to be filled in.

    Parameters
    ----------
    shapes : sequence of tuple
        Cout, KH, KW, Cin of each layer that has weights.

    Raises
    ------
    ValueError
        If the format is broken: an operation, or a kind, that is unknown, a block without weights,
        a memory that doesn't hold what is looked up.
    """
    reader = BitReader(data)
    layers = []
    for number, shape in enumerate(shapes):
        try:
            layers.append(unpack_layer(reader, shape))
        except ValueError as error:
            raise ValueError(f"predictor {number}: {error}") from None
    if pack_predictors(layers) != data:
        raise ValueError("predictors: bits that aren't used must be zero, and nothing may follow")
    return tuple(layers)


def predictor_bits(layer: Predicted) -> int:
    """Return what a layer's predictor takes in section CODE, without what is left to the codec."""
    writer = BitWriter()
    pack_layer(writer, layer)
    return sum(len(part) for part in writer.parts)


def pack_layer(writer: BitWriter, layer: Predicted) -> None:
    predictor = layer.predictor
    writer.put(predictor.kind if predictor else Kind.NONE, 3)
    writer.put(int(layer.residual), 1)
    match predictor:
        case Seeds():
            pack_seeds(writer, predictor)
        case Expression():
            pack_expression(writer, predictor)
        case Autoencoder() | Hypernetwork():
            pack_perceptron(writer, predictor.decoder)


def unpack_layer(reader: BitReader, weights: WeightShape) -> Predicted:
    code, residual = reader.get(3), bool(reader.get(1))
    if code not in list(Kind):
        raise ValueError(f"kind {code} is unknown")
    if code == Kind.NONE:
        return Predicted(None, residual)
    if code == Kind.SEEDS:
        return Predicted(unpack_seeds(reader, weights), residual)
    if code == Kind.EXPRESSION:
        return Predicted(unpack_expression(reader, weights), residual)
    decoder = unpack_perceptron(reader)
    if code == Kind.AUTOENCODER:
        blocks = -(-prod(weights[1:]) // decoder.outputs)
        latents = np.zeros((weights[0], blocks * decoder.inputs), np.int8)
        check_content(latents, weights)
        return Predicted(Autoencoder(decoder, latents), residual)
    if decoder.outputs != weights[1] * weights[2]:
        raise ValueError(f"perceptron must have {weights[1] * weights[2]} outputs, the kernel's, "
                         f"not {decoder.outputs}")
    embeddings = np.zeros((weights[0] + weights[3], decoder.inputs // 2), np.int8)
    return Predicted(Hypernetwork(decoder, embeddings), residual)


def check_content(content: Int8Array, weights: WeightShape) -> None:
    if content.size > 2 * prod(weights):
        raise ValueError(f"predictor must have at most {2 * prod(weights)} values, "
                         f"not {content.size}")


def pack_seeds(writer: BitWriter, seeds: Seeds) -> None:
    shape = seeds.shape
    for value, width in ((shape.seed_bits, 5), (shape.block, 5), (shape.terms, 3),
                         (shape.coefficient_bits, 3)):
        writer.put(value, width)
    mask = (1 << shape.coefficient_bits) - 1
    words = seeds.seeds.ravel() | seeds.exponents.ravel() << shape.seed_bits
    for term in range(shape.terms):
        place = shape.seed_bits + EXPONENT_BITS + term * shape.coefficient_bits
        words = words | (seeds.coefficients[..., term].ravel() & mask) << place
    writer.parts.append((words[:, None] >> np.arange(shape.block_bits) & 1).astype(np.uint8)
                        .ravel())


def unpack_seeds(reader: BitReader, weights: WeightShape) -> Seeds:
    seed_bits, block, terms, coefficient_bits = (reader.get(width) for width in (5, 5, 3, 3))
    shape = SeedShape(seed_bits, block, terms, coefficient_bits)
    blocks = -(-prod(weights[1:]) // shape.block)
    taken = np.array(reader.get_all(weights[0] * blocks * shape.block_bits, 1), np.int64)
    words = taken.reshape(-1, shape.block_bits) @ (np.int64(1) << np.arange(shape.block_bits))
    words = words.reshape(weights[0], blocks)
    shifts = seed_bits + EXPONENT_BITS + np.arange(terms) * coefficient_bits
    raw = words[..., None] >> shifts & (1 << coefficient_bits) - 1
    half = 1 << coefficient_bits - 1
    return Seeds(shape, words & (1 << seed_bits) - 1,
                 words >> seed_bits & (1 << EXPONENT_BITS) - 1, (raw ^ half) - half)


def pack_expression(writer: BitWriter, expression: Expression) -> None:
    writer.put(expression.spacing, 8)
    writer.put(expression.memory.shape[1], 16)
    writer.put(len(expression.program), 6)
    for instruction in expression.program:
        writer.put(instruction.operator, 4)
        if instruction.operator is Operator.CONSTANT:
            writer.put(instruction.value & 0xff, 8)


def expression_digest(expression: Expression, weights: WeightShape) -> int:
    """Return what tells a program and the layer that it is for, 32 bits: all but the memory.

    CRC-32 of KH, KW and Cin, a u32 each, and the expression's record, padded with zero bits.

    Parameters
    ----------
    weights : tuple of int
        Cout, KH, KW, Cin of the layer.
    """
    writer = BitWriter()
    pack_expression(writer, expression)
    return crc32(struct.pack("<3I", *weights[1:]) + writer.bytes())


def unpack_expression(reader: BitReader, weights: WeightShape) -> Expression:
    spacing, cells, length = reader.get(8), reader.get(16), reader.get(6)
    program = []
    for place in range(length):
        code = reader.get(4)
        if code not in list(Operator):
            raise ValueError(f"instruction {place} of the program is operation {code}, which is "
                             f"unknown")
        value = reader.get(8) if code == Operator.CONSTANT else 0
        program.append(Instruction(Operator(code), (value ^ 0x80) - 0x80 if value else 0))
    last = (prod(weights[1:]) - 1) // max(spacing, 1)
    if last >= cells:
        raise ValueError(f"address {last} is outside the memory of {cells} cells a filter")
    if cells > prod(weights[1:]):
        raise ValueError(f"memory must have at most {prod(weights[1:])} cells a filter, "
                         f"not {cells}")
    return Expression(spacing, tuple(program), np.zeros((weights[0], cells), np.int8))


def pack_perceptron(writer: BitWriter, perceptron: Perceptron) -> None:
    writer.put(len(perceptron.matrices) - 1, 1)
    writer.put(perceptron.inputs, 8)
    for matrix, bias, shift in zip(perceptron.matrices, perceptron.biases, perceptron.shifts,
                                   strict=True):
        writer.put(len(matrix), 8)
        writer.put(shift, 4)
        writer.put_all((bias & 0xffff).tolist(), 16)
        writer.put_all((matrix.astype(np.int64) & 0xff).ravel().tolist(), 8)


def unpack_perceptron(reader: BitReader) -> Perceptron:
    layers, width = reader.get(1) + 1, reader.get(8)
    matrices, biases, shifts = [], [], []
    for _ in range(layers):
        height, shift = reader.get(8), reader.get(4)
        if not height or not width:
            raise ValueError("block must have weights and latent values, not none")
        bias = np.array(reader.get_all(height, 16), np.int64)
        matrix = np.array(reader.get_all(height * width, 8), np.int64)
        biases.append(((bias ^ 0x8000) - 0x8000).astype(np.int32))
        matrices.append(((matrix ^ 0x80) - 0x80).astype(np.int8).reshape(height, width))
        shifts.append(shift)
        width = height
    return Perceptron(tuple(matrices), tuple(biases), tuple(shifts))
