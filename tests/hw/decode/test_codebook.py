# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.decode.codebook import CodebookLookup
from sw.format.tables import GROUP

from ..streams import receive, send
from .reference import gaps


CODEBOOKS = 4
INDEX_BITS = 3


def random_weights():
    rng = random.Random(0)
    return [[rng.randint(-128, 127) for _ in range(1 << INDEX_BITS)] for _ in range(CODEBOOKS)]


async def write_codebooks(ctx, dut, codebooks):
    """Write the codebooks, and more than there is room for."""
    weights = [weight for codebook in codebooks for weight in codebook] + [99] * 16
    ctx.set(dut.codebook.valid, 1)
    for address in range(len(weights) // 4):
        word = weights[4 * address:4 * address + 4]
        ctx.set(dut.codebook.payload, {
            "address": address,
            "data": int.from_bytes(weight & 0xff for weight in reversed(word)),
        })
        await ctx.tick()
    ctx.set(dut.codebook.valid, 0)


def random_transfers(symbol_bits, count):
    rng = random.Random(1)
    return [{
        "indices": [rng.randrange(1 << symbol_bits) for _ in range(GROUP)],
        "count": rng.randint(1, GROUP),
        "codebook": rng.randrange(CODEBOOKS),
        "last": rng.randrange(2),
    } for _ in range(count)]


def weights_of(transfer, codebooks):
    codebook = codebooks[transfer["codebook"]]
    return [codebook[index] if lane < transfer["count"] else 0
            for lane, index in enumerate(transfer["indices"])]


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_weights_follow_indices(simulate, longest_idle, longest_stall):
    dut = CodebookLookup(INDEX_BITS, index_bits=INDEX_BITS, codebooks=CODEBOOKS)
    codebooks = random_weights()
    transfers = random_transfers(INDEX_BITS, 60)

    async def producer(ctx):
        await write_codebooks(ctx, dut, codebooks)
        await send(ctx, dut.i, transfers, idle=gaps(2, longest_idle))

    async def consumer(ctx):
        received = await receive(ctx, dut.o, len(transfers), stall=gaps(3, longest_stall))
        for weights, transfer in zip(received, transfers, strict=True):
            assert list(weights.weights) == weights_of(transfer, codebooks)
            assert weights.last == transfer["last"]

    simulate(dut, producer, consumer, watch=[dut.o])


def test_a_transfer_per_cycle(simulate):
    dut = CodebookLookup(INDEX_BITS, index_bits=INDEX_BITS, codebooks=CODEBOOKS)
    codebooks = random_weights()

    async def testbench(ctx):
        await write_codebooks(ctx, dut, codebooks)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for transfer in random_transfers(INDEX_BITS, 20):
            ctx.set(dut.i.payload, transfer)
            await ctx.tick()
            assert ctx.get(dut.i.ready)
            assert ctx.get(dut.o.valid)
            assert list(ctx.get(dut.o.payload.weights)) == weights_of(transfer, codebooks)

    simulate(dut, testbench)


def test_weights_offered_before_they_are_wanted(simulate):
    dut = CodebookLookup(INDEX_BITS, index_bits=INDEX_BITS, codebooks=CODEBOOKS)

    async def testbench(ctx):
        await send(ctx, dut.i, random_transfers(INDEX_BITS, 1))
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)

    simulate(dut, testbench)


def test_symbols_that_are_weights(simulate):
    dut = CodebookLookup(8, index_bits=4, codebooks=CODEBOOKS)

    async def testbench(ctx):
        ctx.set(dut.direct, 1)
        ctx.set(dut.o.ready, 1)
        await send(ctx, dut.i, [{"indices": [0x80, 0x7f, 0xff, 5], "count": 3}])
        assert list(ctx.get(dut.o.payload.weights)) == [-128, 127, -1, 0]

    simulate(dut, testbench)


@pytest.mark.parametrize("index_bits, codebooks, complaint", [
    (1, 4, "Index must have 2 to 5 bits, not 1"),
    (6, 4, "Index must have 2 to 5 bits, not 6"),
    (5, 3, "Codebooks must be 1, 2, 4, 8 or 16, not 3"),
    (5, 32, "Codebooks must be 1, 2, 4, 8 or 16, not 32"),
])
def test_sizes_refused(index_bits, codebooks, complaint):
    with pytest.raises(ValueError, match=complaint):
        CodebookLookup(5, index_bits=index_bits, codebooks=codebooks)
