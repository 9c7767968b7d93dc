"""Benchmark of lossless codecs on int8 weights: ``python -m bench.codecs [MODEL ...]``."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.codecs import CODECS, Codec, RiceCodec, RunLengthCodec, decode
from sw.format.sections import pack_code, unpack_code
from sw.image import integers_of
from sw.network import Network
from sw.quantize import UniformQuantiser, quantise
from sw.quantize.grid import zigzag_symbols
from sw.zoo import load_source

from .peers import PEERS, Coder, Layers, split
from .report import FOLDER, Row, show, write_rows


__all__ = ["OURS", "compare", "load_weights", "main"]


#: Models in the folder that HEADRACE_DATA names.
MODELS = ("kws_ref_model.tflite", "pretrainedResnet_quant.tflite", "ad01_int8.tflite",
          "vww_96_int8.tflite")

#: Seconds for which a coder is run, again and again; the fastest run counts.
SECONDS = 0.2

FORMATS = {"model": "", "codec": "", "bits_per_weight": ".3f", "encode_mb_s": ".2f",
           "decode_mb_s": ".1f", "exact": ""}


@dataclass(frozen=True)
class Ours:
    """A codec of the project: words of the table, the table, coded data, as an image holds them."""

    name: str
    codec: Codec[Any]

    def encode(self, layers: Layers) -> bytes:
        """Return coded weights."""
        zigzag = isinstance(self.codec, RiceCodec | RunLengthCodec)
        symbols = [zigzag_symbols(layer) if zigzag else layer.view(np.uint8) for layer in layers]
        table = self.codec.fit(symbols)
        code = pack_code(table)
        flat = np.concatenate([layer.ravel() for layer in symbols]).astype(np.int64)
        return (len(code) // 4).to_bytes(4, "little") + code + self.codec.encode(flat, table)

    def decode(self, coded: bytes, shapes: Sequence[tuple[int, ...]]) -> list[NDArray[np.int8]]:
        """Return the weights."""
        end = 4 + 4 * int.from_bytes(coded[:4], "little")
        filters = [(shape[0], prod(shape[1:])) for shape in shapes]
        table = unpack_code(coded[4:end], filters)
        symbols = decode(coded[end:], table, sum(map(prod, shapes)))
        return split(integers_of(symbols, table, ()), shapes)


#: Every codec of the project.
OURS: tuple[Coder, ...] = tuple(Ours(name, codec) for name, codec in CODECS.items())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.codecs", description="Code int8 weights losslessly, with the "
        "project's codecs and with others. Networks in float are quantised, each filter uniformly.")
    parser.add_argument("models", metavar="MODEL", nargs="*",
                        help="network that ships, or a model file (default: digits, and the int8 "
                             "models of MLPerf Tiny in $HEADRACE_DATA)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "codecs.json", help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    rows: list[Row] = []
    try:
        for model in arguments.models or default_models():
            rows += compare(model)
        write_rows(arguments.output, rows)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    show("int8 weights, lossless; MB of int8 weights a second", rows, FORMATS)
    print(f"{arguments.output}: {len(rows)} rows; bits per weight count tables and headers; each "
          f"coder's data decoded and compared")


def default_models() -> list[str]:
    folder = os.environ.get("HEADRACE_DATA")
    if folder is None:
        print("HEADRACE_DATA isn't set: no models of MLPerf Tiny", file=sys.stderr)
        return ["digits"]
    return ["digits", *(str(Path(folder) / "models" / name) for name in MODELS)]


def compare(model: str, coders: Sequence[Coder] = (*OURS, *PEERS)) -> list[Row]:
    """Return a row for each of ``coders``, all of them on the weights of ``model``.

    Raises
    ------
    ValueError
        If the model can't be used.
    """
    layers = load_weights(model)
    name = Path(model).stem
    return [{"model": name, "codec": coder.name} | measure(coder, layers) for coder in coders]


def load_weights(model: str) -> list[NDArray[np.int8]]:
    """Return the int8 weights of each layer of a network, (Cout, KH, KW, Cin).

    Raises
    ------
    ValueError
        If there are none, or the model can't be used.
    """
    source = load_source(model)
    if not source.weighted:
        raise ValueError(f"{model}: network must have weights")
    if isinstance(source, Network):
        return [layer.weights for layer in source.weighted if layer.weights is not None]
    weights = [layer.weights for layer in source.weighted if layer.weights is not None]
    grids = UniformQuantiser(clip=False).fit(weights, None, 8)
    return [grid.integers(symbols)
            for grid, symbols in zip(grids, quantise(weights, grids), strict=True)]


def measure(coder: Coder, layers: Layers) -> dict[str, float | bool | None]:
    """Return a coder's figures; None for all if it can't code such weights."""
    count = sum(layer.size for layer in layers)
    shapes = [layer.shape for layer in layers]
    try:
        coded = coder.encode(layers)
    except ValueError as error:
        print(f"{coder.name}: {error}", file=sys.stderr)
        return dict.fromkeys(("bits_per_weight", "encode_mb_s", "decode_mb_s", "exact"))
    decoded = coder.decode(coded, shapes)
    exact = all(np.array_equal(one, two) for one, two in zip(decoded, layers, strict=True))
    return {"bits_per_weight": 8 * len(coded) / count,
            "encode_mb_s": count / 1e6 / least_seconds(lambda: coder.encode(layers)),
            "decode_mb_s": count / 1e6 / least_seconds(lambda: coder.decode(coded, shapes)),
            "exact": exact}


def least_seconds(run: Callable[[], object]) -> float:
    """Return how long the fastest of several runs took; what they compile, they did before."""
    seconds: list[float] = []
    while sum(seconds) < SECONDS:
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
