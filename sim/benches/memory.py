"""Bench of a weight memory that streams: regions of a job, and in which cycle each word came.

A job has ``clock_hz``, ``regions`` (pairs of address and words), ``stall`` (a word is taken in one
cycle of so many), ``identify`` (whether the memory must be told to), ``writes`` (pairs of address
and data, before the regions) and ``stop`` (the word of the last region after which the memory is
stopped, and the first region fetched again; or null). The results hold ``words``, ``cycles``, and
``fault``, where the memory has one.
"""

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, First, ReadOnly, RisingEdge, ValueChange

from sim.benches.job import read_job, start


#: Cycles without a word after which there will be none.
PATIENCE = 300_000

#: After so many it is waited for without a look at every cycle.
QUIET = 1000


async def transfer(dut, name, payload):
    """Offer a payload until it is taken."""
    getattr(dut, f"{name}__payload").value = payload
    getattr(dut, f"{name}__valid").value = 1
    while True:
        await ReadOnly()
        taken = bool(getattr(dut, f"{name}__ready").value)
        await RisingEdge(dut.clk)
        if taken:
            break
    getattr(dut, f"{name}__valid").value = 0


async def receive(dut, count, stall, clock):
    """Return ``count`` words and in which cycles they came; fewer if no more come."""
    words, cycles = [], []
    quiet = PATIENCE
    while len(words) < count:
        if quiet >= QUIET:
            dut.o__ready.value = 0
            await ReadOnly()
            if not dut.o__valid.value:
                ends = [RisingEdge(dut.o__valid), ClockCycles(dut.clk, PATIENCE)]
                if hasattr(dut, "fault"):
                    ends.append(ValueChange(dut.fault))
                await First(*ends)
            await RisingEdge(dut.clk)
            if not dut.o__valid.value:
                break
            quiet = 0
        dut.o__ready.value = int(clock[0] % stall == 0)
        await ReadOnly()
        if dut.o__ready.value and dut.o__valid.value:
            words.append(int(dut.o__payload.value))
            cycles.append(clock[0])
            quiet = 0
        await RisingEdge(dut.clk)
        clock[0] += 1
        quiet += 1
    dut.o__ready.value = 0
    return words, cycles


@cocotb.test()
async def stream(dut):
    job = read_job()
    address_bits = len(dut.regions__payload) // 2
    for name in ("regions__valid", "o__ready", "stop"):
        getattr(dut, name).value = 0
    if hasattr(dut, "identify"):
        dut.identify.value = 0
    if hasattr(dut, "writes__valid"):
        dut.writes__valid.value = 0
    await start(dut, job["clock_hz"])
    if job.get("identify"):
        dut.identify.value = 1
        await RisingEdge(dut.clk)
        dut.identify.value = 0
    for address, data in job.get("writes", ()):
        await transfer(dut, "writes", data << address_bits | address)

    words, cycles, clock = [], [], [0]

    async def fetch(region, count):
        address, length = region
        asking = cocotb.start_soon(transfer(dut, "regions", length << address_bits | address))
        some, when = await receive(dut, count, job["stall"], clock)
        words.extend(some)
        cycles.extend(when)
        if not asking.done():
            asking.cancel()
            dut.regions__valid.value = 0

    for region in job["regions"][:-1]:
        await fetch(region, region[1])
    last = job["regions"][-1]
    if job.get("stop") is not None:
        await fetch(last, job["stop"])
        dut.stop.value = 1
        await ClockCycles(dut.clk, 16)
        dut.stop.value = 0
        last = job["regions"][0]
    await fetch(last, last[1])
    results = {"words": words, "cycles": cycles}
    if hasattr(dut, "fault"):
        results["fault"] = int(dut.fault.value)
    np.savez(job["results"], **results)
