"""Layout of the ROM image: sections, header and checksums. docs/format.md explains it."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from itertools import pairwise
from math import isfinite, prod
from typing import Any

from .layers import InputDescription, LayerDescriptor, Operation, Rounding
from .tables import (AutomatonShape, CodeTable, PlainCode, PrefixTable, RawTable, RiceCode,
                     RunLengthCode, TansCode, TansShape)
from .tans import pack_tans, unpack_tans


__all__ = ["HEADER_WORDS", "MAGIC", "MAX_LAYERS", "MAX_WEIGHTS", "MAX_WORDS", "SECTIONS", "VERSION",
           "Codec", "FormatError", "Section", "check_weights", "crc32", "pack_code", "pack_header",
           "pack_network", "unpack_code", "unpack_header", "unpack_network"]


MAGIC = b"HRI"
VERSION = 1


class FormatError(ValueError):
    """An image, or a part of one, that breaks the format. The message says where and how."""


class Section(IntEnum):
    """Sections, in the order in which an image holds them. Each is followed by its CRC-32."""

    NETWORK = 0
    SCHEDULE = 1
    BIAS = 2
    MULTIPLIER = 3
    SHIFT = 4
    CODE = 5
    CODEBOOK = 6
    CODED_DATA = 7


class Codec(IntEnum):
    """Lossless code of the weights, the first byte of section CODE."""

    RAW = 0
    PREFIX = 1
    TANS = 2
    RICE = 3
    RUN_LENGTH = 4


SECTIONS = len(Section)

#: Magic and version, length, target hash, a length for each section, CRC-32.
HEADER_WORDS = 3 + SECTIONS + 1

Shape = tuple[int, int, int]

#: What a layer, or the input, gives: its shape, scale and zero point.
Made = tuple[Shape, float, int]

#: Words that an image for a target may have: gateware counts them with 16 bits.
MAX_WORDS = (1 << 22) - 1

#: Layers that section NETWORK may describe.
MAX_LAYERS = 64

#: Weights that all layers may have together. Zero runs make many of a few words.
MAX_WEIGHTS = 1 << 24

#: Input: scale, mean, divisor, shape, zero point, number of layers.
INPUT = struct.Struct("<3d3HbB")

#: Layer: output scale, output shape, operation, output zero point, least and greatest activation,
#: kernel, stride, padding, how far back its inputs are made (0: no second one), rounding, reserved.
LAYER = struct.Struct("<d3HB3b6B2BBB")


def crc32(data: bytes) -> int:
    """CRC-32 of IEEE 802.3 (reflected, polynomial 0x04C11DB7, as in zlib)."""
    return zlib.crc32(data)


def pack_header(target_hash: int, lengths: dict[Section, int]) -> bytes:
    """Return the header of an image whose sections have ``lengths`` words, CRCs apart."""
    total = HEADER_WORDS + sum(lengths.values()) + SECTIONS
    words = struct.pack(f"<3sBII{SECTIONS}I", MAGIC, VERSION, total, target_hash,
                        *(lengths[section] for section in Section))
    return words + struct.pack("<I", crc32(words))


def unpack_header(image: bytes, *, whole: bool = True) -> tuple[int, dict[Section, int]]:
    """Return the target hash and each section's length in words.

    Parameters
    ----------
    whole : bool
        Whether ``image`` is all of it; otherwise its beginning is enough.

    Raises
    ------
    FormatError
        If it isn't an image of this version, its header is damaged, or it is too long or has
        another length than its header says.
    """
    if image[:3] != MAGIC:
        raise FormatError(f"not a ROM image: it begins with {image[:3]!r}, not {MAGIC!r}")
    if len(image) < HEADER_WORDS * 4:
        raise FormatError(f"image truncated in its header, at byte {len(image)}")
    if image[3] != VERSION:
        raise FormatError(f"image of format version {image[3]}; this Headrace reads {VERSION}")
    header = image[:HEADER_WORDS * 4]
    stored, = struct.unpack("<I", header[-4:])
    if stored != crc32(header[:-4]):
        raise FormatError(f"header: CRC is {crc32(header[:-4]):08x}, not {stored:08x} as stored")
    _, _, total, target_hash, *lengths = struct.unpack(f"<3sBII{SECTIONS}I", header[:-4])
    if total != HEADER_WORDS + sum(lengths) + SECTIONS:
        raise FormatError(f"header: sections make {HEADER_WORDS + sum(lengths) + SECTIONS} words, "
                          f"not {total}")
    if target_hash and total > MAX_WORDS:
        raise FormatError(f"header: image must have at most {MAX_WORDS} words, not {total}")
    if whole and total * 4 != len(image):
        raise FormatError(f"image has {len(image)} bytes, its header says {total * 4}")
    return target_hash, dict(zip(Section, lengths, strict=True))


def pack_code(table: CodeTable) -> bytes:
    """Return section CODE: what a table loader expands into a decoder's table."""
    if isinstance(table, RawTable):
        return struct.pack("<BBBB", Codec.RAW, table.symbol_bits, 0, 0)
    if isinstance(table, TansCode):
        states = table.shape.states.bit_length() - 1
        return struct.pack("<BBBB", Codec.TANS, table.shape.table_bits | states << 4,
                           len(table.tables), table.entries // 4) + pack_tans(table)
    if isinstance(table, PlainCode):
        codec = Codec.RICE if isinstance(table, RiceCode) else Codec.RUN_LENGTH
        return struct.pack("<BBH", codec, table.entries // 4, 0)
    shape = table.shape
    nibbles = [table.lengths[i] | table.lengths[i + 1] << 4 for i in range(0, shape.symbols, 2)]
    runs = (*table.runs, 0, 0, 0)[:3]
    data = struct.pack("<BBBBBBBB", Codec.PREFIX, shape.symbol_bits, shape.step_bits,
                       shape.substreams, table.first_run, *runs) + bytes(nibbles)
    return data + bytes(-len(data) % 4)


def unpack_code(data: bytes, layers: Sequence[tuple[int, int]]) -> CodeTable:
    """Return the table that section CODE holds.

    Parameters
    ----------
    layers : sequence of (int, int)
        Filters, and weights of each, of the layers that have any.

    Raises
    ------
    FormatError
        If it is none.
    """
    try:
        codec, symbol_bits, step_bits, substreams = struct.unpack("<BBBB", data[:4])
        if codec == Codec.RAW:
            return RawTable(symbol_bits)
        if codec == Codec.TANS:
            tans = TansShape(symbol_bits & 15, 1 << (symbol_bits >> 4))
            return replace(unpack_tans(data[4:], tans, step_bits, layers), entries=substreams * 4)
        if codec in (Codec.RICE, Codec.RUN_LENGTH):
            return (RiceCode if codec == Codec.RICE else RunLengthCode)(symbol_bits * 4)
        if codec != Codec.PREFIX:
            raise FormatError(f"code: codec must be 0 to {max(Codec)}, not {codec}")
        shape = AutomatonShape(symbol_bits, step_bits, substreams)
        first_run, *runs = struct.unpack("<BBBB", data[4:8])
        nibbles = data[8:8 + shape.symbols // 2]
        if len(nibbles) < shape.symbols // 2:
            raise FormatError(f"code: {shape.symbols} code lengths do not fit {len(data)} bytes")
        lengths = tuple(nibble >> up & 15 for nibble in nibbles for up in (0, 4))
        if any(run == 0 < later for run, later in pairwise(runs)):
            raise FormatError(f"code: a run follows an unused one in {runs}")
        return PrefixTable(shape, lengths, tuple(run for run in runs if run), first_run)
    except (ValueError, struct.error) as error:
        raise error if isinstance(error, FormatError) else FormatError(f"code: {error}") from error


def pack_network(source: InputDescription, layers: tuple[LayerDescriptor, ...]) -> bytes:
    """Return section NETWORK: the input and the layers, without their arrays.

    Raises
    ------
    ValueError
        If there are no or too many layers or weights, or a layer doesn't take what an earlier one
        gives.
    """
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ValueError(f"Image must have 1 to {MAX_LAYERS} layers, not {len(layers)}")
    check_weights(layers)
    shape = layers[0].input_shape
    data = INPUT.pack(source.scale, source.mean, source.divisor, *shape, source.zero_point,
                      len(layers))
    made = [(shape, source.scale, source.zero_point)]
    for number, layer in enumerate(layers):
        first, *others = inputs_of(made, layer.inputs)
        expected = (taken_shape(layer.operation, first[0]), *first[1:])
        taken = (layer.input_shape, layer.input_scale, layer.input_zero_point)
        if taken != expected:
            raise ValueError(f"layer {number}: input must be {expected}, not {taken}")
        if layer.addend and others != [(layer.input_shape, *layer.addend)]:
            raise ValueError(f"layer {number}: addend must be {others[0]}, not {layer.addend}")
        data += LAYER.pack(layer.output_scale, *layer.output_shape, layer.operation,
                           layer.output_zero_point, layer.activation_min, layer.activation_max,
                           *layer.kernel, *layer.stride, *layer.padding, *(*layer.inputs, 0)[:2],
                           layer.rounding, layer.codebook)
        made.append((layer.output_shape, layer.output_scale, layer.output_zero_point))
    return data


def unpack_network(data: bytes) -> tuple[InputDescription, tuple[LayerDescriptor, ...]]:
    """Return the input and the layers that section NETWORK holds.

    Raises
    ------
    FormatError
        If the section has another length than its layers need, a value is out of range, or there
        are no or too many weights.
    """
    if len(data) < INPUT.size:
        raise FormatError(f"network: an input takes {INPUT.size} bytes, not {len(data)}")
    scale, mean, divisor, *shape, zero_point, count = INPUT.unpack_from(data)
    if not count:
        raise FormatError("network: image holds weights alone, without a network of 1 to 64 layers")
    if not 1 <= count <= MAX_LAYERS:
        raise FormatError(f"network: there must be 1 to {MAX_LAYERS} layers, not {count}")
    if len(data) != INPUT.size + count * LAYER.size:
        raise FormatError(f"network: {count} layers take {INPUT.size + count * LAYER.size} bytes, "
                          f"not {len(data)}")
    if not (scale > 0 and divisor != 0 and all(map(isfinite, (scale, mean, divisor)))):
        raise FormatError(f"network: scale must be positive and divisor not 0, not {scale} and "
                          f"{divisor}")
    layers: list[LayerDescriptor] = []
    made: list[Made] = [((shape[0], shape[1], shape[2]), scale, zero_point)]
    for number, record in enumerate(LAYER.iter_unpack(data[INPUT.size:])):
        try:
            layers.append(unpack_layer(record, made))
        except ValueError as error:
            raise FormatError(f"network: layer {number}: {error}") from error
        made.append((layers[-1].output_shape, layers[-1].output_scale,
                     layers[-1].output_zero_point))
    try:
        check_weights(layers)
    except ValueError as error:
        raise FormatError(f"network: {error}") from error
    return InputDescription(scale, zero_point, mean, divisor), tuple(layers)


def check_weights(layers: Sequence[LayerDescriptor]) -> None:
    """Refuse layers that have no weights together, or too many."""
    weights = sum(layer.weights for layer in layers)
    if not 1 <= weights <= MAX_WEIGHTS:
        raise ValueError(f"Layers must have 1 to {MAX_WEIGHTS} weights together, not {weights}")


def unpack_layer(record: tuple[Any, ...], made: Sequence[Made]) -> LayerDescriptor:
    output_scale, *output_shape, code, output_zero_point, least, greatest = record[:8]
    kernel, stride, padding, inputs, rounding, codebook = (
        record[8:10], record[10:12], record[12:14], record[14:16], record[16], record[17])
    if not (output_scale > 0 and isfinite(output_scale)):
        raise ValueError(f"output scale must be positive, not {output_scale}")
    operation = Operation(code)
    inputs = inputs if inputs[1] else inputs[:1]
    (shape, input_scale, zero_point), *others = inputs_of(made, inputs)
    if any(other[0] != shape for other in others):
        raise ValueError(f"both inputs must have the shape {shape}, not {others[0][0]}")
    return LayerDescriptor(
        operation, taken_shape(operation, shape), tuple(output_shape), kernel, stride, padding,
        zero_point, output_zero_point, least, greatest, input_scale, output_scale, inputs,
        others[0][1:] if others else None, Rounding(rounding), codebook)


def inputs_of(made: Sequence[Made], inputs: tuple[int, ...]) -> list[Made]:
    if any(not 1 <= back <= len(made) for back in inputs):
        raise ValueError(f"inputs must be made 1 to {len(made)} layers back, not {inputs}")
    return [made[-back] for back in inputs]


def taken_shape(operation: Operation, shape: Shape) -> Shape:
    return (1, 1, prod(shape)) if operation is Operation.FULLY_CONNECTED else shape
