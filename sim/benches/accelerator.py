"""Bench of the whole accelerator: runs a job with the real client at its serial pins."""

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import SimTimeoutError, with_timeout
from cocotbext.uart import UartSink, UartSource

from sim.benches.job import read_job, run_parts, start
from sw.host.client import Link


#: How long the line is quiet before the client gives up, in bits.
QUIET_BITS = 20_000


class SimulatedLine:
    """The serial pins as a `sw.host.client.ByteStream`, for code outside the event loop."""

    def __init__(self, dut, baud):
        self.source = UartSource(dut.rx, baud=baud)
        self.sink = UartSink(dut.tx, baud=baud)
        self.quiet_ns = QUIET_BITS * 1_000_000_000 // baud

    @resume
    async def read(self, size):
        try:
            return bytes(await with_timeout(self.sink.read(size), self.quiet_ns, "ns"))
        except SimTimeoutError:
            return b""

    @resume
    async def write(self, data):
        await self.source.write(data)


@cocotb.test()
async def run_job(dut):
    job = read_job()
    dut.rx.value = 1
    await start(dut, job["clock_hz"])
    line = SimulatedLine(dut, job["baud"])

    def talk():
        link = Link(line)
        link.identify()
        return run_parts(link, job["parts"])

    np.savez(job["results"], **await bridge(talk)())
