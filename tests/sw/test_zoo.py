import subprocess
import sys

import numpy as np
import pytest

from sw.golden import classify
from sw.importers.npz import ModelError, WeightsAlone
from sw.network import calibrate, integer_network
from sw.zoo import load_data, load_model, load_network

from tests.shared_data import shared_file

from .networks import uniform


def test_digits_is_what_it_should_be():
    network = load_network("digits")
    assert [layer.name for layer in network.weighted] == ["conv1", "conv2", "conv3", "dense"]
    assert sum(layer.weights.size for layer in network.weighted) == 33_536
    assert all(layer.output_shape[2] % 8 == 0 for layer in network.weighted[:3])
    assert network.weighted[3].input_shape == (1, 1, 1024)


def test_digits_data():
    data = load_data("digits")
    assert data.x.shape == (360, 8, 8, 1)
    assert data.calibration.shape == (100, 8, 8, 1)
    assert data.x.max() == data.calibration.max() == 16
    assert 34 <= np.bincount(data.y, minlength=10).min() <= np.bincount(data.y).max() <= 37
    held_out = {sample.tobytes() for sample in data.x}
    assert not any(sample.tobytes() in held_out for sample in data.calibration)


def test_digits_input_is_exact():
    network, data = load_network("digits"), load_data("digits")
    integers = integer_network(network, calibrate(network, data.calibration),
                               [uniform(layer) for layer in network.weighted])
    pixels = np.arange(17)[:, None, None, None] * np.ones((8, 8, 1))
    quantised = integers.quantise_input(pixels)
    restored = network.input.scale * (quantised.astype(float) - network.input.zero_point)
    assert restored == pytest.approx(pixels / 16, abs=1e-12)


def test_digits_accuracy():
    network, data = load_network("digits"), load_data("digits")
    integers = integer_network(network, calibrate(network, data.calibration),
                               [uniform(layer) for layer in network.weighted])
    assert np.mean(network.classify(data.x) == data.y) >= 0.98
    assert np.mean(classify(integers, data.x) == data.y) >= 0.98


def test_held_out_fifth_is_the_seeds():
    pytest.importorskip("torch")
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    digits = pytest.importorskip("sw.zoo.digits")
    source = datasets.load_digits()
    _, x, _, y = selection.train_test_split(
        source.images, source.target, test_size=0.2, stratify=source.target,
        random_state=digits.SEED)
    data = load_data("digits")
    assert np.array_equal(data.x[..., 0], x)
    assert np.array_equal(data.y, y)


@pytest.mark.slow
def test_training(tmp_path, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    pytest.importorskip("sw.zoo.digits").main(["-o", str(tmp_path)])
    network, data = load_network(tmp_path / "digits.npz"), load_data(tmp_path / "digits.npz")
    assert np.mean(network.classify(data.x) == data.y) >= 0.98
    assert "33536 weights, accuracy 9" in capsys.readouterr().out


def test_neither_torch_nor_sklearn_is_imported():
    script = ("import sys; from sw.zoo import load_data, load_network; load_network('digits'); "
              "load_data('digits'); sys.exit(bool({'torch', 'sklearn'} & sys.modules.keys()))")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_unknown_model():
    with pytest.raises(ModelError, match=r"^digit: no such model file, nor one of the networks "
                                         r"that ship: digits, mnist$"):
        load_model("digit")


def test_weights_alone_are_no_network(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, weights=np.ones(3, np.float32))
    assert isinstance(load_model(path), WeightsAlone)
    with pytest.raises(ModelError, match=r"weights\.npz: holds weights alone"):
        load_network(path)


@pytest.mark.parametrize("changes, complaint", [
    ({"y": np.zeros(4, np.uint8)}, "must hold one class for each input"),
    ({"calibration": np.zeros((2, 3), np.uint8)}, "calibration inputs of the same shape"),
    ({"calibration": np.zeros((0, 2), np.uint8)}, "must hold a calibration input"),
    ({"x": np.zeros((5, 2))}, "array 'x' must be uint8, not float64"),
])
def test_bad_data_rejected(tmp_path, changes, complaint):
    (tmp_path / "model.npz").touch()
    arrays = {"x": np.zeros((5, 2), np.uint8), "y": np.zeros(5, np.uint8),
              "calibration": np.zeros((2, 2), np.uint8)}
    np.savez(tmp_path / "model_data.npz", **arrays | changes)
    with pytest.raises(ModelError, match=complaint):
        load_data(tmp_path / "model.npz")


def test_missing_data(tmp_path):
    (tmp_path / "model.npz").touch()
    with pytest.raises(ModelError, match=r"model_data\.npz: can't be read: No such file"):
        load_data(tmp_path / "model.npz")


def test_mnist_is_what_it_should_be():
    network = load_network("mnist")
    assert [layer.name for layer in network.weighted] == [
        "conv1", "conv2", "dense1", "dense2", "dense3"]
    assert sum(layer.weights.size for layer in network.weighted) == 61_470
    with np.load(shared_file("data/mnist_t10k.npz")) as data:
        x, y = data["x"][::5], data["y"][::5]
    assert np.mean(network.classify(x) == y) == 0.9945


def test_mnist_needs_data():
    with pytest.raises(ModelError, match=r"mnist_data\.npz"):
        load_data("mnist")
