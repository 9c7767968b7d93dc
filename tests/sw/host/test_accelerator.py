import struct
from dataclasses import replace

import numpy as np
import pytest

from sw import golden
from sw.compression import compress
from sw.format.link import Identification
from sw.format.sections import HEADER_WORDS
from sw.format.status import Error, State
from sw.format.target import PRESETS, Target
from sw.host import (Accelerator, FailedError, LinkError, MalformedError, NoResponseError,
                     ProtocolVersionError)
from sw.host.client import FAILURES
from sw.schedule import ScheduleError
from sw.zoo import load_data

from . import accelerator as model


@pytest.fixture
def board(digits, monkeypatch):
    """Return a model of a board with digits, at every port."""
    board = model.NetworkAccelerator(digits.data)
    monkeypatch.setattr("sw.host.accelerator.open_port", lambda port, baud: board)
    return board


@pytest.fixture
def accelerator(board):
    with Accelerator("somewhere") as accelerator:
        yield accelerator


def logits(network, q):
    return golden.run(network, q)[-1].reshape(len(q), -1)


def test_port_is_closed_after_use(board):
    with Accelerator("somewhere") as accelerator:
        assert accelerator.port == "somewhere"
        assert not board.closed
    assert board.closed


def test_only_board_is_found(board, monkeypatch):
    monkeypatch.setattr("sw.host.accelerator.find_port", lambda: "found")
    assert Accelerator().port == "found"


@pytest.mark.parametrize("prepare", [
    lambda x: x, lambda x: x.astype(float), lambda x: x[..., 0].astype(np.float16),
    lambda x: x.astype(np.int64).tolist()])
def test_inputs_are_quantised(accelerator, digits, prepare):
    x = load_data("digits").x[:4]
    inferences = accelerator.infer(prepare(x))
    expected = logits(digits.network, digits.network.quantise_input(x))
    assert np.array_equal(inferences.outputs, expected)
    assert np.array_equal(inferences.classes, golden.classify(digits.network, x))
    last = digits.network.layers[-1].descriptor
    assert np.allclose(inferences.scores,
                       last.output_scale * (expected.astype(int) - last.output_zero_point))
    assert inferences.cycles.tolist() == [1000] * 4
    assert (inferences.seconds > 0).all()


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8), (1, 8, 8), (3, 8, 8, 1)])
def test_int8_is_taken_as_it_is(accelerator, digits, shape):
    q = np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)
    expected = logits(digits.network, q.reshape(-1, 8, 8, 1))
    assert np.array_equal(accelerator(q), expected)


@pytest.mark.parametrize("x, complaint", [
    (np.zeros((8, 9)), r"Input must have shape \(8, 8, 1\), or \(n, ...\) for several, not \(8, 9"),
    (np.zeros(()), r"Input must have shape .*, not \(\)"),
    (np.zeros((0, 8, 8)), "Input must not be empty"),
    (np.full((8, 8), -np.inf), "Input must be finite"),
    (np.full((8, 8), np.nan), "Input must be finite"),
    (np.full((8, 8), None), "Input must be of real numbers, not object"),
    (np.zeros((8, 8), bool), "Input must be of real numbers, not bool")])
def test_bad_inputs_refused(accelerator, board, x, complaint):
    with pytest.raises(ValueError, match=complaint):
        accelerator(x)
    assert not board.runs
    assert accelerator(np.zeros((8, 8))).shape == (1, 10)


def test_image_is_written(accelerator, board, digits):
    other = compress("digits", bits=1.8, codec="huffman")
    progress = []
    assert accelerator.write_image(other.data, progress=progress.append) == other.data
    assert board.image[:len(other.data)] == other.data
    assert progress[-1] == len(other.data)
    q = digits.network.quantise_input(load_data("digits").x[:2])
    assert np.array_equal(accelerator(q), logits(other.network, q))


def test_schedule_is_remade(accelerator, board, digits):
    other = compress("digits", codec="huffman", target=PRESETS["ulx3s", "12F"])
    assert accelerator.write_image(other.data) == digits.data
    assert board.image[:len(digits.data)] == digits.data


def test_image_from_a_file(accelerator, board, digits, tmp_path):
    path = tmp_path / "digits.hri"
    path.write_bytes(digits.data)
    board.image[:] = bytes(len(board.image))
    accelerator.write_image(path)
    assert board.image[:len(digits.data)] == digits.data
    with pytest.raises(FileNotFoundError):
        accelerator.write_image(tmp_path / "nothing.hri")


@pytest.mark.parametrize("target", [replace(Target(), layers=16), replace(Target(), channels=256)])
def test_unknown_target_refused(board, digits, target):
    board.identification = Identification.of(target, 80_000_000).pack()
    before = bytes(board.image)
    with Accelerator("somewhere") as accelerator:
        with pytest.raises(ScheduleError, match=f"image is for target {digits.target.hash:08x}; "
                                                f"the accelerator is {target.hash:08x}"):
            accelerator.write_image(digits.data)
    assert board.image == before


def test_image_is_written_after_a_failure(accelerator, board, digits):
    board.state, board.error = State.FAILED, Error.NO_IMAGE
    with pytest.raises(FailedError, match="NO_IMAGE: there is no image in its memory; write one"):
        accelerator(np.zeros((8, 8)))
    accelerator.write_image(digits.data)
    assert accelerator(np.zeros((8, 8))).shape == (1, 10)


def test_image_ends_a_run(accelerator, board, digits):
    board.ends_with = State.RUNNING, Error.NONE
    accelerator.link.run()
    board.ends_with = State.READY, Error.NONE
    board.polls = 2
    accelerator.write_image(digits.data)
    assert accelerator(np.zeros((8, 8))).shape == (1, 10)


@pytest.mark.parametrize("error", Error)
def test_every_failure_has_a_sentence(error):
    assert str(FailedError(error)).endswith(f"error {error.value}, {error.name}: {FAILURES[error]}")


@pytest.mark.parametrize("place, complaint", [
    (0, "not a ROM image"), (8, "header: CRC is"), (4 * HEADER_WORDS + 5, "network: CRC is wrong")])
def test_senseless_image_refused(accelerator, board, place, complaint):
    board.image[place] ^= 1
    with pytest.raises(MalformedError, match=f"image makes no sense, write it again: {complaint}"):
        accelerator.describe()
    board.image[place] ^= 1
    assert accelerator.describe().outputs == 10


def test_silent_port(monkeypatch):
    silent = model.Accelerator(lambda number, coded: b"")
    monkeypatch.setattr("sw.host.accelerator.open_port", lambda port, baud: silent)
    with pytest.raises(NoResponseError, match=r"nothing answers at somewhere: .* 9600 baud what"):
        Accelerator("somewhere", baud=9600)
    assert silent.closed


def test_other_protocol(board):
    board.identification = struct.pack("<B", 9)
    with pytest.raises(ProtocolVersionError, match="version 9"):
        Accelerator("somewhere")
    assert board.closed


def test_board_that_falls_silent(accelerator, board, monkeypatch):
    monkeypatch.setattr(board, "read", lambda size: b"")
    with pytest.raises(LinkError, match="doesn't respond to 'status', sent 4 times"):
        accelerator(np.zeros((8, 8)))
    monkeypatch.undo()
    assert accelerator(np.zeros((8, 8))).shape == (1, 10)
