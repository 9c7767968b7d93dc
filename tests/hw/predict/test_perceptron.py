# amaranth: UnusedElaboratable=no

import random

import numpy as np
import pytest

from hw.predict.perceptron import PerceptronCore, cycles_of, matrix_words
from sw.format.predictors import Autoencoder, Perceptron
from sw.predict import predict

from ..streams import NEVER, receive, send


def gaps(seed):
    rng = random.Random(seed)
    while True:
        yield rng.choice((0, 0, 0, 1, 3))


def draw(widths, seed=0, spread=100, shift=7):
    """Return a network with ``widths`` of inputs, hidden values if there are any, and outputs."""
    rng = np.random.default_rng(seed)
    sizes = list(zip(widths[1:], widths[:-1], strict=True))
    return Perceptron(
        tuple(rng.integers(-spread, spread, size).astype(np.int8) for size in sizes),
        tuple(rng.integers(-3000, 3000, height).astype(np.int32) for height, _ in sizes),
        (shift,) * len(sizes))


def latents(decoder, filters, size, seed=0):
    blocks = -(-size // decoder.outputs)
    rng = np.random.default_rng(seed)
    return Autoencoder(decoder, rng.integers(-128, 128, (filters, blocks * decoder.inputs))
                       .astype(np.int8))


async def load(ctx, dut, decoder, size):
    deep = len(decoder.matrices) == 2
    for name, value in {"deep": deep, "inputs": decoder.inputs, "outputs": decoder.outputs,
                        "hidden": len(decoder.matrices[0]) if deep else 0,
                        "filter_size": size, "shifts": [*decoder.shifts, 0][:2]}.items():
        ctx.set(getattr(dut, name), value)
    await send(ctx, dut.matrix, [
        {"address": address, "weights": word}
        for address, word in enumerate(matrix_words(decoder, dut.lanes))])
    await send(ctx, dut.bias, [
        {"output": output, "layer": layer, "value": value}
        for layer, biases in enumerate(decoder.biases)
        for output, value in enumerate(biases.tolist())])


def generate(simulate, found, size, *, lanes=8, idle=NEVER, stall=NEVER):
    """Compare the weights of filters, and return the cycles in which one left."""
    dut = PerceptronCore(lanes=lanes)
    filters = len(found.latents)
    expected = predict(found, (filters, 1, 1, size)).ravel().tolist()
    cycles = []

    async def producer(ctx):
        await load(ctx, dut, found.decoder, size)
        await send(ctx, dut.i, found.latents.ravel().tolist(), idle=idle)

    async def consumer(ctx):
        assert await receive(ctx, dut.o, len(expected), stall=stall) == expected
        for _ in range(40):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid

    async def clock(ctx):
        cycle = 0
        while True:
            _, _, leaves = await ctx.tick().sample(dut.o.valid & dut.o.ready)
            cycle += 1
            if leaves:
                cycles.append(cycle)

    simulate(dut, producer, consumer, background=[clock], watch=[dut.o], max_cycles=50_000)
    return cycles


NETWORKS = [(8, 8), (3, 5), (1, 1), (20, 9), (5, 12, 9), (30, 17, 8), (2, 3, 1), (4, 32, 20)]


@pytest.mark.parametrize("widths", NETWORKS, ids=str)
@pytest.mark.parametrize("idle, stall", [(False, False), (True, False), (False, True),
                                         (True, True)])
def test_weights_are_the_decoders(simulate, widths, idle, stall):
    found = latents(draw(widths), 4, 21)
    generate(simulate, found, 21, idle=gaps(1) if idle else NEVER,
             stall=gaps(2) if stall else NEVER)


@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.parametrize("widths", NETWORKS[::2], ids=str)
def test_other_lanes(simulate, lanes, widths):
    generate(simulate, latents(draw(widths, 3), 3, 30, 3), 30, lanes=lanes, stall=gaps(4))


def test_a_long_stall_loses_nothing(simulate):
    found = latents(draw((3, 9)), 2, 150)
    generate(simulate, found, 150, stall=iter([400, *[0] * 299]))


def test_extremes_are_exact(simulate):
    widest = Perceptron(
        (np.full((2, 255), -128, np.int8), np.full((3, 2), 127, np.int8)),
        (np.full(2, 32767, np.int32), np.full(3, -32768, np.int32)), (0, 15))
    found = latents(widest, 1, 6)
    found.latents[:, :255] = -128
    generate(simulate, found, 6)
    flat = Perceptron((np.full((9, 255), -128, np.int8),), (np.full(9, -32768, np.int32),), (15,))
    found = latents(flat, 1, 9)
    found.latents[:] = 127
    generate(simulate, found, 9)


@pytest.mark.parametrize("widths, lanes", [
    ((8, 8), 8), ((8, 8), 4), ((20, 9), 8), ((5, 12, 9), 8), ((30, 17, 8), 16)], ids=str)
def test_cycles_of_a_block(simulate, widths, lanes):
    decoder = draw(widths)
    blocks, size = 8, decoder.outputs
    cycles = generate(simulate, latents(decoder, blocks, size), size, lanes=lanes)
    starts = cycles[::size]
    # The first two blocks may wait for latent values.
    assert set(np.diff(starts[2:]).tolist()) == {max(cycles_of(decoder, lanes), decoder.inputs)}


def test_a_weight_a_cycle():
    assert cycles_of(draw((8, 8)), 8) == 8


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="Lanes must be 4, 8 or 16, not 5"):
        PerceptronCore(lanes=5)
    with pytest.raises(ValueError, match="at most 512 words of 4 weights, not 765"):
        matrix_words(draw((255, 9)), 4)
