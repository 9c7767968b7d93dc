import json

import pytest

from bench import cells
from bench.parts import PARTS


@pytest.mark.slow
def test_rows(tmp_path, capsys):
    output = tmp_path / "rows.json"
    cells.main(["--only", "array", "-o", str(output)])
    row, = json.loads(output.read_text())
    # Each row's two additions and its registers that wait.
    least = 8 * (17 + 25 + 25)
    assert least < max(row["lut4"], row["ff"]) <= row["lc"] < 1.25 * least
    assert (row["ebr"], row["dsp"]) == (0, 8)
    assert "rows.json: 1 rows" in capsys.readouterr().out


def test_an_unknown_part_is_refused():
    with pytest.raises(SystemExit, match=rf"called as one of {next(iter(PARTS))}; .*, not lzma"):
        cells.main(["--only", "lzma"])
