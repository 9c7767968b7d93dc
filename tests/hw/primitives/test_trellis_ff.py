from types import SimpleNamespace

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.primitives.trellis_ff import TRELLIS_FF
from hw.rtl import generate
from hw.toolchain import synthesise


class Copies(wiring.Component):
    """A value's copies, registers of Amaranth's or kept ones, and an operation on each."""

    i: In(8)
    o: Out(8).array(3)

    def __init__(self, kept):
        self.kept = kept
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        for index, output in enumerate(self.o):
            copy = Signal(8, reset_less=True, attrs={"keep": 1})
            if self.kept:
                m.submodules[f"copy{index}"] = register = TRELLIS_FF(8)
                m.d.comb += [register.i.eq(self.i), copy.eq(register.o)]
            else:
                m.d.sync += copy.eq(self.i)
            m.d.comb += output.eq(copy ^ (index + 1))

        return m


def test_value_of_a_cycle_ago(simulate):
    dut = TRELLIS_FF(8)

    async def testbench(ctx):
        assert ctx.get(dut.o) == 0
        for value in (7, 255, 128):
            ctx.set(dut.i, value)
            await ctx.tick()
            assert ctx.get(dut.o) == value

    simulate(dut, testbench)


@pytest.mark.parametrize("kept, flip_flops", [(True, 24), (False, 8)])
def test_synthesis_merges_others_alone(kept, flip_flops, tmp_path):
    verilog = generate(Copies(kept), name="accelerator",
                       platform=SimpleNamespace(device="LFE5U-85F"))
    cells = synthesise(verilog, "LFE5U-85F", directory=tmp_path, flatten=True)
    assert cells["design"]["num_cells_by_type"]["TRELLIS_FF"] == flip_flops
