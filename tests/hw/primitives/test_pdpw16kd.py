# amaranth: UnusedElaboratable=no

import random
from types import SimpleNamespace

import pytest

from hw.primitives.pdpw16kd import PDPW16KD


def write(ctx, dut, address, word):
    ctx.set(dut.writes.payload, {"address": address, "data": word})
    ctx.set(dut.writes.valid, 1)


def read(ctx, dut, address):
    ctx.set(dut.reads.payload, address)
    ctx.set(dut.reads.valid, 1)


def test_words_follow_reads_at_stated_latency(simulate):
    dut = PDPW16KD()
    rng = random.Random(1)

    async def testbench(ctx):
        memory = [0] * 512
        expected = [0] * (dut.latency - 1)
        word = 0
        for _ in range(3000):
            # Few addresses, so that a word is often read right after its write.
            written, address = rng.choice((0, 1, 511)), rng.choice((0, 1, 511, 256))
            ctx.set(dut.writes.valid, 0)
            ctx.set(dut.reads.valid, 0)
            if rng.randrange(2):
                read(ctx, dut, address)
                word = memory[address]
            if rng.randrange(2) and not (ctx.get(dut.reads.valid) and address == written):
                memory[written] = rng.randrange(1 << 36)
                write(ctx, dut, written, memory[written])
            expected.append(word)
            await ctx.tick()
            assert ctx.get(dut.data) == expected.pop(0)

    simulate(dut, testbench)


def test_read_of_a_word_being_written_is_caught(simulate):
    dut = PDPW16KD()

    async def testbench(ctx):
        write(ctx, dut, 7, 1)
        read(ctx, dut, 7)
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match="PDPW16KD: a word is read while it is written"):
        simulate(dut, testbench)


def test_other_device_refused():
    with pytest.raises(NotImplementedError, match="must be built for an ECP5, not iCE40UP5K"):
        PDPW16KD().elaborate(SimpleNamespace(device="iCE40UP5K"))
