# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator
from cobs import cobs

from hw.link.host import HostLink
from sw.format.link import Identification, Request, Result, pack_frame
from sw.format.status import Error, State
from sw.host import FailedError, Link, RefusedError

from .models import TARGET, AcceleratorModel, counter_value


CLOCK_HZ, BAUD = 8_000_000, 1_000_000
BIT = 1 / BAUD
RNG = random.Random(0)

#: A line without a byte: what follows begins a new one.
IDLE = [1] * 10


class Line:
    """A serial line to a simulated host link, as a stream of bytes for the client.

    The simulation goes on while the client reads, for as long as the line isn't quiet for
    ``timeout`` bytes.
    """

    timeout = 30

    def __init__(self, **options):
        self.dut = HostLink(TARGET, clock_hz=CLOCK_HZ, baud=BAUD)
        self.model = AcceleratorModel(self.dut, **options)
        self.to_device = []
        self.from_device = bytearray()
        self.busy = False
        self.now = 0
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(1 / CLOCK_HZ)
        for part in [self.begin, self.transmit, self.receive, *self.model.parts]:
            self.simulator.add_testbench(part, background=True)

    def write(self, data):
        """Queue bytes."""
        self.to_device += ([0, *(byte >> bit & 1 for bit in range(8)), 1] for byte in data)

    def disturb(self, levels):
        """Queue levels, a bit long each."""
        self.to_device.append(levels)

    def read(self, size):
        quiet = 0
        while not self.from_device and quiet < self.timeout:
            quiet = 0 if self.to_device or self.busy else quiet + 1
            self.proceed(1)
        data = bytes(self.from_device[:size])
        del self.from_device[:size]
        return data

    def proceed(self, byte_times):
        """Simulate so many times of a byte."""
        self.now += byte_times * 10 * BIT
        self.simulator.run_until(self.now)

    async def begin(self, ctx):
        ctx.set(self.dut.state, State.READY)

    async def transmit(self, ctx):
        while True:
            for level in self.to_device.pop(0) if self.to_device else [1]:
                ctx.set(self.dut.rx, level)
                await ctx.delay(BIT)

    async def receive(self, ctx):
        while True:
            self.busy = False
            await ctx.negedge(self.dut.tx)
            self.busy = True
            await ctx.delay(BIT / 2)
            byte = 0
            for bit in range(9):
                await ctx.delay(BIT)
                byte |= ctx.get(self.dut.tx) << bit
            assert byte >> 8, "no stop bit"
            self.from_device.append(byte & 0xff)


@pytest.fixture
def line():
    return Line(longest=3)


def test_session(line, monkeypatch):
    monkeypatch.setattr("sw.host.client.MAX_IMAGE_WORDS", 5)
    link = Link(line)
    image = RNG.randbytes(4 * 12)
    inputs = RNG.randbytes(20)
    assert link.identify() == Identification.of(TARGET, CLOCK_HZ)
    link.write_image(image)
    assert bytes(byte for address in range(12)
                 for byte in line.model.image[address].to_bytes(4, "little")) == image
    assert link.read_image(5, 7) == image[4 * 5:]
    link.load()
    link.wait()
    link.write_input(3, inputs)
    link.run()
    link.wait()
    assert link.read_output(3, 20) == inputs
    assert link.counters(254, 2) == [counter_value(254), counter_value(255)]
    assert line.model.strobes == [State.LOADING, State.RUNNING]


def test_refused_requests(line):
    link = Link(line)
    line.model.busy = 1_000_000
    link.run()
    for request in (link.run, lambda: link.write_image(bytes(4)),
                    lambda: link.write_input(0, b"a"), lambda: link.read_output(0, 1),
                    lambda: link.read_image(0, 1)):
        with pytest.raises(RefusedError) as info:
            request()
        assert info.value.result is Result.BUSY
    assert link.status() == (State.RUNNING, Error.NONE)
    line.model.ends_with = State.FAILED, Error.CODED_DATA
    line.model.busy = 0
    with pytest.raises(FailedError, match="CODED_DATA"):
        link.wait()
    assert not line.model.image


def noise(seed):
    """Return levels of bits that no sender would send, and bytes that are no frames."""
    rng = random.Random(seed)
    frame = cobs.encode(pack_frame(Request.RUN, 7)) + b"\0"
    flipped = bytearray(frame)
    flipped[rng.randrange(len(frame) - 1)] ^= 1 << rng.randrange(8)
    return {
        "levels": [*rng.choices([0, 1], k=500), *IDLE],
        "bytes": rng.randbytes(40),
        "zeros": bytes(40),
        "ones": b"\xff" * 40,
        "break": [*[0] * 300, *IDLE],
        "truncated": frame[:rng.randrange(1, len(frame) - 1)],
        "flipped": bytes(flipped),
        "overlong": cobs.encode(pack_frame(Request.RUN, 7)[:2] * 130) + b"\0",
    }


@pytest.mark.parametrize("kind", noise(0))
def test_next_good_frame_works(line, kind):
    disturbance = noise(0)[kind]
    if isinstance(disturbance, list):
        line.disturb(disturbance)
    else:
        line.write(disturbance)
    assert Link(line, retries=0).status() == (State.READY, Error.NONE)
    assert not line.model.strobes


def test_line_errors_are_repaired_by_retries(line):
    rng = random.Random(0)
    clean = line.write

    def write(data):
        for byte in data:
            clean([byte ^ 4 if rng.random() < 0.03 else byte])

    line.write = write
    link = Link(line, retries=20)
    inputs = RNG.randbytes(10)
    link.write_input(5, inputs)
    link.run()
    assert line.model.strobes == [State.RUNNING]
    line.model.busy = 0
    link.wait()
    assert link.read_output(5, 10) == inputs


def test_two_requests_wait_while_one_is_answered(line):
    for sequence in range(4):
        line.write(cobs.encode(pack_frame(Request.IDENTIFY, sequence)) + b"\0")
    line.proceed(170)
    sequences = [cobs.decode(frame)[1] for frame in bytes(line.from_device).split(b"\0")[:-1]]
    assert sequences == [0, 1, 2, 3]


def test_writes_need_not_wait_for_responses(line):
    line.write(b"".join(cobs.encode(pack_frame(Request.WRITE_INPUT, sequence, bytes(3))) + b"\0"
                        for sequence in range(8)))
    line.proceed(120)
    sequences = [cobs.decode(frame)[1] for frame in bytes(line.from_device).split(b"\0")[:-1]]
    assert sequences == list(range(8))


def test_echo_does_not_go_round(line):
    link = Link(line)
    link.status()
    line.write(cobs.encode(pack_frame(Request.STATUS | 0x80, 1, bytes(3))) + b"\0")
    line.proceed(50)
    assert not line.from_device


@pytest.mark.parametrize("clock_hz, complaint", [
    (7_000_000, "Clock must be at least 8 times the 1000000 baud, not 7000000 Hz")])
def test_slow_clock_refused(clock_hz, complaint):
    with pytest.raises(ValueError, match=complaint):
        HostLink(TARGET, clock_hz=clock_hz, baud=BAUD)
