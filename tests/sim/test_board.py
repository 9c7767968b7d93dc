"""The virtual board, with the real client at its pseudo-terminal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import serial

from boards import find_board
from hw.site import Site
from sim import board as command
from sim import demo
from sim.virtual import Build, VirtualBoard
from sw import golden, infer, zoo
from sw.compression import compress
from sw.format.sections import FormatError
from sw.format.status import Error
from sw.format.target import PRESETS
from sw.host import Accelerator, FailedError, LinkError, RefusedError, list_boards
from sw.host import info as host_info
from sw.image import build_image
from sw.schedule import ScheduleError
from tests.sim.networks import random_network


#: As fast as it goes, for images that are written.
SITE = Site(find_board("ulx3s"), "85F", 80_000_000, 3_000_000)
BUILD = Build(SITE, PRESETS["ulx3s", "85F"])


@pytest.fixture(scope="module")
def board():
    with VirtualBoard(BUILD) as board:
        yield board


@pytest.fixture
def accelerator(board):
    with Accelerator(board.port, baud=SITE.baud) as accelerator:
        yield accelerator


@pytest.fixture(scope="module")
def digits():
    return compress("digits")


@pytest.fixture(scope="module")
def other(digits):
    """Return a small network, its image, and inputs."""
    rng = np.random.default_rng(1)
    target = digits.target
    network, grids, symbols = random_network(rng, target, layers=2)
    x = rng.integers(-128, 128, (3, *network.input_shape), dtype=np.int8)
    return network, build_image(network, grids, symbols, target), x


def logits(network, x):
    return golden.run(network, x)[-1].reshape(len(x), -1)


def check(accelerator, other):
    """Write a good image and run it."""
    network, image, x = other
    accelerator.write_image(image)
    assert np.array_equal(accelerator(x), logits(network, x))


def test_images_one_after_the_other(board, digits, other):
    x = zoo.load_data("digits").x[:3]
    q = digits.network.quantise_input(x)
    # A board of its own, whose first image is the one of the bitstream.
    with VirtualBoard(BUILD) as fresh, Accelerator(fresh.port) as accelerator:
        assert accelerator.identification.target_hash == digits.target.hash
        inferences = accelerator.infer(x)
        assert np.array_equal(inferences.outputs, logits(digits.network, q))
        assert np.array_equal(inferences.classes, golden.classify(digits.network, x))
        assert 40_000 < inferences.cycles.min() <= inferences.cycles.max() < 60_000
        assert np.array_equal(accelerator(q[0, ..., 0]), logits(digits.network, q[:1]))

        check(accelerator, other)
        smaller = compress("digits", bits=1.8, target=PRESETS["ulx3s", "12F"])
        written = accelerator.write_image(smaller.data)
        assert written != smaller.data
        assert np.array_equal(accelerator(x), logits(smaller.network, q))
        assert not np.array_equal(accelerator(x), inferences.outputs)


@pytest.mark.parametrize("noise", [
    np.random.default_rng(0).bytes(400), bytes(300), b"\x07\x02\x05\xf2\x84", b"\xff" * 300],
    ids=["garbage", "zeros", "half a frame", "ones"])
def test_noise_and_a_client_that_goes(board, other, noise):
    with serial.Serial(board.port) as line:
        line.write(noise)
    with Accelerator(board.port) as accelerator:
        check(accelerator, other)


def test_client_that_goes_while_it_writes(board, other):
    with Accelerator(board.port) as accelerator:
        accelerator.link.stream.write(bytes([0, 5, 4]) + b"image" * 30)
    with Accelerator(board.port) as accelerator:
        check(accelerator, other)


def test_two_clients(board, accelerator, other):
    with pytest.raises(LinkError, match="can't be opened: another program uses it"):
        Accelerator(board.port)
    check(accelerator, other)


def test_wrong_images_are_not_written(accelerator, digits, other):
    network, image, x = other
    accelerator.write_image(image)
    raw = compress("digits", quantiser="uniform", codec="raw")
    for wrong, kind, complaint in [
            (b"an image", FormatError, "not a ROM image"), (image[:-4], FormatError, "its header"),
            (image[:-1] + bytes([image[-1] ^ 1]), FormatError, "CRC is"),
            (raw.data, ScheduleError, "image must be coded for AutomatonShape")]:
        with pytest.raises(kind, match=complaint):
            accelerator.write_image(wrong)
        assert np.array_equal(accelerator(x), logits(network, x))


def test_damaged_image_is_named(accelerator, other):
    _, image, x = other
    accelerator.link.write_image(image[:-1] + bytes([image[-1] ^ 1]))
    accelerator.link.load()
    for _ in range(2):
        with pytest.raises(FailedError, match="its image is damaged; write it again") as failure:
            accelerator(x)
        assert failure.value.error is Error.SECTION_CRC
    check(accelerator, other)


def test_image_written_in_part(accelerator, other):
    _, image, x = other
    check(accelerator, other)
    accelerator.link.write_image(image[:len(image) // 8 * 4])
    with pytest.raises(RefusedError, match="no image is loaded; write one"):
        accelerator(x)
    check(accelerator, other)


@pytest.mark.parametrize("x, complaint", [
    (np.zeros((9, 9)), r"must have shape \(8, 8, 1\), or \(n, ...\) for several, not \(9, 9\)"),
    (np.zeros((0, 8, 8)), "must not be empty"),
    (np.full((8, 8), np.nan), "must be finite, not NaN"),
    (np.full((8, 8), np.inf), "must be finite, not NaN or infinity"),
    (np.zeros((8, 8), complex), "must be of real numbers, not complex128"),
    (np.zeros((8, 8), bool), "must be of real numbers, not bool"),
    (np.full((8, 8), "one"), "must be of real numbers, not <U3")])
def test_bad_inputs(x, complaint, digits):
    with VirtualBoard(BUILD) as board, Accelerator(board.port) as accelerator:
        with pytest.raises(ValueError, match=complaint):
            accelerator(x)
        good = zoo.load_data("digits").x[:1]
        assert accelerator.infer(good).classes == golden.classify(digits.network, good)


def test_board_that_ends_in_the_middle(digits):
    with VirtualBoard(BUILD) as board, Accelerator(board.port) as accelerator:
        with pytest.raises(LinkError, match=r"can't be (read|written), was the board unplugged"):
            accelerator.write_image(digits.data, progress=lambda done: board.process.kill())
        with pytest.raises(LinkError, match="unplugged"):
            accelerator.describe()
    with pytest.raises(LinkError, match="can't be opened: there is no such port"):
        Accelerator(board.port)


def test_commands(board, other, tmp_path, capsys):
    network, image, x = other
    (tmp_path / "other.hri").write_bytes(image)
    expected = logits(network, x)
    np.savez(tmp_path / "x.npz", x=x, y=expected.argmax(axis=1))
    options = ["--port", board.port, "--baud", str(SITE.baud), "--json"]
    infer.main([*options, "--input", str(tmp_path / "x.npz"),
                "--image", str(tmp_path / "other.hri")])
    found = json.loads(capsys.readouterr().out)
    assert found["outputs"] == expected.tolist()
    assert found["accuracy"] == 1

    host_info.main(options)
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "READY"
    assert "ulx3s:85F" in found["target"]
    assert found["input_shape"] == list(network.input_shape)


def test_demo(monkeypatch, capsys):
    monkeypatch.setattr(demo, "DIGITS", BUILD)
    assert demo.main(["--digit", "7"]) == 0
    shown = capsys.readouterr().out
    assert "which is a 8" in shown
    assert "██" in shown
    assert "class 8" in shown


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_command_is_found_and_ends_cleanly(end):
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.board", "--baud", str(SITE.baud)],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        [port] = [port for port, board in list_boards().items() if f"-{process.pid}" in board]
        assert f"ULX3S with digits: {port}, 3000000 baud" in line
        with Accelerator(port) as accelerator:
            assert accelerator.describe().outputs == 10
        os.kill(process.pid, end)
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == "ended\n"
        assert port not in list_boards()
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


@pytest.mark.parametrize("options, complaint", [
    (["--board", "ulx4s"],
     "Board must be one of ulx3s, icebreaker, icesugar, icesugar_pro, not ulx4s"),
    (["--baud", "20000000"], "Clock must be at least 8 times the 20000000 baud"),
    (["--rows", "5"], "Rows must be 4 to 32"),
    (["--model", "nothing.npz"], "nothing.npz: no such model file")])
def test_bad_options_are_one_line(capsys, options, complaint):
    assert command.main(options) == 1
    assert capsys.readouterr().err.startswith(f"error: {complaint}")
