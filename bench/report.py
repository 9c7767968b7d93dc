"""What all benchmarks do with their rows: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sw.files import write_file


__all__ = ["FOLDER", "Row", "show", "write_rows"]


#: Where benchmarks write their rows unless they are told otherwise.
FOLDER = Path("build/bench")

#: Figures by name; None for one that there isn't.
Row = Mapping[str, Any]


def show(title: str, rows: Sequence[Row], formats: Mapping[str, str]) -> None:
    """Print a table of ``rows``.

    Parameters
    ----------
    formats : mapping of str to str
        Columns, by the names that rows have for them, and how each formats its figures, e.g.
        ``".2f"``; text has none. A blank format is for text, which goes to the left.
    """
    table = Table(title=title, title_justify="left")
    for column, form in formats.items():
        table.add_column(column, justify="right" if form else "left")
    for row in rows:
        table.add_row(*(cell(row[column], form) for column, form in formats.items()))
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)


def cell(value: Any, form: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return format(value, form)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write ``rows`` as a JSON list of objects, whole or not at all."""
    text = json.dumps([dict(row) for row in rows], indent=2, allow_nan=False)
    write_file(path, f"{text}\n".encode())
