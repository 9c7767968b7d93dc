import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest

from sw.exporters.weights import FORMATS
from sw.profile import main

from ..shared_data import shared_file
from .importers.test_onnx import onnx_of, with_pixels
from .importers.test_pt2 import archive_of, members
from .networks import small_network


SCHEMA = Path(__file__).parents[2] / "docs" / "profile.schema.json"


def printed_json(model, capsys, *options):
    main([str(model), "--json", *options])
    found = json.loads(capsys.readouterr().out)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    return found


def model_file(kind, folder):
    """Return the path of a model of a kind that `load_model` reads."""
    path = folder / f"net{kind}"
    match kind:
        case ".onnx":
            onnx.save(onnx_of(with_pixels(small_network())), path)
        case ".pt2":
            path.write_bytes(archive_of(members()))
        case _:
            rng = np.random.default_rng(0)
            path.write_bytes(FORMATS[kind]({
                "conv.weight": rng.normal(size=(8, 3, 3, 4)).astype(np.float32),
                "conv.bias": np.zeros(8, np.float32)}))
    return path


@pytest.mark.parametrize("name, kind, layers", [
    ("digits", "float", 4), ("models/ad01_int8.tflite", "int8", 10),
    ("models/kws_ref_model_float32.tflite", "float", 10), (".onnx", "float", 3),
    (".pt2", "float", 2), (".npz", "weights alone", 1), (".safetensors", "weights alone", 1)])
def test_every_kind_of_model(name, kind, layers, tmp_path, capsys):
    model = (model_file(name, tmp_path) if name.startswith(".")
             else shared_file(name) if "/" in name else name)
    found = printed_json(model, capsys)
    assert (found["version"], found["kind"], len(found["layers"])) == (1, kind, layers)
    assert (found["lossless"] is not None) == (kind == "int8")
    assert [choice["use"] for choice in found["recommendations"]] == (
        ["lossless", "lossy"] if kind == "int8" else ["lossy"])


def test_schema_refuses_other_structures(capsys):
    found = printed_json("digits", capsys)
    schema = json.loads(SCHEMA.read_text())
    for damage in ({"version": 2}, {"kind": "double"}, {"unknown": 1}, {"layers": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(found | damage, schema)


def test_text_fits_100_columns(capsys):
    main([str(shared_file("models/vww_96_int8.tflite"))])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 100
    text = "\n".join(lines)
    for part in ("Weights", "Entropy in b/w", "Filters and channels", "Codecs in b/w",
                 "Distortion of the network", "lossless: ", "lossy: ", "depthwise_conv2d_25",
                 "can't carry them"):
        assert part in text
    assert re.fullmatch(r".*vww_96_int8.tflite: 208,112 weights, lossless none \+ \w+ [\d.]+ b/w; "
                        r"lossy \w+ \+ \w+ [\d.]+ b/w", lines[-1])


def test_name_of_a_layer_is_no_markup(tmp_path, capsys):
    path = tmp_path / "x.safetensors"
    path.write_bytes(FORMATS[".safetensors"]({"[red]<b>&": np.eye(4, dtype=np.float32)}))
    main([str(path), "--html", str(tmp_path / "x.html")])
    assert "[red]<b>&" in capsys.readouterr().out
    page = (tmp_path / "x.html").read_text()
    assert "[red]<b>" not in page
    assert "[red]&lt;b&gt;&amp;" in page


def test_page_is_written_under_build_by_default(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["digits", "--html"])
    path = Path("build/digits_profile.html")
    assert f"{path}: {path.stat().st_size:,} bytes: 33,536 weights, " in (
        capsys.readouterr().out.splitlines()[-1])
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_seed_changes_no_more_than_noise(capsys):
    first, second = (printed_json("digits", capsys, "--seed", seed) for seed in ("1", "2"))
    assert first == printed_json("digits", capsys, "--seed", "1")
    for context in ("previous", "filter_before"):
        assert first["lossy"][context]["gain"] == pytest.approx(
            second["lossy"][context]["gain"], abs=0.005)


@pytest.mark.parametrize("arguments, complaint", [
    (["nothing.npz"],
     "nothing.npz: no such model file, nor one of the networks that ship: digits, mnist"),
    (["digits", "--seed", "-1"], "Seed must be 0 or more, not -1"),
    (["bad.npz"], "bad.npz: is not an npz file"),
    (["bad.tflite"], None), (["bad.onnx"], None), (["bad.pt2"], None),
    (["biases.npz"], "biases: must have weights, arrays of two axes or more"),
    (["digits", "--html", "file/x.html"], None)])
def test_bad_input_is_one_line(arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for suffix in ("npz", "tflite", "onnx", "pt2"):
        Path(f"bad.{suffix}").write_bytes(b"nonsense")
    Path("file").touch()
    np.savez("biases.npz", bias=np.zeros(4, np.float32))
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    message = str(refusal.value)
    assert message.startswith("error: ")
    assert len(message.splitlines()) == 1
    assert "None" not in message
    if complaint:
        assert message == f"error: {complaint}"
