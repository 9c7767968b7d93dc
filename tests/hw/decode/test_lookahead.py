# amaranth: UnusedElaboratable=no

import random

from hw.decode.lookahead import Lookahead


def test_it_tells_a_cycle_ahead(simulate):
    dut = Lookahead(8)
    rng = random.Random(0)

    async def testbench(ctx):
        kept, told = None, False
        offered = iter(range(1, 1000))
        payload = 0
        for _ in range(500):
            # Who offers goes on offering.
            if payload is None and rng.randrange(2):
                payload = next(offered) & 0xff
            ctx.set(dut.i.valid, payload is not None)
            ctx.set(dut.i.payload, payload or 0)
            assert ctx.get(dut.valid) == (kept is not None) == told
            take = told and rng.randrange(2)
            ctx.set(dut.take, take)
            if kept is not None:
                assert ctx.get(dut.payload) == kept
            if take:
                kept = None
            if ctx.get(dut.i.ready) and payload is not None:
                kept, payload = payload, None
            told = ctx.get(dut.next_valid)
            await ctx.tick()
        assert next(offered) > 150

    simulate(dut, testbench)


def test_payloads_without_a_gap(simulate):
    dut = Lookahead(8)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.take, 1)
        for payload in range(20):
            ctx.set(dut.i.payload, payload)
            assert ctx.get(dut.next_valid)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
            assert ctx.get(dut.payload) == payload

    simulate(dut, testbench)
