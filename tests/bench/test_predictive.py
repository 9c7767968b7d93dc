import json
from dataclasses import replace

import numpy as np
import pytest

from bench import predictive
from bench.generators import throughput
from hw.predict.job import job_for
from sw.compression import compress
from sw.format.predictors import (Expression, Instruction, Operator, Predicted, Seeds, SeedShape)
from sw.predict import predict, seeds


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


def seeds_job():
    rng = np.random.default_rng(0)
    shape = SeedShape(9, 4, 2, 4)
    found = Seeds(shape, rng.integers(1, 512, (3, 5)), rng.integers(0, 4, (3, 5)),
                  rng.integers(-8, 8, (3, 5, 2)))
    return job_for(found, (3, 1, 1, 20)), predict(found, (3, 1, 1, 20)).ravel().tolist()


def test_throughput_is_simulated_and_compared():
    job, expected = seeds_job()
    assert throughput(job, expected[:50]) == 1.0
    with pytest.raises(ValueError, match="SeedCore must give what its decoder does"):
        throughput(job, [*expected[:-1], expected[-1] ^ 1])


def test_figures_of_gates():
    job, _ = seeds_job()
    found = predictive.figures(job.core, 0.5)
    assert found["dsp"] == found["ebr"] == 0
    assert found["lut4"] > found["ff"] > 50
    assert found["pj_per_weight"] == found["ff"] * 0.25 / 0.5


def test_each_decoder_has_a_row(monkeypatch):
    monkeypatch.setattr(predictive, "figures", lambda core, rate: {"weights_per_cycle": rate})
    program = (Instruction(Operator.PLACE), Instruction(Operator.LOOK_UP))
    memory = np.random.default_rng(0).integers(-100, 100, (16, 4)).astype(np.int8)
    found = compress("digits", target=None)
    weights = found.image.network.weighted[0].weights
    plain = list(predictive.measure("digits", found, 1, gates=True))
    assert [(row["decoder"], row["weights_per_cycle"]) for row in plain] == [("tans", 1.0)]
    layers = [Predicted(Expression(4, program, memory), False), *[Predicted()] * 3]
    image = replace(found.image, predicted=tuple(layers))
    assert weights.shape == (16, 4, 4, 1)
    interpreter, built = predictive.measure("digits", replace(found, image=image), 1, gates=True)
    assert (interpreter["decoder"], built["decoder"]) == ("interpreter", "built")
    # A weight takes 5 cycles, one that is stored 3, and a filter 4 for its cells.
    assert interpreter["weights_per_cycle"] == pytest.approx(16 / (12 * 5 + 4 * 3 + 4), rel=0.03)
    assert built["weights_per_cycle"] > 0.95


def test_the_plain_code_that_is_as_accurate():
    plain = [{"bits_per_weight": bits, "accuracy": accuracy}
             for bits, accuracy in ((4.0, 0.99), (3.0, 0.98), (2.0, 0.985), (1.0, 0.7))]
    assert predictive.as_accurate(plain, {"accuracy": 0.98}) == 2.0
    assert predictive.as_accurate(plain, {"accuracy": 0.995}) is None
