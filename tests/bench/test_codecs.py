import json

import numpy as np
import pytest

from bench import codecs
from bench.codecs import OURS, compare, load_weights, main, measure
from bench.peers import PEERS
from sw.codecs import CODECS
from sw.metrics import entropy


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr(codecs, "SECONDS", 1e-9)


@pytest.mark.parametrize("coder", [*OURS, *PEERS], ids=lambda coder: coder.name)
@pytest.mark.parametrize("layers", [
    [np.zeros((1, 1, 1, 1), np.int8)],
    [np.full((4, 1, 1, 3), -128, np.int8), np.full((2, 3, 3, 1), 127, np.int8)],
    [np.random.default_rng(0).integers(-3, 4, (8, 3, 3, 4), np.int8),
     np.random.default_rng(1).integers(0, 2, (5, 1, 1, 7), np.int8)],
], ids=["one", "ends", "few"])
def test_what_is_coded_is_exact(coder, layers):
    assert measure(coder, layers)["exact"] in (True, None)


def test_every_codec_is_compared(tmp_path, capsys):
    main(["digits", "-o", str(tmp_path / "codecs.json")])
    rows = json.loads((tmp_path / "codecs.json").read_text())
    assert [row["codec"] for row in rows] == [*CODECS, *(peer.name for peer in PEERS)]
    assert {row["model"] for row in rows} == {"digits"}
    figures = {row["codec"]: row for row in rows}
    # The automaton's alphabet has 32 symbols; nothing else must refuse.
    assert [name for name, row in figures.items() if row["exact"] is not True] == ["huffman"]
    assert figures["huffman"]["bits_per_weight"] is None
    floor = entropy([layer.ravel().view(np.uint8) for layer in load_weights("digits")])
    assert floor < figures["range coder, one model"]["bits_per_weight"] < floor + 0.1
    assert 8 < figures["raw"]["bits_per_weight"] < 8.01
    assert min(row["decode_mb_s"] for row in rows if row["exact"]) > 0
    out = capsys.readouterr().out
    assert "zstd, level 22" in out
    assert "codecs.json: " in out


class Forgetful:
    name = "forgetful"

    def encode(self, layers):
        return b""

    def decode(self, coded, shapes):
        return [np.zeros(shape, np.int8) for shape in shapes]


def test_wrong_weights_show():
    row, = compare("digits", [Forgetful()])
    assert row["exact"] is False


def test_models_of_the_data_folder(monkeypatch, capsys):
    monkeypatch.setenv("HEADRACE_DATA", "/nowhere")
    with pytest.raises(SystemExit, match=r"error: /nowhere/models/kws_ref_model\.tflite: no such"):
        main([])
    monkeypatch.delenv("HEADRACE_DATA")
    assert codecs.default_models() == ["digits"]
    assert "HEADRACE_DATA isn't set" in capsys.readouterr().err
