"""Bench of a decoder core: tiles one after the other, damaged or not, each from the beginning.

The job has ``tiles``. A tile has ``words`` of coded data, behind which come as many zeros as the
engine feeds, ``transfers``, how many it is to give, ``stall`` and ``idle``: of so many cycles the
output or the input pauses in one; and where the decoder has such streams, ``rows`` or ``code`` if
it gets another table, payloads, and ``runs``. The results hold ``tile0``, payloads, ``tile1`` and
so on, ``errors``, whether the core reported one, and ``ends``, how each tile ended: `END`.
"""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from hw.engine.feed import READ_AHEAD
from sim.benches.decoder import feed
from sim.benches.job import read_job, start


#: A tile ended with all its transfers, with the words that there are, or it hung. A table was
#: refused.
END = {"whole": 0, "exceeded": 1, "hung": 2, "refused": 3}

#: Cycles in which nothing moves at either port after which a core hangs.
PATIENCE = 400


async def restart(dut, tile):
    """Take the core back to the beginning, with another table if the tile has one."""
    held, begins = (dut.run, 1) if hasattr(dut, "run") else (dut.rst, 0)
    held.value = 1 - begins
    for name in ("i__valid", "o__ready"):
        getattr(dut, name).value = 0
    await RisingEdge(dut.clk)
    for row in tile.get("rows", []):
        dut.rows__valid.value = 1
        dut.rows__payload.value = row
        await RisingEdge(dut.clk)
    if "rows" in tile:
        dut.rows__valid.value = 0
        await RisingEdge(dut.clk)
    if "code" in tile:
        await feed(dut, "code", tile["code"])
        waited = 0
        while dut.busy.value:
            await RisingEdge(dut.clk)
            waited += 1
            assert waited < 100 * PATIENCE, "the table builder hangs"
    held.value = begins


async def decode(dut, tile):
    """Return the transfers of a tile, whether there is an error, and how it ended."""
    words = tile["words"] + [0] * READ_AHEAD
    runs = list(tile.get("runs", []))
    transfers = []
    taken = cycle = quiet = 0
    end = None
    while end is None:
        offered = taken < len(words) and cycle % tile["idle"] != 0
        dut.i__valid.value = offered
        if offered:
            dut.i__payload.value = words[taken]
        ready = cycle % tile["stall"] != 0
        dut.o__ready.value = ready
        if "runs" in tile:
            dut.runs__valid.value = bool(runs)
            dut.runs__payload.value = runs[0] if runs else 0
        await ReadOnly()
        quiet += 1
        if offered and dut.i__ready.value:
            taken, quiet = taken + 1, 0
        if runs and dut.runs__ready.value:
            runs.pop(0)
            quiet = 0
        if ready and dut.o__valid.value:
            transfers.append(int(dut.o__payload.value))
            quiet = 0
        if len(transfers) >= tile["transfers"] and (not hasattr(dut, "done") or dut.done.value):
            end = "whole"
        elif quiet > PATIENCE:
            end = "exceeded" if taken == len(words) else "hung"
        error = hasattr(dut, "error") and bool(dut.error.value)
        cycle += 1
        await RisingEdge(dut.clk)
    dut.i__valid.value = 0
    if "runs" in tile:
        dut.runs__valid.value = 0
    return transfers, error, end


@cocotb.test()
async def decode_tiles(dut):
    job = read_job()
    for name in ("run", "rows__valid", "runs__valid", "code__valid", "i__valid", "o__ready"):
        if hasattr(dut, name):
            getattr(dut, name).value = 0
    if hasattr(dut, "direct") and "direct" in job:
        dut.direct.value = job["direct"]
    await start(dut, 100_000_000)
    results, errors, ends = {}, [], []
    for number, tile in enumerate(job["tiles"]):
        await restart(dut, tile)
        if hasattr(dut, "busy") and dut.error.value:
            transfers, error, end = [], True, "refused"
        else:
            transfers, error, end = await decode(dut, tile)
        results[f"tile{number}"] = np.array(transfers, np.uint64)
        errors.append(error)
        ends.append(END[end])
    np.savez(job["results"], errors=errors, ends=ends, **results)
