import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sw import golden, infer
from sw.compression import compress
from sw.format.target import PRESETS
from sw.host.inputs import read_input
from sw.zoo import load_data
from tests.sw.host.accelerator import NetworkAccelerator


PICTURE = Path(infer.__file__).parent / "zoo" / "digit.png"


@pytest.fixture(scope="module")
def digits():
    return compress("digits", codec="huffman")


@pytest.fixture
def board(digits, monkeypatch):
    """Return a model of a board with digits, at every port."""
    board = NetworkAccelerator(digits.data)
    monkeypatch.setattr("sw.host.accelerator.open_port", lambda port, baud: board)
    return board


def run(*options):
    infer.main(["--port", "somewhere", *map(str, options)])


def refuse(capsys, *options):
    with pytest.raises(SystemExit) as info:
        run(*options)
    assert not capsys.readouterr().out
    return str(info.value)


def test_one_input(board, tmp_path, capsys):
    np.save(tmp_path / "x.npy", load_data("digits").x[7])
    run("--input", tmp_path / "x.npy")
    first, *table, last = capsys.readouterr().out.strip().splitlines()
    assert first == "class 8"
    assert max(table, key=lambda row: row.count("█")).split()[0] == "8"
    assert last.startswith("1,000 cycles, 0.013 ms at 80 MHz; ")
    assert last.endswith(" ms over the link")


def test_accuracy_of_several(board, digits, tmp_path, capsys):
    data = load_data("digits")
    y = data.y[:4].copy()
    y[2] += 1
    np.savez(tmp_path / "x.npz", x=data.x[:4], y=y)
    run("--input", tmp_path / "x.npz")
    classes = golden.classify(digits.network, data.x[:4])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"classes {' '.join(map(str, classes))}"
    assert printed[-1] == f"{np.mean(classes == y):.2%} of 4 right"


def test_json(board, digits, tmp_path, capsys):
    x = load_data("digits").x[:2]
    np.savez(tmp_path / "x.npz", x=x)
    run("--input", tmp_path / "x.npz", "--json")
    found = json.loads(capsys.readouterr().out)
    expected = golden.run(digits.network, digits.network.quantise_input(x))[-1].reshape(2, -1)
    assert found["outputs"] == expected.tolist()
    assert found["classes"] == expected.argmax(axis=1).tolist()
    assert found["accuracy"] is None
    assert found["clock_hz"] == 80_000_000


@pytest.mark.parametrize("device, remade", [("85F", ""), (
    "12F", ", its schedule made anew for this accelerator")])
def test_image_is_written_first(board, tmp_path, capsys, device, remade):
    other = compress("digits", bits=1.8, codec="huffman", target=PRESETS["ulx3s", device])
    path = tmp_path / "other.hri"
    path.write_bytes(other.data)
    run("--input", PICTURE, "--image", path)
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"{path}: {len(other.data)} bytes written and loaded{remade}", "class 7"]
    assert board.image[:len(other.data)].endswith(other.data[-1000:])


def test_picture_that_ships(board, digits, capsys):
    x, _ = read_input(PICTURE)
    assert np.array_equal(x, digits.network.quantise_input(load_data("digits").x[11])[0, ..., 0])
    run("--input", PICTURE)
    assert capsys.readouterr().out.startswith("class 7\n")


@pytest.mark.parametrize("name, content, complaint", [
    ("x.npy", b"rubbish", "x.npy: not a npy file of numbers"),
    ("x.npy", b"", "x.npy: not a npy file of numbers"),
    ("x.npz", b"rubbish", "x.npz: is not an npz file"),
    ("x.png", b"rubbish", "x.png: not a good PNG"),
    ("x.txt", b"1 2 3", "x.txt: input must be a npy, npz or png file")])
def test_broken_files_are_one_line(board, tmp_path, capsys, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    assert complaint in refuse(capsys, "--input", tmp_path / name)


def test_objects_refused(board, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    assert "not a npy file of numbers" in refuse(capsys, "--input", tmp_path / "x.npy")


def test_truncated_picture_refused(board, tmp_path, capsys):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    whole = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(whole[:len(whole) // 2])
    assert "x.png: not a good PNG" in refuse(capsys, "--input", tmp_path / "x.png")


def test_missing_files(board, tmp_path, capsys):
    assert refuse(capsys, "--input", "nothing.npy") == (
        "error: nothing.npy: there is no such file")
    assert "nothing.hri" in refuse(capsys, "--input", PICTURE, "--image", "nothing.hri")


@pytest.mark.parametrize("arrays, complaint", [
    ({"z": np.zeros((8, 8))}, "array x is missing"),
    ({"x": np.zeros((2, 8, 8)), "y": np.zeros(3, int)},
     "y must have a class for each of the 2 inputs, not shape (3,)"),
    ({"x": np.zeros((2, 9, 8))}, "Input must have shape (8, 8, 1)"),
    ({"x": np.full((8, 8), np.nan)}, "array 'x' holds NaN or infinity"),
    ({"x": np.full((8, 8), "a")}, "Input must be of real numbers, not <U1")])
def test_unfit_arrays(board, tmp_path, capsys, arrays, complaint):
    np.savez(tmp_path / "x.npz", **arrays)
    assert complaint in refuse(capsys, "--input", tmp_path / "x.npz")


def test_missing_port(capsys):
    with pytest.raises(SystemExit, match="serial port /dev/nothing can't be opened"):
        infer.main(["--port", "/dev/nothing", "--input", str(PICTURE)])
