"""Whole accelerators that stream from flash or SDRAM, with the decoders that other tests lack."""

import numpy as np
import pytest

from boards import find_board
from hw.site import Site
from hw.top import ACCELERATOR
from sim.simulation import Part, simulate_resident
from sim.throughput import report_throughput
from sw.compression import compress
from sw.cycles import predict
from sw.format.target import PRESETS, Memory


CLOCK_HZ = 80_000_000

SITE = Site(find_board("ulx3s"), "85F", CLOCK_HZ, CLOCK_HZ // 8)


@pytest.mark.slow
@pytest.mark.parametrize("memory, codec", [(Memory.FLASH, "runlength"), (Memory.SDRAM, "rice")])
def test_cycles_are_those_predicted(tmp_path, memory, codec):
    made = compress("digits", codec=codec, bits=2.25,
                    target=PRESETS["ulx3s", "85F"].with_memory(memory))
    x = made.network.quantise_input(np.load("sw/zoo/digits_data.npz")["x"][:2])
    simulation = simulate_resident(
        Part(made.data, x, resident=True), target=made.target,
        verilog=SITE.elaborate(made.target, made.data), top=ACCELERATOR, clock_hz=CLOCK_HZ,
        baud=CLOCK_HZ // 8, directory=tmp_path)
    assert simulation.exact == 2
    prediction = predict(simulation.image, made.target)
    assert simulation.cycles == pytest.approx(prediction.cycles, rel=0.01)
    assert simulation.layer_cycles == pytest.approx(
        [layer.cycles for layer in prediction.layers], rel=0.03)
    throughput = report_throughput(simulation, [layer.name for layer in made.network.layers])
    assert throughput["memory"]["kind"] == memory
    assert 0 < throughput["memory"]["busy_share"] < 1
