import json

import numpy as np
import pytest

from bench import predictive
from bench.generators import throughput
from sw.format.predictors import Seeds, SeedShape
from sw.predict import seeds


def test_rows_tell_what_was_asked_for(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 8, 3, 4), SeedShape(8, 16, 2, 3)))
    monkeypatch.setattr(predictive, "PLAIN_BITS", (3.0,))
    path = tmp_path / "rows.json"
    predictive.main(["digits", "--predictors", "seeds", "--bits", "3", "--no-gates", "-o",
                     str(path)])
    rows = json.loads(path.read_text())
    assert [(row["predictor"], row["residual"]) for row in rows] == [
        ("none", False), ("seeds", False), ("seeds", True)]
    plain, predicted, residual = rows
    assert predicted["fit_s"] > 0
    assert plain["fit_s"] is None
    assert plain["bits_per_weight"] == pytest.approx(3, abs=0.1)
    # No layer gains by a prediction, so it is the plain image.
    assert residual["bits_per_weight"] <= plain["bits_per_weight"] + 0.01
    assert residual["accuracy"] == plain["accuracy"]
    assert predicted["mse"] > 0
    assert {row["reference_accuracy"] for row in rows} == {plain["reference_accuracy"]}
    assert all(row["lut4"] is None and row["weights_per_cycle"] is None for row in rows)
    assert "digits" in capsys.readouterr().out


def test_unknown_models_are_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: Model must be one of digits, .*, not nothing"):
        predictive.main(["nothing", "-o", str(tmp_path / "rows.json")])
    assert not (tmp_path / "rows.json").exists()


def test_inputs_are_held_out(monkeypatch, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    x = np.arange(3000, dtype=np.float32)[:, None, None] * np.ones((28, 28))
    np.savez(data / "mnist_t10k.npz", x=x, y=np.arange(3000) % 10)
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))
    options = predictive.inputs(predictive.MODELS["mnist"], tmp_path)
    with np.load(options["data"]) as judged, np.load(options["calibration"]) as calibrated:
        assert judged["x"].shape == (600, 28, 28, 1)
        assert set(judged["x"][:, 0, 0, 0] % 5) == {0}
        assert calibrated["x"].shape == (300, 28, 28, 1)
        assert 0 not in calibrated["x"][:, 0, 0, 0] % 5
    monkeypatch.delenv("HEADRACE_DATA")
    with pytest.raises(ValueError, match=r"mnist needs data/mnist_t10k\.npz in the folder"):
        predictive.inputs(predictive.MODELS["mnist"], tmp_path)


def test_throughput_is_simulated_and_compared(monkeypatch):
    rng = np.random.default_rng(0)
    shape = SeedShape(9, 4, 2, 4)
    found = Seeds(shape, rng.integers(1, 512, (3, 5)), rng.integers(0, 4, (3, 5)),
                  rng.integers(-8, 8, (3, 5, 2)))
    assert throughput(found) == 1.0
    monkeypatch.setattr("bench.generators.predict", lambda *_: np.zeros(60, np.int8))
    with pytest.raises(ValueError, match="must give what its decoder does"):
        throughput(found)
