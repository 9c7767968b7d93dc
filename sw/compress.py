"""Command that compresses a model into a ROM image: ``python -m sw.compress digits``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import curve
from .compression import Compression, LayerFigures, compare, compress
from .files import write_file
from .format.target import PRESETS, Target
from .network import Network
from .options import add_compression_options, add_size_options, resize
from .plan import AUTO, DEFAULT_BITS, NO_PREDICTOR, Plan, load_plan, save_plan
from .predict import PREDICTORS
from .quantize.codebook import MAX_CLUSTERS
from .quantize.scales import Granularity
from .remedies import explain
from .score import metric
from .search import compress_within, search
from .weights import WeightsCompression, compress_weights
from .zoo import holds_weights_alone, load_source


__all__ = ["main"]


DEFAULT_TARGET = "ulx3s:85F"


#: Options that a plan stands for.
CHOICES = ("quantiser", "codec", "lanes", "bits", "clusters", "granularity", "prune", "predictor",
           "residual", "time", "lossless", "max_drop", "max_bytes", "compare")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    arguments = parse(argv)
    try:
        plan = plan_of(arguments)
        chosen: Compression | WeightsCompression
        if holds_weights_alone(arguments.model):
            rows: tuple[Compression, ...] = ()
            chosen = compress_alone(arguments, plan)
        else:
            rows = compress_network(arguments, plan)
            chosen = rows[-1]
        output = arguments.output or Path("build") / f"{chosen.name}.hri"
        report = {"file": str(output), **chosen.report()}
        if len(rows) > 1:
            report["compared"] = [row.report() for row in rows]
        text = json.dumps(report, indent=2)
        write_file(output, chosen.data)
        write_file(output.with_suffix(".json"), f"{text}\n".encode())
        if arguments.max_drop is not None:
            write_file(output.with_suffix(".html"), curve.render(rows).encode())
        if arguments.plan and not arguments.plan.exists():
            keep_plan(arguments, chosen)
    except (ValueError, OSError) as error:
        explain(error)
        sys.exit(f"error: {error}")

    for note in getattr(chosen, "notes", ()):
        print(f"note: {note}", file=sys.stderr)
    if arguments.json:
        print(text)
        return
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(comparison(rows) if len(rows) > 1 else figure_table(chosen))
    size = chosen.size
    console.print(
        f"weights {size.bytes_weights} bytes, "
        f"{'network' if isinstance(chosen, Compression) else 'others'} {size.bytes_network}, image "
        f"{size.bytes_image}: ratio {size.ratio:.4f}, factor {size.factor:.2f} "
        f"(factor_int8 {size.factor_int8:.2f})", highlight=False)
    print(f"{output}: {size.bits_per_weight:.2f} b/w, factor {size.factor:.2f}, {judged(chosen)}")


def plan_of(arguments: argparse.Namespace) -> Plan:
    """Return the plan that a file holds, or that the options describe."""
    if arguments.plan and arguments.plan.exists():
        for name in CHOICES:
            if getattr(arguments, name) not in (None, False):
                raise ValueError(f"{arguments.plan} says how: --{name.replace('_', '-')} must not "
                                 f"be given beside it")
        plan, target = load_plan(arguments.plan)
        arguments.target = arguments.target or target
        return plan
    if arguments.lossless:
        for name in ("quantiser", "granularity", "prune", "compare"):
            if getattr(arguments, name) not in (None, False):
                raise ValueError(f"Integers must be kept without --{name}")
        return Plan("uniform", arguments.codec or AUTO, lanes=arguments.lanes,
                    **predictor_choices(arguments))
    choices = {name: value for name in ("quantiser", "codec", "lanes", "granularity", "prune")
               if (value := getattr(arguments, name)) is not None}
    return Plan(bits=bits_of(arguments), **choices, **predictor_choices(arguments))


def predictor_choices(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a plan that options for predictors stand for."""
    found = {name: value for name in ("predictor", "residual", "time")
             if (value := getattr(arguments, name)) is not None and value is not False}
    if found and found.get("predictor", NO_PREDICTOR) == NO_PREDICTOR:
        for name in ("residual", "time"):
            if name in found:
                raise ValueError(f"--{name} must be given with a --predictor")
    return found


def keep_plan(arguments: argparse.Namespace, chosen: Compression | WeightsCompression) -> None:
    """Save how the image was made, such that it can be made again."""
    assert chosen.plan is not None
    if isinstance(chosen, Compression):
        target, parts = default_target(arguments, chosen.plan), chosen.layers
    else:
        target, parts = "none", chosen.arrays
    # Steps depend on what may code them, and a target's decoder isn't chosen by its codec alone.
    steps = chosen.plan.quantiser == "step" and not chosen.plan.generates
    as_it_is = steps or target != "none"
    plan = chosen.plan if as_it_is else replace(chosen.plan, codec=chosen.codec)
    save_plan(arguments.plan, plan, model=chosen.name,
              target=target, layers=[part.name for part in parts])


def compress_network(arguments: argparse.Namespace, plan: Plan) -> tuple[Compression, ...]:
    """Return the networks that were asked for; the last one becomes the image."""
    named = named_target(default_target(arguments, plan))
    target = resize(named, arguments) if named else None
    if arguments.compare:
        if target is None:
            raise ValueError("Comparison must have a target, not none")
        return compare(arguments.model, target=target)
    if arguments.lossless and not isinstance(load_source(arguments.model), Network):
        raise ValueError(f"{arguments.model}: only an int8 network has integers to be kept")
    options = {"target": target, "data": arguments.data, "calibration": arguments.calibrate}
    if arguments.max_drop is not None:
        return search(arguments.model, plan, max_drop=arguments.max_drop,
                      progress=sys.stderr.isatty(), **options)
    if arguments.max_bytes is not None:
        return (compress_within(arguments.model, plan, most=arguments.max_bytes,
                                progress=show_progress, **options),)
    return (compress(arguments.model, plan, progress=show_progress, **options),)


def default_target(arguments: argparse.Namespace, plan: Plan) -> str:
    """Return the target that was asked for; predictors run on none."""
    target: str = arguments.target or (
        DEFAULT_TARGET if plan.predictor == NO_PREDICTOR else "none")
    return target


def show_progress(news: str) -> None:
    """Show on a terminal how far a fit is, in one line that the next news replace."""
    if sys.stderr.isatty():
        print(f"\r{news:<78.78}", end="", file=sys.stderr, flush=True)


def compress_alone(arguments: argparse.Namespace, plan: Plan) -> WeightsCompression:
    """Return the weights alone that were asked for."""
    if arguments.target not in (None, "none"):
        raise ValueError(f"Target of weights alone must be none, not {arguments.target}")
    for name in ("data", "calibrate", "rows", "columns", "compare", "lossless", "max_drop",
                 "max_bytes", "prune", "predictor", "residual", "time", "lanes"):
        if getattr(arguments, name) not in (None, False):
            raise ValueError(f"Weights alone must be compressed without "
                             f"--{name.replace('_', '-')}, which needs a network")
    return compress_weights(arguments.model, plan)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    defaults = ", ".join(f"{bits:g} for {name}" for name, bits in DEFAULT_BITS.items())
    parser = argparse.ArgumentParser(
        prog="python -m sw.compress", description="Compress a network, or weights alone, into a "
        "ROM image.")
    parser.add_argument("model", metavar="NAME|FILE", help="network that ships, a model file, or "
                        "weights alone (.safetensors, .npz)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help="the image; its report goes beside it, as .json (default: "
                             "build/NAME.hri)")
    add_compression_options(parser)
    # What isn't given can't contradict a plan.
    parser.set_defaults(quantiser=None, codec=None)
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--bits", type=float, metavar="BITS",
                      help="bits per weight (step, compensated) or bits of a symbol (others; "
                           "uniform: 1, 1.58, 2, 3, 4, 5, 6 or 8, for weights alone also 16) "
                           f"(default: {defaults})")
    rate.add_argument("--clusters", type=int, metavar="K",
                      help="values that the codebook quantiser shares, 2 to 128, in place of "
                           "--bits")
    rate.add_argument("--max-drop", type=float, metavar="POINTS",
                      help="the smallest image that loses at most so many points of accuracy on "
                           "--data, of several rates, and with uniform and codebook of bits for "
                           "each layer, that are tried in parallel; a plot goes beside the image")
    rate.add_argument("--max-bytes", type=int, metavar="N",
                      help="the most bytes of the image (step, compensated)")
    rate.add_argument("--lossless", action="store_true",
                      help="keep the integers of an int8 model")
    parser.add_argument("--prune", type=float, metavar="SHARE",
                        help="share of the weights, those of least magnitude, that become 0 before "
                             "they are quantised, e.g. 0.5")
    parser.add_argument("--granularity", choices=get_args(Granularity),
                        help="one scale for a layer's filters, or one for each (default: channel "
                             "for uniform, else tensor)")
    parser.add_argument("--target", metavar="BOARD:DEVICE",
                        help="what will run the network; none for an image without a schedule, of "
                             f"any network (default: {DEFAULT_TARGET}; none for weights alone)")
    parser.add_argument("--data", type=Path, metavar="FILE",
                        help="npz of held-out inputs x and classes y (default: NAME_data.npz "
                             "beside an npz model)")
    parser.add_argument("--calibrate", type=Path, metavar="FILE",
                        help="npz of inputs x, NHWC, without labels, to calibrate on; the "
                             "compensated quantiser and float models need it, or take a half of "
                             "--data, which then doesn't judge")
    add_size_options(parser)
    parser.add_argument("--plan", type=Path, metavar="FILE",
                        help="do as this TOML file says; if it doesn't exist yet, save there how "
                             "the image was made")
    defaults = ", ".join(f"{bits:g} for {name}" for name, bits in PREDICTORS.items())
    parser.add_argument("--predictor", choices=(NO_PREDICTOR, *PREDICTORS),
                        help="what generates weights in place of coding them; the image is then "
                             "for no target, and --bits are the predictor's (default: none; bits: "
                             f"{defaults})")
    parser.add_argument("--residual", action="store_true",
                        help="keep the quantiser's weights: the codec carries what the predictor "
                             "misses, in layers where that saves bits")
    parser.add_argument("--time", type=float, metavar="SECONDS",
                        help="how long the predictor may be fitted (default: "
                             f"{Plan.time:g})")
    parser.add_argument("--compare", action="store_true",
                        help="table of all quantisers; the image is the default one")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args(argv)


def bits_of(arguments: argparse.Namespace) -> float | None:
    clusters: int | None = arguments.clusters
    if clusters is None:
        bits: float | None = arguments.bits
        return bits
    if arguments.quantiser != "codebook":
        raise ValueError(f"Only the codebook quantiser has clusters, "
                         f"not {arguments.quantiser or Plan.quantiser}")
    if not 2 <= clusters <= MAX_CLUSTERS:
        raise ValueError(f"Clusters must be 2 to {MAX_CLUSTERS}, not {clusters}")
    return log2(clusters)


def judged(compression: Compression | WeightsCompression) -> str:
    if isinstance(compression, WeightsCompression):
        coded = len(compression.arrays)
        return (f"{coded} arrays coded and {len(compression.image.arrays) - coded} plain")
    before, after = compression.accuracy_float, compression.accuracy_int
    if before is None or after is None:
        return "accuracy unknown without data"
    apart = ", calibrated on the others" if compression.halved else ""
    if metric(compression.network) == "auc":
        return f"AUC {before:.4f} before and {after:.4f} after, n = {compression.n}{apart}"
    return f"accuracy {before:.2%} before and {after:.2%} after, n = {compression.n}{apart}"


def named_target(name: str) -> Target | None:
    if name == "none":
        return None
    board, _, device = name.partition(":")
    if (board, device) not in PRESETS:
        known = ", ".join(":".join(preset) for preset in PRESETS)
        raise ValueError(f"Target must be one of {known}, none, not {name}")
    return PRESETS[board, device]


def figure_table(compression: Compression | WeightsCompression) -> Table:
    table = Table(title=f"{compression.name}: {compression.quantiser}, {compression.codec}",
                  title_justify="left")
    parts: tuple[LayerFigures, ...]
    if isinstance(compression, Compression):
        table.add_column("layer")
        parts = compression.layers
    else:
        table.add_column("array", overflow="fold")
        parts = compression.arrays
    for heading in ("weights", "b/w", "entropy", "MSE", "max error", "SQNR dB"):
        table.add_column(heading, justify="right")
    for part in parts:
        table.add_row(escape(part.name), *figures(
            part.weights, part.bits_per_weight, part.layer_entropy,
            *vars(part.distortion).values()))
    table.add_section()
    table.add_row("total", *figures(compression.size.weights, compression.size.bits_per_weight,
                                    compression.entropy, *vars(compression.distortion).values()))
    return table


def comparison(rows: Sequence[Compression]) -> Table:
    table = Table(title=rows[0].name, title_justify="left")
    table.add_column("quantiser")
    table.add_column("codec")
    for heading in ("b/w", "entropy", "MSE", "max error", "SQNR dB", "bytes", "factor", "accuracy"):
        table.add_column(heading, justify="right")
    for row in rows:
        _, *values = figures(0, row.size.bits_per_weight, row.entropy,
                             *vars(row.distortion).values())
        assert row.plan is not None
        table.add_row(row.plan.describe(), row.codec, *values, str(row.size.bytes_image),
                      f"{row.size.factor:.2f}", f"{row.accuracy_int:.2%}")
    return table


def figures(weights: int, bits_per_weight: float, entropy: float, mse: float, max_abs_error: float,
            sqnr_db: float) -> tuple[str, ...]:
    return (str(weights), f"{bits_per_weight:.3f}", f"{entropy:.3f}", f"{mse:.3e}",
            f"{max_abs_error:.4f}", f"{sqnr_db:.2f}")


if __name__ == "__main__":
    main()
