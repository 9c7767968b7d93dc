"""MLPerf Tiny's networks on the simulated engine of the largest target, bit by bit."""

import numpy as np
import pytest

from hw.engine.engine import Engine
from sim.simulation import Part, simulate
from sw.compression import compress
from sw.cycles import predict
from sw.format.target import LARGE
from tests.shared_data import shared_file


#: Models, their inputs, and the bits of their weights.
MODELS = {"kws_ref_model": ("kws", 3.5), "pretrainedResnet_quant": ("ic", 3.5),
          "vww_96_int8": ("vww", 2.5), "ad01_int8": ("ad", 3.3)}

#: Inputs that each network has; variants fill up what is there.
INPUTS = 20


def inputs_of(name, rng, count):
    """Return real inputs, and variants of them with some values changed."""
    with np.load(shared_file("data/mlperf_tiny_inputs.npz")) as inputs:
        real = inputs[f"{name}_x"]
    chosen = real[np.arange(count) % len(real)].reshape(count, -1)
    changed = rng.random(chosen.shape) < 0.02
    changed[:len(real)] = False
    return np.where(changed, rng.integers(-128, 128, chosen.shape), chosen).astype(np.int8)


@pytest.mark.parametrize("count", [1, pytest.param(INPUTS, marks=pytest.mark.slow)])
def test_networks_are_bit_exact_and_on_time(count, verilog_of, tmp_path):
    rng = np.random.default_rng(0)
    parts = []
    for model, (name, bits) in MODELS.items():
        found = compress(shared_file(f"models/{model}.tflite"), codec="huffman", bits=bits,
                         target=LARGE["ulx3s", "85F"])
        x = inputs_of(name, rng, count)
        parts.append(Part(found.data, x.reshape(count, *found.network.input_shape)))
    target = found.target
    simulations = simulate(
        parts, target=target, verilog=verilog_of(Engine(target), "engine"), top="engine",
        bench="sim.benches.engine", clock_hz=100_000_000, baud=0, directory=tmp_path)
    for simulation in simulations:
        assert simulation.exact == simulation.n == count
        assert simulation.cycles == pytest.approx(predict(simulation.image, target).cycles,
                                                  rel=0.03)
        assert len(np.unique(simulation.expected)) > 1


@pytest.mark.slow
def test_eight_lanes_of_tans(verilog_of, tmp_path):
    # Visual wake words and keyword spotting losslessly; anomaly detection in 0.35 ms.
    parts = []
    for model, name, choices in (("vww_96_int8", "vww", {"quantiser": "uniform"}),
                                 ("kws_ref_model", "kws", {"quantiser": "uniform"}),
                                 ("ad01_int8", "ad", {"bits": 3.3})):
        found = compress(shared_file(f"models/{model}.tflite"), codec="tans", lanes=8,
                         target=LARGE["ulx3s", "85F"], **choices)
        x = inputs_of(name, np.random.default_rng(0), 2)
        parts.append(Part(found.data, x.reshape(2, *found.network.input_shape)))
    target = found.target
    assert target.transfer_weights == 8
    simulations = simulate(
        parts, target=target, verilog=verilog_of(Engine(target), "engine"), top="engine",
        bench="sim.benches.engine", clock_hz=100_000_000, baud=0, directory=tmp_path)
    for simulation in simulations:
        assert simulation.exact == simulation.n == 2
        assert simulation.cycles == pytest.approx(predict(simulation.image, target).cycles,
                                                  rel=0.03)
    assert simulations[-1].cycles < 35_000
