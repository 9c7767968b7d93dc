"""Benchmark of quantisers: accuracy against bits per weight, ``python -m bench.accuracy MODEL``."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from sw.compression import compress, users_inputs
from sw.explore import explore_network
from sw.network import FloatNetwork, Network
from sw.plan import Plan
from sw.quantize import CodebookQuantiser
from sw.quantize.scales import Granularity
from sw.score import agreement, answer, metric, score
from sw.zoo import load_calibration, load_labelled, load_source

from .report import FOLDER, Row, show, write_rows


__all__ = ["WAYS", "compare", "main"]


#: Quantisers and their bits: of a symbol, or of a weight with its code table.
WAYS = {"uniform": (8, 6, 5, 4, 3), "codebook": (6, 5, 4, 3), "step": (4, 3.5, 3, 2.5),
        "compensated": (3.5, 3, 2.6, 2.3, 2)}

#: Codebooks whose sizes are explored layer by layer, how much less the score may be meanwhile, and
#: inputs that it is scored on. They are some of those that judge: labels are nowhere else.
EXPLORATION = "exploration"
EXPLORED_DROP = 0.01
EXPLORED = 1000

FORMATS = {"quantiser": "", "bits_per_weight": ".3f", "accuracy": ".4f", "agreement": ".4f",
           "reference_accuracy": ".4f", "n": ""}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy", description="Compress a network with each quantiser at "
        "several rates, coded with tANS, and judge it: accuracy, or the area under the ROC curve "
        "for an autoencoder, and agreement with the model as it is.")
    parser.add_argument("model", metavar="MODEL", help="network that ships, or a model file")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE",
                        help="npz of inputs x and classes y")
    parser.add_argument("--calibrate", type=Path, metavar="FILE",
                        help="npz of other inputs x (default: a seeded half of the data, which "
                             "then doesn't judge)")
    parser.add_argument("--samples", type=int, metavar="N",
                        help="judge on N inputs, evenly spread over the data (default: all)")
    parser.add_argument("--quantisers", nargs="+", choices=(*WAYS, EXPLORATION),
                        default=(*WAYS, EXPLORATION),
                        help="only these (default: all); exploration is Dupuis et al.'s, of shared "
                             "weights layer by layer, with labels of the inputs that judge")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "accuracy.json", help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        x, y = load_labelled(arguments.data)
        if arguments.calibrate and arguments.calibrate.resolve() != arguments.data.resolve():
            calibration = load_calibration(arguments.calibrate)
        else:
            order = np.random.default_rng(0).permutation(len(y))
            half, rest = np.sort(order[:len(y) // 2]), np.sort(order[len(y) // 2:])
            print(f"{arguments.data}: {len(half)} inputs calibrate, the other {len(rest)} judge")
            x, y, calibration = x[rest], y[rest], x[half]
        if arguments.samples is not None and not 1 <= arguments.samples <= len(y):
            raise ValueError(f"Samples must be 1 to {len(y)}, not {arguments.samples}")
        chosen = np.linspace(0, len(y) - 1, arguments.samples or len(y)).round().astype(int)
        rows = list(compare(arguments.model, x[chosen], y[chosen], calibration,
                            arguments.quantisers))
        if not rows:
            raise ValueError(f"{arguments.model}: no quantiser reached any rate")
        write_rows(arguments.output, rows)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    show(f"{rows[0]['model']}, tANS", rows, FORMATS)
    print(f"{arguments.output}: {len(rows)} rows; bits per weight count all that exists because of "
          f"the weights")


def compare(model: str, x: NDArray[Any], y: NDArray[Any], calibration: NDArray[Any],
            quantisers: Sequence[str]) -> Iterator[Row]:
    """Yield a row for each quantiser and rate; one that can't be reached is left out, and said so.

    Parameters
    ----------
    x, y, calibration : array
        As in the user's files.
    """
    source = load_source(model)
    inputs = users_inputs(model, source, x)
    expected = answer(source, inputs)
    reference = score(expected, y)
    count = sum(len(WAYS.get(quantiser, (EXPLORATION,))) for quantiser in quantisers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calibration.npz"
        np.savez(path, x=calibration)
        plans = plans_of(source, inputs, y, quantisers)
        for name, plan in track(plans, metric(source), count, transient=True):
            try:
                found = compress(model, plan, target=None, calibration=path)
            except ValueError as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            answers = answer(found.image.network, inputs)
            yield {"model": Path(model).stem, "quantiser": name,
                   "bits_per_weight": found.size.bits_per_weight, "accuracy": score(answers, y),
                   "agreement": agreement(answers, expected), "reference_accuracy": reference,
                   "n": len(y)}


def plans_of(source: FloatNetwork | Network, x: NDArray[Any], y: NDArray[Any],
             quantisers: Sequence[str]) -> Iterator[tuple[str, Plan]]:
    """Yield each quantiser's plans and what rows call them."""
    # Weights are shared as the model has them: int8, with a scale for each filter.
    granularity: Granularity = "channel" if isinstance(source, Network) else "tensor"
    for quantiser in quantisers:
        if quantiser != EXPLORATION:
            for bits in WAYS[quantiser]:
                plan = Plan(quantiser, "tans", bits)
                yield plan.describe(), plan
            continue
        chosen = np.unique(np.linspace(0, len(y) - 1, EXPLORED).round().astype(int))
        try:
            explored = explore_network(source, x[chosen], y[chosen], drop=EXPLORED_DROP,
                                       quantiser=CodebookQuantiser(1, granularity=granularity))
        except ValueError as error:
            print(f"{EXPLORATION}: {error}", file=sys.stderr)
            continue
        yield (f"{EXPLORATION}, {EXPLORED_DROP:g} less",
               Plan("codebook", "tans", explored.bits, granularity=granularity))


if __name__ == "__main__":
    main()
