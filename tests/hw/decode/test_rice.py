# amaranth: UnusedElaboratable=no

import random

import numpy as np
import pytest

from hw.decode.rice import RiceCore
from sw.codecs import RiceCodec
from sw.format.tables import RiceCode
from sw.quantize.grid import zigzag_symbols

from ..streams import NEVER, receive, send
from .reference import gaps


def draw(count, spread, seed):
    rng = np.random.default_rng(seed)
    return np.rint(rng.laplace(0, spread, count)).clip(-128, 127).astype(np.int8)


#: Weights of layers whose parameters differ, and all that there are, in any order.
MIXED = np.concatenate([draw(150, 0.4, 1), draw(150, 40, 2), draw(150, 3, 3),
                        np.random.default_rng(4).permutation(np.arange(-128, 128)).astype(np.int8),
                        np.zeros(40, np.int8), np.full(3, -128, np.int8)])


def words_of(symbols):
    return np.frombuffer(RiceCodec().encode(symbols, RiceCode()), "<u4").tolist()


def changes_of(symbols):
    """Return how often the parameter changes: what a symbol doesn't need, bit by bit."""
    bits = sum(word << 32 * place for place, word in enumerate(words_of(symbols)))
    parameter = changes = 0
    for symbol in symbols.tolist():
        if bits & 0xff == 0xff and bits >> 8 & 0xff < 8:
            parameter, bits, changes = bits >> 8 & 7, bits >> 16, changes + 1
        quotient = symbol >> parameter
        bits >>= 16 if quotient >= 8 else quotient + 1 + parameter
    assert bits == 0
    return changes


def decode(simulate, weights, *, direct=1, idle=NEVER, stall=NEVER):
    dut = RiceCore()
    symbols = zigzag_symbols(weights)

    async def producer(ctx):
        ctx.set(dut.direct, direct)
        await send(ctx, dut.i, [*words_of(symbols), 0, 0], idle=idle)

    async def consumer(ctx):
        expected = weights.view(np.uint8) if direct else symbols
        assert await receive(ctx, dut.o, len(weights), stall=stall) == expected.tolist()
        ctx.set(dut.o.ready, 1)     # What follows is nobody's.

    simulate(dut, producer, consumer, watch=[dut.o])


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_weights_of_the_encoder(simulate, longest_idle, longest_stall):
    decode(simulate, MIXED, idle=gaps(1, longest_idle), stall=gaps(2, longest_stall))


def test_indices(simulate):
    decode(simulate, MIXED, direct=0)


@pytest.mark.parametrize("parameter", range(8))
def test_every_symbol_with_every_parameter(simulate, parameter):
    dut = RiceCore()
    bits = "1" * 8 + f"{parameter:08b}"[::-1] if parameter else ""
    for symbol in range(256):
        quotient = symbol >> parameter
        bits += ("1" * 8 + f"{symbol:08b}"[::-1] if quotient >= 8 else
                 "1" * quotient + "0" + f"{symbol:08b}"[::-1][:parameter])
    number = int(bits[::-1], 2)
    words = [number >> place & 0xffffffff for place in range(0, len(bits), 32)]

    async def producer(ctx):
        await send(ctx, dut.i, [*words, 0, 0])

    async def consumer(ctx):
        assert await receive(ctx, dut.o, 256) == list(range(256))
        ctx.set(dut.o.ready, 1)

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("weights", [
    MIXED, np.zeros(500, np.int8), np.full(500, -128, np.int8), draw(500, 1, 5)],
    ids=["mixed", "zeros", "ends", "few"])
def test_a_weight_per_cycle_but_for_changes(simulate, weights):
    dut = RiceCore()
    symbols = zigzag_symbols(weights)

    async def producer(ctx):
        ctx.set(dut.direct, 1)
        await send(ctx, dut.i, [*words_of(symbols), 0, 0])

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.i.valid & dut.i.ready)
        cycles, received = 0, []
        while len(received) < len(weights):
            if ctx.get(dut.o.valid):
                received.append(ctx.get(dut.o.payload))
            await ctx.tick()
            cycles += 1
        assert received == weights.view(np.uint8).tolist()
        assert cycles == len(weights) + changes_of(symbols) + dut.latency

    simulate(dut, producer, consumer)


def test_weight_offered_before_it_is_wanted(simulate):
    dut = RiceCore()

    async def testbench(ctx):
        await send(ctx, dut.i, [0b10 << 1])
        ctx.set(dut.i.valid, 1)
        for _ in range(4):
            await ctx.tick()
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)
        assert await receive(ctx, dut.o, 3) == [0, 0, 1]

    simulate(dut, testbench)


@pytest.mark.parametrize("seed", range(3))
def test_garbage_keeps_flowing(simulate, seed):
    dut = RiceCore()
    rng = random.Random(seed)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        quiet = 0
        for _ in range(500):
            ctx.set(dut.i.payload, rng.choice([0, 0xffffffff, rng.getrandbits(32)]))
            await ctx.tick()
            quiet = 0 if ctx.get(dut.o.valid) else quiet + 1
            assert quiet < 10

    simulate(dut, testbench)
