"""Jobs: images and inputs for a simulated accelerator, and what it makes of them.

A job is a JSON file, named by the environment variable HEADRACE_JOB: ``clock_hz``, ``baud``,
``results`` (the npz file to write) and ``parts``. A part has ``image`` (a file to write and load,
or null for the image that is there), ``inputs`` (an npy file of int8, one input a row),
``input_address``, ``output_address``, ``output_bytes`` and ``layers``. The results hold
``outputs0``, ``counters0``, ``layer_ends0`` and ``layer_waiting0`` for part 0, and so on.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from sw.format.status import Counter


__all__ = ["read_job", "run_parts", "start"]


#: Seconds that a load or a run may take: only a hung one takes so long.
PATIENCE = 3600


def read_job():
    """Return the job that this simulation is for."""
    return json.loads(Path(os.environ["HEADRACE_JOB"]).read_text())


async def start(dut, clock_hz):
    """Start the clock and let the reset end."""
    period_ps = round(1_000_000_000_000 / clock_hz / 2) * 2
    cocotb.start_soon(Clock(dut.clk, period_ps, unit="ps").start())
    dut.rst.value = 1
    await ClockCycles(dut.clk, 8)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 8)


def run_parts(link, parts):
    """Run the parts of a job over ``link``, which has the methods of a `sw.host.client.Link`."""
    results = {}
    for number, part in enumerate(parts):
        if part["image"] is not None:
            link.write_image(Path(part["image"]).read_bytes())
            link.load()
        link.wait(PATIENCE)
        found = {name: [] for name in ("outputs", "counters", "layer_ends", "layer_waiting")}
        for x in np.load(part["inputs"]):
            link.write_input(part["input_address"], x.tobytes())
            link.run()
            link.wait(PATIENCE)
            outputs = link.read_output(part["output_address"], part["output_bytes"])
            found["outputs"].append(np.frombuffer(outputs, np.int8))
            found["counters"].append(link.counters(0, Counter.LOAD_CYCLES + 1))
            found["layer_ends"].append(link.counters(Counter.LAYER, part["layers"]))
            found["layer_waiting"].append(link.counters(Counter.LAYER_WAITING, part["layers"]))
        results |= {f"{name}{number}": np.array(values) for name, values in found.items()}
    return results
