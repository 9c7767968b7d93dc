"""Which of MLPerf Tiny's networks fits which device: ``python -m bench.devices``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sw.compression import compress
from sw.format.target import LARGE, PRESETS, Target
from sw.network import Network
from sw.plan import Plan
from sw.schedule import ScheduleError, needs
from sw.zoo import load_source

from .mlperf_tiny import MODELS
from .report import FOLDER, Row, show, write_rows


__all__ = ["main", "measure"]


FORMATS = {"model": "", "quantiser": "", "codec": "", "image_bytes": ","}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.devices", description="Show which device's accelerators MLPerf "
        "Tiny's int8 networks fit, compressed and as they are, and what there is too little of.")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "devices.json", help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        rows = list(measure(Path(os.environ.get("HEADRACE_DATA", "../shared"))))
        write_rows(arguments.output, rows)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    devices = dict.fromkeys(row["device"] for row in rows)
    show("Which network fits which device's accelerator", wide(rows),
         FORMATS | dict.fromkeys(devices, ""))
    for (*image, lacks), names in lacking(rows).items():
        print(f"{', '.join(image)}: {lacks}: {', '.join(names)}")
    print(f"{arguments.output}: {len(rows)} rows")


def measure(folder: Path) -> Iterator[Row]:
    """Yield a row for each network, compressed and raw, and each device's accelerators.

    Parameters
    ----------
    folder : Path
        Where the models and their inputs are.
    """
    with np.load(folder / "data" / "mlperf_tiny_inputs.npz") as archive:
        inputs = dict(archive)
    for model in MODELS:
        path = folder / "models" / model.file
        source = load_source(path)
        assert isinstance(source, Network)
        layers = [layer.descriptor for layer in source.layers]
        with tempfile.TemporaryDirectory() as directory:
            calibration = Path(directory) / "x.npz"
            np.savez(calibration, x=inputs[f"{model.key}_x"])
            for plan in (model.plan, Plan("uniform", "raw")):
                sizes = image_sizes(path, plan, calibration)
                for device, target in targets():
                    found = needs(layers, target, **sizes)
                    yield {"model": model.name, "quantiser": plan.describe(),
                           "codec": plan.codec, "image_bytes": sizes["image_bytes"],
                           "device": device,
                           "fits": all(need.needed <= need.available for need in found),
                           "lacks": "; ".join(f"{need.needed:,} {need.name}, not {need.available:,}"
                                              for need in found if need.needed > need.available)}


def wide(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each image, which says of each device whether it fits."""
    images: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        image = images.setdefault(image_of(row), {name: row[name] for name in FORMATS})
        image[row["device"]] = row["fits"]
    return list(images.values())


def image_of(row: Row) -> tuple[str, ...]:
    return row["model"], row["quantiser"], row["codec"]


def lacking(rows: Sequence[Row]) -> dict[tuple[str, ...], list[str]]:
    """Return the devices that have too little for an image, by the image and what they lack."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if not row["fits"]:
            found.setdefault((*image_of(row), row["lacks"]), []).append(row["device"])
    return found


def targets() -> Iterator[tuple[str, Target]]:
    """Yield the names and targets of all devices."""
    for presets, size in ((PRESETS, ""), (LARGE, ", large")):
        for (board, device), target in presets.items():
            yield f"{board} {device}{size}", target


def image_sizes(model: Path, plan: Plan, calibration: Path) -> dict[str, int]:
    """Return how large the image of a model is, and its codebooks, whether it fits or not."""
    try:
        made = compress(model, plan, calibration=calibration)
    except ScheduleError as error:
        return {"image_bytes": error.needs[0].needed, "codebooks": error.needs[-1].needed}
    return {"image_bytes": made.size.bytes_image, "codebooks": len(made.image.codebooks)}


if __name__ == "__main__":
    main()
