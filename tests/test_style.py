import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("command", [("ruff", "check", "--no-cache"), ("mypy",)])
def test_static_checks(command):
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, text=True,
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
