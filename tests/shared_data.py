"""Models and data that are too big or not ours to ship, in the folder HEADRACE_DATA."""

import os
from pathlib import Path

import pytest


__all__ = ["shared_file"]


FOLDER = Path(os.environ.get("HEADRACE_DATA", Path(__file__).parents[2] / "shared"))


def shared_file(name):
    """Return the path of ``name`` (e.g. ``models/kws_ref_model.tflite``), or skip the test."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"no {name} in {FOLDER}; HEADRACE_DATA says where the shared data are")
    return path
