import random

import pytest

from hw.link.requests import RequestHandler
from sw.format.link import (
    MAX_COUNTERS,
    MAX_IMAGE_WORDS,
    MAX_INPUT_BYTES,
    MAX_OUTPUT_BYTES,
    RESPONSE,
    Identification,
    Request,
    Result,
    pack_read,
    pack_status,
    pack_write,
)
from sw.format.status import Error, State

from ..streams import receive, send
from .models import TARGET, AcceleratorModel, counter_value, gaps


CLOCK_HZ = 12_345_678
RNG = random.Random(0)


def request_bytes(kind, sequence, payload=b""):
    frame = bytes([kind, sequence]) + payload
    return [{"data": byte, "last": index == len(frame) - 1, "length": len(payload)}
            for index, byte in enumerate(frame)]


async def response(ctx, dut, stall):
    frame, last = bytearray(), 0
    while not last:
        [payload] = await receive(ctx, dut.responses, 1, stall=stall)
        frame.append(payload.data)
        last = payload.last
    return bytes(frame)


class Bench:
    """A request handler, the model behind it, and what to ask it one request after another."""

    def __init__(self, simulate, *, longest=0, state=State.READY):
        self.simulate = simulate
        self.dut = RequestHandler(TARGET, clock_hz=CLOCK_HZ)
        self.model = AcceleratorModel(self.dut, longest=longest)
        self.longest = longest
        self.state = state
        self.sequence = 0

    def run(self, testbench):
        async def begin(ctx):
            ctx.set(self.dut.state, self.state)
            await testbench(ctx)

        self.simulate(self.dut, begin, background=self.model.parts, max_cycles=50_000, watch=[
            self.dut.requests, self.dut.responses, self.dut.image, self.dut.inputs,
            self.dut.output_reads, self.dut.image_reads])

    async def ask(self, ctx, kind, payload=b"", *, repeat=False):
        """Return result and data of the response."""
        self.sequence = (self.sequence + (not repeat)) % 256
        await send(ctx, self.dut.requests, request_bytes(kind, self.sequence, payload),
                   idle=gaps(4, self.longest))
        frame = await response(ctx, self.dut, gaps(5, self.longest))
        assert frame[:2] == bytes([kind | RESPONSE, self.sequence])
        return Result(frame[2]), frame[3:]


@pytest.mark.parametrize("longest", [0, 3])
def test_every_request(simulate, longest):
    bench = Bench(simulate, longest=longest)
    inputs = RNG.randbytes(MAX_INPUT_BYTES)
    words = [RNG.getrandbits(32) for _ in range(61)]

    async def testbench(ctx):
        model = bench.model
        assert await bench.ask(ctx, Request.IDENTIFY) == (
            Result.OK, Identification.of(TARGET, CLOCK_HZ).pack())
        assert await bench.ask(ctx, Request.STATUS) == (
            Result.OK, pack_status(State.READY, Error.NONE))
        assert await bench.ask(ctx, Request.WRITE_INPUT, pack_write(700, inputs)) == (
            Result.OK, b"")
        assert await bench.ask(ctx, Request.READ_OUTPUT, pack_read(700, MAX_INPUT_BYTES)) == (
            Result.OK, inputs)
        assert await bench.ask(ctx, Request.READ_OUTPUT, pack_read(0, 1)) == (
            Result.OK, model.activations[:1])
        assert await bench.ask(ctx, Request.READ_COUNTERS, pack_read(200, 56)) == (
            Result.OK, b"".join(counter_value(i).to_bytes(4, "little") for i in range(200, 256)))
        assert await bench.ask(ctx, Request.WRITE_IMAGE, pack_write(
            400, b"".join(word.to_bytes(4, "little") for word in words))) == (Result.OK, b"")
        assert model.image == {400 + index: word for index, word in enumerate(words)}
        assert await bench.ask(ctx, Request.READ_IMAGE, pack_read(400, MAX_IMAGE_WORDS)) == (
            Result.OK, b"".join(word.to_bytes(4, "little") for word in words))
        assert await bench.ask(ctx, Request.LOAD) == (Result.OK, b"")
        await ctx.tick().repeat(model.busy)
        assert await bench.ask(ctx, Request.RUN) == (Result.OK, b"")
        assert model.strobes == [State.LOADING, State.RUNNING]

    bench.run(testbench)


LENGTHS = {
    Request.IDENTIFY: {0}, Request.STATUS: {0}, Request.LOAD: {0}, Request.RUN: {0},
    Request.READ_COUNTERS: {3}, Request.READ_OUTPUT: {3}, Request.READ_IMAGE: {3},
    Request.WRITE_INPUT: set(range(3, 248)), Request.WRITE_IMAGE: set(range(6, 248, 4)),
}


@pytest.mark.parametrize("kind", Request)
def test_lengths(simulate, kind):
    bench = Bench(simulate)
    bench.model.busy = 1

    async def testbench(ctx):
        for length in [*range(12), 30, 246, 247]:
            payload = b"\1\0\1\0\0\0\0\0\0\0\0\0"[:length].ljust(length, b"\0")
            result, _ = await bench.ask(ctx, kind, payload)
            assert (result == Result.OK) == (length in LENGTHS[kind]), length
            if length not in LENGTHS[kind]:
                assert result == Result.BAD_LENGTH

    bench.run(testbench)
    assert len(bench.model.strobes) == (kind in (Request.LOAD, Request.RUN))


@pytest.mark.parametrize("kind, unit, bound, most", [
    (Request.READ_COUNTERS, 0, 256, MAX_COUNTERS),
    (Request.READ_OUTPUT, 0, TARGET.activation_bytes, MAX_OUTPUT_BYTES),
    (Request.READ_IMAGE, 0, TARGET.memory_words, MAX_IMAGE_WORDS),
    (Request.WRITE_INPUT, 1, TARGET.activation_bytes, 100),
    (Request.WRITE_IMAGE, 4, TARGET.memory_words, 30),
])
def test_addresses(simulate, kind, unit, bound, most):
    bench = Bench(simulate)

    async def testbench(ctx):
        for address, number, fits in [
                (0, 1, True), (0, most, True), (bound - 1, 1, True), (bound - most, most, True),
                (bound, 1, False), (bound - 1, 2, False), (bound - most + 1, most, False),
                (0xffff, 1, False), (0xffff, most, False)]:
            payload = (pack_write(address, bytes(unit * number)) if unit
                       else pack_read(address, number))
            result, _ = await bench.ask(ctx, kind, payload)
            assert result == (Result.OK if fits else Result.BAD_ADDRESS), (address, number)
        if not unit:
            for number in (0, most + 1, 255):
                assert await bench.ask(ctx, kind, pack_read(0, number)) == (Result.BAD_ADDRESS, b"")

    bench.run(testbench)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", Request)
def test_states(simulate, kind, state):
    bench = Bench(simulate, state=state)
    busy = state in (State.LOADING, State.RUNNING)
    match kind:
        case Request.IDENTIFY | Request.STATUS | Request.READ_COUNTERS:
            expected = Result.OK
        case Request.LOAD:
            expected = Result.BUSY if state == State.LOADING else Result.OK
        case Request.WRITE_IMAGE | Request.READ_IMAGE:
            expected = Result.BUSY if busy else Result.OK
        case _:
            expected = (Result.BUSY if busy else
                        Result.NOT_READY if state == State.FAILED else Result.OK)
    payload = dict.fromkeys(
        [Request.READ_COUNTERS, Request.READ_OUTPUT, Request.READ_IMAGE], pack_read(0, 1))
    payload |= {Request.WRITE_INPUT: pack_write(0, b"a"),
                Request.WRITE_IMAGE: pack_write(0, b"word")}

    async def testbench(ctx):
        result, data = await bench.ask(ctx, kind, payload.get(kind, b""))
        assert result == expected
        assert result == Result.OK or not data

    before = bytes(bench.model.activations)
    bench.run(testbench)
    if expected != Result.OK:
        assert not bench.model.strobes
        assert not bench.model.image
        assert bench.model.activations == before


@pytest.mark.parametrize("error", Error)
def test_error_is_reported(simulate, error):
    bench = Bench(simulate, state=State.FAILED)

    async def testbench(ctx):
        ctx.set(bench.dut.error, error)
        assert await bench.ask(ctx, Request.STATUS) == (
            Result.OK, pack_status(State.FAILED, error))

    bench.run(testbench)


def test_unknown_types_refused(simulate):
    bench = Bench(simulate)

    async def testbench(ctx):
        for kind in (0, 10, 0x7f):
            for payload in (b"", b"a", bytes(20)):
                assert await bench.ask(ctx, kind, payload) == (Result.UNKNOWN_TYPE, b"")

    bench.run(testbench)


def test_responses_are_ignored(simulate):
    bench = Bench(simulate)

    async def testbench(ctx):
        for kind in (0x80, Request.RUN | RESPONSE, 0xff):
            for payload in (b"", b"a", bytes(20)):
                await send(ctx, bench.dut.requests, request_bytes(kind, 0, payload))
        assert (await bench.ask(ctx, Request.STATUS))[0] == Result.OK

    bench.run(testbench)
    assert not bench.model.strobes


@pytest.mark.parametrize("kind, state", [(Request.LOAD, State.LOADING),
                                         (Request.RUN, State.RUNNING)])
def test_repeated_start_starts_once(simulate, kind, state):
    bench = Bench(simulate)

    async def testbench(ctx):
        assert await bench.ask(ctx, kind) == (Result.OK, b"")
        assert await bench.ask(ctx, kind, repeat=True) == (Result.OK, b"")
        await ctx.tick().repeat(2 * bench.model.busy)
        assert await bench.ask(ctx, kind, repeat=True) == (Result.OK, b"")
        assert bench.model.strobes == [state]
        assert await bench.ask(ctx, kind) == (Result.OK, b"")
        assert bench.model.strobes == [state, state]

    bench.run(testbench)


def test_start_is_forgotten_after_another_request(simulate):
    bench = Bench(simulate)

    async def testbench(ctx):
        await bench.ask(ctx, Request.RUN)
        await ctx.tick().repeat(2 * bench.model.busy)
        assert (await bench.ask(ctx, Request.STATUS, repeat=True))[0] == Result.OK
        assert await bench.ask(ctx, Request.RUN, repeat=True) == (Result.OK, b"")
        assert bench.model.strobes == [State.RUNNING, State.RUNNING]

    bench.run(testbench)


def test_refused_start_is_judged_anew(simulate):
    bench = Bench(simulate, state=State.LOADING)

    async def testbench(ctx):
        assert await bench.ask(ctx, Request.RUN) == (Result.BUSY, b"")
        ctx.set(bench.dut.state, State.READY)
        assert await bench.ask(ctx, Request.RUN, repeat=True) == (Result.OK, b"")
        assert bench.model.strobes == [State.RUNNING]

    bench.run(testbench)


def test_state_is_up_to_date_after_a_start(simulate):
    bench = Bench(simulate)
    dut = bench.dut
    frames = [request_bytes(Request.RUN, 1), request_bytes(Request.STATUS, 2),
              request_bytes(Request.RUN, 3)]

    async def producer(ctx):
        ctx.set(dut.state, State.READY)
        await send(ctx, dut.requests, [byte for frame in frames for byte in frame])

    async def consumer(ctx):
        data = [(await response(ctx, dut, gaps(0, 0)))[2:] for _ in frames]
        assert data == [bytes([Result.OK]),
                        bytes([Result.OK]) + pack_status(State.RUNNING, Error.NONE),
                        bytes([Result.BUSY])]

    simulate(dut, producer, consumer, background=bench.model.parts)


def test_altered_image_must_be_loaded(simulate):
    bench = Bench(simulate)

    async def testbench(ctx):
        assert (await bench.ask(ctx, Request.WRITE_IMAGE, pack_write(0, b"word")))[0] == Result.OK
        for kind, payload in [(Request.RUN, b""), (Request.WRITE_INPUT, pack_write(0, b"a")),
                              (Request.READ_OUTPUT, pack_read(0, 1))]:
            assert await bench.ask(ctx, kind, payload) == (Result.NOT_READY, b"")
        assert await bench.ask(ctx, Request.LOAD) == (Result.OK, b"")
        await ctx.tick().repeat(2 * bench.model.busy)
        assert await bench.ask(ctx, Request.RUN) == (Result.OK, b"")

    bench.run(testbench)


def test_response_latency(simulate):
    bench = Bench(simulate)

    async def testbench(ctx):
        await send(ctx, bench.dut.requests, request_bytes(Request.STATUS, 1))
        for _ in range(4):
            assert not ctx.get(bench.dut.responses.valid)
            await ctx.tick()
        assert ctx.get(bench.dut.responses.valid)

    bench.run(testbench)
