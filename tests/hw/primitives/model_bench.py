"""Verilog models of vendor blocks in Verilator: inputs in, outputs out, line by line."""

import subprocess
from pathlib import Path

from sim.verilator import verilator_first


__all__ = ["ModelBench"]


MODELS = Path(__file__).parents[3] / "sim" / "models"


class ModelBench:
    """Compiles a top-level module with models, and runs it.

    Parameters
    ----------
    top : str
        Name of the module.
    inputs, outputs : sequence of str
        Its ports, but for ``clk``.
    models : sequence of str
        Files of sim/models, without their ending.
    cells : sequence of Path
        Other files with models.
    """

    def __init__(self, top, *, inputs, outputs, models=(), cells=()):
        self.top = top
        self.inputs = inputs
        self.outputs = outputs
        self.models = [*(MODELS / f"{name}.v" for name in models), *cells]

    @property
    def main(self):
        return f"""
#include <cstdint>
#include <iostream>
#include "V{self.top}.h"

int main() {{
    V{self.top} top;
    int64_t {", ".join(self.inputs)};
    while (std::cin >> {" >> ".join(self.inputs)}) {{
        {" ".join(f"top.{name} = {name};" for name in self.inputs)}
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        std::cout << {' << " " << '.join(f"top.{name}" for name in self.outputs)} << std::endl;
    }}
}}
"""

    def verilate(self, folder, verilog, *options):
        """Run Verilator on ``verilog`` and the models; return the ended process."""
        (folder / "design.v").write_text(verilog)
        with verilator_first():
            return subprocess.run(
                ["verilator", *options, "-Wno-fatal", "--top-module", self.top, "--Mdir",
                 str(folder), str(folder / "design.v"), *map(str, self.models)],
                capture_output=True, text=True)

    def compile(self, folder, verilog, *options):
        """Return a program that prints the outputs for each line of inputs."""
        (folder / "bench.cpp").write_text(self.main)
        result = self.verilate(folder, verilog, "--cc", "--exe", "--build", "-CFLAGS", "-O0",
                               *options, str(folder / "bench.cpp"))
        assert result.returncode == 0, result.stderr
        return folder / f"V{self.top}"

    def run(self, program, inputs):
        """Run ``program`` on a dict of inputs for each cycle; return the ended process."""
        lines = [" ".join(str(cycle[name]) for name in self.inputs) for cycle in inputs]
        return subprocess.run([program], input="\n".join(lines), capture_output=True, text=True)
