import json
import re
from dataclasses import replace

import pytest

from hw.report.document import SCHEMA
from hw.site import Site
from sim import run
from sw.compression import compress
from sw.cost import decoder_cost
from sw.format.target import PRESETS


@pytest.fixture
def no_simulation(monkeypatch):
    """Fail if anything is simulated."""
    monkeypatch.setattr(Site, "simulate", lambda *arguments, **options: pytest.fail("simulated"))


@pytest.mark.parametrize("options, message", [
    (["--board", "ulx4s"],
     "Board must be one of ulx3s, icebreaker, icesugar, icesugar_pro, not ulx4s"),
    (["--device", "95F"], "Device of ULX3S must be one of 12F, 25F, 45F, 85F, not 95F"),
    (["--clock", "77"], "Output of the PLL must be a frequency that it can make of 25 MHz"),
    (["--rows", "5"], "Rows must be 4 to 32 and a multiple of the 2 requantisers, not 5"),
    (["--columns", "6"], "Columns must be 4 or 8, not 6"),
    (["--samples", "0"], "Samples must be 1 or more, not 0"),
    (["--model", "nowhere.npz"], "nowhere.npz: no such model file"),
    (["--lanes", "2"], "Lanes must be those of codec tans, not auto"),
    (["--codec", "tans", "--lanes", "3"], "Lanes must be 1, 2, 4 or 8, not 3"),
    (["--codec", "tans", "--lanes", "8"], "Lanes must be at most the 4 columns, not 8"),
    (["--quantiser", "uniform", "--codec", "huffman"], "An automaton of 32 symbols can't decode"),
    (["--device", "25F", "--rows", "8"], "too big for LFE5U-25F: 36 dsp of 28"),
])
def test_bad_input_is_one_line(capsys, no_simulation, tmp_path, options, message):
    assert run.main(["-o", str(tmp_path), *options]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("clock", ["inf", "nan", "0"])
def test_clock_must_be_a_frequency(capsys, no_simulation, clock):
    with pytest.raises(SystemExit):
        run.main(["--clock", clock])
    assert f"must be a frequency in MHz, not {clock}" in capsys.readouterr().err


@pytest.mark.slow
def test_inputs_are_simulated(capsys, tmp_path):
    options = ["-o", str(tmp_path), "--device", "25F", "--rows", "6", "--samples", "2"]
    assert run.main([*options, "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert "2 of 2 inferences bit-exact" in captured.err
    assert found["exact"] == found["n"] == 2
    throughput = found["throughput"]
    found = compress("digits", target=replace(PRESETS["ulx3s", "25F"], rows=6))
    cost = decoder_cost(found.image, found.target)
    assert throughput["weights_per_cycle"] == pytest.approx(cost.weights_per_cycle, rel=0.05)
    schema = json.loads(SCHEMA.read_text())["properties"]["throughput"]["properties"]
    assert throughput.keys() == schema.keys() - {"inferences_per_s"}
    assert sum(layer["stall_cycles"] for layer in throughput["layers"]) == (
        throughput["decoder_stall_cycles"])
    for layer in throughput["layers"]:
        assert layer["cycles"] == pytest.approx(layer["predicted"], rel=0.01)
    # A decoder of nearly 4 weights a cycle keeps up with convolutions of 64 positions, but for the
    # first tile of the second one, since the first one is short.
    second, third = (layer for layer in throughput["layers"]
                     if re.match("conv[23]", layer["name"]))
    assert second["stall_cycles"] == pytest.approx(second["predicted_stall_cycles"], abs=10)
    assert second["stall_cycles"] < 50
    assert third["stall_cycles"] == 0

    assert run.main(options) == 0
    assert re.search(r"conv2 .* rows ", capsys.readouterr().out)
