import json

import pytest

from bench.speed import LEVELS, WAYS, made_network, main


@pytest.mark.slow
def test_every_way_there_and_back(tmp_path, capsys):
    main(["--weights", "5000", "--runs", "1", "-o", str(tmp_path / "speed.json")])
    rows = json.loads((tmp_path / "speed.json").read_text())
    assert len(rows) == len(WAYS) + len(LEVELS)
    assert all(row["exact"] for row in rows)
    assert all(0 < row["bits_per_weight"] < 9 for row in rows)
    assert all(0 < row["compress_s"] < 60 and row["decompress_s"] > 0 for row in rows)
    assert all(10 < row["peak_mb"] < 2000 for row in rows)
    assert f"{len(rows)} rows" in capsys.readouterr().out


def test_made_network():
    network = made_network(500_000)
    assert sum(layer.weights.size for layer in network.weighted) == pytest.approx(5e5, rel=0.05)


def test_sizes_out_of_range_rejected():
    with pytest.raises(SystemExit, match="Network must have 5000 to 16777216 weights, not 7"):
        main(["--weights", "7"])
    with pytest.raises(SystemExit, match="Runs must be 1 or more, not 0"):
        main(["--weights", "5000", "--runs", "0"])
