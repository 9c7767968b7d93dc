import pytest

from hw import load
from sw.compression import compress
from sw.format.target import PRESETS, Memory
from sw.image import retarget


@pytest.fixture
def bitstream(tmp_path):
    path = tmp_path / "top.bit"
    path.write_bytes(b"bits")
    return path


@pytest.fixture
def openfpgaloader(tmp_path, monkeypatch):
    """Put a script in openFPGALoader's place that complains and exits as told."""
    def install(complaint, status):
        path = tmp_path / "openfpgaloader-cli"
        path.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/arguments\n"
                        f"echo '{complaint}' >&2\nexit {status}\n")
        path.chmod(0o755)
        monkeypatch.setattr(load, "LOADER", path)
        return tmp_path / "arguments"
    return install


@pytest.mark.parametrize("options, expected", [
    ([], "--board ulx3s build/ulx3s/top.bit"),
    (["--flash"], "--board ulx3s --write-flash --verify build/ulx3s/top.bit"),
    (["--bitstream", "a b.bit"], "--board ulx3s 'a b.bit'"),
])
def test_dry_run_prints_the_command(capsys, options, expected):
    assert load.main(["--board", "ulx3s", "--dry-run", *options]) == 0
    program, _, arguments = capsys.readouterr().out.strip().partition(" ")
    assert program.endswith("openfpgaloader-cli")
    assert arguments == expected


def test_boards_that_keep_it_only_for_good_and_boards_unknown(capsys):
    assert load.main(["--board", "icebreaker", "--dry-run"]) == 0
    assert capsys.readouterr().out.strip().endswith(
        "--board ice40_generic --write-flash --verify build/icebreaker/top.bin")
    assert load.main(["--board", "icesugar_pro", "--dry-run"]) == 1
    assert capsys.readouterr().err == (
        "error: openFPGALoader doesn't know the iCESugar-Pro; copy build/icesugar_pro/top.bit onto "
        "the drive that it offers\n")


def test_dry_run_prints_how_an_image_is_written(capsys):
    assert load.main(["--dry-run", "--image", "x.hri"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("--board ulx3s --write-flash --verify --file-type bin --offset 2097152 "
                          "x.hri")
    assert second.endswith("--board ulx3s build/ulx3s/top.bit")


@pytest.fixture(scope="module")
def digits():
    return compress("digits", codec="huffman", target=PRESETS["ulx3s", "85F"]).data


def test_image_is_made_for_flash(digits, tmp_path):
    path = tmp_path / "x.hri"
    path.write_bytes(digits)
    data = load.flash_image(path)
    flash = PRESETS["ulx3s", "85F"].with_memory(Memory.FLASH)
    assert data == retarget(digits, flash) != digits
    path.write_bytes(data)
    assert load.flash_image(path) == data


def test_image_is_made_for_sdram(digits, tmp_path):
    path = tmp_path / "x.hri"
    path.write_bytes(digits)
    data = load.flash_image(path, Memory.SDRAM)
    assert data == retarget(digits, PRESETS["ulx3s", "85F"].with_memory(Memory.SDRAM))
    path.write_bytes(data)
    assert load.flash_image(path) == data


def test_image_of_an_icebreaker_lies_where_others_do(capsys):
    assert load.main(["--board", "icebreaker", "--dry-run", "--image", "x.hri"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    # Its bitstream has 104,090 bytes, from 0 on.
    assert first.endswith("--board ice40_generic --write-flash --verify --file-type bin "
                          "--offset 2097152 x.hri")
    assert second.endswith("--write-flash --verify build/icebreaker/top.bin")


def test_image_and_bitstream_are_written(capsys, bitstream, openfpgaloader, digits, tmp_path):
    arguments = openfpgaloader("", 0)
    image = tmp_path / "x.hri"
    image.write_bytes(digits)
    assert load.main(["--bitstream", str(bitstream), "--image", str(image)]) == 0
    assert f"runs {bitstream} with {image}; written in " in capsys.readouterr().out
    assert str(bitstream) in arguments.read_text()


@pytest.mark.parametrize("spoil, message", [
    (lambda image: image[:-4], "its header says"),
    (lambda image: b"no image", "not a ROM image"),
    (lambda image: image[:-6] + b"\0" + image[-5:], "CRC is"),
    (None, "no such image; python -m sw.compress MODEL -o "),
])
def test_bad_image_is_one_line(capsys, bitstream, openfpgaloader, digits, tmp_path, spoil, message):
    arguments = openfpgaloader("", 0)
    image = tmp_path / "x.hri"
    if spoil:
        image.write_bytes(spoil(digits))
    assert load.main(["--bitstream", str(bitstream), "--image", str(image)]) == 1
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not arguments.exists()


@pytest.mark.parametrize("flash", [False, True])
def test_board_is_programmed(capsys, bitstream, openfpgaloader, flash):
    arguments = openfpgaloader("", 0)
    assert load.main(["--bitstream", str(bitstream)] + ["--flash"] * flash) == 0
    assert str(bitstream) in capsys.readouterr().out
    assert ("--write-flash" in arguments.read_text()) == flash


@pytest.mark.parametrize("complaint, explanation", [
    ("error while loading shared libraries: libusb-1.0.so.0: cannot open shared object file",
     "libusb-1.0.so.0 is missing: apt install libusb-1.0-0 libftdi1-2"),
    ("JTAG init failed with: unable to open ftdi device: -3 (device not found)",
     "no board found; is its cable plugged in"),
    ("IDCODE mismatch", "openFPGALoader failed: IDCODE mismatch"),
    ("", "openFPGALoader failed: no message"),
])
def test_failures_are_one_line(capsys, bitstream, openfpgaloader, complaint, explanation):
    openfpgaloader(complaint, 1)
    assert load.main(["--bitstream", str(bitstream)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {explanation}")
    assert message.count("\n") == 1


@pytest.mark.parametrize("options, message", [
    (["--board", "ulx4s"],
     "Board must be one of ulx3s, icebreaker, icesugar, icesugar_pro, not ulx4s"),
    (["--bitstream", "nowhere.bit"],
     "nowhere.bit is missing; python -m hw.build --board ulx3s makes it"),
])
def test_bad_input_is_one_line(capsys, options, message):
    assert load.main(options) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_program_that_cannot_be_run_is_one_line(capsys, bitstream, openfpgaloader, tmp_path):
    openfpgaloader("", 0)
    (tmp_path / "openfpgaloader-cli").chmod(0o644)
    assert load.main(["--bitstream", str(bitstream)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: openFPGALoader can't be run: ")
    assert message.count("\n") == 1
