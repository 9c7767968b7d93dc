"""The whole accelerator, through its serial pins, in Verilator."""

import dataclasses
import shutil

import numpy as np
import pytest

from hw.accelerator import Accelerator
from sim.simulation import Part, count_toggles, simulate
from sw import zoo
from sw.compression import compress
from sw.cycles import predict
from sw.format.tables import RawShape
from sw.format.target import Target
from sw.image import build_image
from sw.importers import npz
from tests.sim.networks import random_network


CLOCK_HZ = 80_000_000

#: Faster than on a board, for images that are written over the link.
BAUD = 10_000_000


def run(parts, target, verilog, directory):
    return simulate(parts, target=target, verilog=verilog, top="accelerator",
                    bench="sim.benches.accelerator", clock_hz=CLOCK_HZ, baud=BAUD,
                    directory=directory)


def digits(compression, count):
    x = zoo.load_data("digits").x[:count]
    return Part(compression.data, compression.network.quantise_input(x))


@pytest.fixture
def pruned(tmp_path):
    """Return a model file of digits without the smallest 70 % of each layer's weights."""
    network = zoo.load_network("digits")
    layers = []
    for layer in network.layers:
        if layer.weights is not None:
            least = np.quantile(np.abs(layer.weights), 0.7)
            weights = np.where(np.abs(layer.weights) < least, 0, layer.weights)
            layer = dataclasses.replace(layer, weights=weights)
        layers.append(layer)
    npz.save(tmp_path / "pruned.npz", dataclasses.replace(network, layers=tuple(layers)))
    shutil.copy(zoo.find("digits").with_name("digits_data.npz"), tmp_path / "pruned_data.npz")
    return tmp_path / "pruned.npz"


def test_images_run_one_after_the_other(verilog_of, pruned, tmp_path):
    target = Target()
    step = compress("digits", codec="huffman", target=target)
    codebook = compress("digits", quantiser="codebook", codec="huffman", target=target)
    sparse = compress(pruned, codec="huffman", target=target)
    assert sparse.image.table.runs
    network, grids, symbols = random_network(np.random.default_rng(5), target, layers=3)
    other = Part(build_image(network, grids, symbols, target),
                 np.zeros((1, *network.input_shape), np.int8))

    verilog = verilog_of(Accelerator(target, clock_hz=CLOCK_HZ, baud=BAUD), "accelerator")
    parts = [digits(step, 20), other, digits(sparse, 2), digits(codebook, 2)]
    simulations = run(parts, target, verilog, tmp_path)
    for part, simulation in zip(parts, simulations, strict=True):
        assert simulation.exact == simulation.n == len(part.x)
        assert simulation.cycles == pytest.approx(predict(simulation.image, target).cycles,
                                                  rel=0.03)
    assert len({simulation.image.table for simulation in simulations}) == len(parts)
    convolutions = zip(simulations[0].image.network.layers, simulations[0].layer_utilisation,
                       strict=False)
    assert all(utilisation >= 0.8 for _, utilisation in list(convolutions)[:3])


@pytest.mark.slow
def test_raw_weights(verilog_of, tmp_path):
    target = Target(decoder=RawShape())
    uniform = compress("digits", quantiser="uniform", codec="raw", target=target)
    verilog = verilog_of(Accelerator(target, uniform.data, clock_hz=CLOCK_HZ, baud=BAUD),
                         "accelerator")
    part = dataclasses.replace(digits(uniform, 3), resident=True)
    simulation, = run([part], target, verilog, tmp_path)
    assert simulation.exact == simulation.n == 3


def test_toggles_of_one_inference(verilog_of, tmp_path):
    target = Target(decoder=RawShape())
    uniform = compress("digits", quantiser="uniform", codec="raw", target=target)
    verilog = verilog_of(Accelerator(target, clock_hz=CLOCK_HZ, baud=BAUD), "accelerator")
    x = uniform.network.quantise_input(zoo.load_data("digits").x[:1])
    saif = tmp_path / "inference.saif"
    count_toggles(verilog, top="accelerator", image=uniform.image, target=target, x=x,
                  clock_hz=CLOCK_HZ, baud=BAUD, saif=saif, contents=uniform.data)
    # In picoseconds.
    duration = next(int(line.split()[1].rstrip(")")) for line in saif.read_text().splitlines()
                    if line.startswith("(DURATION"))
    cycles = duration * CLOCK_HZ / 1e12
    assert cycles == pytest.approx(predict(uniform.image, target).cycles, rel=0.01)
