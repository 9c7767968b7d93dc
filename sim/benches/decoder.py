"""Bench of the decoder alone: all weights of an image, without the engine.

The job has ``code``, ``codebook`` and ``words``, words of the image's sections, and ``orders``:
kernel rows, weights of a kernel row and codebook of each layer. The results hold ``weights``, all
transfers one after the other, and ``cycles``, from the first word to the last transfer.
"""

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from sim.benches.job import read_job, start


#: Cycles without a transfer after which the decoder hangs.
HANGS = 10_000


async def feed(dut, stream, payloads):
    """Offer ``payloads`` one after the other, without a gap."""
    valid, ready = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__ready")
    for payload in payloads:
        valid.value = 1
        getattr(dut, f"{stream}__payload").value = payload
        await ReadOnly()
        while not ready.value:
            await RisingEdge(dut.clk)
            await ReadOnly()
        await RisingEdge(dut.clk)
    valid.value = 0


@cocotb.test()
async def decode_image(dut):
    job = read_job()
    for name in ("run", "code__valid", "codebook__valid", "words__valid", "jobs__valid",
                 "weights__ready"):
        getattr(dut, name).value = 0
    await start(dut, job["clock_hz"])

    code = job["code"]
    await feed(dut, "code", [word | (i == len(code) - 1) << 32 for i, word in enumerate(code)])
    for address, word in enumerate(job["codebook"]):
        dut.codebook__payload.value = address | word << 8
        dut.codebook__valid.value = 1
        await RisingEdge(dut.clk)
    dut.codebook__valid.value = 0
    while dut.code_busy.value:
        await RisingEdge(dut.clk)
    assert not dut.code_error.value

    await ClockCycles(dut.clk, 16)
    dut.run.value = 1
    dut.weights__ready.value = 1
    zeros = [0] * 256
    cocotb.start_soon(feed(dut, "words", job["words"] + zeros))
    cocotb.start_soon(feed(dut, "jobs", [
        kernel_rows | length << 16 | codebook << 32
        for kernel_rows, length, codebook in job["orders"]]))

    expected = sum(rows * -(-length // 4) for rows, length, _ in job["orders"])
    transfers = []
    cycles = quiet = 0
    while len(transfers) < expected:
        await ReadOnly()
        quiet += 1
        if dut.weights__valid.value:
            transfers.append(int(dut.weights__payload.value) & 0xffff_ffff)
            quiet = 0
        assert quiet < HANGS
        cycles += 1
        await RisingEdge(dut.clk)
    weights = np.array(transfers, "<u4").view(np.int8)
    np.savez(job["results"], weights=weights, cycles=cycles)
