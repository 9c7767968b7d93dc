"""What is printed of an accelerator's answers."""

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .accelerator import Inferences


__all__ = ["show"]


#: Cells of the longest bar of a table of scores.
BAR = 24


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
