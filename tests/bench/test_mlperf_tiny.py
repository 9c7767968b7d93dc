import json

import numpy as np
import pytest

from bench.mlperf_tiny import main
from tests.shared_data import shared_file


@pytest.mark.slow
def test_rows_of_keyword_spotting(tmp_path, monkeypatch, capsys):
    # A user's own inputs, int8: 8 of those at hand.
    monkeypatch.setenv("HEADRACE_DATA", str(shared_file("models/kws_ref_model.tflite").parents[1]))
    inputs = np.load(shared_file("data/mlperf_tiny_inputs.npz"))
    np.savez(tmp_path / "own.npz", x=inputs["kws_x"][:8], y=inputs["kws_y"][:8])
    main(["--no-build", "--samples", "1", "--model", "kws", "--data", str(tmp_path / "own.npz"),
          "-o", str(tmp_path / "rows.json")])
    ours, raw = json.loads((tmp_path / "rows.json").read_text())
    assert (ours["codec"], raw["codec"]) == ("tans", "raw")
    assert ours["image_bytes"] < 0.7 * raw["image_bytes"]
    assert raw["bits_per_weight"] == pytest.approx(8, abs=0.01)
    assert raw["agreement"] == 1
    assert ours["agreement"] > 0.8
    for row in (ours, raw):
        assert row["bit_exact"] is True
        assert row["n"] == 4
        assert row["cycles"] == pytest.approx(row["predicted_cycles"], rel=0.03)
        assert row["cycles"] < 45_000
        assert row["fmax_mhz"] is None
    assert np.isfinite(ours["accuracy"])
    assert "yes" in capsys.readouterr().out


def test_missing_models_end_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^error: .*mlperf_tiny_inputs\.npz"):
        main(["--no-build"])


@pytest.mark.parametrize("options, y, message", [
    (["--data", "own.npz"], [0, 1], "Data must be of one network"),
    (["--data", "own.npz", "--model", "kws"], [0], "own.npz: data must be 2 inputs or more, not 1"),
    (["--data", "own.npz", "--model", "kws"], [0.5, 1], "own.npz: .* one class, an integer"),
    (["--data", "none.npz", "--model", "kws"], [0, 1], "none.npz: can.t be read: No such file"),
])
def test_data_that_can_not_be_used_end_in_one_line(tmp_path, monkeypatch, options, y, message):
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", x=np.zeros((len(y), 490), np.int8), y=y)
    with pytest.raises(SystemExit, match=rf"^error: {message}"):
        main(["--no-build", *options])
