# amaranth: UnusedElaboratable=no

import random
import struct
from itertools import chain, repeat
from typing import get_args, get_type_hints

import numpy as np
import pytest

from hw.decode import DECODERS
from hw.decode.decoder import Decoder
from sw.codecs import CODECS, codec_name
from sw.format.sections import pack_code
from sw.format.tables import (GROUP, AutomatonShape, CodeTable, PlainCode, RawShape, RawTable,
                              RiceCode, RiceShape, RunLengthCode, RunLengthShape)
from sw.format.target import Target
from sw.quantize.grid import zigzag

from ..streams import NEVER, receive, send
from .reference import encode, expand, gaps, random_table, skewed_table, to_words


#: Kernel rows, their length, codebook.
JOBS = [(3, 27, 1), (9, 1, 0), (1, 64, 3), (4, 5, 2), (1, 130, 1), (2, 4, 0), (3, 30, 3)]
NEEDED = sum(kernel_rows * length for kernel_rows, length, _ in JOBS)

SHAPES = [AutomatonShape(4, 4), AutomatonShape(3, 3), AutomatonShape(3, 3, 2)]


def words_of(data):
    return list(struct.unpack(f"<{len(data) // 4}I", data))


class Content:
    """What an image holds of the weights: code, codebooks, coded data; and what they decode to."""

    def __init__(self, table, seed):
        rng = random.Random(seed)
        entries = 16
        if isinstance(table, PlainCode):
            entries = table.entries
            self.indices = np.minimum(np.random.default_rng(seed).geometric(
                0.2, NEEDED) - 1, (entries or 256) - 1).tolist()
            self.words = words_of(CODECS[codec_name(table)].encode(
                np.array(self.indices), table))
        elif isinstance(table, RawTable):
            self.indices = [rng.randrange(1 << table.symbol_bits) for _ in range(NEEDED)]
            self.words = to_words([index >> bit & 1 for index in self.indices
                                   for bit in range(table.symbol_bits)])
        else:
            entries = table.shape.symbols
            frequencies = [2 ** -length if length else 0 for length in table.lengths]
            symbols = rng.choices(range(entries), frequencies, k=NEEDED)
            self.indices = expand(symbols, table)
            self.words = encode(symbols, table)
        self.table = table
        self.codebooks = [[rng.randint(-128, 127) for _ in range(entries)] for _ in range(4)]

    def transfers(self):
        """Return the weights of each transfer and whether it ends a kernel row."""
        indices = iter(self.indices)
        for kernel_rows, length, codebook in JOBS:
            for left in [*range(length, 0, -GROUP)] * kernel_rows:
                weights = [self.weight(next(indices), codebook) for _ in range(min(left, GROUP))]
                yield [*weights, *repeat(0, GROUP - len(weights))], left <= GROUP

    def weight(self, index, codebook):
        if isinstance(self.table, PlainCode) and not self.table.entries:
            return zigzag(256)[index]
        if self.table == RawTable(8):
            return index - (index >> 7 << 8)
        return self.codebooks[codebook][index]


async def load(ctx, dut, content):
    section = pack_code(content.table)
    words = struct.unpack(f"<{len(section) // 4}I", section)
    for number, word in enumerate(words):
        await send(ctx, dut.code, [{"data": word, "last": number == len(words) - 1}])
    weights = [weight & 0xff for codebook in content.codebooks for weight in codebook]
    ctx.set(dut.codebook.valid, 1)
    for address in range(len(weights) // 4):
        word, = struct.unpack("<I", bytes(weights[4 * address:4 * address + 4]))
        ctx.set(dut.codebook.payload, {"address": address, "data": word})
        await ctx.tick()
    ctx.set(dut.codebook.valid, 0)
    while ctx.get(dut.code_busy):
        await ctx.tick()
    assert not ctx.get(dut.code_error)


def decode(simulate, shape, contents, *, idle=NEVER, stall=NEVER):
    """Run each content through one decoder and check all of its weights."""
    dut = Decoder(Target(decoder=shape))
    done = 0

    async def engine(ctx):
        for number, content in enumerate(contents):
            await load(ctx, dut, content)
            ctx.set(dut.run, 1)
            for word in chain(content.words, repeat(0)):
                await send(ctx, dut.words, [word], idle=idle)
                if done > number:
                    break
            ctx.set(dut.run, 0)
            for _ in range(8):
                await ctx.tick()

    async def sequencer(ctx):
        for number in range(len(contents)):
            # Jobs are offered before they may start.
            await send(ctx, dut.jobs, [
                {"kernel_rows": kernel_rows, "length": length, "codebook": codebook}
                for kernel_rows, length, codebook in JOBS])
            # One more keeps the words flowing; it is cut off.
            ctx.set(dut.jobs.payload.kernel_rows, 1000)
            ctx.set(dut.jobs.valid, 1)
            while done <= number or ctx.get(dut.run):
                await ctx.tick()
            ctx.set(dut.jobs.valid, 0)

    async def filler(ctx):
        nonlocal done
        for content in contents:
            expected = list(content.transfers())
            received = await receive(ctx, dut.weights, len(expected), stall=stall)
            assert [(list(weights.weights), weights.last) for weights in received] == expected
            done += 1
            ctx.set(dut.weights.ready, 1)
            while ctx.get(dut.run):
                await ctx.tick()
            await ctx.tick()
            assert not ctx.get(dut.weights.valid)
            ctx.set(dut.weights.ready, 0)

    simulate(dut, engine, sequencer, filler, max_cycles=60_000)


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_weights_of_a_prefix_code(simulate, longest_idle, longest_stall):
    table = random_table(AutomatonShape(3, 3), 1, runs=(7,))
    decode(simulate, table.shape, [Content(table, 2)],
           idle=gaps(3, longest_idle), stall=gaps(4, longest_stall))


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_weights_of_a_raw_code(simulate, longest_idle, longest_stall, width):
    decode(simulate, RawShape(), [Content(RawTable(width), 5)],
           idle=gaps(6, longest_idle), stall=gaps(7, longest_stall))


@pytest.mark.parametrize("shape, code", [(RiceShape(), RiceCode),
                                         (RunLengthShape(), RunLengthCode)])
@pytest.mark.parametrize("longest_idle, longest_stall", [(0, 0), (3, 0), (0, 3)])
def test_weights_of_codes_without_a_table(simulate, longest_idle, longest_stall, shape, code):
    decode(simulate, shape, [Content(code(), 5), Content(code(20), 6)],
           idle=gaps(6, longest_idle), stall=gaps(7, longest_stall))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_another_image_follows(simulate, shape):
    decode(simulate, shape, [Content(random_table(shape, 8, runs=(2, 3, 30)), 9),
                             Content(skewed_table(shape), 10),
                             Content(random_table(shape, 11, runs=(255,)), 12)])


def test_another_raw_image_follows(simulate):
    decode(simulate, RawShape(), [Content(RawTable(width), width) for width in (1, 8, 4, 2)])


@pytest.mark.parametrize("seed", range(3))
def test_garbage_keeps_flowing(simulate, seed):
    shape = AutomatonShape(3, 3)
    dut = Decoder(Target(decoder=shape))
    rng = random.Random(seed)
    content = Content(random_table(shape, seed, runs=(2, 255)), seed)

    async def testbench(ctx):
        await load(ctx, dut, content)
        ctx.set(dut.run, 1)
        ctx.set(dut.words.valid, 1)
        ctx.set(dut.jobs.valid, 1)
        ctx.set(dut.jobs.payload, {"kernel_rows": 3, "length": 50, "codebook": 15})
        ctx.set(dut.weights.ready, 1)
        for _ in range(200):
            quiet = 0
            while not ctx.get(dut.weights.valid):
                ctx.set(dut.words.payload, rng.choice([0, 0xffffffff, rng.getrandbits(32)]))
                await ctx.tick()
                quiet += 1
                assert quiet < 40
            await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("table, pieces", [
    (RawTable(4), 0),
    (RiceCode(), 3),                            # Four symbols a transfer, one a cycle.
    (RunLengthCode(), 4),                       # And the beginning of a block.
    (skewed_table(AutomatonShape(3, 3)), 2),    # A group of 4 bits takes two turns.
])
def test_latency(simulate, table, pieces):
    shape = {RawTable: RawShape(), RiceCode: RiceShape(), RunLengthCode: RunLengthShape()}.get(
        type(table)) or table.shape
    dut = Decoder(Target(decoder=shape))

    async def testbench(ctx):
        await load(ctx, dut, Content(table, 0))
        ctx.set(dut.run, 1)
        await send(ctx, dut.jobs, [{"kernel_rows": 1, "length": 100}])
        for _ in range(4):
            await ctx.tick()
        ctx.set(dut.words.valid, 1)
        cycles = 0
        while not ctx.get(dut.weights.valid):
            await ctx.tick()
            cycles += 1
        assert cycles == dut.latency + pieces

    simulate(dut, testbench)


def test_foreign_code_refused(simulate):
    dut = Decoder(Target(decoder=RawShape()))
    section = pack_code(skewed_table(AutomatonShape()))

    async def testbench(ctx):
        words = struct.unpack(f"<{len(section) // 4}I", section)
        for number, word in enumerate(words):
            await send(ctx, dut.code, [{"data": word, "last": number == len(words) - 1}])
        assert ctx.get(dut.code_error)
        await load(ctx, dut, Content(RawTable(4), 0))

    simulate(dut, testbench)


def test_every_table_and_shape_has_a_decoder():
    shapes = get_type_hints(Target)["decoder"]
    assert set(DECODERS) == {*get_args(CodeTable), *get_args(shapes)}
