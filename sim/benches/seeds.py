"""Bench of the gateware of seeds: all weights of a layer.

The job has ``filter_size``, ``blocks``, payloads of the core's input, ``count``, the number of
weights, and ``stall``: of so many cycles the output stalls in one. The results hold ``weights``,
and ``cycles`` from the first block until the last weight.
"""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from sim.benches.decoder import feed
from sim.benches.job import read_job, start


@cocotb.test()
async def generate_weights(dut):
    job = read_job()
    for name in ("i__valid", "o__ready"):
        getattr(dut, name).value = 0
    dut.filter_size.value = job["filter_size"]
    await start(dut, job["clock_hz"])

    cocotb.start_soon(feed(dut, "i", job["blocks"]))
    weights = []
    cycles = 0
    while len(weights) < job["count"] and cycles < 4 * job["count"] + 100:
        dut.o__ready.value = cycles % job["stall"] != 0
        await ReadOnly()
        if dut.o__valid.value and dut.o__ready.value:
            weights.append(int(dut.o__payload.value) & 0xff)
        cycles += 1
        await RisingEdge(dut.clk)
    np.savez(job["results"], weights=np.array(weights, np.uint8).view(np.int8), cycles=cycles)
