import pytest

from hw.report.timing import report_timing


def step(kind, delay, start, end):
    return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}


def nextpnr_report(achieved, *, ebr=0, dsp=0):
    return {
        "fmax": {"clk": {"achieved": achieved, "constraint": 80}},
        "utilization": {"TRELLIS_COMB": {"used": 9}, "DP16KD": {"used": ebr},
                        "MULT18X18D": {"used": dsp}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": [step("routing", 99.0, "pin", "a")]},
            {"from": "posedge clk", "to": "posedge clk", "path": [
                step("clk-to-q", 0.5, "a", "a"), step("routing", 2.0, "a", "lut"),
                step("logic", 0.25, "lut", "lut"), step("routing", 1.0, "lut", "b"),
                step("setup", 0.0, "b", "b")]},
        ],
    }


@pytest.mark.parametrize("achieved, ebr, dsp, fmax, limit", [
    (120.0, 4, 4, 120.0, "nextpnr"),
    (170.0, 4, 4, 156.0, "DSP"),
    (200.0, 4, 0, 189.0, "block RAM"),
    (300.0, 0, 0, 257.0, "primary clock"),
])
def test_fmax_is_the_least_of_what_applies(achieved, ebr, dsp, fmax, limit):
    timing = report_timing(nextpnr_report(achieved, ebr=ebr, dsp=dsp), clock_hz=80_000_000)
    assert timing["fmax_mhz"] == fmax
    assert timing["fmax_nextpnr_mhz"] == achieved
    assert timing["fmax_limit"].startswith(limit)
    assert timing["met"]


@pytest.mark.parametrize("achieved, ebr, fmax, limit", [
    (84.5, 1, 84.5, "nextpnr"), (160.0, 1, 150.0, "block RAM"), (200.0, 0, 185.0, "global clock"),
])
def test_limits_of_the_ice40_are_others(achieved, ebr, fmax, limit):
    nextpnr = nextpnr_report(achieved) | {
        "utilization": {"ICESTORM_LC": {"used": 9}, "ICESTORM_RAM": {"used": ebr}}}
    timing = report_timing(nextpnr, clock_hz=80_000_000)
    assert timing["fmax_mhz"] == fmax
    assert timing["fmax_limit"].startswith(limit)


def test_missed_clock_is_reported():
    timing = report_timing(nextpnr_report(79.9), clock_hz=80_000_000)
    assert not timing["met"]
    assert timing["clock_mhz"] == 80


def test_critical_path_lies_between_registers():
    path = report_timing(nextpnr_report(120.0), clock_hz=80_000_000)["critical_path"]
    assert path == {"from": "a", "to": "b", "delay_ns": 3.75, "logic_levels": 1, "routing_ns": 3.0}
