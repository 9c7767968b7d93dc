import numpy as np
import pytest

from sw import plan
from sw.compress import main
from sw.plan import bits_for_bytes, drop, search
from sw.zoo import load_data


def test_smallest_image_within_the_drop(monkeypatch):
    monkeypatch.setattr(plan, "RATES", {"step": (4, 2.5, 1.2, 0.001)})
    found = search("digits", max_drop=1, quantiser="step", target=None, workers=2)
    *others, chosen = found
    assert len(found) == 3
    assert drop(chosen) <= 1
    for other in others:
        assert other.size.bytes_image > chosen.size.bytes_image or drop(other) > 1


def test_drops_that_cannot_be_are_refused(monkeypatch):
    monkeypatch.setattr(plan, "RATES", {"uniform": (1,), "step": (0.001,)})
    with pytest.raises(ValueError, match=r"Drop must be \d+\.\d+ points or more with uniform, not"):
        search("digits", max_drop=0.1, quantiser="uniform", target=None, workers=1)
    with pytest.raises(ValueError, match="Drop must not be negative, not -1"):
        search("digits", max_drop=-1, quantiser="step", target=None)
    with pytest.raises(ValueError, match="Step quantiser must have"):
        search("digits", max_drop=1, quantiser="step", target=None, workers=1)


@pytest.mark.parametrize("quantiser", ["step", "compensated"])
def test_image_keeps_to_its_bytes(tmp_path, capsys, quantiser):
    main(["digits", "--quantiser", quantiser, "--max-bytes", "12000",
          "-o", str(tmp_path / "a.hri")])
    assert 11_000 < (tmp_path / "a.hri").stat().st_size <= 12_000
    assert "b/w" in capsys.readouterr().out


def test_bytes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"more than the \d+ bytes that the network takes"):
        bits_for_bytes("digits", most=1000, quantiser="step", target=None)
    with pytest.raises(ValueError, match="Only step and compensated keep to a number of bytes"):
        bits_for_bytes("digits", most=9000, quantiser="uniform", target=None)


def test_command_searches(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plan, "RATES", {"step": (3, 2.25)})
    main(["digits", "--max-drop", "1", "-o", str(tmp_path / "a.hri")])
    out = capsys.readouterr().out
    assert "step, 2.25 bits" in out
    assert "step, 3 bits" in out
    assert out.splitlines()[-1].startswith(f"{tmp_path / 'a.hri'}: 2.2")


def test_one_file_judges_with_its_other_half(tmp_path, capsys):
    data = load_data("digits")
    np.savez(tmp_path / "one.npz", x=data.x, y=data.y)
    main(["digits", "--quantiser", "compensated", "--bits", "3", "--data",
          str(tmp_path / "one.npz"), "-o", str(tmp_path / "a.hri")])
    assert capsys.readouterr().out.endswith("n = 180, calibrated on the others\n")
