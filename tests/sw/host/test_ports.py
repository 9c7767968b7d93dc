from types import SimpleNamespace

import pytest

from sw.host import LinkError, find_port, list_boards, offer, open_port


@pytest.fixture(autouse=True)
def nothing(tmp_path, monkeypatch):
    """Be where no board is, neither real nor virtual."""
    monkeypatch.chdir(tmp_path)
    plug(monkeypatch)


def plug(monkeypatch, *boards):
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [
        SimpleNamespace(device=device, vid=vid, pid=pid, description="a cable")
        for device, vid, pid in boards])


def test_no_board():
    assert list_boards() == {}
    with pytest.raises(LinkError, match="no board found: plug one in, start"):
        find_port()


def test_boards_are_known_by_their_usb_ids(monkeypatch):
    plug(monkeypatch, ("/dev/ttyS0", None, None), ("/dev/ttyUSB1", 0x0403, 0x6015),
         ("/dev/ttyUSB2", 0x1234, 0x6015))
    assert list_boards() == {"/dev/ttyUSB1": "ULX3S, a cable"}
    assert find_port() == "/dev/ttyUSB1"


def test_virtual_board_is_found_while_it_runs():
    with offer("/dev/pts/123", "ulx3s"):
        assert find_port() == "/dev/pts/123"
        assert next(iter(list_boards().values())).startswith("virtual board ulx3s-")
    assert list_boards() == {}


def test_board_that_left_its_file_is_not_found(tmp_path):
    (tmp_path / "build/virtual").mkdir(parents=True)
    (tmp_path / "build/virtual/ulx3s-1").write_text("/dev/pts/0")
    assert list_boards() == {}


def test_choice_is_left_to_the_user(monkeypatch):
    plug(monkeypatch, ("/dev/ttyUSB1", 0x0403, 0x6015))
    with offer("/dev/pts/123", "ulx3s"), pytest.raises(
            LinkError, match=r"choose with --port: /dev/ttyUSB1 \(ULX3S, a cable\); /dev/pts/123"):
        find_port()


@pytest.mark.parametrize("number, complaint", [
    (2, "there is no such port"), (13, "docs/60-headrace.rules says how to be allowed"),
    (16, "another program uses it"), (5, "nothing is at its other end"), (99, "it is broken")])
def test_every_trouble_has_a_sentence(monkeypatch, number, complaint):
    def refuse(*arguments, **options):
        raise OSError(number, "it is broken")

    monkeypatch.setattr("serial.serial_for_url", refuse)
    with pytest.raises(LinkError, match=f"serial port here can't be opened: .*{complaint}"):
        open_port("here")


@pytest.mark.parametrize("baud", [-1, 10 ** 20])
def test_impossible_rate(baud):
    with pytest.raises(LinkError, match="serial port /dev/ptmx can't be opened"):
        open_port("/dev/ptmx", baud)
