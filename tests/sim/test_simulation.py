import time

import numpy as np
import pytest

from sim import simulation
from sim.verilator import SimulationError
from sw.compression import compress


@pytest.fixture
def board(tmp_path, monkeypatch):
    """Put a script in place of the compiled board."""
    def install(script):
        path = tmp_path / "board"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(simulation, "compile_board", lambda *arguments, **options: tmp_path)
    monkeypatch.setattr(simulation, "QUIET", 0.2)
    return install


@pytest.mark.parametrize("script, complaint", [
    ("exit 3", "the line can't be |doesn't respond"),
    ("exec sleep 60", "doesn't respond"),
    ("yes | head -c 1000000; exec sleep 60", "doesn't respond"),
])
def test_board_that_does_not_answer_is_ended(board, tmp_path, script, complaint):
    board(script)
    compression = compress("digits")
    start = time.monotonic()
    with pytest.raises(SimulationError, match=complaint):
        simulation.count_toggles(
            "", top="accelerator", image=compression.image, target=compression.target,
            x=np.zeros((1, 8, 8, 1), np.int8), clock_hz=80_000_000, baud=1_000_000,
            saif=tmp_path / "inference.saif")
    assert time.monotonic() - start < 40
    assert not (tmp_path / "inference.saif").exists()
