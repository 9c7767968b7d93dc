"""The gateware of predictors against images that the command writes, in Verilator."""

import json

import numpy as np
import pytest

from hw.predict.job import interpreted, job_for
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.compress import main as compress
from sw.format.predictors import Expression, Hypernetwork, SeedShape
from sw.image import load_image
from sw.inspect import main as inspect
from sw.predict import checkpoints

from tests.shared_data import shared_file


#: How little effort a fit takes here, and that it need be no good.
EFFORT = {
    "seeds": {"SHAPES": (SeedShape(10, 7, 3, 4),)},
    "gpam": {"POPULATION": 40, "GENERATIONS": 5, "MOST_LOST": 1.0},
    "autoencoder": {"TRIALS": 4},
    "hypernet": {"EPOCHS": 100, "MOST_LOST": 1.0},
}

#: Weights of a layer that are compared where each takes many cycles.
SLOW = 4000


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "checkpoints")


def write_image(predictor, model, folder):
    """Write an image with the command, and return what reading it gives."""
    module = pytest.importorskip(f"sw.predict.{predictor}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in EFFORT[predictor].items():
            patch.setattr(module, name, value)
        return write(predictor, model, folder)


def write(predictor, model, folder):
    path = folder / f"{predictor}.hri"
    options = [model, "--predictor", predictor, "--time", "3600", "-o", str(path)]
    if model == "mnist":
        with np.load(shared_file("data/mnist_t10k.npz")) as data:
            x, y = data["x"][..., None], data["y"]
        np.savez(folder / "data.npz", x=x[:200:5], y=y[:200:5])
        np.savez(folder / "calibration.npz", x=x[1:1001:5])
        options += ["--data", str(folder / "data.npz"),
                    "--calibrate", str(folder / "calibration.npz")]
    compress(options)
    inspect([str(path), "--verify"])
    return load_image(path)


def layers_of(image):
    """Return the predictors and weights of all layers that are generated, the largest first."""
    layers = [(how.predictor, layer.weights)
              for how, layer in zip(image.predicted, image.network.weighted, strict=True)
              if how.predictor is not None]
    return sorted(layers, key=lambda layer: -layer[1].size)


def generate(verilog_of, job, count, folder):
    """Return the weights that gateware generates, and the cycles that it takes."""
    top = type(job.core).__name__.lower()
    (folder / "job.json").write_text(json.dumps({
        "clock_hz": 100_000_000, "levels": job.levels, "writes": job.writes, "inputs": job.inputs,
        "count": count, "stall": 9, "results": str(folder / "results.npz")}))
    run_cocotb(compile_for_cocotb(verilog_of(job.core, top), top=top), top=top,
               bench="sim.benches.generator", testcase="generate_weights",
               environment={"HEADRACE_JOB": str(folder / "job.json")}, log=folder / f"{top}.log")
    results = np.load(folder / "results.npz")
    return results["weights"], int(results["cycles"])


def compare(verilog_of, job, weights, folder, *, count=None):
    """Compare generated weights, all or the first ones, with an image's; return the cycles."""
    expected = weights.transpose(job.order).ravel()[:count]
    found, cycles = generate(verilog_of, job, expected.size, folder)
    np.testing.assert_array_equal(found, expected)
    return cycles


def test_seeds_of_digits(verilog_of, tmp_path):
    image = write_image("seeds", "digits", tmp_path)
    predictor, weights = layers_of(image)[1]
    cycles = compare(verilog_of, job_for(predictor, weights.shape), weights, tmp_path)
    # But for stalls a weight a cycle.
    assert cycles < 9 / 8 * weights.size + 20


@pytest.mark.slow
@pytest.mark.parametrize("model", ["digits", "mnist"])
@pytest.mark.parametrize("predictor", EFFORT)
def test_layers_of_an_image(verilog_of, tmp_path, predictor, model):
    layers = layers_of(write_image(predictor, model, tmp_path))
    assert len(layers) > 1
    # Each expression is a core of its own to compile.
    for found, weights in layers[:2] if predictor == "gpam" else layers:
        job = job_for(found, weights.shape)
        if isinstance(found, Hypernetwork):
            compare(verilog_of, job, weights, tmp_path, count=SLOW)
        else:
            cycles = compare(verilog_of, job, weights, tmp_path)
            assert cycles < 9 / 8 * weights.size + 300
        if isinstance(found, Expression):
            compare(verilog_of, interpreted(found, weights.shape), weights, tmp_path, count=SLOW)
