"""Fits that ran out of time go on when they are called again."""

from importlib import import_module
from itertools import count

import numpy as np
import pytest

from sw.format.predictor_records import pack_predictors
from sw.format.predictors import Predicted, SeedShape
from sw.predict import Unsuited, checkpoints, seeds
from sw.predict.checkpoints import load_arrays, path_for, save_arrays

from .test_learned import task


SHAPE = (16, 3, 3, 10)

#: Time is up after so many looks at the clock, for the bits that a weight may take.
LOOKS = {"seeds": (44, 9.0), "autoencoder": (4, 3.0), "hypernet": (9, 4.0)}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "checkpoints")
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 5, 2, 4),))
    return tmp_path / "checkpoints"


def module_of(name, monkeypatch):
    if name == "hypernet":
        pytest.importorskip("torch")
    module = import_module(f"sw.predict.{name}")
    if name == "hypernet":
        monkeypatch.setattr(module, "EPOCHS", 30)
        monkeypatch.setattr(module, "NEWS", 1)
        monkeypatch.setattr(module, "MOST_LOST", 2.0)
    return module


def written(found):
    content = b"" if found.content is None else found.content.tobytes()
    return pack_predictors([Predicted(found, False)]) + content


def fit_in_parts(module, looks, bits, monkeypatch):
    """Return what a fit told that ran out of time, and the one that went on, and its result."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "monotonic", count().__next__)
        first = []
        module.fit(task(SHAPE), bits, looks, first.append)
    second = []
    return first, second, module.fit(task(SHAPE), bits, 600, second.append)


@pytest.mark.parametrize("name", LOOKS)
def test_a_fit_goes_on(monkeypatch, folder, name):
    module = module_of(name, monkeypatch)
    looks, bits = LOOKS[name]
    news = []
    whole = module.fit(task(SHAPE), bits, 600, news.append)
    assert not list(folder.glob("*"))
    first, second, found = fit_in_parts(module, looks, bits, monkeypatch)
    assert 0 < len(second) < len(news)
    assert len(first) + len(second) >= len(news)
    assert written(found) == written(whole)
    assert not list(folder.glob("*"))


@pytest.mark.parametrize("name", LOOKS)
def test_a_damaged_file_is_left_alone(monkeypatch, folder, name):
    module = module_of(name, monkeypatch)
    looks, bits = LOOKS[name]
    whole = module.fit(task(SHAPE), bits, 600, lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "monotonic", count().__next__)
        module.fit(task(SHAPE), bits, looks, lambda _: None)
    path, = folder.iterdir()
    for damage in (b"", path.read_bytes()[:100], b"PK\3\4" + bytes(60)):
        path.write_bytes(damage)
        found = module.fit(task(SHAPE), bits, 600, lambda _: None)
        assert written(found) == written(whole)


def test_arrays_are_those_that_are_wanted(folder):
    path = path_for("name", (np.arange(3), 2))
    assert path == path_for("name", (np.arange(3), 2)) != path_for("name", (np.arange(3), 3))
    assert path_for("name", (np.zeros(6),)) != path_for("name", (np.zeros((2, 3)),))
    wanted = {"a": np.zeros((2, 3)), "b": np.array(0)}
    assert load_arrays(path, wanted) is None
    save_arrays(path, {"a": np.ones((2, 3)), "b": np.array(7)})
    assert load_arrays(path, wanted)["b"] == 7
    save_arrays(path, {"a": np.ones((2, 4)), "b": np.array(7)})
    assert load_arrays(path, wanted) is None
    np.savez(path, a=np.array([{}], object), b=np.array(7))
    assert load_arrays(path, wanted) is None


def test_no_step_was_found_in_time(monkeypatch, folder):
    module = module_of("autoencoder", monkeypatch)
    with pytest.raises(Unsuited, match=r"layer found no step of 1\.5 bits in 0 s"):
        module.fit(task(SHAPE), 1.5, 0, lambda _: None)
    assert len(list(folder.iterdir())) == 1
