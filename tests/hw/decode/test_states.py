# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.states import StateDelay


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 7, 9, 14, 27, 60])
def test_delay_in_steps(simulate, steps):
    dut = StateDelay(40, steps)
    rng = random.Random(steps)
    values = []

    async def testbench(ctx):
        for _ in range(700):
            enable = rng.randrange(4) > 0
            value = rng.getrandbits(40)
            ctx.set(dut.enable, enable)
            ctx.set(dut.i, value)
            if len(values) >= steps:
                assert ctx.get(dut.o) == values[-steps]
            if enable:
                values.append(value)
            await ctx.tick()

    simulate(dut, testbench)
