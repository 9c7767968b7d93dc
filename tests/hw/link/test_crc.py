import random

import pytest

from hw.link.crc import FrameCrc
from sw.format.sections import crc32

from ..streams import send
from .models import gaps


DATA = [b"", b"\0", b"123456789", *(random.Random(0).randbytes(length) for length in (4, 30))]


async def restart(ctx, dut):
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


@pytest.mark.parametrize("longest_idle", [0, 20])
def test_crc(simulate, longest_idle):
    dut = FrameCrc()

    async def testbench(ctx):
        for data in DATA:
            await send(ctx, dut.i, data, idle=gaps(0, longest_idle))
            while not ctx.get(dut.i.ready):
                await ctx.tick()
            assert ctx.get(dut.crc) == crc32(data)
            assert not ctx.get(dut.match)
            await send(ctx, dut.i, crc32(data).to_bytes(4, "little"))
            while not ctx.get(dut.i.ready):
                await ctx.tick()
            assert ctx.get(dut.match)
            await restart(ctx, dut)

    simulate(dut, testbench, watch=[dut.i])


def test_check_value_of_the_catalogue(simulate):
    dut = FrameCrc()

    async def testbench(ctx):
        await send(ctx, dut.i, b"123456789")
        await ctx.tick().repeat(8)
        assert ctx.get(dut.crc) == 0xcbf43926

    simulate(dut, testbench)


def test_a_byte_every_nine_cycles(simulate):
    dut = FrameCrc()

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        for cycle in range(90):
            assert ctx.get(dut.i.ready) == (cycle % 9 == 0)
            await ctx.tick()

    simulate(dut, testbench)
