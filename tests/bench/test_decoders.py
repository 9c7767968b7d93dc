import json
from dataclasses import replace

import numpy as np
import pytest

from bench import decoders
from bench.cores import CORES, LOADERS, SMALL_CORES, RawCore, TextbookCore, Whole, simulate
from sw.cost import LUT4_ERROR
from sw.format.tables import RawShape
from sw.format.target import PRESETS, Target, alternatives


@pytest.fixture(scope="module")
def layers():
    rng = np.random.default_rng(0)
    return [np.rint(rng.laplace(0, spread, (16, 3, 3, 8))).clip(-14, 14).astype(np.int8)
            for spread in (1, 2)]


# The small one's last core is the only one that the others haven't.
@pytest.mark.parametrize("core", [*CORES, SMALL_CORES[-1]],
                         ids=lambda core: f"{core.name}, {core.lanes}")
def test_weights_of_every_core(layers, core):
    most = {"uniform, 2 bits": 1, "uniform, 4 bits": 7}.get(core.weights, 14)
    row = decoders.measure(core, "made", [layer.clip(-most, most) for layer in layers], 600)
    assert 0 < row["weights_per_cycle"] <= 4 * core.lanes
    assert row["bits_per_weight"] > 0.95 * row["entropy_bits_per_weight"]
    if core.name.startswith(("tans", "textbook")):
        assert (row["weights_per_cycle"], row["stall_cycles"]) == (core.places, 0)


@pytest.mark.parametrize("core", [TextbookCore(), RawCore()], ids=lambda core: core.name)
def test_wrong_weights_are_refused(layers, core):
    sample = core.sample(core.symbols(layers))
    with pytest.raises(ValueError, match="weights must be those that were coded"):
        simulate(core, replace(sample, symbols=sample.symbols + 1), 100)


def test_cycles_of_a_loader(layers):
    row = decoders.measure_loader(LOADERS[1], "made", layers, 0)
    # Six words, 12 levels of 32 symbols, and rows of no more than 31 states.
    assert 6 + 12 * 65 + 1 < row["cycles"] <= 6 + 12 * 65 + 1 + 31 * 16 * 10


@pytest.mark.slow
@pytest.mark.parametrize("board", ["ulx3s", "icebreaker"])
def test_rows(monkeypatch, tmp_path, capsys, board):
    for cores in ("CORES", "SMALL_CORES"):
        monkeypatch.setattr(decoders, cores, (TextbookCore(), RawCore()))
    monkeypatch.setattr(decoders, "LOADERS", LOADERS[1:2])
    whole = Whole(Target(decoder=RawShape()))
    monkeypatch.setattr(decoders, "wholes", lambda board: [whole])
    output = tmp_path / "rows.json"
    decoders.main(["digits", "--weights", "500", "--board", board, "-o", str(output)])
    textbook, raw, *others = json.loads(output.read_text())
    *loaders, decoder = others if board == "ulx3s" else (*others, None)
    assert all(row.keys() == raw.keys() for row in others)
    if decoder:
        assert decoder["lut4"] == pytest.approx(decoder["lut4_estimate"], rel=LUT4_ERROR)
        assert (decoder["ebr"], decoder["fmax_mhz"], decoder["mweights_s"]) == (0, None, None)
    assert textbook["board"] == board
    for row in (textbook, raw):
        assert row["lc"] is None if board == "ulx3s" else row["lc"] >= max(row["lut4"], row["ff"])
    assert textbook["lut4"] > raw["lut4"] > 0
    assert raw["fmax_mhz"] <= raw["fmax_nextpnr_mhz"]
    assert raw["mweights_s"] == pytest.approx(raw["fmax_mhz"] * raw["weights_per_cycle"])
    assert len(loaders) == (board == "ulx3s")
    for loader in loaders:
        assert loader["mweights_s"] is None
        assert loader["cycles"] > 6
    assert f"rows.json: {2 + len(others)} rows" in capsys.readouterr().out


def test_every_decoder_of_an_accelerator_is_estimated():
    wholes = decoders.wholes("ulx3s")
    assert [one.target for one in wholes] == alternatives(PRESETS["ulx3s", "85F"])
    rows = [decoders.finished(decoders.estimated(one)) for one in wholes]
    assert len({(row["core"], row["lanes"]) for row in rows}) == len(rows)
    assert all(row["lut4_estimate"] > 500 for row in rows)
    assert decoders.wholes("icesugar") == []


def test_an_unknown_core_is_refused():
    with pytest.raises(SystemExit, match=r"called as one of textbook; raw; .*, not lzma"):
        decoders.main(["digits", "--only", "lzma"])


def test_no_seeds_are_refused():
    with pytest.raises(SystemExit, match="error: Seeds must be 1 or more, not 0"):
        decoders.main(["digits", "--seeds", "0"])


def test_no_weights_are_refused():
    with pytest.raises(SystemExit, match="error: Weights must be 1 or more, not 0"):
        decoders.main(["digits", "--weights", "0"])
