# amaranth: UnusedElaboratable=no
"""What software predicts cycles with is what the decoder takes."""

import pytest

from hw.decode.codebook import CodebookLookup
from hw.decode.decoder import Decoder
from hw.decode.expander import RowSplitter
from hw.decode.reorder import Reorder
from hw.decode.tans import TansDecoder
from sw.format.lanes import LANES
from sw.format.tables import AutomatonShape, RawShape, RawTable
from sw.format.target import Target, tans_lanes
from sw.format.timing import JOB_CYCLES, WORD_BITS, decoder_latency, groups_ahead

from ..streams import send
from .reference import random_table
from .test_decoder import Content, load


AUTOMATONS = [AutomatonShape(), AutomatonShape(4, 6), AutomatonShape(5, 5), AutomatonShape(3, 2, 2)]


@pytest.mark.parametrize("lanes", LANES)
def test_latency_of_lanes(lanes):
    shape = tans_lanes(lanes)
    # Behind the joiner of words a register; before weights, those that divide kernel rows.
    joined = shape.word_bits // WORD_BITS + 1
    assert decoder_latency(shape) == (joined + TansDecoder(shape).latency + RowSplitter.latency
                                      + CodebookLookup.latency)


@pytest.mark.parametrize("shape", AUTOMATONS, ids=str)
def test_groups_ahead(shape):
    assert groups_ahead(shape) == Reorder(shape).order_depth


@pytest.mark.parametrize("table", [random_table(AutomatonShape(3, 3), 1), RawTable(8)], ids=str)
def test_weights_follow_a_job(simulate, table):
    dut = Decoder(Target(decoder=getattr(table, "shape", RawShape())))
    content = Content(table, 2)

    async def testbench(ctx):
        await load(ctx, dut, content)
        ctx.set(dut.run, 1)
        # All groups that fit are decoded, and wait.
        ctx.set(dut.words.payload, content.words[0])
        ctx.set(dut.words.valid, 1)
        await ctx.tick().repeat(60)
        await send(ctx, dut.jobs, [{"kernel_rows": 1, "length": 4, "codebook": 0}])
        for _ in range(JOB_CYCLES - 1):
            assert not ctx.get(dut.weights.valid)
            await ctx.tick()
        assert ctx.get(dut.weights.valid)

    simulate(dut, testbench)
