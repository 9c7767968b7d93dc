import random

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.link.cobs import CobsDecoder, CobsEncoder

from ..streams import receive, send
from .models import gaps


RNG = random.Random(0)
FRAMES = [b"\0", b"a", b"\0\0", b"ab\0cd", bytes(253), bytes(range(1, 254)), RNG.randbytes(253),
          *(bytes(RNG.choices([0, 1, 2], k=RNG.randint(1, 20))) for _ in range(10))]


def frame_bytes(frames):
    return [{"data": byte, "last": index == len(frame) - 1}
            for frame in frames for index, byte in enumerate(frame)]


def decode(simulate, wire, idle):
    """Return the decoder's frames and whether each is intact, from what the wire brings."""
    dut = CobsDecoder()
    frames, frame = [], bytearray()

    async def testbench(ctx):
        for byte in wire:
            for _ in range(next(idle)):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            if ctx.get(dut.o.valid):
                payload = ctx.get(dut.o.payload)
                if payload.end:
                    frames.append((bytes(frame), bool(payload.intact)))
                    frame.clear()
                else:
                    frame.append(payload.data)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)

    simulate(dut, testbench)
    return frames


@pytest.mark.parametrize("longest_idle", [0, 3])
def test_frames_are_decoded(simulate, longest_idle):
    wire = b"".join(cobs.encode(frame) + b"\0" for frame in FRAMES)
    assert decode(simulate, wire, gaps(1, longest_idle)) == [(frame, True) for frame in FRAMES]


def test_zeros_end_empty_frames(simulate):
    assert decode(simulate, b"\0\0\0\x02a\0\0", gaps(0, 0)) == [
        (b"", True), (b"", True), (b"", True), (b"a", True), (b"", True)]


@settings(deadline=None, max_examples=30)
@given(wire=st.binary(max_size=60))
def test_bytes_of_any_kind_are_judged_as_by_the_reference(wire):
    from amaranth.sim import Simulator

    def run(dut, testbench):
        sim = Simulator(dut)
        sim.add_clock(1e-6)
        sim.add_testbench(testbench)
        sim.run()

    frames = decode(run, wire + b"\0", gaps(0, 0))
    for (frame, intact), coded in zip(frames, (wire + b"\0").split(b"\0"), strict=False):
        if not intact:
            with pytest.raises(cobs.DecodeError):
                cobs.decode(coded)
        else:
            assert frame == cobs.decode(coded)


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_frames_are_encoded(simulate, longest_idle, longest_stall):
    dut = CobsEncoder()
    wire = b"".join(cobs.encode(frame) + b"\0" for frame in FRAMES)

    async def producer(ctx):
        await send(ctx, dut.i, frame_bytes(FRAMES), idle=gaps(1, longest_idle))

    async def consumer(ctx):
        assert bytes(await receive(ctx, dut.o, len(wire), stall=gaps(2, longest_stall))) == wire

    simulate(dut, producer, consumer, watch=[dut.i, dut.o])


def test_encoder_latency_and_throughput(simulate):
    dut = CobsEncoder()

    async def testbench(ctx):
        for _ in range(2):
            for payload in frame_bytes([b"ab\0cd"]):
                ctx.set(dut.i.payload, payload)
                ctx.set(dut.i.valid, 1)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
            ctx.set(dut.i.valid, 0)
            for _ in range(3):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()
            ctx.set(dut.o.ready, 1)
            for byte in b"\3ab\3cd\0":
                assert ctx.get(dut.o.valid)
                assert ctx.get(dut.o.payload) == byte
                await ctx.tick()
            assert not ctx.get(dut.o.valid)
            assert ctx.get(dut.i.ready)

    simulate(dut, testbench)


def test_encoder_waits_until_its_bytes_are_wanted(simulate):
    dut = CobsEncoder()

    async def testbench(ctx):
        await send(ctx, dut.i, frame_bytes([b"a"]))
        await ctx.tick().repeat(10)
        assert ctx.get(dut.o.valid)
        assert not ctx.get(dut.i.ready)
        assert bytes(await receive(ctx, dut.o, 3)) == b"\2a\0"

    simulate(dut, testbench)
