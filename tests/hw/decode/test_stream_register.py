# amaranth: UnusedElaboratable=no

import pytest

from hw.decode.stream_register import StreamRegister

from ..streams import receive, send
from .reference import gaps


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_payloads_in_order(simulate, longest_idle, longest_stall):
    dut = StreamRegister(8)

    async def producer(ctx):
        await send(ctx, dut.i, range(200), idle=gaps(1, longest_idle))

    async def consumer(ctx):
        assert await receive(ctx, dut.o, 200, stall=gaps(2, longest_stall)) == [*range(200)]

    simulate(dut, producer, consumer, watch=[dut.o])


def test_a_payload_per_cycle(simulate):
    dut = StreamRegister(8)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for payload in range(20):
            ctx.set(dut.i.payload, payload)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload) == payload

    simulate(dut, testbench)


def test_payload_offered_before_it_is_wanted(simulate):
    dut = StreamRegister(8)

    async def testbench(ctx):
        await send(ctx, dut.i, [5])
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)
        assert ctx.get(dut.o.payload) == 5

    simulate(dut, testbench)
