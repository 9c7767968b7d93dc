"""Bench of the engine alone: jobs, and images with flipped bits, without the serial line.

`flip_bits` takes the job's ``image`` and ``flips``, pairs of a byte and a bit; its results hold
``errors``, the accelerator's error for each flip. `try_images` takes ``images``, runs those that
can be loaded, and gives ``errors`` likewise. `end_run` takes ``endless``, an image whose run never
ends in practice, and ``image``, which must run after a load has ended that one.
"""

from pathlib import Path

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from sim.benches.job import read_job, run_parts, start
from sw.format.status import Error, State


#: Cycles after which a load or a run hangs.
HANGS = 4_000_000


class Ports:
    """The engine's ports, as coroutines."""

    def __init__(self, dut):
        self.dut = dut
        for name in ("image__valid", "inputs__valid", "output_reads__valid", "outputs__ready",
                     "image_reads__valid", "image_words__ready", "load", "run", "counter"):
            getattr(dut, name).value = 0

    async def send(self, stream, payloads):
        valid, ready = (getattr(self.dut, f"{stream}__{name}") for name in ("valid", "ready"))
        valid.value = 1
        for payload in payloads:
            getattr(self.dut, f"{stream}__payload").value = payload
            await ReadOnly()
            while not ready.value:
                await RisingEdge(self.dut.clk)
                await ReadOnly()
            await RisingEdge(self.dut.clk)
        valid.value = 0

    async def write_words(self, address, words):
        await self.send("image", ((address + i) | word << 16 for i, word in enumerate(words)))

    async def strobe(self, name):
        getattr(self.dut, name).value = 1
        await RisingEdge(self.dut.clk)
        getattr(self.dut, name).value = 0
        await ClockCycles(self.dut.clk, 2)

    async def settle(self):
        """Return state and error once neither a load nor a run is going on."""
        for _ in range(HANGS // 16):
            state = State(int(self.dut.state.value))
            if state in (State.READY, State.FAILED):
                return state, Error(int(self.dut.error.value))
            await ClockCycles(self.dut.clk, 16)
        raise AssertionError(f"still {state.name} after {HANGS} cycles")

    async def read_bytes(self, address, count):
        self.dut.outputs__ready.value = 1
        received = bytearray()
        for i in range(count):
            await self.send("output_reads", [address + i])
            await ReadOnly()
            while not self.dut.outputs__valid.value:
                await RisingEdge(self.dut.clk)
                await ReadOnly()
            received.append(int(self.dut.outputs__payload.value))
            await RisingEdge(self.dut.clk)
        return bytes(received)

    async def read_counter(self, index):
        self.dut.counter.value = index
        await ClockCycles(self.dut.clk, 3)
        return int(self.dut.count.value)


class DirectLink:
    """The engine's ports as a `sw.host.client.Link`, for code outside the event loop."""

    def __init__(self, ports):
        self.ports = ports

    @resume
    async def write_image(self, image):
        await self.ports.write_words(0, np.frombuffer(image, "<u4").tolist())

    @resume
    async def load(self):
        await self.ports.strobe("load")

    @resume
    async def wait(self, _):
        """Wait as long as `Ports.settle` does, in simulated time."""
        state, error = await self.ports.settle()
        assert state is State.READY, error.name

    @resume
    async def write_input(self, address, data):
        await self.ports.send("inputs", ((address + i) | b << 16 for i, b in enumerate(data)))

    @resume
    async def run(self):
        await self.ports.strobe("run")

    @resume
    async def read_output(self, address, number):
        return await self.ports.read_bytes(address, number)

    @resume
    async def counters(self, first, number):
        return [await self.ports.read_counter(first + i) for i in range(number)]


@cocotb.test()
async def run_job(dut):
    job = read_job()
    ports = Ports(dut)
    await start(dut, job["clock_hz"])
    results = await bridge(run_parts)(DirectLink(ports), job["parts"])
    np.savez(job["results"], **results)


@cocotb.test()
async def flip_bits(dut):
    job = read_job()
    ports = Ports(dut)
    await start(dut, job["clock_hz"])
    image = Path(job["image"]).read_bytes()
    words = np.frombuffer(image, "<u4").tolist()
    await ports.write_words(0, words)

    errors = []
    for byte, bit in job["flips"]:
        word, flipped = byte // 4, words[byte // 4] ^ 1 << byte % 4 * 8 + bit
        await ports.write_words(word, [flipped])
        await ports.strobe("load")
        state, error = await ports.settle()
        errors.append(error)
        if state is State.FAILED:
            await ports.strobe("run")
            assert await ports.settle() == (state, error)
        await ports.write_words(word, [words[word]])

    await ports.strobe("load")
    assert await ports.settle() == (State.READY, Error.NONE)
    np.savez(job["results"], errors=np.array(errors))


@cocotb.test()
async def try_images(dut):
    job = read_job()
    ports = Ports(dut)
    await start(dut, job["clock_hz"])
    errors = []
    for name in job["images"]:
        await ports.write_words(0, np.fromfile(name, "<u4").tolist())
        await ports.strobe("load")
        state, error = await ports.settle()
        if state is State.READY:
            await ports.strobe("run")
            state, error = await ports.settle()
        assert (state is State.FAILED) == (error is not Error.NONE)
        errors.append(error)
    np.savez(job["results"], errors=np.array(errors))


@cocotb.test()
async def end_run(dut):
    job = read_job()
    ports = Ports(dut)
    await start(dut, job["clock_hz"])
    await ports.write_words(0, np.fromfile(job["endless"], "<u4").tolist())
    await ports.strobe("load")
    assert await ports.settle() == (State.READY, Error.NONE)
    await ports.strobe("run")
    await ClockCycles(dut.clk, 20_000)
    assert int(dut.state.value) == State.RUNNING

    await ports.strobe("load")
    assert int(dut.state.value) == State.LOADING
    assert await ports.settle() == (State.READY, Error.NONE)
    await ports.write_words(0, np.fromfile(job["image"], "<u4").tolist())
    await ports.strobe("load")
    assert await ports.settle() == (State.READY, Error.NONE)
    await ports.strobe("run")
    assert await ports.settle() == (State.READY, Error.NONE)
    np.savez(job["results"])
