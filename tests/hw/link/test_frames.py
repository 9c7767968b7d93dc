import random

import pytest

from hw.link.frames import FrameReceiver, FrameSender
from sw.format.link import MAX_BODY, MAX_PAYLOAD, crc32, pack_frame

from ..streams import receive, send
from .models import gaps
from .test_cobs import frame_bytes


RNG = random.Random(0)
PAYLOADS = [b"", b"a", bytes(4), RNG.randbytes(MAX_PAYLOAD), RNG.randbytes(30), b"b"]
FRAMES = [pack_frame(kind, 0xff - kind, payload) for kind, payload in enumerate(PAYLOADS)]


async def offer(ctx, stream, body, *, intact=1, idle=None):
    """Transfer the bytes of a frame, and its end."""
    items = [{"data": byte, "end": 0, "intact": 0} for byte in body]
    for payload in [*items, {"data": 0, "end": 1, "intact": intact}]:
        for _ in range(next(idle) if idle else 0):
            await ctx.tick()
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        await ctx.tick()
        ctx.set(stream.valid, 0)
        if not payload["end"]:
            await ctx.tick().repeat(8)


def requests_of(bodies):
    return [{"data": byte, "last": index == len(body) - 5, "length": len(body) - 6}
            for body in bodies for index, byte in enumerate(body[:-4])]


def as_dicts(payloads):
    return [{"data": p.data, "last": p.last, "length": p.length} for p in payloads]


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [3, 12])
def test_good_frames_are_passed_on(simulate, longest_idle, longest_stall):
    dut = FrameReceiver()
    expected = requests_of(FRAMES)

    async def producer(ctx):
        for body in FRAMES:
            await offer(ctx, dut.i, body, idle=gaps(1, longest_idle))
            while ctx.get(dut.o.valid):
                await ctx.tick()

    async def consumer(ctx):
        requests = await receive(ctx, dut.o, len(expected), stall=gaps(2, longest_stall))
        assert as_dicts(requests) == expected

    simulate(dut, producer, consumer, watch=[dut.o])


def spoiled():
    good = pack_frame(1, 2, b"payload")
    flipped = bytearray(good)
    flipped[3] ^= 0x10
    return {
        "flipped bit": (bytes(flipped), 1),
        "broken stuffing": (good, 0),
        "empty": (b"", 1),
        "only a CRC": (crc32(b"").to_bytes(4, "little"), 1),
        "no sequence": (b"\1" + crc32(b"\1").to_bytes(4, "little"), 1),
        "truncated": (good[:-1], 1),
        "too long by one": (long_frame(MAX_BODY + 1), 1),
        "too long by far": (long_frame(600), 1),
        "as long as the counter's period and a frame": (long_frame(256 + len(good)), 1),
    }


def long_frame(length):
    content = bytes([1, 2]) + bytes(length - 6)
    return content + crc32(content).to_bytes(4, "little")


@pytest.mark.parametrize("name", spoiled())
def test_spoiled_frame_leaves_no_trace(simulate, name):
    dut = FrameReceiver()
    body, intact = spoiled()[name]
    good = pack_frame(3, 4, b"good")

    async def producer(ctx):
        await offer(ctx, dut.i, good)
        await offer(ctx, dut.i, body, intact=intact)
        await offer(ctx, dut.i, body, intact=intact)
        await offer(ctx, dut.i, good)

    async def consumer(ctx):
        requests = await receive(ctx, dut.o, 12)
        assert as_dicts(requests) == requests_of([good, good])
        await ctx.tick().repeat(100)
        assert not ctx.get(dut.o.valid)

    simulate(dut, producer, consumer, watch=[dut.o], max_cycles=20_000)


def test_latency_and_throughput_of_reception(simulate):
    dut = FrameReceiver()

    async def testbench(ctx):
        await offer(ctx, dut.i, FRAMES[4])
        assert not ctx.get(dut.o.valid)
        await ctx.tick()
        ctx.set(dut.o.ready, 1)
        for byte in FRAMES[4][:-4]:
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload.data) == byte
            await ctx.tick()
        assert not ctx.get(dut.o.valid)

    simulate(dut, testbench)


def test_two_frames_wait_and_a_third_is_dropped(simulate):
    dut = FrameReceiver()

    async def testbench(ctx):
        for kind in range(4):
            await offer(ctx, dut.i, pack_frame(kind, 0, b"abc"))
        assert as_dicts(await receive(ctx, dut.o, 10)) == requests_of(
            [pack_frame(0, 0, b"abc"), pack_frame(1, 0, b"abc")])
        await ctx.tick().repeat(10)
        assert not ctx.get(dut.o.valid)
        await offer(ctx, dut.i, pack_frame(5, 0, b"abc"))
        assert as_dicts(await receive(ctx, dut.o, 5)) == requests_of([pack_frame(5, 0, b"abc")])

    simulate(dut, testbench, watch=[dut.o])


def test_frame_that_began_without_room_is_dropped_whole(simulate):
    dut = FrameReceiver()
    waiting = [pack_frame(kind, 0, b"abc") for kind in range(2)]

    async def testbench(ctx):
        for body in waiting:
            await offer(ctx, dut.i, body)
        late = pack_frame(2, 0, bytes(40))
        ctx.set(dut.i.payload, {"data": late[0], "end": 0, "intact": 0})
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        assert as_dicts(await receive(ctx, dut.o, 10)) == requests_of(waiting)
        await offer(ctx, dut.i, late[1:])
        await ctx.tick().repeat(10)
        assert not ctx.get(dut.o.valid)

    simulate(dut, testbench, watch=[dut.o])


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_crc_is_appended(simulate, longest_idle, longest_stall):
    dut = FrameSender()
    contents = [body[:-4] for body in FRAMES]
    expected = b"".join(FRAMES)
    ends = {sum(map(len, FRAMES[:index + 1])) - 1 for index in range(len(FRAMES))}

    async def producer(ctx):
        await send(ctx, dut.i, frame_bytes(contents), idle=gaps(1, longest_idle))

    async def consumer(ctx):
        sent = await receive(ctx, dut.o, len(expected), stall=gaps(2, longest_stall))
        assert bytes(payload.data for payload in sent) == expected
        assert {index for index, payload in enumerate(sent) if payload.last} == ends

    simulate(dut, producer, consumer, watch=[dut.i, dut.o])


def test_a_byte_every_nine_cycles_is_sent(simulate):
    dut = FrameSender()
    cycles = []

    async def producer(ctx):
        await send(ctx, dut.i, frame_bytes([FRAMES[2][:-4], FRAMES[1][:-4]]))

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(100):
            if ctx.get(dut.o.valid):
                cycles.append(cycle)
            await ctx.tick()

    simulate(dut, producer, consumer)
    assert cycles == [1, 10, 19, 28, 37, 46, 55, 56, 57, 58, 59, 68, 77, 86, 87, 88, 89]
