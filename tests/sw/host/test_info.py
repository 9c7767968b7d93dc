import json

import pytest

from sw.format.status import Error, State
from sw.host import info, offer

from .accelerator import NetworkAccelerator


@pytest.fixture
def board(digits, monkeypatch):
    board = NetworkAccelerator(digits.data)
    monkeypatch.setattr("sw.host.accelerator.open_port", lambda port, baud: board)
    return board


def test_what_is_there(board, capsys):
    info.main(["--port", "somewhere"])
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.strip().splitlines())
    assert rows["port"].strip() == "somewhere"
    assert rows["target"].strip() == "ulx3s:45F, ulx3s:85F"
    assert rows["state"].strip() == "READY"
    assert rows["input_shape"].strip() == "(8, 8, 1)"


def test_failed_accelerator_is_shown(board, capsys):
    board.state, board.error = State.FAILED, Error.HEADER_CRC
    info.main(["--port", "somewhere", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["error"]) == ("FAILED", "HEADER_CRC")
    assert "outputs" not in found


def test_list_of_ports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    info.main(["--list"])
    assert capsys.readouterr().out == "no board found\n"
    with offer("/dev/pts/99", "ulx3s"):
        info.main(["--list", "--json"])
    assert list(json.loads(capsys.readouterr().out)) == ["/dev/pts/99"]


def test_missing_port():
    with pytest.raises(SystemExit, match="serial port /dev/nothing can't be opened"):
        info.main(["--port", "/dev/nothing"])
