# amaranth: UnusedElaboratable=no

import pytest

from hw.decode.codebook_places import CodebookPlaces


@pytest.mark.parametrize("words", [1, 3, 8])
def test_codebooks_begin_where_indices_look(simulate, words):
    dut = CodebookPlaces(5)
    count = 4 * words
    placed = []

    async def testbench(ctx):
        ctx.set(dut.words, words)
        for _ in range(2):
            for address in range(count):
                ctx.set(dut.i.payload, {"address": address, "data": 100 + address})
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                assert ctx.get(dut.o.valid)
                placed.append((ctx.get(dut.o.payload.address), ctx.get(dut.o.payload.data)))
            ctx.set(dut.i.valid, 0)
            await ctx.tick()
            assert not ctx.get(dut.o.valid)

    simulate(dut, testbench)
    expected = [(8 * (number // words) + number % words, 100 + number) for number in range(count)]
    assert placed == expected * 2
