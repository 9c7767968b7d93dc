# amaranth: UnusedElaboratable=no

import random
from types import SimpleNamespace

import pytest

from hw.primitives.mult18x18d import MULT18X18D


LEAST, GREATEST = -1 << 17, (1 << 17) - 1


def test_product_follows_factors_at_stated_latency(simulate):
    dut = MULT18X18D()
    rng = random.Random(1)
    edges = (LEAST, -1, 0, 1, GREATEST)
    factors = [(a, b) for a in edges for b in edges]
    factors += [(rng.randint(LEAST, GREATEST), rng.randint(LEAST, GREATEST)) for _ in range(100)]

    async def testbench(ctx):
        for cycle in range(len(factors) + dut.latency):
            if cycle >= dut.latency:
                a, b = factors[cycle - dut.latency]
                assert ctx.get(dut.product) == a * b
            a, b = factors[min(cycle, len(factors) - 1)]
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            await ctx.tick()

    simulate(dut, testbench)


def test_other_device_refused():
    with pytest.raises(NotImplementedError, match="must be built for an ECP5, not iCE40UP5K"):
        MULT18X18D().elaborate(SimpleNamespace(device="iCE40UP5K"))
