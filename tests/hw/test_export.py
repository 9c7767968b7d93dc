import re
import subprocess

import numpy as np
import pytest

from hw.export.__main__ import main
from sim.verilator import compile_testbench
from sw.compression import compress


CODED = {"tans": ["--lanes", "2", "--memory", "ecp5"], "huffman": [], "raw": [], "rice": [],
         "runlength": []}


def export(folder, *arguments, weights=600):
    """Return the files that a command writes, by their names."""
    assert main(["decoder", "-o", str(folder / "decoder.v"), "--weights", str(weights),
                 *arguments]) == 0
    return {path.name: path.read_text() for path in folder.iterdir()}


def compiled(files):
    return compile_testbench(files["decoder.v"] + files["decoder_tb.v"], top="decoder_tb") / "bench"


def run(program, folder):
    return subprocess.run([program], cwd=folder, capture_output=True, text=True, timeout=100,
                          check=False)


def passes(program, folder, symbols=600):
    result = run(program, folder)
    return result.returncode == 0 and f"PASS: {symbols} symbols" in result.stdout


def fails(program, folder):
    result = run(program, folder)
    return result.returncode != 0 and "FAIL" in result.stdout and "PASS" not in result.stdout


def flip(folder, name, line, bit):
    path = folder / f"decoder_tb_{name}.hex"
    lines = path.read_text().split()
    lines[line] = f"{int(lines[line], 16) ^ 1 << bit:0{len(lines[line])}x}"
    path.write_text("\n".join(lines) + "\n")


def test_testbench_passes_and_a_flipped_bit_makes_it_fail(tmp_path, capsys):
    files = export(tmp_path, "--codec", "tans", "--lanes", "4")
    closing = capsys.readouterr().out
    assert "4 symbols a transfer at most" in closing
    assert closing.count("\n") == 1
    program = compiled(files)
    assert passes(program, tmp_path)
    # Coded data, a row of the table, an expected weight.
    for name, line, bit in (("i", 5, 3), ("rows", 100, 21), ("expected", 599, 0), ("runs", 0, 7)):
        flip(tmp_path, name, line, bit)
        assert fails(program, tmp_path), name
        flip(tmp_path, name, line, bit)
    assert passes(program, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODED)
def test_testbench_of_each_codec(tmp_path, codec):
    program = compiled(export(tmp_path, "--codec", codec, *CODED[codec]))
    assert passes(program, tmp_path)
    for name, line, bit in (("i", 9, 3), ("expected", 599, 0)):
        flip(tmp_path, name, line, bit)
        assert fails(program, tmp_path), name
        flip(tmp_path, name, line, bit)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["tans", "huffman"])
def test_coded_data_of_an_image(tmp_path, codec):
    image = compress("digits", quantiser="step", bits=3, codec=codec, target=None)
    (tmp_path / "digits.hri").write_bytes(image.data)
    files = export(tmp_path / "core", "--codec", codec, "--image", str(tmp_path / "digits.hri"))
    symbols = len(files["decoder_tb_expected.hex"].split())
    assert symbols == 33_536
    assert passes(compiled(files), tmp_path / "core", symbols)


@pytest.mark.parametrize("codec", CODED)
def test_same_bytes_and_no_blocks_of_a_vendor(tmp_path, codec):
    folders = [tmp_path / "first", tmp_path / "second"]
    first, second = (export(folder, "--codec", codec, *CODED[codec][:2]) for folder in folders)
    assert first == second
    assert not re.search("DP16KD|assert", first["decoder.v"])
    words = first["decoder_tb_i.hex"].split()
    assert all(re.fullmatch("[0-9a-f]{8}", word) for word in words)
    assert export(tmp_path / "third", "--codec", codec, "--seed", "1")["decoder_tb_i.hex"].split() \
        != words


def test_blocks_of_the_ecp5(tmp_path):
    files = export(tmp_path, "--codec", "tans", "--lanes", "2", "--memory", "ecp5")
    assert "DP16KD #(" in files["decoder.v"]
    assert np.loadtxt(tmp_path / "decoder_tb_expected.hex", str).size == 600


@pytest.mark.parametrize("arguments, complaint", [
    (["--codec", "tans", "--lanes", "3"], "Lanes must be 1, 2, 4 or 8, not 3"),
    (["--codec", "tans", "--lanes", "4", "--states", "8"],
     "States must be 28 or more for 4 lanes, not 8"),
    (["--codec", "rice", "--lanes", "4"], "--lanes is for codec tans, not rice"),
    (["--codec", "tans", "--weights", "1"], "Weights must be 2 to 1048576, not 1"),
    (["--codec", "tans", "--image", "missing.hri"],
     "missing.hri: no such image; python -m sw.compress MODEL -o missing.hri makes one"),
    (["--codec", "huffman", "--substreams", "3"], "Substreams must be 2, 4 or 8, not 3"),
])
def test_complaints(tmp_path, capsys, arguments, complaint):
    assert main(["decoder", "-o", str(tmp_path / "decoder.v"), *arguments]) == 1
    assert capsys.readouterr().err.strip().endswith(complaint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["decoder", "8.v", "a-b.v", "de coder.v"])
def test_names_that_are_no_modules(tmp_path, capsys, name):
    assert main(["decoder", "--codec", "raw", "-o", str(tmp_path / name)]) == 1
    assert "must be called like a module of Verilog" in capsys.readouterr().err


def test_an_image_of_another_codec(tmp_path, capsys):
    path = tmp_path / "digits.hri"
    path.write_bytes(compress("digits", quantiser="step", bits=3, codec="huffman",
                              target=None).data)
    output = ["-o", str(tmp_path / "decoder.v"), "--image", str(path)]
    assert main(["decoder", "--codec", "tans", *output]) == 1
    assert capsys.readouterr().err.endswith("must have codec tans\n")
    assert main(["decoder", "--codec", "huffman", "--step-bits", "5", *output]) == 1
    assert "--step-bits must be the image's 4, not 5" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]
