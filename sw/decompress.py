"""Command that restores an image's weights: ``python -m sw.decompress IMAGE``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .exporters.weights import FORMATS, float_weights
from .files import write_file
from .weights_image import WeightsImage, load_any_image


__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m sw.decompress", description="Restore the weights and biases of a ROM "
        "image, or the arrays of weights alone, as float32.")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="the image")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help=f"{' or '.join(FORMATS)} file (default: build/NAME.npz)")
    arguments = parser.parse_args(argv)
    output = arguments.output or Path("build") / f"{arguments.image.stem}.npz"
    try:
        if output.suffix not in FORMATS:
            raise ValueError(f"Output must be a file {' or '.join(FORMATS)}, not {output.name}")
        image = load_any_image(arguments.image)
        if isinstance(image, WeightsImage):
            arrays, values = image.arrays, image.weights + image.plain_values
            restored = f"{values} values of {len(arrays)} arrays"
        else:
            network = image.network
            arrays = float_weights(network)
            restored = f"{network.weights} weights of {len(network.weighted)} layers"
        write_file(output, FORMATS[output.suffix](arrays))
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"error: {arguments.image}: {error}")
    print(f"{output}: {restored}")


if __name__ == "__main__":
    main()
