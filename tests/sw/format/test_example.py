"""The worked example of docs/format.md, to the bit."""

import re
from pathlib import Path

import numpy as np
import pytest

from sw.codecs import HuffmanCodec
from sw.format.layers import InputDescription, LayerDescriptor, Operation
from sw.format.schedule import HALFWORDS
from sw.format.sections import (HEADER_WORDS, MAGIC, MAX_LAYERS, MAX_WEIGHTS, MAX_WORDS, VERSION,
                                Section)
from sw.format.tables import (GROUP, MAX_CODE_LENGTH, MAX_RUNS, RAW_ENTRIES, RAW_WIDTHS,
                              UNSCHEDULED_RAW_WIDTHS, WIDE_RAW_BITS, AutomatonShape,
                              PrefixTable)
from sw.format.target import Target
from sw.image import MAX_BYTES, build_image, read_image
from sw.network import Layer, Network
from sw.quantize import Grid
from sw.schedule import MAX_WINDOW


DOCUMENT = (Path(__file__).parents[3] / "docs/format.md").read_text()
SHAPE = AutomatonShape(symbol_bits=2, step_bits=2, substreams=2)
TARGET = Target(decoder=SHAPE)
SYMBOLS = np.array([0, 3, 2, 1, 0, 0, 0, 3, 1, 1, 0, 0])
CENTROIDS = (0, -1, 1, -2)


@pytest.fixture
def example():
    """Return the image of the document's network."""
    descriptor = LayerDescriptor(
        Operation.FULLY_CONNECTED, (1, 1, 4), (1, 1, 3), (1, 1), (1, 1), (0, 0), -128, 5, -128, 127,
        0.0625, 0.25)
    symbols = SYMBOLS.reshape(3, 1, 1, 4)
    layer = Layer("dense", descriptor, np.array(CENTROIDS, np.int8)[symbols], np.full(3, 0.5),
                  np.array([10, -20, 30], np.int32), np.full(3, 1 << 28, np.int32),
                  np.zeros(3, np.int8))
    network = Network("example", InputDescription(0.0625, -128, 0.0, 16.0), (layer,))
    return build_image(network, [Grid(CENTROIDS, np.array([0.5]))], [symbols], TARGET)


def dump(image):
    """Return the image as the document shows it: 16 bytes a line."""
    return "\n".join(f"{start:04x}  {image[start:start + 16].hex(' ', 4)}"
                     for start in range(0, len(image), 16))


def test_dump(example):
    assert dump(example) in DOCUMENT


def test_dump_is_read_back(example):
    lines = re.findall(r"^[0-9a-f]{4}  ([0-9a-f ]+)$", DOCUMENT, re.MULTILINE)
    contents = bytes.fromhex("".join(lines))
    assert contents == example
    image = read_image(contents, target=TARGET)
    assert image.symbols[0].ravel().tolist() == SYMBOLS.tolist()


def test_coded_data_and_their_pieces():
    codec = HuffmanCodec(SHAPE)
    table = codec.fit([SYMBOLS])
    assert table == PrefixTable(SHAPE, (1, 2, 3, 3), (), 4)
    coded = codec.encode(SYMBOLS, table)
    assert coded.hex(" ") in DOCUMENT
    bits = "".join(f"{byte:08b}"[::-1] for byte in coded)
    pieces = " ".join(bits[start:start + 2] for start in range(0, 24, 2))
    assert pieces == "01 00 11 01 11 11 01 10 00 10 00 00"
    assert pieces in re.sub(r"\s+", " ", DOCUMENT.replace("|", " "))
    assert codec.trace(SYMBOLS, table).finish.tolist() == [8, 5, 11]


def test_names_and_limits(example):
    for section in Section:
        assert re.search(rf"^\| {section:d} \| {section.name} \|", DOCUMENT, re.MULTILINE)
    for number, name in enumerate(HALFWORDS):
        assert re.search(rf"^\| {number} \| {name} \|", DOCUMENT, re.MULTILINE), name
    text = " ".join(DOCUMENT.split())
    others = [width for width in UNSCHEDULED_RAW_WIDTHS if width not in RAW_WIDTHS]
    for statement in (f"`{MAGIC.decode()}`", f"version {VERSION}", f"{HEADER_WORDS} words",
                      f"1 to {MAX_LAYERS} layers", f"groups of {GROUP}", f"{MAX_CODE_LENGTH} bits",
                      f"{MAX_RUNS} zero runs", f"{MAX_BYTES:,} bytes ({MAX_WORDS:,} words)",
                      f"{MAX_WEIGHTS:,}", f"{MAX_WINDOW:,} pixels",
                      f"{RAW_ENTRIES} with raw symbols",
                      f"| bits of a symbol | {', '.join(map(str, RAW_WIDTHS))}; without a schedule",
                      f"without a schedule also {', '.join(map(str, others))}; in weights alone",
                      f"in weights alone also {WIDE_RAW_BITS} |"):
        assert statement in text, statement


def test_row_widths():
    for shape in (AutomatonShape(), AutomatonShape(5, 5), AutomatonShape(4, 6), SHAPE):
        assert (f"| {shape.symbol_bits} | {shape.step_bits} | {shape.row_symbols} | "
                f"{shape.min_code_length} |") in DOCUMENT


def test_lines_fit_a_screen():
    assert not [line for line in DOCUMENT.splitlines() if len(line) > 100 and line[0] != "|"]

