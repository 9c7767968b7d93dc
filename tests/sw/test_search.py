import json

import numpy as np
import pytest

from sw import search as searching
from sw.compress import main
from sw.plan import Plan, load_plan
from sw.search import compress_within, drop, search
from sw.zoo import load_data


def test_smallest_image_within_the_drop(monkeypatch):
    monkeypatch.setattr(searching, "RATES", {"step": (4, 2.5, 1.2, 0.001)})
    found = search("digits", Plan(), max_drop=1, target=None, workers=2)
    *others, chosen = found
    assert len(found) == 3
    assert drop(chosen) <= 1
    for other in others:
        assert other.size.bytes_image > chosen.size.bytes_image or drop(other) > 1


def test_drops_that_cannot_be_are_refused(monkeypatch):
    monkeypatch.setattr(searching, "RATES", {"uniform": (1,), "step": (0.001,)})
    monkeypatch.setattr(searching, "LAYER_RATES", {"uniform": (2,)})
    with pytest.raises(ValueError, match=r"Drop must be \d+\.\d+ points or more with uniform, not"):
        search("digits", Plan("uniform"), max_drop=0.1, target=None, workers=1)
    with pytest.raises(ValueError, match="Drop must not be negative, not -1"):
        search("digits", Plan(), max_drop=-1, target=None)
    with pytest.raises(ValueError, match="Step quantiser must have"):
        search("digits", Plan(), max_drop=1, target=None, workers=1)


@pytest.mark.parametrize("quantiser", [
    "step", pytest.param("compensated", marks=pytest.mark.slow)])
def test_image_keeps_to_its_bytes(tmp_path, capsys, quantiser):
    main(["digits", "--quantiser", quantiser, "--max-bytes", "12000",
          "-o", str(tmp_path / "a.hri")])
    assert 11_000 < (tmp_path / "a.hri").stat().st_size <= 12_000
    assert "b/w" in capsys.readouterr().out


def test_rate_is_lowered_where_an_image_is_too_large(monkeypatch):
    monkeypatch.setattr(searching, "CODEBOOK_BYTES", -400)
    found = compress_within("digits", Plan(), most=12_000, target=None)
    assert 11_000 < found.size.bytes_image <= 12_000
    monkeypatch.setattr(searching, "ROUNDS", 1)
    with pytest.raises(ValueError, match=r"Image must have 12\d\d\d bytes or more, not 12000"):
        compress_within("digits", Plan(), most=12_000, target=None)


def test_bytes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"more than the \d+ bytes that the network takes"):
        compress_within("digits", Plan(), most=1000, target=None)
    with pytest.raises(ValueError, match="Only step and compensated keep to a number of bytes"):
        compress_within("digits", Plan("uniform"), most=9000, target=None)


def test_command_searches(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(searching, "RATES", {"step": (3, 2.25)})
    main(["digits", "--max-drop", "1", "-o", str(tmp_path / "a.hri")])
    out = capsys.readouterr().out
    assert "step, 2.25 bits" in out
    assert "step, 3 bits" in out
    assert out.splitlines()[-1].startswith(f"{tmp_path / 'a.hri'}: 2.2")
    assert "<div id=\"curve\"" in (tmp_path / "a.html").read_text()
    compared = json.loads((tmp_path / "a.json").read_text())["compared"]
    assert [row["plan"]["bits"] for row in compared] == [3, 2.25]


@pytest.mark.parametrize("quantiser, rates", [("uniform", (8, 5, 4)), ("codebook", (5, 4, 3))])
def test_bits_of_each_layer_are_searched(tmp_path, capsys, monkeypatch, quantiser, rates):
    monkeypatch.setattr(searching, "RATES", {quantiser: rates[:2]})
    monkeypatch.setattr(searching, "LAYER_RATES", {quantiser: rates})
    main(["digits", "--max-drop", "0.5", "--quantiser", quantiser, "--target", "none",
          "--plan", str(tmp_path / "plan.toml"), "-o", str(tmp_path / "a.hri")])
    plan, target = load_plan(tmp_path / "plan.toml")
    assert target == "none"
    assert len(plan.bits) == 4
    assert min(plan.bits) == rates[2]
    main(["digits", "--plan", str(tmp_path / "plan.toml"), "-o", str(tmp_path / "b.hri")])
    assert (tmp_path / "a.hri").read_bytes() == (tmp_path / "b.hri").read_bytes()
    assert capsys.readouterr().out.count("99.") >= 2


@pytest.mark.slow
def test_one_file_judges_with_its_other_half(tmp_path, capsys):
    data = load_data("digits")
    np.savez(tmp_path / "one.npz", x=data.x, y=data.y)
    main(["digits", "--quantiser", "compensated", "--bits", "3", "--data",
          str(tmp_path / "one.npz"), "-o", str(tmp_path / "a.hri")])
    assert capsys.readouterr().out.endswith("n = 180, calibrated on the others\n")
