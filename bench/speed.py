"""Benchmark of the whole way to an image and back: ``python -m bench.speed``."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar

import numpy as np
import zstandard

from sw.compression import Compression, compress
from sw.format.layers import InputDescription, Operation
from sw.image import read_image
from sw.importers import npz
from sw.network import Activation, FloatLayer, FloatNetwork
from sw.quantize import UniformQuantiser, quantise
from sw.zoo import load_network

from .report import FOLDER, Row, show, write_rows


__all__ = ["made_network", "main", "measure", "measure_zstd"]


T = TypeVar("T")

#: Quantiser, its bits, codec.
WAYS = (("step", 2.25, "huffman"), ("step", 2.25, "tans"), ("step", 2.25, "rice"),
        ("step", 2.25, "runlength"), ("codebook", 4, "huffman"), ("codebook", 4, "raw"),
        ("uniform", 8, "tans"), ("uniform", 8, "raw"))

#: Levels of zstd, the baseline: its default and its best.
LEVELS = (3, 22)

FORMATS = {"quantiser": "", "codec": "", "bits_per_weight": ".3f", "compress_s": ".2f",
           "decompress_s": ".2f", "peak_mb": ".0f", "exact": ""}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.speed", description="Compress a made network: from the model file to "
        "the image, which is read back and measured; and decompress it. One process for each way, "
        "after a warm-up on digits; medians of several runs; zstd on int8 weights for comparison.")
    parser.add_argument("--weights", type=int, default=5_000_000, metavar="N",
                        help="weights of the network, about (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, metavar="N",
                        help="runs of each way (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "speed.json", help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        network = made_network(arguments.weights)
        if arguments.runs < 1:
            raise ValueError(f"Runs must be 1 or more, not {arguments.runs}")
        with TemporaryDirectory() as folder:
            path = save(network, Path(folder))
            rows = [alone(measure, path, *way, arguments.runs) for way in WAYS]
            rows += [alone(measure_zstd, path, level, arguments.runs) for level in LEVELS]
        write_rows(arguments.output, rows)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    weights = sum(layer.weights.size for layer in network.weighted if layer.weights is not None)
    show(f"{weights} weights, one thread; MB is the most memory that a process had", rows, FORMATS)
    print(f"{arguments.output}: {len(rows)} rows")


def made_network(weights: int) -> FloatNetwork:
    """Return an untrained network of about ``weights`` weights: Laplacian, filters apart.

    Raises
    ------
    ValueError
        If there are too few for its five layers, or more than an image may hold.
    """
    if not 5_000 <= weights <= 1 << 24:
        raise ValueError(f"Network must have 5000 to {1 << 24} weights, not {weights}")
    rng = np.random.default_rng(0)
    # The layers have 36, 144, 32, 128 and 160 times the square of this.
    unit = round((weights / 500) ** 0.5)

    def layer(name: str, operation: Operation, channels: int, filters: int, side: int
              ) -> FloatLayer:
        kernel = (side, side) if operation is Operation.CONV2D else (1, 1)
        area = (4, 4) if operation is Operation.CONV2D else (1, 1)
        shape = (filters, *kernel, channels)
        spread = rng.uniform(0.5, 2, (filters, 1, 1, 1)) / np.prod(shape[1:]) ** 0.5
        return FloatLayer(
            name, operation, (*area, channels), (*area, filters), kernel, (1, 1),
            (kernel[0] // 2, kernel[1] // 2), Activation.RELU,
            rng.laplace(0, spread, shape).astype(np.float32),
            rng.normal(0, 0.1, filters).astype(np.float32))

    narrow, wide = 4 * unit, 16 * unit
    return FloatNetwork("made", InputDescription(1 / 128, 0, 128.0, 128.0), (4, 4, unit), (
        layer("conv1", Operation.CONV2D, unit, narrow, 3),
        layer("conv2", Operation.CONV2D, narrow, narrow, 3),
        layer("conv3", Operation.CONV2D, narrow, 2 * narrow, 1),
        layer("conv4", Operation.CONV2D, 2 * narrow, wide, 1),
        FloatLayer("pool", Operation.AVERAGE_POOL, (4, 4, wide), (1, 1, wide), (4, 4), (4, 4),
                   (0, 0), Activation.NONE),
        layer("dense", Operation.FULLY_CONNECTED, wide, 10 * unit, 1)))


def save(network: FloatNetwork, folder: Path) -> Path:
    """Write the model file, and beside it inputs that compression calibrates and measures with."""
    path = folder / f"{network.name}.npz"
    npz.save(path, network)
    x = np.random.default_rng(1).integers(0, 256, (8, *network.input_shape), np.uint8)
    np.savez(path.with_name(f"{network.name}_data.npz"), x=x, y=np.zeros(len(x), np.uint8),
             calibration=x)
    return path


def alone(run: Callable[..., Row], *arguments: object) -> Row:
    """Return what ``run`` returns in a process of its own, of one thread."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(run, arguments)


def measure(path: Path, quantiser: str, bits: float, codec: str, runs: int) -> Row:
    """Return the row of a way to compress the model file at ``path``."""

    def way(model: str | Path) -> Compression:
        return compress(model, quantiser=quantiser, bits=bits, codec=codec, target=None)

    read_image(way("digits").data)
    compression, compress_s = timed(lambda: way(path), runs)
    image, decompress_s = timed(lambda: read_image(compression.data), runs)
    exact = all(np.array_equal(before.weights, after.weights)
                for before, after in zip(compression.network.weighted, image.network.weighted,
                                         strict=True)
                if before.weights is not None and after.weights is not None)
    return {"quantiser": f"{quantiser}, {bits:g} bits", "codec": codec,
            "bits_per_weight": compression.size.bits_per_weight, "compress_s": compress_s,
            "decompress_s": decompress_s, "peak_mb": peak_mb(), "exact": exact}


def measure_zstd(path: Path, level: int, runs: int) -> Row:
    """Return the row of zstd: from the model file to compressed int8 weights, and back."""

    def way(model: str | Path) -> tuple[bytes, bytes]:
        weights = [layer.weights for layer in load_network(model).weighted
                   if layer.weights is not None]
        grids = UniformQuantiser(clip=False).fit(weights, None, 8)
        data = b"".join(grid.integers(symbols).tobytes() for grid, symbols in zip(
            grids, quantise(weights, grids), strict=True))
        return data, zstandard.ZstdCompressor(level=level).compress(data)

    _, coded = way("digits")
    zstandard.ZstdDecompressor().decompress(coded)
    (data, coded), compress_s = timed(lambda: way(path), runs)
    restored, decompress_s = timed(lambda: zstandard.ZstdDecompressor().decompress(coded), runs)
    return {"quantiser": "uniform, 8 bits", "codec": f"zstd, level {level}",
            "bits_per_weight": 8 * len(coded) / len(data), "compress_s": compress_s,
            "decompress_s": decompress_s, "peak_mb": peak_mb(), "exact": restored == data}


def timed(run: Callable[[], T], runs: int) -> tuple[T, float]:
    """Return what ``run`` returns, and the median of its seconds."""
    seconds = []
    for _ in range(runs):
        start = perf_counter()
        result = run()
        seconds.append(perf_counter() - start)
    return result, median(seconds)


def peak_mb() -> float:
    """Return the most memory that this process had so far, in MB of 10**6 bytes."""
    status = Path("/proc/self/status").read_text()
    peak, = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024 / 1e6


if __name__ == "__main__":
    main()
