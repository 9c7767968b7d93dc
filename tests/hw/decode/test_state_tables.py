# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.state_tables import StateTables
from sw.format.lanes import TansLanes
from sw.format.tables import TansShape


@pytest.mark.parametrize("latency", [2, 3])
@pytest.mark.parametrize("shape", [
    TansLanes(TansShape(8, 64), lanes=1), TansLanes(TansShape(8, 64), lanes=4),
    TansLanes(TansShape(8, 64), lanes=2, tables=16), TansLanes(TansShape(10, 64), lanes=4),
    TansLanes(TansShape(8, 64), lanes=8, tables=2, raw_bits=4),
    TansLanes(TansShape(10, 64), lanes=1, tables=2, raw_bits=4),
], ids=str)
def test_rows_of_states_in_tables(simulate, shape, latency):
    dut = StateTables(shape, latency=latency)
    rng = random.Random(0)
    width = len(dut.rows.payload.data.as_value())
    states = 1 << shape.code.table_bits
    rows = [rng.getrandbits(width) for _ in range(shape.tables * states)]

    async def testbench(ctx):
        ctx.set(dut.rows.valid, 1)
        for address, row in enumerate(rows):
            ctx.set(dut.rows.payload.address, address)
            ctx.set(dut.rows.payload.data.as_value(), row)
            await ctx.tick()
        ctx.set(dut.rows.valid, 0)
        await ctx.tick()
        asked = []
        for _ in range(200):
            if len(asked) >= latency:
                assert [ctx.get(dut.o[lane].as_value()) for lane in range(shape.lanes)] == [
                    rows[address] for address in asked[-latency]]
            addresses = [rng.choice((0, rng.randrange(len(rows)))) for _ in range(shape.lanes)]
            for lane, address in enumerate(addresses):
                ctx.set(dut.states[lane], address % states)
                ctx.set(dut.choices[lane], address // states)
            assert ctx.get(dut.nonzero) == sum(
                bool(address % states) << lane for lane, address in enumerate(addresses))
            step = rng.randrange(4) > 0
            ctx.set(dut.step, step)
            if step:
                asked.append(addresses)
            await ctx.tick()

    simulate(dut, testbench)
