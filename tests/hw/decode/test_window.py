# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.window import BITS, BitWindow

from ..streams import NEVER, send
from .reference import gaps


def pieces(words, lengths):
    """Return the bits at the beginning of each piece."""
    bits = sum(word << 32 * place for place, word in enumerate(words))
    shown = []
    for length in lengths:
        shown.append(bits & (1 << BITS) - 1)
        bits >>= length
    return shown


async def take(ctx, dut, length):
    """Take bits and return those that were shown."""
    while not ctx.get(dut.valid):
        await ctx.tick()
    shown = ctx.get(dut.bits)
    ctx.set(dut.end, ctx.get(dut.offset) + length)
    ctx.set(dut.take, 1)
    await ctx.tick()
    ctx.set(dut.take, 0)
    return shown


def take_all(simulate, words, lengths, *, idle=NEVER, stall=NEVER):
    """Take pieces and check them; take what is left of the words, too."""
    dut = BitWindow()
    sent = False

    async def producer(ctx):
        nonlocal sent
        await send(ctx, dut.i, words, idle=idle)
        sent = True

    async def consumer(ctx):
        for length, shown in zip(lengths, pieces(words, lengths), strict=True):
            for _ in range(next(stall)):
                await ctx.tick()
            assert await take(ctx, dut, length) == shown
        while not sent:
            ctx.set(dut.end, ctx.get(dut.offset) + BITS)
            ctx.set(dut.take, ctx.get(dut.valid))
            await ctx.tick()

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
@pytest.mark.parametrize("most", [3, BITS])
def test_bits_in_order(simulate, longest_idle, longest_stall, most):
    rng = random.Random(most)
    lengths = [rng.randint(0, most) for _ in range(300)]
    words = [rng.getrandbits(32) for _ in range(sum(lengths) // 32 + 3)]
    take_all(simulate, words, lengths, idle=gaps(1, longest_idle), stall=gaps(2, longest_stall))


def test_all_bits_in_each_cycle(simulate):
    dut = BitWindow()
    rng = random.Random(0)
    words = [rng.getrandbits(32) for _ in range(50)]

    async def producer(ctx):
        await send(ctx, dut.i, words)

    async def consumer(ctx):
        await take(ctx, dut, 5)
        for shown in pieces(words, [5] + [BITS] * 97)[1:]:
            assert ctx.get(dut.valid)
            assert await take(ctx, dut, BITS) == shown
        await take(ctx, dut, BITS)

    simulate(dut, producer, consumer)


def test_bits_need_the_next_word(simulate):
    dut = BitWindow()

    async def testbench(ctx):
        await send(ctx, dut.i, [0x12345678])
        for _ in range(3):
            assert not ctx.get(dut.valid)
            await ctx.tick()
        ctx.set(dut.i.valid, 1)
        assert ctx.get(dut.valid)
        assert ctx.get(dut.bits) == 0x5678

    simulate(dut, testbench)
