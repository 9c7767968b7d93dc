"""Command that runs inputs through an accelerator: ``python -m sw.infer --input x.npy``."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .host.accelerator import Accelerator, Inferences
from .host.client import LinkError
from .host.ports import add_port_options
from .importers.npz import Archive


__all__ = ["main", "read_input", "show"]


#: Cells of the longest bar of a table of scores.
BAR = 24


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m sw.infer", description="Run inputs through the network on a board, or on a "
        "virtual one.")
    parser.add_argument("--input", type=Path, required=True, metavar="FILE",
                        help="npy, or npz with x and, for the accuracy, y: int8 is taken as it is, "
                             "other numbers are quantised; or png, black the least input and white "
                             "the greatest")
    parser.add_argument("--image", type=Path, metavar="FILE",
                        help="write and load this image first (default: what is loaded)")
    add_port_options(parser)
    parser.add_argument("--json", action="store_true", help="print as JSON")
    arguments = parser.parse_args(argv)
    console = Console(stderr=arguments.json, highlight=False, soft_wrap=True)
    try:
        if not arguments.input.is_file():
            raise ValueError(f"{arguments.input}: there is no such file")
        with Accelerator(arguments.port, baud=arguments.baud) as accelerator:
            if arguments.image:
                write(accelerator, arguments.image, console)
            channels = accelerator.describe().input_shape[2]
            x, y = read_input(arguments.input, channels=channels)
            inferences = accelerator.infer(x, progress=not arguments.json)
        if y is not None and y.shape != inferences.classes.shape:
            raise ValueError(f"{arguments.input}: y must have a class for each of the "
                             f"{len(inferences.classes)} inputs, not shape {y.shape}")
    except (ValueError, OSError, LinkError) as error:
        sys.exit(f"python -m sw.infer: {error}")

    accuracy = None if y is None else float(np.mean(inferences.classes == y))
    if arguments.json:
        json.dump(report(inferences) | {"accuracy": accuracy}, sys.stdout, indent=2)
        print()
        return
    show(console, inferences)
    if accuracy is not None:
        console.print(f"{accuracy:.2%} of {len(inferences.classes)} right")


def write(accelerator: Accelerator, path: Path, console: Console) -> None:
    image = path.read_bytes()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("writing the image", total=len(image))
        written = accelerator.write_image(
            image, progress=lambda done: progress.update(task, completed=done))
    remade = "" if written == image else ", its schedule made anew for this accelerator"
    console.print(f"{path}: {len(written)} bytes written and loaded{remade}")


def read_input(path: Path, *, channels: int = 1) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the inputs in a file, and their classes if it has them.

    Parameters
    ----------
    path : Path
        A npy file, a npz file with ``x`` and perhaps ``y``, or a PNG.
    channels : int
        What a PNG is converted to: grey or red, green and blue. Its values become int8, black -128
        and white 127.

    Raises
    ------
    ValueError
        If it is neither, or damaged.
    OSError
        If it can't be read.
    """
    match path.suffix:
        case ".npz":
            with Archive(path) as archive:
                x, y = (archive.read(name, str(archive.members[name].dtype))
                        if name in archive.members else None for name in ("x", "y"))
            if x is None:
                raise ValueError(f"{path}: array x is missing")
            return x, y
        case ".npy":
            try:
                return np.load(path, allow_pickle=False), None
            except (ValueError, EOFError) as error:
                raise ValueError(f"{path}: not a npy file of numbers") from error
        case ".png":
            if channels not in (1, 3):
                raise ValueError(f"{path}: a picture is for networks with 1 or 3 channels, not "
                                 f"{channels}")
            try:
                with Picture.open(path, formats=["PNG"]) as picture:
                    pixels = np.array(picture.convert("L" if channels == 1 else "RGB"))
            except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
                raise ValueError(f"{path}: not a good PNG: {error}") from error
            return (pixels ^ 0x80).view(np.int8), None
    raise ValueError(f"{path}: input must be a npy, npz or png file")


def report(inferences: Inferences) -> dict[str, Any]:
    return {
        "classes": inferences.classes.tolist(), "scores": inferences.scores.tolist(),
        "outputs": inferences.outputs.tolist(), "cycles": inferences.cycles.tolist(),
        "clock_hz": inferences.clock_hz, "seconds_over_link": inferences.seconds.tolist()}


def show(console: Console, inferences: Inferences) -> None:
    """Print classes, scores and times."""
    if len(inferences.classes) == 1:
        console.print(f"class [bold]{inferences.classes[0]}")
        console.print(score_table(inferences.scores[0]))
    else:
        console.print(f"classes {' '.join(map(str, inferences.classes))}")
    cycles, seconds = int(inferences.cycles.max()), float(np.median(inferences.seconds))
    console.print(f"{cycles:,} cycles, {1e3 * cycles / inferences.clock_hz:.3f} ms at "
                  f"{inferences.clock_hz / 1e6:g} MHz; {1e3 * seconds:.1f} ms over the link")


def score_table(scores: NDArray[np.float64]) -> Table:
    table = Table("class", box=None)
    table.add_column("score", justify="right")
    table.add_column()
    low, high = scores.min(), scores.max()
    for number, score in enumerate(scores):
        length = round(BAR * (score - low) / (high - low)) if high > low else 0
        table.add_row(str(number), f"{score:.2f}", "█" * length)
    return table


if __name__ == "__main__":
    main()
