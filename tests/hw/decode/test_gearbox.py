# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.gearbox import Gearbox

from ..streams import receive, send
from .reference import gaps, to_words


WIDTHS = [(32, 8), (32, 10), (32, 12), (32, 4), (32, 32), (7, 5)]


def random_bits(count):
    rng = random.Random(0)
    return [rng.randrange(2) for _ in range(count)]


def cut(bits, width):
    """Return the whole words of ``width`` bits in ``bits``, bit 0 first."""
    return [sum(bit << place for place, bit in enumerate(bits[start:start + width]))
            for start in range(0, len(bits) - width + 1, width)]


@pytest.mark.parametrize("wide, narrow", WIDTHS)
@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 9])
def test_bits_keep_their_order(simulate, longest_idle, longest_stall, wide, narrow):
    dut = Gearbox(wide, narrow)
    bits = random_bits(wide * 50)

    async def producer(ctx):
        await send(ctx, dut.i, cut(bits, wide), idle=gaps(1, longest_idle))

    async def consumer(ctx):
        words = cut(bits, narrow)
        assert await receive(ctx, dut.o, len(words), stall=gaps(2, longest_stall)) == words

    simulate(dut, producer, consumer, watch=[dut.o])


@pytest.mark.parametrize("wide, narrow", WIDTHS)
def test_a_narrow_word_per_cycle(simulate, wide, narrow):
    dut = Gearbox(wide, narrow)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(100):
            await ctx.tick()
            assert ctx.get(dut.o.valid)

    simulate(dut, testbench)


def test_word_offered_before_it_is_wanted(simulate):
    dut = Gearbox(32, 8)

    async def testbench(ctx):
        await send(ctx, dut.i, to_words([1, 0, 1]))
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)
        assert ctx.get(dut.o.payload) == 0b101

    simulate(dut, testbench)


@pytest.mark.parametrize("narrow", [0, 33])
def test_widths_refused(narrow):
    with pytest.raises(ValueError, match=f"must have 1 to 32 bits, not {narrow}"):
        Gearbox(32, narrow)
