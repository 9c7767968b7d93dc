import json

import numpy as np
import pytest

from bench.memory import made_network, main


@pytest.mark.slow
def test_compressed_weights_come_as_much_sooner_as_they_are_fewer(tmp_path, capsys):
    path = tmp_path / "rows.json"
    main(["made", "--weights", "60000", "--memory", "flash", "sdram", "--codec", "tans",
          "-o", str(path)])
    rows = json.loads(path.read_text())
    assert [(row["memory"], row["codec"]) for row in rows] == [
        ("flash", "raw"), ("flash", "tans"), ("sdram", "raw"), ("sdram", "tans")]
    for row in rows:
        assert row["bit_exact"] is True
        assert row["cycles"] == pytest.approx(row["predicted_cycles"], rel=0.03)
        assert row["factor"] == row["weights"] / row["coded_bytes"]
    for raw, compressed in (rows[:2], rows[2:]):
        assert raw["factor"] == raw["speedup"] == 1
        assert raw["binds"] == "memory"
        assert compressed["factor"] > 2
        assert compressed["energy_uj"] == pytest.approx(raw["energy_uj"] / compressed["factor"])
    assert all(row["bandwidth_share"] >= 0.98 for row in rows[:2])
    assert rows[2]["bandwidth_share"] >= 0.95
    assert rows[1]["binds"] == "memory"
    assert rows[1]["reached"] >= 0.95
    # Four lanes need fewer bits a cycle than SDRAM gives.
    assert rows[3]["binds"] == "decoder"
    assert "estimated from its data sheet" in " ".join(capsys.readouterr().out.split())


def test_made_network_is_large_and_seeded():
    network = made_network(2_100_000)
    weights = [layer.weights for layer in network.weighted]
    assert sum(layer.size for layer in weights) >= 2_000_000
    again = [layer.weights for layer in made_network(2_100_000).weighted]
    assert all(np.array_equal(one, other) for one, other in zip(weights, again, strict=True))


@pytest.mark.parametrize("arguments, message", [
    (["nothing"], "Model must be one of anomaly detection, made, not nothing"),
    (["made", "--weights", "100"], "Network must have 5000 to 8000000 weights, not 100"),
])
def test_what_it_refuses_is_one_line(tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=f"^error: {message}$"):
        main([*arguments, "-o", str(tmp_path / "rows.json")])
    assert not list(tmp_path.iterdir())


def test_missing_model_ends_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^error: .*ad01_int8\.tflite"):
        main(["anomaly detection", "-o", str(tmp_path / "rows.json")])
