"""Time and memory that a build takes."""

import os
import time
from pathlib import Path
from threading import Event, Thread


__all__ = ["Usage"]


PAGE = os.sysconf("SC_PAGE_SIZE")
INTERVAL = 0.5


class Usage:
    """Watches this process and all below it, as a context manager.

    Members
    -------
    seconds : float
        Time from the context's beginning to its end.
    peak_bytes : int
        The most memory that all processes held together, sampled twice a second. Pages that they
        share count for each.
    """

    def __enter__(self):
        self.peak_bytes = 0
        self._start = time.monotonic()
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._start

    def _watch(self):
        while True:
            self.peak_bytes = max(self.peak_bytes, resident(os.getpid()))
            if self._stop.wait(INTERVAL):
                return


def resident(pid):
    """Return the bytes that process ``pid`` and its descendants hold; 0 if it is gone."""
    process = Path("/proc", str(pid))
    try:
        total = int((process / "statm").read_text().split()[1]) * PAGE
        children = [child for task in (process / "task").iterdir()
                    for child in (task / "children").read_text().split()]
    except OSError:
        return 0
    return total + sum(map(resident, children))
