import json

import pytest

from bench.report import show, write_rows


def test_table(capsys):
    show("figures", [{"name": "one", "rate": 1.234, "exact": True},
                     {"name": "two", "rate": None, "exact": False}],
         {"name": "", "rate": ".1f", "exact": ""})
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip("│ ").split() for line in lines if line.startswith("│")] == [
        ["one", "│", "1.2", "│", "yes"], ["two", "│", "-", "│", "NO"]]


def test_rows_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "bench" / "rows.json"
    write_rows(path, [{"a": 1}, {"a": None}])
    assert json.loads(path.read_text()) == [{"a": 1}, {"a": None}]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_rows(path, [{"a": float("nan")}])
    assert json.loads(path.read_text()) == [{"a": 1}, {"a": None}]
    assert [file.name for file in path.parent.iterdir()] == ["rows.json"]
