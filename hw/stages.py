"""Shows on the terminal what a long command is at."""

import time
from contextlib import contextmanager

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


__all__ = ["Stages"]


class Stages:
    """Stages of a command, several of them at a time, as a context manager.

    On a terminal each has a line with a spinner and its time; elsewhere each gets a line when it
    begins and when it ends.

    Parameters
    ----------
    console : rich.console.Console
        Where they are shown.
    """

    def __init__(self, console):
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"),
            TimeElapsedColumn(), console=console, disable=not console.is_terminal)

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_):
        self._progress.stop()

    @contextmanager
    def stage(self, name):
        """Show that ``name`` is under way, in any thread."""
        task = self._progress.add_task(name, total=1)
        start = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{name} ...")
        yield
        self._progress.update(task, completed=1)
        if not self._console.is_terminal:
            self._console.print(f"{name}: {time.monotonic() - start:.1f} s")
