# amaranth: UnusedElaboratable=no

import random

import numpy as np
import pytest

from bench.textbook import LONGEST, TextbookHuffman, decoder_tables, encode
from sw.codecs.huffman import code_lengths

from ..hw.conftest import simulate  # noqa: F401
from ..hw.decode.reference import gaps
from ..hw.streams import receive, send


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 9])
def test_symbols_in_order(simulate, longest_idle, longest_stall):  # noqa: F811
    rng = np.random.default_rng(0)
    symbols = np.rint(rng.laplace(0, 4, 800)).astype(np.int8).view(np.uint8).tolist()
    lengths = code_lengths(np.bincount(symbols, minlength=256).tolist(), 1, LONGEST)
    dut = TextbookHuffman()

    async def producer(ctx):
        for port, entries in zip((dut.bounds, dut.symbols), decoder_tables(lengths), strict=True):
            ctx.set(port.valid, 1)
            for entry in entries:
                ctx.set(port.payload, entry)
                await ctx.tick()
            ctx.set(port.valid, 0)
        words = encode(symbols, lengths) + [random.Random(1).getrandbits(32) for _ in range(3)]
        await send(ctx, dut.i, words[:-1], idle=gaps(1, longest_idle))

    async def consumer(ctx):
        found = await receive(ctx, dut.o, len(symbols), stall=gaps(2, longest_stall))
        assert found == symbols
        ctx.set(dut.o.ready, 1)

    simulate(dut, producer, consumer, watch=[dut.o])
