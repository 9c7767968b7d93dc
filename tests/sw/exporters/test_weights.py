import json

import numpy as np
import pytest

from sw.compression import compress
from sw.decompress import main
from sw.exporters.weights import safetensors
from sw.files import write_file
from sw.importers.npz import WeightsAlone, load


@pytest.fixture(scope="module")
def compression(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "digits.hri"
    result = compress("digits")
    write_file(path, result.data)
    return path, result.network


def test_npz_holds_what_the_image_does(compression, tmp_path):
    path, network = compression
    main([str(path), "-o", str(tmp_path / "weights.npz")])
    read = load(tmp_path / "weights.npz")
    assert isinstance(read, WeightsAlone)
    for number, layer in enumerate(network.layers):
        if layer.weights is not None:
            name = f"{layer.descriptor.operation.name.lower()}_{number}"
            assert read.arrays[f"{name}.weights"] == pytest.approx(
                layer.weights * layer.weight_scale[:, None, None, None], rel=1e-6)
            scale = layer.weight_scale * layer.descriptor.input_scale
            assert read.arrays[f"{name}.bias"] == pytest.approx(layer.bias * scale, rel=1e-6)


def test_safetensors_layout():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(1, np.float32)}
    data = safetensors(arrays)
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    assert header == {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                      "b": {"dtype": "F32", "shape": [1], "data_offsets": [24, 28]}}
    assert np.array_equal(np.frombuffer(body, "<f4"), [0, 1, 2, 3, 4, 5, 1])


def test_command_writes_safetensors(compression, tmp_path, capsys):
    path, network = compression
    output = tmp_path / "weights.safetensors"
    main([str(path), "-o", str(output)])
    assert len(output.read_bytes()) > 4 * network.weights
    assert capsys.readouterr().out == f"{output}: 33536 weights of 4 layers\n"


@pytest.mark.parametrize("image, output, complaint", [
    ("missing.hri", "a.npz", r"missing\.hri: no such image"),
    ("missing.hri", "a.onnx", r"Output must be a file \.npz or \.safetensors, not a\.onnx"),
])
def test_command_refuses_in_one_line(tmp_path, image, output, complaint):
    with pytest.raises(SystemExit, match=complaint):
        main([str(tmp_path / image), "-o", str(tmp_path / output)])
