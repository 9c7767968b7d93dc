"""Command that shows what a ROM image holds: ``python -m sw.inspect FILE``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .codecs import codec_name, layer_bits
from .format.predictor_records import expression_digest
from .format.predictors import Expression, Predicted, WeightShape
from .format.tables import BLOCK
from .format.target import Target, find_targets
from .image import NO_TARGET, Image, load_image
from .metrics import entropy
from .weights_image import WeightsImage, load_any_image


__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m sw.inspect", description="Show what a ROM image holds. A damaged one is "
        "refused: every CRC is checked and every weight decoded.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the image")
    parser.add_argument("--verify", action="store_true",
                        help="check the schedule too: the image must be for a known target")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    arguments = parser.parse_args(argv)
    try:
        image = load_any_image(arguments.file)
        target_hash = NO_TARGET if isinstance(image, WeightsImage) else image.target_hash
        name, target = find_target(target_hash)
        if arguments.verify:
            if target is not None:
                load_image(arguments.file, target=target)
            elif target_hash != NO_TARGET:
                raise ValueError(f"its target {target_hash:08x} isn't known")
    except OSError as error:
        sys.exit(f"error: {arguments.file}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"error: {arguments.file}: {error}")

    found = {"target_hash": f"{target_hash:08x}", "target": name} | describe(image)
    if arguments.json:
        json.dump({"file": str(arguments.file), "verified": arguments.verify} | found, sys.stdout,
                  indent=2)
        print()
        return
    show(found)
    scheduled = target_hash != NO_TARGET
    verified = ", schedule as its target needs it" if arguments.verify and scheduled else ""
    print(f"{arguments.file}: {image.bytes_image} bytes, {count_weights(image)} weights decoded, "
          f"every CRC right{verified}")


def find_target(target_hash: int) -> tuple[str, Target | None]:
    if target_hash == NO_TARGET:
        return "none, and no schedule", None
    found = find_targets(target_hash)
    if not found:
        return "unknown", None
    target = next(iter(found.values()))
    return f"{', '.join(found)} with {target.decoder.name} decoder", target


def count_weights(image: Image | WeightsImage) -> int:
    return image.weights if isinstance(image, WeightsImage) else image.network.weights


def describe(image: Image | WeightsImage) -> dict[str, Any]:
    found = {
        "sections": {section.name.lower(): 4 * words for section, words in image.words.items()},
        "bytes_image": image.bytes_image, "bytes_weights": image.bytes_weights,
        "bytes_network": image.bytes_network,
        "bits_per_weight": 8 * image.bytes_weights / count_weights(image),
        "entropy_bits_per_weight": entropy(image.symbols),
        "codec": codec_name(image.table), "table": asdict(image.table),
        "codebooks": image.codebooks}
    if isinstance(image, WeightsImage):
        return found | {"arrays": describe_arrays(image)}
    return found | {
        "input": asdict(image.network.input), "layers": describe_layers(image),
        "schedule": [asdict(record) for record in image.schedule]}


def describe_arrays(image: WeightsImage) -> list[dict[str, Any]]:
    symbols = iter(zip(image.symbols, layer_bits(image.symbols, image.table), strict=True))
    arrays = []
    for array in image.descriptors:
        entry: dict[str, Any] = {"name": array.name, "shape": array.shape, "values": array.size,
                                 "coded": array.coded}
        if array.coded:
            chosen, bits = next(symbols)
            entry |= {
                "bits_per_weight": bits / chosen.size, "layer_entropy": entropy([chosen]),
                "zeros": float(np.mean(image.arrays[array.name] == 0)),
                "scales": len(array.scales)}
        arrays.append(entry)
    return arrays


def describe_layers(image: Image) -> list[dict[str, Any]]:
    symbols = iter(zip(image.layer_symbols, image.layer_bits, strict=True))
    predicted = iter(image.predicted)
    layers = []
    for layer in image.network.layers:
        entry: dict[str, Any] = {"name": layer.name, "weights": layer.descriptor.weights}
        entry["input_shape"] = layer.descriptor.input_shape
        entry["output_shape"] = layer.descriptor.output_shape
        if layer.weights is not None:
            chosen, bits = next(symbols)
            entry |= {
                "bits_per_weight": bits / layer.weights.size,
                "layer_entropy": entropy(chosen), "zeros": float((layer.weights == 0).mean()),
                "codebook": layer.descriptor.codebook,
                "predictor": describe_predicted(next(predicted, Predicted()), layer.weights.shape)}
        layers.append(entry)
    return layers


def describe_predicted(layer: Predicted, shape: WeightShape) -> str:
    """Return what predicts a layer's weights, and whether the codec carries what it misses.

    Of an expression, too, what tells the gates that it is built into.
    """
    if layer.predictor is None:
        return "none"
    kind = layer.predictor.kind.name.lower()
    if isinstance(layer.predictor, Expression):
        kind += f" {expression_digest(layer.predictor, shape):08x}"
    return kind + (" and residual" if layer.residual else "")


def show(found: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(f"target {found['target_hash']}: {found['target']}")
    sections = Table("section")
    sections.add_column("bytes", justify="right")
    for section, size in found["sections"].items():
        sections.add_row(section, str(size))
    console.print(sections)
    if "arrays" in found:
        names = show_arrays(console, found["arrays"])
    else:
        names = show_layers(console, found["layers"])
    {"raw": show_raw, "huffman": show_prefix, "tans": show_tans, "rice": show_rice,
     "runlength": show_run_length}[found["codec"]](console, found["table"], names)
    for number, centroids in enumerate(found["codebooks"]):
        console.print(f"codebook {number}: {' '.join(map(str, centroids))}")
    others = "others" if "arrays" in found else "network"
    console.print(f"{found['bits_per_weight']:.3f} b/w, entropy "
                  f"{found['entropy_bits_per_weight']:.3f}; weights {found['bytes_weights']} "
                  f"bytes, {others} {found['bytes_network']}")


def show_layers(console: Console, layers: Sequence[dict[str, Any]]) -> list[str]:
    """Print the layers of a network, and return the names of those with weights."""
    table = Table("layer", "input", "output")
    for heading in ("weights", "b/w", "entropy", "zeros", "codebook", "predictor"):
        table.add_column(heading, justify="right")
    for layer in layers:
        shapes = [lengths(layer[shape]) for shape in ("input_shape", "output_shape")]
        figures = ([*rates(layer), str(layer["codebook"]), layer["predictor"]]
                   if layer["weights"] else [])
        table.add_row(layer["name"], *shapes, str(layer["weights"]), *figures)
    console.print(table)
    return [layer["name"] for layer in layers if layer["weights"]]


def show_arrays(console: Console, arrays: Sequence[dict[str, Any]]) -> list[str]:
    """Print the arrays of weights alone, and return the names of those that are coded."""
    table = Table()
    table.add_column("array", overflow="fold")
    table.add_column("shape")
    for heading in ("values", "b/w", "entropy", "zeros", "scales"):
        table.add_column(heading, justify="right")
    for array in arrays:
        figures = [*rates(array), str(array["scales"])] if array["coded"] else ["plain"]
        table.add_row(escape(array["name"]), lengths(array["shape"]) or "scalar",
                      str(array["values"]), *figures)
    console.print(table)
    return [escape(array["name"]) for array in arrays if array["coded"]]


def lengths(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def rates(entry: dict[str, Any]) -> tuple[str, str, str]:
    return (f"{entry['bits_per_weight']:.3f}", f"{entry['layer_entropy']:.3f}",
            f"{entry['zeros']:.1%}")


def show_raw(console: Console, table: dict[str, Any], layers: Sequence[str]) -> None:
    console.print(f"raw symbols of {table['symbol_bits']} bits")


def show_prefix(console: Console, table: dict[str, Any], layers: Sequence[str]) -> None:
    console.print(f"Huffman code lengths {' '.join(map(str, table['lengths']))}; zero runs of "
                  f"{' '.join(map(str, table['runs'])) or 'no length'} from symbol "
                  f"{table['first_run']}")


def show_tans(console: Console, code: dict[str, Any], layers: Sequence[str]) -> None:
    console.print(f"tANS, {1 << code['shape']['table_bits']} states in a table, "
                  f"{code['shape']['states']} in turn")
    tables = Table("table")
    for heading in ("least value", "buckets", "raw bits", "tail bits", "values a symbol", "exact",
                    "filters"):
        tables.add_column(heading, justify="right")
    for number, table in enumerate(code["tables"]):
        filters = sum(layer["filters"] * layer["tables"].count(number) // len(layer["tables"])
                      for layer in code["layers"])
        tables.add_row(*map(str, (
            number, table["first"], table["buckets"], table["raw_bits"], table["tail_bits"],
            table["tuple_size"], " ".join(map(str, table["exact"])), filters)))
    console.print(tables)
    deltas = [f"{name} {layer['delta']}" for name, layer in zip(layers, code["layers"], strict=True)
              if layer["delta"]]
    if deltas:
        console.print(f"differences over {', '.join(deltas)} weights")


def show_rice(console: Console, code: dict[str, Any], layers: Sequence[str]) -> None:
    console.print("Golomb-Rice")


def show_run_length(console: Console, code: dict[str, Any], layers: Sequence[str]) -> None:
    console.print(f"run lengths, in blocks of {BLOCK} weights")


if __name__ == "__main__":
    main()
