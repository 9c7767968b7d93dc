"""The gateware of predictors against their integer decoders, on real layers, in Verilator."""

import json

import numpy as np

from hw.predict.seeds import SeedCore
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.format.predictors import SeedShape
from sw.predict import Task, predict, seeds
from sw.zoo import load_network


def test_seeds_of_a_layer_of_digits(verilog_of, tmp_path, monkeypatch):
    shape = SeedShape(10, 7, 3, 4)
    monkeypatch.setattr(seeds, "SHAPES", (shape,))
    weights = load_network("digits").weighted[1].weights
    rows = weights.reshape(1, len(weights), -1).astype(float)
    scale = np.abs(rows).max(axis=2) / 112
    found = seeds.fit(Task("conv2", weights.shape, rows / scale[..., None],
                           np.eye(rows.shape[2])[None], scale), 9, 300, lambda _: None)
    expected = predict(found, weights.shape).ravel()

    mask = (1 << shape.coefficient_bits) - 1
    blocks = [seed | exponent << shape.seed_bits | sum(
        (value & mask) << shape.seed_bits + 2 + term * shape.coefficient_bits
        for term, value in enumerate(coefficients))
        for seed, exponent, coefficients in zip(
            found.seeds.ravel().tolist(), found.exponents.ravel().tolist(),
            found.coefficients.reshape(-1, shape.terms).tolist(), strict=True)]
    job = {"clock_hz": 100_000_000, "filter_size": rows.shape[2], "blocks": blocks,
           "count": expected.size, "stall": 9, "results": str(tmp_path / "results.npz")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    folder = compile_for_cocotb(verilog_of(SeedCore(shape), "seeds"), top="seeds")
    run_cocotb(folder, top="seeds", bench="sim.benches.seeds", testcase="generate_weights",
               environment={"HEADRACE_JOB": str(tmp_path / "job.json")},
               log=tmp_path / "seeds.log")
    results = np.load(tmp_path / "results.npz")
    np.testing.assert_array_equal(results["weights"], expected)
    assert results["cycles"] < 9 / 8 * expected.size + 20
