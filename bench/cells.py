"""Benchmark of what an accelerator's parts take on an iCE40UP5K: ``python -m bench.cells``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.progress import track

from boards import find_board
from hw.report.resources import DEVICES, count_cells
from hw.rtl import generate
from hw.toolchain import ToolError, logic_cells, synthesise
from hw.top import ACCELERATOR

from .parts import PARTS
from .report import FOLDER, show, write_rows


__all__ = ["main", "measure"]


BOARD = "icebreaker"

FORMATS = {"part": "", "lc": "d", "lut4": "d", "ff": "d", "ebr": "d", "dsp": "d"}

RESOURCES = ("lut4", "ff", "ebr", "dsp")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cells", description="What the parts of an accelerator take on an "
        "iCE40UP5K, each synthesised alone: logic cells, LUT4, flip-flops, block RAMs, "
        "multipliers.")
    parser.add_argument("--only", default="", metavar="TEXT",
                        help="only parts whose name has this in it, e.g. tANS")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "cells.json", help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        parts = [part for part in PARTS if arguments.only in part]
        if not parts:
            raise ValueError(f"A part must be called as one of {'; '.join(PARTS)}, "
                             f"not {arguments.only}")
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(lambda part: measure(part, Path(folder) / str(parts.index(part))),
                             parts)
            rows = list(track(found, "Synthesising", len(parts), transient=True))
        write_rows(arguments.output, rows)
    except (ValueError, OSError, ToolError) as error:
        sys.exit(f"error: {error}")
    total = {"part": "all of them"} | {
        name: sum(row[name] for row in rows) for name in ("lc", *RESOURCES)}
    device = find_board(BOARD).platform(find_board(BOARD).default_device).device
    available = {"part": device, "lc": DEVICES[device]["lut4"]} | DEVICES[device]
    show(f"parts on an {device}, each alone", [*rows, total, available], FORMATS)
    print(f"{arguments.output}: {len(rows)} rows")


def measure(part: str, folder: Path) -> dict[str, Any]:
    """Return what a part takes.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    platform = find_board(BOARD).platform(find_board(BOARD).default_device)
    verilog = generate(PARTS[part](), name=ACCELERATOR, platform=platform)
    cells = count_cells(synthesise(verilog, platform.device, directory=folder,
                                   flatten=True)["design"]["num_cells_by_type"])
    return {"part": part, "lc": logic_cells(verilog, platform, directory=folder),
            **{name: cells[name] for name in RESOURCES}}


if __name__ == "__main__":
    main()
