"""Command that writes an image's network as a TFLite model: ``python -m sw.export IMAGE``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .exporters.tflite import write
from .files import write_file
from .image import load_image


__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m sw.export", description="Write the network of a ROM image as an int8 "
        "TFLite model, with which LiteRT's reference kernels compute the same integers.")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="the image")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help="the model (default: build/NAME.tflite)")
    arguments = parser.parse_args(argv)
    output = arguments.output or Path("build") / f"{arguments.image.stem}.tflite"
    try:
        network = load_image(arguments.image).network
        model = write(network)
        write_file(output, model)
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"error: {arguments.image}: {error}")
    print(f"{output}: {len(model)} bytes, {len(network.layers)} layers, {network.weights} weights")


if __name__ == "__main__":
    main()
