import json

import numpy as np
import pytest

from bench import accuracy
from bench.accuracy import main
from sw.zoo import load_data


@pytest.fixture
def data(tmp_path):
    digits = load_data("digits")
    np.savez(tmp_path / "data.npz", x=digits.x[:100], y=digits.y[:100])
    return tmp_path / "data.npz"


def test_rows(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(accuracy, "WAYS", {"uniform": (8, 3), "step": (2.5, 0.001)})
    main(["digits", "--data", str(data), "--samples", "40", "-o", str(tmp_path / "rows.json"),
          "--quantisers", "uniform", "step", "exploration"])
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["quantiser"] for row in rows] == ["uniform, 8 bits", "uniform, 3 bits",
                                                  "step, 2.5 bits", "exploration, 1 less"]
    fine, coarse, step, explored = rows
    assert 1 < explored["bits_per_weight"] < 6
    assert explored["accuracy"] >= explored["reference_accuracy"] - 0.01
    assert 3 < coarse["bits_per_weight"] + 1 < fine["bits_per_weight"] < 8
    assert step["bits_per_weight"] < 2.6
    for row in rows:
        assert row["n"] == 40
        assert 0.9 <= row["accuracy"] <= 1
        assert 0.9 <= row["agreement"] <= 1
        assert row["reference_accuracy"] > 0.95
    captured = capsys.readouterr()
    assert "50 inputs calibrate, the other 50 judge" in captured.out
    assert "step, 0.001 bits: Step quantiser must have" in captured.err


def test_nothing_reached_ends_in_one_line(data, monkeypatch):
    monkeypatch.setattr(accuracy, "WAYS", {"step": (0.001,)})
    with pytest.raises(SystemExit, match=r"^error: digits: no quantiser reached any rate"):
        main(["digits", "--data", str(data), "--quantisers", "step"])


@pytest.mark.parametrize("options, complaint", [
    (["--samples", "51"], "Samples must be 1 to 50, not 51"),
    (["--calibrate", "nowhere.npz"], r"nowhere\.npz: can't be read"),
])
def test_bad_options_end_in_one_line(data, options, complaint):
    with pytest.raises(SystemExit, match=f"^error: .*{complaint}"):
        main(["digits", "--data", str(data), *options])
