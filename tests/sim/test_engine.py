"""The engine on random networks and on damaged images, in Verilator."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from hw.engine.engine import Engine
from sim.simulation import Part, simulate
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.compression import compress
from sw.cycles import predict
from sw.format.layers import Operation
from sw.format.sections import HEADER_WORDS, Section, unpack_header
from sw.format.status import Error
from sw.format.tables import AutomatonShape, RawShape, RiceShape, RunLengthShape
from sw.format.target import Target, tans_lanes
from sw.image import build_image
from tests.sim.networks import SHARES, random_network


CLOCK_HZ = 100_000_000

TARGETS = {
    "8x4": Target(),
    "4x4": Target(rows=4, requantisers=1, decoder=RawShape()),
    "8x8": Target(columns=8, requantisers=4, decoder=AutomatonShape(4, 6)),
    "8x4, rice": Target(decoder=RiceShape()),
    "8x4, runlength": Target(decoder=RunLengthShape()),
}

#: Networks of 1 to 4 layers that each of the targets runs.
NETWORKS = 40


@pytest.mark.parametrize("seed, target", list(enumerate(TARGETS.values(), 1)), ids=TARGETS)
def test_random_networks_are_bit_exact_and_on_time(seed, target, verilog_of, tmp_path):
    rng = np.random.default_rng(seed)
    parts = []
    while len(parts) < NETWORKS:
        network, grids, symbols = random_network(
            rng, target, layers=int(rng.integers(1, 5)), sparsity=float(rng.choice([0, 0.7])))
        image = build_image(network, grids, symbols, target)
        x = rng.integers(-128, 128, (2, *network.input_shape), dtype=np.int8)
        parts.append(Part(image, x))

    simulations = simulate(
        parts, target=target, verilog=verilog_of(Engine(target), "engine"), top="engine",
        bench="sim.benches.engine", clock_hz=CLOCK_HZ, baud=0, directory=tmp_path)
    for simulation in simulations:
        assert simulation.exact == simulation.n == 2
        prediction = predict(simulation.image, target)
        assert simulation.cycles == pytest.approx(prediction.cycles, rel=0.03, abs=5)
        assert simulation.waiting == pytest.approx(prediction.waiting, rel=0.03, abs=10)
        for stalls, layer in zip(simulation.layer_stalls, prediction.layers, strict=True):
            assert stalls == pytest.approx(layer.waiting, rel=0.03, abs=10)
        assert sum(simulation.layer_stalls) == simulation.waiting

    # What would pass by chance: outputs at a limit, and networks without convolutions.
    operations = Counter(layer.descriptor.operation for simulation in simulations
                         for layer in simulation.image.network.layers)
    assert operations[Operation.CONV2D] >= 15
    assert set(operations) == set(SHARES)
    assert sum(layer.shift.max(initial=0) > 0 for simulation in simulations
               for layer in simulation.image.network.layers) >= 3
    various = [simulation for simulation in simulations
               if len(np.unique(simulation.expected)) > 8]
    assert len(various) >= 0.7 * NETWORKS


def test_flipped_bits_are_refused(verilog_of, tmp_path):
    target = Target()
    network, grids, symbols = random_network(np.random.default_rng(7), target, layers=2)
    image = build_image(network, grids, symbols, target)
    _, lengths = unpack_header(image)
    coded = 4 * (len(image) // 4 - 1 - lengths[Section.CODED_DATA])
    flips = [(byte, bit) for byte in range(coded) for bit in range(8)]
    rng = random.Random(3)
    flips += [(rng.randrange(coded, len(image)), rng.randrange(8)) for _ in range(200)]

    folder = compile_for_cocotb(verilog_of(Engine(target), "engine"), top="engine")
    (tmp_path / "image.hri").write_bytes(image)
    job = {"clock_hz": CLOCK_HZ, "image": str(tmp_path / "image.hri"), "flips": flips,
           "results": str(tmp_path / "results.npz")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    run_cocotb(folder, top="engine", bench="sim.benches.engine", testcase="flip_bits",
               environment={"HEADRACE_JOB": str(tmp_path / "job.json")},
               log=tmp_path / "flips.log")

    errors = np.load(tmp_path / "results.npz")["errors"]
    assert len(errors) == len(flips)
    for (byte, _), error in zip(flips, errors, strict=True):
        if byte < 3:
            expected = Error.NO_IMAGE
        elif byte == 3:
            expected = Error.VERSION
        elif byte < 4 * HEADER_WORDS:
            expected = Error.HEADER_CRC
        else:
            expected = Error.SECTION_CRC
        assert error == expected, byte


@pytest.mark.parametrize("lanes", [8, *(pytest.param(lanes, marks=pytest.mark.slow)
                                       for lanes in (1, 2, 4))])
def test_digits_with_lanes_of_tans(lanes, verilog_of, tmp_path):
    target = Target(columns=8, decoder=tans_lanes(lanes))
    found = compress("digits", codec="tans", lanes=lanes, target=target)
    x = np.random.default_rng(lanes).integers(-128, 128, (20, *found.network.input_shape), np.int8)
    simulation, = simulate(
        [Part(found.data, x)], target=target, verilog=verilog_of(Engine(target), "engine"),
        top="engine", bench="sim.benches.engine", clock_hz=CLOCK_HZ, baud=0, directory=tmp_path)
    assert simulation.exact == simulation.n == 20
    assert simulation.cycles == pytest.approx(predict(simulation.image, target).cycles, rel=0.01)
