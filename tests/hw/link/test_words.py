import random

import pytest

from hw.link.words import WordPacker

from ..streams import receive, send
from .models import gaps
from .test_cobs import frame_bytes


FRAMES = [random.Random(0).randbytes(4 * words) for words in (1, 5, 61)]
WORDS = [(int.from_bytes(frame[start:start + 4], "little"), start == len(frame) - 4)
         for frame in FRAMES for start in range(0, len(frame), 4)]


@pytest.mark.parametrize("longest_stall", [0, 9])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_bytes_are_packed(simulate, longest_idle, longest_stall):
    dut = WordPacker()

    async def producer(ctx):
        await send(ctx, dut.i, frame_bytes(FRAMES), idle=gaps(1, longest_idle))

    async def consumer(ctx):
        words = await receive(ctx, dut.o, len(WORDS), stall=gaps(2, longest_stall))
        assert [(word.data, word.last) for word in words] == WORDS

    simulate(dut, producer, consumer, watch=[dut.i, dut.o])


def test_a_word_takes_five_cycles(simulate):
    dut = WordPacker()

    async def producer(ctx):
        await send(ctx, dut.i, frame_bytes(FRAMES))

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(5 * len(WORDS)):
            assert ctx.get(dut.o.valid) == (cycle % 5 == 4)
            await ctx.tick()

    simulate(dut, producer, consumer)
