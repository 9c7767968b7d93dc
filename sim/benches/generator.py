"""Bench of a predictor's gateware: all weights of a layer.

The job is a `hw.predict.job.Job`: ``levels`` of ports, ``writes``, payloads of streams that are
written before, and ``inputs``, those of the input. There are also ``count``, the number of weights,
and ``stall``: of so many cycles the output stalls in one. The results hold ``weights``, and
``cycles`` from the first input until the last weight.
"""

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from sim.benches.decoder import feed
from sim.benches.job import read_job, start


#: Cycles without a weight after which the core hangs.
HANGS = 10_000


@cocotb.test()
async def generate_weights(dut):
    job = read_job()
    for name in ("i__valid", "o__ready", *(f"{stream}__valid" for stream in job["writes"])):
        getattr(dut, name).value = 0
    for name, level in job["levels"].items():
        getattr(dut, name).value = level
    await start(dut, job["clock_hz"])
    for stream, payloads in job["writes"].items():
        for payload in payloads:
            getattr(dut, f"{stream}__valid").value = 1
            getattr(dut, f"{stream}__payload").value = payload
            await RisingEdge(dut.clk)
        getattr(dut, f"{stream}__valid").value = 0
    await ClockCycles(dut.clk, 4)

    cocotb.start_soon(feed(dut, "i", job["inputs"]))
    weights = []
    cycles = last = 0
    while len(weights) < job["count"] and cycles < last + HANGS:
        dut.o__ready.value = cycles % job["stall"] != 0
        await ReadOnly()
        if dut.o__valid.value and dut.o__ready.value:
            weights.append(int(dut.o__payload.value) & 0xff)
            last = cycles
        cycles += 1
        await RisingEdge(dut.clk)
    np.savez(job["results"], weights=np.array(weights, np.uint8).view(np.int8), cycles=cycles)
