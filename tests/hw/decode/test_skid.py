# amaranth: UnusedElaboratable=no

import pytest

from hw.decode.skid import SkidBuffer

from ..streams import receive, send
from .reference import gaps


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_payloads_keep_their_order(simulate, longest_idle, longest_stall):
    dut = SkidBuffer(8)
    payloads = list(range(100))

    async def producer(ctx):
        await send(ctx, dut.i, payloads, idle=gaps(1, longest_idle))

    async def consumer(ctx):
        assert await receive(ctx, dut.o, 100, stall=gaps(2, longest_stall)) == payloads

    simulate(dut, producer, consumer, watch=[dut.o])


def test_a_payload_per_cycle(simulate):
    dut = SkidBuffer(8)

    async def testbench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for payload in range(20):
            ctx.set(dut.i.payload, payload)
            await ctx.tick()
            assert ctx.get(dut.i.ready)
            assert ctx.get(dut.o.payload) == payload

    simulate(dut, testbench)


def test_stall_is_seen_a_cycle_later(simulate):
    dut = SkidBuffer(8)

    async def testbench(ctx):
        await send(ctx, dut.i, [1, 2])
        assert not ctx.get(dut.i.ready)
        assert ctx.get(dut.o.payload) == 1
        ctx.set(dut.o.ready, 1)
        assert not ctx.get(dut.i.ready)
        await ctx.tick()
        assert ctx.get(dut.i.ready)
        assert ctx.get(dut.o.payload) == 2

    simulate(dut, testbench)
