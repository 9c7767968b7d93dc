from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.pipeline import delay


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
