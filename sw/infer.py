"""Command that runs inputs through an accelerator: ``python -m sw.infer --input x.npy``."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from .host.accelerator import Accelerator, Inferences
from .host.client import LinkError
from .host.inputs import read_input
from .host.ports import add_port_options
from .host.scores import show


__all__ = ["main"]


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
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted")

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


def report(inferences: Inferences) -> dict[str, Any]:
    return {
        "classes": inferences.classes.tolist(), "scores": inferences.scores.tolist(),
        "outputs": inferences.outputs.tolist(), "cycles": inferences.cycles.tolist(),
        "clock_hz": inferences.clock_hz, "seconds_over_link": inferences.seconds.tolist()}


if __name__ == "__main__":
    main()
