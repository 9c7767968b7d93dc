# amaranth: UnusedElaboratable=no

import pytest

from hw.decode.reorder import MARGIN, Reorder
from sw.format.tables import GROUP, AutomatonShape

from ..streams import receive


class Feeder:
    """Gives `Reorder` the results of steps: for each lane the number of the group it completes."""

    def __init__(self, ctx, dut):
        self.ctx = ctx
        self.dut = dut

    async def step(self, *, begun=(), completed=None):
        completed = completed or {}
        for lane, results in enumerate(self.dut.i):
            self.ctx.set(results.valid, 1)
            self.ctx.set(results.payload, {
                "group": [completed.get(lane, 0)] * GROUP,
                "complete": lane in completed,
                "begun": lane in begun,
            })
        await self.ctx.tick()
        for results in self.dut.i:
            self.ctx.set(results.valid, 0)


async def groups(ctx, dut, count):
    return [group[0] for group in await receive(ctx, dut.o, count)]


def test_groups_leave_in_the_order_of_their_beginning(simulate):
    dut = Reorder(AutomatonShape())

    async def testbench(ctx):
        feeder = Feeder(ctx, dut)
        await feeder.step(begun=[0, 1])                 # Groups 0 and 1 of substreams 0 and 1.
        await feeder.step(begun=[1])                    # Group 2 of substream 3.
        await feeder.step(completed={1: 1})
        await feeder.step(begun=[0], completed={1: 2})  # Group 3 of substream 2.
        for _ in range(10):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        await feeder.step(begun=[0], completed={0: 0})  # Group 4 of substream 0.
        await feeder.step(completed={0: 3})
        await feeder.step(completed={0: 4})
        assert await groups(ctx, dut, 5) == [0, 1, 2, 3, 4]

    simulate(dut, testbench)


def test_latency(simulate):
    dut = Reorder(AutomatonShape())

    async def testbench(ctx):
        feeder = Feeder(ctx, dut)
        await feeder.step(begun=[0])
        await feeder.step()
        await feeder.step(completed={0: 7})
        for _ in range(dut.latency - 1):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        assert ctx.get(dut.o.valid)

    simulate(dut, testbench)


@pytest.mark.parametrize("shape", [AutomatonShape(), AutomatonShape(4, 6), AutomatonShape(3, 2)],
                         ids=str)
def test_room_ends_before_a_queue_overflows(simulate, shape):
    dut = Reorder(shape)

    async def testbench(ctx):
        feeder = Feeder(ctx, dut)
        await feeder.step(begun=[0])
        await feeder.step()
        await ctx.tick()
        steps = 0
        while ctx.get(dut.room):
            # One substream alone, a group for each of its turns.
            await feeder.step(begun=[0], completed={0: steps % 4})
            await feeder.step()
            steps += 1
        assert steps <= dut.group_depth
        assert steps >= dut.group_depth - MARGIN
        assert await groups(ctx, dut, steps) == [step % 4 for step in range(steps)]

    simulate(dut, testbench)
