# amaranth: UnusedElaboratable=no

import struct
from dataclasses import replace
from itertools import chain, repeat

import numpy as np
import pytest

from hw.decode.decoder import Decoder
from hw.decode.interleaved import InterleavedDecoder
from sw.codecs.tans import TansCodec
from sw.format.lanes import TansLanes
from sw.format.sections import pack_code
from sw.format.tables import TansShape
from sw.format.target import Target, tans_lanes

from ..streams import NEVER, receive, send
from .reference import gaps


#: Filters of each layer, their kernel rows, and weights of a kernel row.
LAYERS = ((5, 3, 9), (20, 1, 3), (7, 1, 40), (3, 3, 8))

ENTRIES = 20


def target_of(lanes):
    return Target(columns=8, decoder=tans_lanes(lanes))


class Content:
    """Layers, their code and coded data: weights themselves, or indices into two codebooks."""

    def __init__(self, lanes, seed, *, indices=False):
        rng = np.random.default_rng(seed)
        spread = (3, 30, 1, 100)
        self.values = [
            (rng.integers(0, ENTRIES, shape) if indices else np.clip(np.rint(
                rng.laplace(0, scale, shape)), -128, 127)).astype(np.int8)
            for shape, scale in zip(LAYERS, spread, strict=True)]
        layers = [values[..., None] for values in self.values]
        codec = TansCodec(lanes, deltas=False)
        code = codec.fit(layers)
        flat = np.concatenate([layer.ravel() for layer in layers])
        self.words = np.frombuffer(codec.encode(flat, code), "<u4").tolist()
        self.code = replace(code, entries=ENTRIES if indices else 0)
        self.codebooks = rng.integers(-128, 128, (2, ENTRIES)) if indices else None

    def transfers(self, most):
        """Return the weights of each transfer and whether it ends a kernel row."""
        found = []
        for number, values in enumerate(self.values):
            weights = values if self.codebooks is None else self.codebooks[number % 2][values]
            for row in weights.reshape(-1, values.shape[-1]):
                for start in range(0, len(row), most):
                    part = row[start:start + most].tolist()
                    found.append(([*part, *repeat(0, most - len(part))],
                                  start + most >= len(row)))
        return found


async def load(ctx, dut, content):
    for number, (filters, rows, length) in enumerate(LAYERS):
        ctx.set(dut.layers.payload, {
            "filters": filters, "size": rows * length, "first": number == 0})
        ctx.set(dut.layers.valid, 1)
        await ctx.tick()
    ctx.set(dut.layers.valid, 0)
    section = pack_code(content.code)
    words = struct.unpack(f"<{len(section) // 4}I", section)
    for number, word in enumerate(words):
        await send(ctx, dut.code, [{"data": word, "last": number == len(words) - 1}])
    while ctx.get(dut.code_busy):
        await ctx.tick()
    assert not ctx.get(dut.code_error)
    if content.codebooks is not None:
        data = content.codebooks.astype(np.int8).tobytes()
        for address, word in enumerate(struct.unpack(f"<{len(data) // 4}I", data)):
            ctx.set(dut.codebook.payload, {"address": address, "data": word})
            ctx.set(dut.codebook.valid, 1)
            await ctx.tick()
        ctx.set(dut.codebook.valid, 0)
        await ctx.tick()


def decode(simulate, lanes, contents, *, idle=NEVER, stall=NEVER, fails=False):
    """Run each content through one decoder, and check all of its weights unless it ``fails``."""
    target = target_of(lanes)
    dut = Decoder(target)
    done = 0
    started = [False] * len(contents)

    async def engine(ctx):
        for number, content in enumerate(contents):
            await load(ctx, dut, content)
            ctx.set(dut.run, 1)
            started[number] = True
            for word in chain(content.words, repeat(0)):
                if done > number and ctx.get(dut.settled):
                    break
                for _ in range(next(idle)):
                    await ctx.tick()
                ctx.set(dut.words.payload, word)
                ctx.set(dut.words.valid, 1)
                # Once all symbols have been looked up no word is taken any more.
                while not (ctx.get(dut.words.ready)
                           or (done > number and ctx.get(dut.settled))):
                    await ctx.tick()
                await ctx.tick()
                ctx.set(dut.words.valid, 0)
            assert done > number
            assert ctx.get(dut.failed) == fails
            ctx.set(dut.run, 0)
            await ctx.tick().repeat(8)

    async def sequencer(ctx):
        for image in range(len(contents)):
            # Jobs of the next image would be dropped with this one's run.
            while not started[image]:
                await ctx.tick()
            for number, (filters, rows, length) in enumerate(LAYERS):
                await send(ctx, dut.jobs, [{"kernel_rows": rows, "length": length,
                                            "codebook": number % 2}] * filters)

    async def filler(ctx):
        nonlocal done
        for content in contents:
            expected = content.transfers(target.transfer_weights)
            received = await receive(ctx, dut.weights, len(expected), stall=stall)
            if not fails:
                assert [(list(one.weights), one.last) for one in received] == expected
            done += 1

    simulate(dut, engine, sequencer, filler, max_cycles=40_000 * len(contents))


@pytest.mark.parametrize("lanes, longest_idle, longest_stall", [
    (1, 0, 0), (2, 0, 3), (4, 3, 0), (8, 0, 0), (8, 3, 3)])
def test_weights(simulate, lanes, longest_idle, longest_stall):
    decode(simulate, lanes, [Content(tans_lanes(8), 1)],
           idle=gaps(2, longest_idle), stall=gaps(3, longest_stall))


@pytest.mark.parametrize("lanes", [2, 8])
def test_indices_and_another_image(simulate, lanes):
    decode(simulate, lanes, [Content(tans_lanes(lanes), 4, indices=True),
                             Content(tans_lanes(lanes), 5)])


def test_wrong_end_is_told(simulate):
    content = Content(tans_lanes(4), 6)
    content.words[0] ^= 1
    decode(simulate, 4, [content], fails=True)


def test_tuples_are_refused():
    with pytest.raises(ValueError, match="must have 1 value, not 2"):
        InterleavedDecoder(TansLanes(TansShape(8, 64), tuple_size=2), layers=4, channels=64)
