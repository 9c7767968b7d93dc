import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.pipeline import copies, delay
from sw.format.target import Target


class Delayed(wiring.Component):
    i: In(8)
    o: Out(8)
    undelayed: Out(8)

    def elaborate(self, platform):
        m = Module()

        m.d.comb += [
            self.o.eq(delay(m, self.i, 3)),
            self.undelayed.eq(delay(m, self.i, 0)),
        ]

        return m


def test_values_come_as_many_cycles_later(simulate):
    dut = Delayed()

    async def testbench(ctx):
        for cycle in range(10):
            ctx.set(dut.i, 100 + cycle)
            assert ctx.get(dut.undelayed) == 100 + cycle
            assert ctx.get(dut.o) == (100 + cycle - 3 if cycle >= 3 else 0)
            await ctx.tick()

    simulate(dut, testbench)


class Copied(wiring.Component):
    i: In(8)
    o: Out(8).array(2)

    def __init__(self, target):
        self.target = target
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        values = copies(m, delay(m, self.i, 1), self.target, "copy")
        for output, copy in zip(self.o, values, strict=True):
            m.d.comb += output.eq(copy)

        return m


@pytest.mark.parametrize("rows, cycles", [(8, 1), (16, 2)])
def test_copies_are_registers_where_the_array_is_spread(simulate, rows, cycles):
    dut = Copied(Target(rows=rows, columns=4))

    async def testbench(ctx):
        for value in range(1, 5):
            ctx.set(dut.i, value)
            for output in dut.o:
                assert ctx.get(output) == max(0, value - cycles)
            await ctx.tick()

    simulate(dut, testbench)
