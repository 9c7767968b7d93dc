import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from boards import find_board
from hw import build
from hw.report.document import validate
from hw.site import Site
from hw.toolchain import implement
from sim.verilator import SimulationError
from sw.compression import compress
from sw.format.target import PRESETS
from sw.image import read_image


SITE = Site(find_board("ulx3s"), "85F", 80_000_000)

SIMULATION = SimpleNamespace(n=2, exact=1, cycles=1000)


def run(capsys, *options):
    return build.main([*options]), capsys.readouterr()


@pytest.fixture
def no_tools(monkeypatch):
    """Fail if anything is synthesised or simulated."""
    def refuse(*arguments, **options):
        pytest.fail("a tool was started")
    monkeypatch.setattr(build, "implement", refuse)
    monkeypatch.setattr(build, "synthesise", refuse)
    monkeypatch.setattr(Site, "simulate", refuse)


@pytest.mark.parametrize("options, message", [
    (["--board", "ulx4s"],
     "Board must be one of ulx3s, icebreaker, icesugar, icesugar_pro, not ulx4s"),
    (["--board", "icebreaker"],
     "Accelerator must be for one of ulx3s 12F, ulx3s 25F, ulx3s 45F, ulx3s 85F, "),
    (["--board", "icebreaker", "--clock", "24"],
     "Accelerator must be for one of ulx3s 12F, ulx3s 25F, ulx3s 45F, ulx3s 85F, "),
    (["--device", "95F"], "Device of ULX3S must be one of 12F, 25F, 45F, 85F, not 95F"),
    (["--rows", "5"], "Rows must be 4 to 32 and a multiple of the 2 requantisers, not 5"),
    (["--columns", "6"], "Columns must be 4 or 8, not 6"),
    (["--baud", "0"], "Baud rate must be positive, not 0"),
    (["--baud", "6000000"], "Clock must be a multiple of the 6000000 baud within 2 %"),
    (["--clock", "77"], "Output of the PLL must be a frequency that it can make of 25 MHz"),
    (["--model", "nowhere.npz"], "nowhere.npz: no such model file"),
])
def test_bad_input_is_one_line(capsys, no_tools, tmp_path, options, message):
    status, (_, err) = run(capsys, "-o", str(tmp_path), *options)
    assert status == 1
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("clock", ["inf", "nan", "-80", "0", "1e305"])
def test_clock_must_be_a_frequency(capsys, no_tools, tmp_path, clock):
    with pytest.raises(SystemExit):
        build.main(["-o", str(tmp_path), f"--clock={clock}"])
    assert f"must be a frequency in MHz, not {clock}" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"PK\x03\x04 torn"])
def test_broken_model_file_is_one_line(capsys, no_tools, tmp_path, content):
    model = tmp_path / "broken.npz"
    model.write_bytes(content)
    status, (_, err) = run(capsys, "-o", str(tmp_path), "--model", str(model))
    assert status == 1
    assert err.startswith(f"error: {model}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("byte, message", [
    (0, "not a ROM image"),
    (9, "header: CRC is "),
    (200, "section NETWORK: CRC is "),
    (-1, "section CODED_DATA: CRC is "),
])
def test_corrupted_image_is_refused(capsys, no_tools, tmp_path, byte, message):
    image = bytearray(compress("digits").data)
    image[byte] ^= 1
    path = tmp_path / "flipped.hri"
    path.write_bytes(image)
    status, (_, err) = run(capsys, "-o", str(tmp_path / "out"), "--image", str(path))
    assert status == 1
    assert err.startswith(f"error: {path}: {message}")
    assert err.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_image_for_another_target_is_refused(capsys, no_tools, tmp_path):
    path = tmp_path / "large.hri"
    path.write_bytes(compress("digits").data)
    status, (_, err) = run(capsys, "-o", str(tmp_path / "out"), "--image", str(path),
                           "--device", "25F")
    assert status == 1
    assert f"{path}: image is for target" in err


def test_too_many_multipliers_are_refused_before_synthesis(capsys, no_tools, tmp_path):
    status, (_, err) = run(capsys, "-o", str(tmp_path), "--device", "25F", "--rows", "8")
    assert status == 1
    *table, message = err.strip().splitlines()
    assert message == "error: too big for LFE5U-25F: 36 dsp of 28"
    assert any("dsp" in line and "36" in line and "28" in line and "8" in line for line in table)


def test_baseline_that_does_not_fit_gives_its_reason(no_tools, tmp_path):
    target = replace(PRESETS["ulx3s", "85F"], memory_words=4096)
    baseline = build.measure_baseline(SITE, "digits", target, None, None, directory=tmp_path,
                                      stop=None)
    assert baseline["baseline_raw"] is None
    assert "more than the weight memory's 16384" in baseline["baseline_raw_reason"]


def test_baseline_needs_the_least_memory_that_its_image_fits_into(monkeypatch, tmp_path):
    monkeypatch.setattr(Site, "elaborate", lambda *arguments: "")
    monkeypatch.setattr(Site, "simulate", lambda *arguments, **options: SimpleNamespace(
        n=1, exact=1, cycles=1000))
    monkeypatch.setattr(build, "synthesise", lambda *arguments, **options: {
        "design": {"num_cells_by_type": {}}})
    baseline, = (build.measure_baseline(SITE, "digits", PRESETS["ulx3s", "85F"], None, None,
                                        directory=tmp_path, stop=None).values())
    assert 4 * 8192 < baseline["bytes_image"] < 4 * 16384
    assert baseline["memory_bits"] == 32 * 16384
    larger = replace(PRESETS["ulx3s", "85F"], memory_words=32768)
    again, = (build.measure_baseline(SITE, "digits", larger, None, None, directory=tmp_path,
                                     stop=None).values())
    assert again["memory_bits"] == baseline["memory_bits"]


class FakeTools:
    """In place of nextpnr and the simulation: places until it is stopped."""

    def __init__(self, monkeypatch, fail):
        self.stopped = False
        self.fail = fail
        monkeypatch.setattr(build, "implement", self.implement)
        monkeypatch.setattr(Site, "simulate", self.simulate)

    def implement(self, *arguments, directory, stop, **options):
        (directory / "top.bit").write_bytes(b"bits")
        self.stopped = stop.wait(20)

    def simulate(self, *arguments, **options):
        return self.fail()


def crash():
    raise SimulationError("sim.benches.accelerator: a test failed; see log")


@pytest.mark.parametrize("fail, message", [
    (lambda: SIMULATION, "only 1 of 2 inferences are bit-exact (log: "),
    (crash, "sim.benches.accelerator: a test failed"),
])
def test_failed_simulation_stops_the_tools_and_leaves_nothing_to_load(
        capsys, monkeypatch, tmp_path, fail, message):
    for name in build.PRODUCTS:
        (tmp_path / name).write_text("of the build before")
    monkeypatch.setattr(Site, "elaborate", lambda *arguments: "")
    tools = FakeTools(monkeypatch, fail)
    status, (_, err) = run(capsys, "-o", str(tmp_path))
    assert status == 1
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert tools.stopped
    assert not [name for name in build.PRODUCTS if (tmp_path / name).exists()]


def test_products_of_the_build_before_are_gone_once_one_begins(capsys, no_tools, tmp_path):
    for name in build.PRODUCTS:
        (tmp_path / name).write_text("of the build before")
    status, _ = run(capsys, "-o", str(tmp_path), "--model", "nowhere.npz")
    assert status == 1
    assert list(tmp_path.iterdir()) == []


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_board_has_the_same_accelerator():
    texts = {Site(find_board(board), "25F", 80_000_000).elaborate(PRESETS[board, "25F"], b"")
             for board in ("ulx3s", "icesugar_pro")}
    assert len(texts) == 1


@pytest.mark.slow
def test_main_job_on_a_small_device_and_again_in_another_folder(capsys, tmp_path):
    status, (out, err) = run(capsys, "-o", str(tmp_path), "--device", "25F")
    assert status == 0, err
    assert f"{tmp_path / 'top.bit'}: made in" in out

    report = json.loads((tmp_path / "report.json").read_text())
    validate(report)
    assert (tmp_path / "top.bit").stat().st_size > 100_000
    assert report["device"] == "25F"
    assert report["image_sha256"] == sha256(tmp_path / "weights.hri")
    assert report["rtl_sha256"] == sha256(tmp_path / "accelerator.v")
    assert report["throughput"]["simulated_rtl_sha256"] == report["rtl_sha256"]
    assert report["baseline_raw"]["bytes_image"] > report["compression"]["bytes_image"]
    assert report["resources"]["dsp"]["available"] == 28
    target = compress("digits", target=PRESETS["ulx3s", "25F"]).target
    read_image((tmp_path / "weights.hri").read_bytes(), target=target)
    assert "digits on ulx3s 25F" in (tmp_path / "report.txt").read_text()

    site = Site(find_board("ulx3s"), "25F", 80_000_000)
    again = tmp_path / "deeper" / "again"
    verilog = site.elaborate(target, (tmp_path / "weights.hri").read_bytes())
    implement(verilog, site.platform(), clock_hz=site.clock_hz, seed=1, directory=again,
              preferences=site.preferences)
    assert sha256(again / "accelerator.v") == report["rtl_sha256"]
    assert sha256(again / "top.bit") == sha256(tmp_path / "top.bit")
