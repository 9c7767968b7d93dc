import json

import numpy as np
import pytest

from bench import mlperf_tiny
from bench.mlperf_tiny import main
from tests.shared_data import shared_file


@pytest.mark.slow
def test_rows_of_keyword_spotting(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADRACE_DATA", str(shared_file("models/kws_ref_model.tflite").parents[1]))
    monkeypatch.setattr(mlperf_tiny, "MODELS", mlperf_tiny.MODELS[:1])
    main(["--no-build", "--samples", "1", "-o", str(tmp_path / "rows.json")])
    ours, raw = json.loads((tmp_path / "rows.json").read_text())
    assert (ours["codec"], raw["codec"]) == ("tans", "raw")
    assert ours["image_bytes"] < 0.7 * raw["image_bytes"]
    assert raw["bits_per_weight"] == pytest.approx(8, abs=0.01)
    assert raw["agreement"] == 1
    assert ours["agreement"] > 0.8
    for row in (ours, raw):
        assert row["bit_exact"] is True
        assert row["n"] == 6
        assert row["cycles"] == pytest.approx(row["predicted_cycles"], rel=0.03)
        assert row["cycles"] < 45_000
        assert row["fmax_mhz"] is None
    assert np.isfinite(ours["accuracy"])
    assert "yes" in capsys.readouterr().out


def test_missing_models_end_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^error: .*mlperf_tiny_inputs\.npz"):
        main(["--no-build"])
