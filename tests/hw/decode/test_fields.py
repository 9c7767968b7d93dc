# amaranth: UnusedElaboratable=no

import random
from itertools import chain

import pytest

from hw.decode.fields import FieldCutter, WordSplitter

from ..streams import receive, send
from .reference import gaps


SHAPES = [(1, 8, 8, 1), (2, 8, 16, 1), (1, 8, 32, 1), (1, 17, 32, 1), (2, 8, 32, 1),
          (2, 10, 32, 1), (4, 8, 32, 2), (4, 10, 64, 2), (4, 15, 64, 2), (8, 8, 64, 2),
          (8, 8, 64, 3), (8, 10, 128, 2), (8, 4, 32, 3)]


def cut(bits, widths):
    at, fields = 0, []
    for width in widths:
        fields.append(bits >> at & (1 << width) - 1)
        at += width
    return fields


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("lanes, most_bits, word_bits, additions", SHAPES)
def test_fields_follow_one_another(simulate, lanes, most_bits, word_bits, additions, full,
                                  registered):
    dut = FieldCutter(lanes, most_bits=most_bits, word_bits=word_bits, fixed_bits=most_bits,
                      additions=additions, registered=registered)
    rng = random.Random(0)
    bits = rng.getrandbits(1 << 16)
    steps = 300
    widths = [[most_bits if full else rng.choice((0, rng.randint(0, most_bits), most_bits))
               for _ in range(lanes)] for _ in range(steps)]
    expected = cut(bits, chain.from_iterable(widths))
    word = (1 << word_bits) - 1

    async def testbench(ctx):
        place = 0
        for step in range(steps):
            for lane, width in enumerate(widths[step]):
                ctx.set(dut.widths[lane], rng.randint(0, most_bits) if full else width)
            ctx.set(dut.fixed, full)
            ctx.set(dut.words, bits >> place & (word << word_bits | word))
            if ctx.get(dut.advance):
                place += word_bits
            if step >= dut.latency:
                start = (step - dut.latency) * lanes
                for lane, width in enumerate(widths[step - dut.latency]):
                    assert (ctx.get(dut.fields[lane]) & (1 << width) - 1
                            == expected[start + lane]), (step, lane)
            await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("lanes, word_bits, complaint", [
    (3, 32, "Lanes must be 1, 2, 4 or 8, not 3"), (8, 32, "must have 64 bits or more, not 32"),
])
def test_shapes_refused(lanes, word_bits, complaint):
    with pytest.raises(ValueError, match=complaint):
        FieldCutter(lanes, most_bits=8, word_bits=word_bits, fixed_bits=8, additions=2)


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
@pytest.mark.parametrize("part_bits", [8, 16])
def test_parts_of_words_in_order(simulate, part_bits, longest_idle, longest_stall):
    dut = WordSplitter(32, part_bits)
    rng = random.Random(1)
    words = [rng.getrandbits(32) for _ in range(50)]
    expected = [word >> place & (1 << part_bits) - 1
                for word in words for place in range(0, 32, part_bits)]

    async def producer(ctx):
        await send(ctx, dut.i, words, idle=gaps(2, longest_idle))

    async def consumer(ctx):
        assert await receive(ctx, dut.o, len(expected), stall=gaps(3, longest_stall)) == expected

    simulate(dut, producer, consumer, watch=[dut.o])


@pytest.mark.parametrize("part_bits", [8, 16])
def test_a_part_per_cycle(simulate, part_bits):
    dut = WordSplitter(32, part_bits)
    parts = 32 // part_bits

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for cycle in range(5 * parts + dut.latency):
            assert ctx.get(dut.o.valid) == (cycle >= dut.latency)
            # The next word is taken with the last part of the one before.
            assert ctx.get(dut.i.ready) == (cycle % parts == 0)
            await ctx.tick()

    simulate(dut, testbench)
