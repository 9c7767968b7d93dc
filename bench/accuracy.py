"""Benchmark of quantisers: accuracy against bits per weight, ``python -m bench.accuracy MODEL``."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from sw.compression import Compression, compress, users_inputs
from sw.network import Network
from sw.plan import Plan
from sw.quantize.scales import Granularity
from sw.score import agreement, answer, score
from sw.search import search
from sw.zoo import load_calibration, load_labelled, load_source

from .report import FOLDER, Row, show, write_rows


__all__ = ["WAYS", "compare", "main"]


#: Quantisers and their bits: of a symbol, or of a weight with its code table.
WAYS = {"uniform": (8, 6, 5, 4, 3), "codebook": (6, 5, 4, 3), "step": (4, 3.5, 3, 2.5),
        "compensated": (3.5, 3, 2.6, 2.3, 2)}

#: Codebooks whose sizes are searched layer by layer, and how many points less the score may be, on
#: the inputs that judge: labels are nowhere else.
EXPLORATION = "exploration"
EXPLORED_DROP = 1.0

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
    with tempfile.TemporaryDirectory() as folder:
        calibrating, judging = Path(folder) / "calibration.npz", Path(folder) / "data.npz"
        np.savez(calibrating, x=calibration)
        np.savez(judging, x=x, y=y)
        # Weights are shared as the model has them: int8, with a scale for each filter.
        granularity: Granularity = "channel" if isinstance(source, Network) else "tensor"
        attempts: list[tuple[str, Callable[[], Compression]]] = []
        for quantiser in quantisers:
            for bits in WAYS.get(quantiser, ()):
                plan = Plan(quantiser, "tans", bits)
                attempts.append((plan.describe(), partial(
                    compress, model, plan, target=None, calibration=calibrating)))
            if quantiser == EXPLORATION:
                plan = Plan("codebook", "tans", granularity=granularity)
                attempts.append((f"{EXPLORATION}, {EXPLORED_DROP:g} less", partial(
                    explored, model, plan, data=judging, calibration=calibrating)))
        for name, attempt in track(attempts, "compressing", transient=True):
            try:
                found = attempt()
            except ValueError as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            answers = answer(found.image.network, inputs)
            yield {"model": Path(model).stem, "quantiser": name,
                   "bits_per_weight": found.size.bits_per_weight, "accuracy": score(answers, y),
                   "agreement": agreement(answers, expected), "reference_accuracy": reference,
                   "n": len(y)}


def explored(model: str, plan: Plan, *, data: Path, calibration: Path) -> Compression:
    """Return the smallest network that a search by layers finds within ``EXPLORED_DROP`` points."""
    return search(model, plan, max_drop=EXPLORED_DROP, target=None, data=data,
                  calibration=calibration)[-1]


if __name__ == "__main__":
    main()
