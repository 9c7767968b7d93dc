"""Command that analyses a network's parameters: ``python -m sw.profile MODEL``."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .analyse import UNIFORM_BITS, Coding, LayerProfile, Profile, analyse
from .files import write_file
from .page import render
from .recommend import Recommendation, document, recommend
from .zoo import NAMES, load_model


__all__ = ["main"]


#: Columns of the tables if the output isn't a terminal.
WIDTH = 100

#: What ``--html`` stands for without a file.
DEFAULT_PAGE = Path()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m sw.profile", description="Analyse a network's parameters: distribution, "
        "entropy, what each codec reaches, distortion against rate, and what to choose.")
    parser.add_argument("model", metavar="MODEL",
                        help=f"network that ships ({', '.join(NAMES)}), or a model file: npz, "
                             f"tflite, onnx, pt2, safetensors")
    parser.add_argument("--html", type=Path, nargs="?", const=DEFAULT_PAGE, metavar="FILE",
                        help="write a page with plots (default: build/NAME_profile.html)")
    parser.add_argument("--json", action="store_true",
                        help="print as JSON (docs/profile.schema.json)")
    parser.add_argument("--seed", type=int, default=0,
                        help="of samples and shuffles (default: %(default)s)")
    arguments = parser.parse_args(argv)
    page = None
    try:
        if arguments.seed < 0:
            raise ValueError(f"Seed must be 0 or more, not {arguments.seed}")
        profile = analyse(load_model(arguments.model), arguments.seed)
        recommendations = recommend(profile)
        if arguments.html is not None:
            page = arguments.html
            if page == DEFAULT_PAGE:
                page = Path("build") / f"{profile.name}_profile.html"
            write_file(page, render(profile, recommendations).encode())
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"error: {error}")

    if arguments.json:
        json.dump(document(profile, recommendations), sys.stdout, indent=2, allow_nan=False)
        print()
        return
    show(profile, recommendations)
    where = f"{page}: {page.stat().st_size:,} bytes" if page else arguments.model
    choices = "; ".join(f"{choice.use} {choice.quantiser} + {choice.codec} "
                        f"{choice.bits_per_weight:.2f} b/w" for choice in recommendations)
    print(f"{where}: {profile.weights:,} weights, {choices}")


def show(profile: Profile, recommendations: Iterable[Recommendation]) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(Text(f"{profile.name}: {profile.kind}, {len(profile.layers)} layers, "
                       f"{profile.weights:,} weights, {profile.biases:,} biases", "bold"))
    for note in profile.sampled:
        console.print(f"From a sample: {note}")
    for table in (value_table(profile), entropy_table(profile), structure_table(profile),
                  codec_table(profile), distortion_table(profile)):
        console.print(table)
    for choice in recommendations:
        console.print()
        console.print(Text.assemble((f"{choice.use}: ", "bold"), choice.summary))
        grid = Table.grid(padding=(0, 1))
        for advice in choice.advice:
            verdict = ("yes", "green") if advice.pays else ("no", "dim")
            grid.add_row(Text(*verdict), Text(f"{advice.topic}: {advice.reason}"))
        console.print(grid)


def table_of(title: str, first: str, headings: Iterable[str]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(first, overflow="ellipsis", no_wrap=True, max_width=20)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def value_table(profile: Profile) -> Table:
    table = table_of("Weights", "layer", ("operation", "shape", "weights", "least", "greatest",
                                          "mean", "std", "zeros", "kurtosis"))
    for layer in profile.layers:
        found = layer.values
        table.add_row(Text(layer.name), layer.operation.replace("depthwise_", "dw_").replace(
                          "fully_connected", "dense"),
                      "x".join(map(str, layer.shape)), str(layer.weights),
                      *(f"{figure:.2g}" for figure in (found.minimum, found.maximum, found.mean,
                                                       found.std)),
                      f"{found.zeros:.1%}", f"{found.kurtosis:.1f}")
    return table


def entropy_table(profile: Profile) -> Table:
    kind = ("integers as they are" if profile.lossless is not None
            else f"integers at {profile.lossy_sqnr_db:.1f} dB")
    table = table_of(f"Entropy in b/w: one step a layer by its greatest weight, 8 to 2 bits; "
                     f"{kind}, alone, given the previous weight, given the filter before", "layer",
                     [*(f"{bits} bits" for bits in UNIFORM_BITS), "integers", "previous",
                      "before"])
    rows = []
    for layer in profile.layers:
        coding = layer.lossless or layer.lossy
        figures = [*(row.per_layer_entropy for row in layer.uniform), coding.layer_entropy,
                   coding.previous.entropy, coding.filter_before.entropy]
        rows.append((layer.weights, figures))
        table.add_row(Text(layer.name), *(f"{figure:.2f}" for figure in figures))
    table.add_section()
    table.add_row("layers by themselves", *(
        f"{figure:.2f}" for figure in np.average(
            [figures for _, figures in rows], axis=0, weights=[weights for weights, _ in rows])))
    coding = profile.lossless or profile.lossy
    table.add_row("one table for all", *(f"{row.per_layer_entropy:.2f}"
                                         for row in profile.uniform), f"{coding.entropy:.2f}")
    return table


def structure_table(profile: Profile) -> Table:
    table = table_of("Filters and channels, spread in octaves; gains in b/w over a table a layer",
                     "layer", ("filters", "zero", "inputs", "zero", "spread", "classes",
                               "previous", "before", "zero runs"))

    def add(name: str, found: LayerProfile | Profile) -> None:
        part, coding = found.structure, found.lossless or found.lossy
        table.add_row(Text(name), *(str(figure) for figure in (
            part.filters, part.zero_filters, part.inputs, part.zero_inputs)),
            f"{part.spread:.1f}", *(f"{gain:+.2f}" for gain in gains(coding)))

    for layer in profile.layers:
        add(layer.name, layer)
    table.add_section()
    add("network", profile)
    return table


def gains(coding: Coding) -> tuple[float, ...]:
    return (coding.layer_entropy - coding.classes, coding.previous.gain,
            coding.filter_before.gain, coding.layer_entropy - coding.runs)


def codec_table(profile: Profile) -> Table:
    columns = [(f"step, {profile.lossy_sqnr_db:.1f} dB", profile.lossy.codecs)]
    if profile.lossless is not None:
        columns.insert(0, ("integers as they are", profile.lossless.codecs))
    if profile.codebook is not None:
        name = f"{profile.codebook.centroids} centroids, {profile.codebook.sqnr_db:.1f} dB"
        columns.append((name, profile.codebook.codecs))
    table = table_of("Codecs in b/w, tables counted: fitted to all layers (to each layer)", "codec",
                     (heading for heading, _ in columns))
    for row in zip(*(codecs for _, codecs in columns), strict=True):
        table.add_row(row[0].codec, *(rate_text(rate.bits_per_weight, rate.own_tables)
                                      for rate in row))
    return table


def rate_text(shared: float | None, own: float | None) -> str:
    if shared is None:
        return "can't carry them" + (f" ({own:.3f})" if own is not None else "")
    return f"{shared:.3f}" + (f" ({own:.3f})" if own is not None else "")


def distortion_table(profile: Profile) -> Table:
    table = table_of("Distortion of the network: SQNR in dB, each layer counted relative to its "
                     "mean square; entropy in b/w", "fixed width, bits",
                     ("SQNR", "entropy", "centroids", "SQNR", "entropy", "step", "SQNR",
                      "entropy"))
    curve = profile.curve
    for number in range(max(map(len, (curve.fixed, curve.centroids, curve.step)))):
        cells: list[Any] = []
        for points in (curve.fixed, curve.centroids, curve.step):
            if number < len(points):
                point = points[number]
                cells += [f"{point.parameter:.3g}", f"{point.sqnr_db:.1f}", f"{point.entropy:.2f}"]
            else:
                cells += [""] * 3
        table.add_row(*cells)
    return table


if __name__ == "__main__":
    main()
