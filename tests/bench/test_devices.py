import json

import pytest

from bench import devices
from bench.devices import main
from bench.mlperf_tiny import Model
from sw.plan import Plan
from tests.shared_data import shared_file


def test_rows_of_keyword_spotting(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADRACE_DATA", str(shared_file("models/kws_ref_model.tflite").parents[1]))
    monkeypatch.setattr(devices, "MODELS", (
        Model("keyword spotting", "kws_ref_model.tflite", "kws", Plan("step", bits=3.0)),))
    main(["-o", str(tmp_path / "rows.json")])
    rows = json.loads((tmp_path / "rows.json").read_text())
    fits = {(row["quantiser"], row["device"]): row["fits"] for row in rows}
    assert {device for (_, device), fit in fits.items() if fit} == {"ulx3s 85F, large"}
    small = next(row for row in rows if row["device"] == "ulx3s 12F")
    assert small["lacks"] == ("16,000 bytes of activation memory, not 8,192; "
                              "592 channel records, not 512")
    raw = next(row for row in rows if row["quantiser"] == "uniform, 8 bits")
    assert raw["image_bytes"] == 28_352
    boards = "ulx3s 12F, ulx3s 25F, ulx3s 45F, ulx3s 85F, icesugar_pro 25F"
    assert f"{boards}\n" in capsys.readouterr().out


def test_missing_models_end_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^error: .*mlperf_tiny_inputs\.npz"):
        main([])
