# amaranth: UnusedElaboratable=no

import numpy as np
import pytest
from amaranth.hdl import Fragment

from hw.engine.datapath import Datapath
from hw.engine.engine import Engine
from sw import golden
from sw.cycles import predict
from sw.format.status import Counter, Error, State
from sw.format.tables import AutomatonShape, RawShape
from sw.format.target import Target
from sw.format.timing import drain_cycles
from sw.image import build_image, read_image
from sw.schedule import place_activations
from tests.hw.streams import receive, send
from tests.sim.networks import random_network


@pytest.mark.parametrize("rows, columns, requantisers",
                         [(4, 4, 1), (8, 4, 2), (8, 8, 4), (16, 8, 4), (32, 8, 1)])
def test_outputs_are_written_when_the_schedule_says(rows, columns, requantisers):
    target = Target(rows=rows, columns=columns, requantisers=requantisers)
    datapath = Datapath(target)
    assert datapath.latency == drain_cycles(target)
    Fragment.get(datapath, platform=None)


def test_image_beyond_the_memory_rejected():
    target = Target(memory_words=256)
    with pytest.raises(ValueError, match="at most 1024 bytes, not 1028"):
        Engine(target, bytes(1028))


@pytest.mark.parametrize("decoder", [AutomatonShape(), RawShape()], ids=lambda shape: shape.name)
def test_network_runs_as_the_golden_model_does(simulate, decoder):
    target = Target(memory_words=4096, activation_bytes=1024, decoder=decoder)
    rng = np.random.default_rng(9)
    while True:
        network, grids, symbols = random_network(rng, target, layers=2)
        if 300 < network.weights < 1500:
            break
    image = build_image(network, grids, symbols, target)
    x = np.random.default_rng(1).integers(-128, 128, network.input_shape, dtype=np.int8)
    expected = golden.run(network, x[None])[-1].ravel()
    addresses = place_activations([layer.descriptor for layer in network.layers], target)
    dut = Engine(target, image)

    async def settle(ctx):
        while ctx.get(dut.state) in (State.LOADING, State.RUNNING):
            await ctx.tick()

    async def testbench(ctx):
        await settle(ctx)
        assert ctx.get(dut.error) == Error.NONE
        await send(ctx, dut.inputs, [{"address": addresses[0] + place, "data": int(value) & 0xff}
                                     for place, value in enumerate(x.ravel())])
        ctx.set(dut.run, 1)
        await ctx.tick()
        ctx.set(dut.run, 0)
        await settle(ctx)
        assert ctx.get(dut.state) == State.READY

        outputs = []
        for place in range(len(expected)):
            await send(ctx, dut.output_reads, [addresses[-1] + place])
            outputs += await receive(ctx, dut.outputs, 1)
        assert np.array_equal(np.array(outputs, np.uint8).view(np.int8), expected)

        ctx.set(dut.counter, Counter.CYCLES)
        await ctx.tick().repeat(2)
        cycles = ctx.get(dut.count)
        assert cycles == pytest.approx(predict(read_image(image), target).cycles, abs=5)

    simulate(dut, testbench, max_cycles=30_000)


def test_empty_memory_holds_no_image(simulate):
    dut = Engine(Target(memory_words=256))

    async def testbench(ctx):
        while ctx.get(dut.state) == State.LOADING:
            await ctx.tick()
        assert ctx.get(dut.state) == State.FAILED
        assert ctx.get(dut.error) == Error.NO_IMAGE
        ctx.set(dut.run, 1)
        await ctx.tick().repeat(50)
        assert ctx.get(dut.state) == State.FAILED

    simulate(dut, testbench)
