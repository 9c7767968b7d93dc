import os
import subprocess

import pytest

from sim import verilator


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Keep simulations in a folder of their own, and put nothing in place of Verilator."""
    monkeypatch.setattr(verilator, "BUILD", tmp_path)
    monkeypatch.setattr(verilator.subprocess, "run", lambda *arguments, **options:
                        subprocess.CompletedProcess(arguments, 0))
    return tmp_path


def compile_design(number):
    return verilator.compile_board(f"module design{number}(); endmodule", top=f"design{number}")


def test_each_text_is_compiled_once(build, monkeypatch):
    folder = compile_design(0)
    assert folder.parent == build
    monkeypatch.setattr(verilator.subprocess, "run", lambda *arguments, **options:
                        pytest.fail("compiled again"))
    assert compile_design(0) == folder


@pytest.mark.parametrize("package", ["verilator", "cocotb"])
def test_another_version_compiles_anew(build, monkeypatch, package):
    folder = compile_design(0)
    real = verilator.version
    monkeypatch.setattr(verilator, "version", lambda name:
                        "99" if name == package else real(name))
    assert compile_design(0) != folder


def test_last_used_simulations_are_kept(build):
    folders = [compile_design(number) for number in range(verilator.KEPT)]
    for age, folder in enumerate(folders):
        os.utime(folder, (1000 + age, 1000 + age))
    (build / "board-first").symlink_to(folders[0])
    (build / "board-second").symlink_to(folders[1])
    (build / "failed.log").touch()
    compile_design(0)
    last = compile_design(verilator.KEPT)
    assert {path.name for path in build.iterdir()} == {
        "board-first", "failed.log", last.name, folders[0].name,
        *(folder.name for folder in folders[2:])}


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


def fail(*arguments, **options):
    return subprocess.CompletedProcess(arguments, 1)


@pytest.mark.parametrize("run, error, left", [
    (interrupt, KeyboardInterrupt, []),
    (fail, verilator.SimulationError, ["failed.log"]),
])
def test_compilation_that_fails_leaves_no_folder(build, monkeypatch, run, error, left):
    monkeypatch.setattr(verilator.subprocess, "run", run)
    with pytest.raises(error):
        compile_design(0)
    assert [path.name for path in build.iterdir()] == left
