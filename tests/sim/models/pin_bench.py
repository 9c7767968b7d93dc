"""Verilog models of memories in Verilator: pins set at a time, and what they show then."""

import subprocess
from pathlib import Path

from sim.verilator import verilator_first


__all__ = ["PinBench"]


MODELS = Path(__file__).parents[3] / "sim" / "models"


class PinBench:
    """Compiles a module ``Bench`` with models of sim/models, and runs it.

    Parameters
    ----------
    verilog : str
        The module.
    inputs, outputs : sequence of str
        Its ports.
    models : sequence of str
        Files of sim/models, without their ending.
    """

    def __init__(self, verilog, *, inputs, outputs, models):
        self.verilog = verilog
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.models = [MODELS / f"{name}.v" for name in models]

    @property
    def main(self):
        return f"""
#include <cstdint>
#include <iostream>
#include "VBench.h"
#include "verilated.h"

int main(int argc, char** argv) {{
    VerilatedContext context;
    context.commandArgs(argc, argv);
    VBench top{{&context}};
    int64_t delay, {", ".join(self.inputs)};
    while (std::cin >> delay >> {" >> ".join(self.inputs)}) {{
        context.timeInc(delay);
        {" ".join(f"top.{name} = {name};" for name in self.inputs)}
        top.eval();
        std::cout << {' << " " << '.join(f"uint64_t(top.{name})" for name in self.outputs)}
                  << "\\n";
    }}
}}
"""

    def compile(self, folder):
        """Return a program that prints the outputs for each line of a delay in ps and inputs."""
        (folder / "bench.v").write_text(self.verilog)
        (folder / "bench.cpp").write_text(self.main)
        with verilator_first():
            result = subprocess.run(
                ["verilator", "--cc", "--exe", "--build", "-CFLAGS", "-O1", "-Wno-fatal",
                 "-Wno-lint", "-Wno-style", "--x-assign", "fast", "--top-module", "Bench",
                 "-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include",
                 "--Mdir", str(folder), str(folder / "bench.cpp"), str(folder / "bench.v"),
                 *map(str, self.models)],
                capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return folder / "VBench"

    def run(self, program, steps, *options):
        """Return the ended process, which was given ``steps``: a delay in ps and inputs each."""
        lines = "\n".join(" ".join(map(str, step)) for step in steps)
        return subprocess.run([program, *options], input=lines, capture_output=True, text=True)

    def outputs_of(self, program, steps, *options):
        """Return what the outputs are after each step.

        Raises
        ------
        AssertionError
            If the simulation ends early.
        """
        result = self.run(program, steps, *options)
        assert result.returncode == 0, result.stdout[-300:] + result.stderr
        return [tuple(map(int, line.split())) for line in result.stdout.splitlines()]
