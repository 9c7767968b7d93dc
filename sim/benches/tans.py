"""Bench of the lanes of tANS: all values of an image's coded data.

The job has ``rows``, ``runs`` and ``words``, payloads of the decoder's streams, and ``stall``: of
so many cycles the output stalls in one. The results hold ``values``, those of one transfer after
the other, ``error`` and ``cycles``, from the first word until all is done.
"""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from sim.benches.decoder import feed
from sim.benches.job import read_job, start


@cocotb.test()
async def decode_lanes(dut):
    job = read_job()
    for name in ("rows__valid", "run", "runs__valid", "i__valid", "o__ready"):
        getattr(dut, name).value = 0
    await start(dut, job["clock_hz"])

    dut.rows__valid.value = 1
    for row in job["rows"]:
        dut.rows__payload.value = row
        await RisingEdge(dut.clk)
    dut.rows__valid.value = 0
    await RisingEdge(dut.clk)
    dut.run.value = 1
    zeros = [0] * 64
    cocotb.start_soon(feed(dut, "i", job["words"] + zeros))
    cocotb.start_soon(feed(dut, "runs", job["runs"]))

    transfers = []
    cycles = quiet = 0
    while quiet < 100:
        dut.o__ready.value = cycles % job["stall"] != 0
        await ReadOnly()
        quiet += 1
        if dut.o__valid.value:
            quiet = 0
            if dut.o__ready.value:
                transfers.append(int(dut.o__payload.value))
        if not dut.done.value:
            cycles += 1
            quiet = 0
        error = int(dut.error.value)
        await RisingEdge(dut.clk)
    size = len(dut.o__payload) // 8
    data = b"".join(transfer.to_bytes(size, "little") for transfer in transfers)
    np.savez(job["results"], values=np.frombuffer(data, np.int8), error=error, cycles=cycles)
