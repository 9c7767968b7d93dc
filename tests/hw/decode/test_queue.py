# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.queue import Queue


def test_payloads_keep_their_order(simulate):
    dut = Queue(8, 4)
    rng = random.Random(0)

    async def testbench(ctx):
        queue = []
        for _ in range(1000):
            comes = len(queue) < dut.depth and rng.randrange(2)
            leaves = rng.randrange(2)
            payload = rng.randrange(256)
            ctx.set(dut.i.valid, comes)
            ctx.set(dut.i.payload, payload)
            ctx.set(dut.o.ready, leaves)
            assert ctx.get(dut.level) == len(queue)
            assert ctx.get(dut.o.valid) == bool(queue)
            if queue:
                assert ctx.get(dut.o.payload) == queue[0]
            queue = queue[bool(leaves):] + [payload] * bool(comes)
            await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("depth", [0, 1, 12])
def test_depth_refused(depth):
    with pytest.raises(ValueError, match=f"must be 2, 4, 8, ..., not {depth}"):
        Queue(8, depth)
