from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sw import golden
from sw.compression import compress
from sw.export import main
from sw.exporters.tflite import write
from sw.format.layers import InputDescription, Operation
from sw.image import load_image
from sw.importers.npz import ModelError, save
from sw.importers.tflite import load
from sw.network import Activation, FloatLayer, FloatNetwork, calibrate, integer_network

from ...shared_data import shared_file
from ..networks import small_network, uniform


def exact(trained, seed=0):
    """Return ``trained`` in integers as TFLite would have it."""
    x = np.random.default_rng(seed).integers(0, 17, (50, *trained.input_shape))
    return integer_network(trained, calibrate(trained, x),
                           [uniform(layer) for layer in trained.weighted])


def residual_network():
    """Return a network with the operations that `small_network` lacks."""
    rng = np.random.default_rng(3)
    shape, wide = (5, 6, 2), (3, 3, 6)
    still = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0)}

    def arrays(*sizes):
        return {"weights": rng.normal(0, 0.4, sizes).astype(np.float32),
                "bias": rng.normal(0, 0.1, sizes[0]).astype(np.float32)}

    return FloatNetwork("residual", InputDescription(1 / 240, -128, 0.0, 16.0), shape, (
        FloatLayer("depthwise", Operation.DEPTHWISE_CONV2D, shape, wide, (3, 2), (2, 2), (1, 0),
                   Activation.RELU6, **arrays(6, 3, 2, 1)),
        FloatLayer("conv", Operation.CONV2D, wide, wide, (3, 3), (1, 1), (1, 1), Activation.NONE,
                   **arrays(6, 3, 3, 6)),
        FloatLayer("sum", Operation.ADD, wide, wide, **still, activation=Activation.RELU,
                   inputs=(1, 2)),
        FloatLayer("mean", Operation.AVERAGE_POOL, wide, wide, (3, 3), (1, 1), (1, 1),
                   Activation.NONE),
        FloatLayer("shape", Operation.RESHAPE, wide, (1, 1, 54), **still,
                   activation=Activation.NONE),
        FloatLayer("dense", Operation.FULLY_CONNECTED, (1, 1, 54), (1, 1, 5), **still,
                   activation=Activation.NONE, **arrays(5, 1, 1, 54)),
        FloatLayer("shares", Operation.SOFTMAX, (1, 1, 5), (1, 1, 5), **still,
                   activation=Activation.NONE)))


def assert_equals_litert(network, data, x):
    reference = pytest.importorskip("tests.reference")
    expected = reference.operator_outputs(data, x)
    for layer, found, wanted in zip(network.layers, golden.run(network, x), expected, strict=True):
        assert np.array_equal(found.reshape(wanted.shape), wanted), layer.name


@pytest.mark.parametrize("trained", [small_network(), residual_network()],
                         ids=lambda network: network.name)
def test_litert_computes_what_the_network_does(trained):
    network = exact(trained)
    x = np.random.default_rng(1).integers(-128, 128, (200, *network.input_shape), np.int8)
    assert_equals_litert(network, write(network), x)


@pytest.mark.parametrize("quantiser", ["uniform", "step"])
def test_all_operations_go_through_an_image(tmp_path, quantiser):
    trained = residual_network()
    save(tmp_path / "model.npz", trained)
    x = np.random.default_rng(0).integers(0, 17, (50, *trained.input_shape)).astype(np.uint8)
    np.savez(tmp_path / "model_data.npz", x=x, y=np.zeros(50, np.uint8), calibration=x)
    compression = compress(tmp_path / "model.npz", quantiser=quantiser, bits=8 - 4 * (
        quantiser == "step"), target=None)
    network = compression.image.network
    assert_equals_litert(network, write(network), network.quantise_input(x))


@pytest.mark.parametrize("model", ["kws_ref_model", "pretrainedResnet_quant", "ad01_int8",
                                   "vww_96_int8"])
@pytest.mark.parametrize("quantiser", ["uniform", pytest.param("step", marks=pytest.mark.slow)])
def test_from_a_model_through_an_image_to_litert(tmp_path, model, quantiser):
    path = shared_file(f"models/{model}.tflite")
    compression = compress(path, quantiser=quantiser, target=None)
    (tmp_path / "model.hri").write_bytes(compression.data)
    main([str(tmp_path / "model.hri"), "-o", str(tmp_path / "model.tflite")])
    data = (tmp_path / "model.tflite").read_bytes()
    network = load_image(tmp_path / "model.hri").network
    x = np.random.default_rng(1).integers(-128, 128, (3, *network.input_shape), np.int8)
    assert_equals_litert(network, data, x)
    if quantiser == "uniform":
        for layer, original in zip(load(tmp_path / "model.tflite").layers, load(path).layers,
                                   strict=True):
            assert layer.descriptor == original.descriptor
            assert np.array_equal(layer.bias, original.bias)
            assert layer.weights is None or np.array_equal(layer.weights, original.weights)
            assert np.array_equal(layer.multiplier, original.multiplier)


FLOAT = {"kws_ref_model_float32": ("kws_ref_model", "kws"),
         "pretrainedResnet": ("pretrainedResnet_quant", "ic"),
         "vww_96_float": ("vww_96_int8", "vww"), "ad01_fp32": ("ad01_int8", "ad")}


@pytest.mark.parametrize("model", FLOAT)
@pytest.mark.parametrize("quantiser", ["uniform", pytest.param("step", marks=pytest.mark.slow)])
def test_from_a_float_model_through_an_image_to_litert(tmp_path, model, quantiser):
    path = shared_file(f"models/{model}.tflite")
    likewise, key = FLOAT[model]
    source = load(shared_file(f"models/{likewise}.tflite")).input
    with np.load(shared_file("data/mlperf_tiny_inputs.npz")) as data:
        x = source.scale * (data[f"{key}_x"][:100].astype(np.float32) - source.zero_point)
    np.savez(tmp_path / "x.npz", x=x)
    compression = compress(path, quantiser=quantiser, target=None,
                           calibration=tmp_path / "x.npz")
    network = compression.image.network
    assert_equals_litert(network, write(network), network.quantise_input(x)[:3])


def change(number, **changes):
    network = exact(small_network())
    layers = list(network.layers)
    layers[number] = replace(layers[number], descriptor=replace(layers[number].descriptor,
                                                                **changes))
    return replace(network, layers=tuple(layers))


def odd_multiplier():
    """Return a network with a multiplier of more bits than a float32 has."""
    network = exact(small_network())
    first, *others = network.layers
    return replace(network, layers=(replace(first, multiplier=first.multiplier | 1), *others))


@pytest.mark.parametrize("network, complaint", [
    (odd_multiplier(), "conv: can't be exported exactly: no float32 scales give"),
    (change(0, activation_max=100), "conv: .*: TFLite has no activation from -128 to 100"),
    (change(0, padding=(2, 1)), r"conv: .*: TFLite has no padding \(2, 1\) for these shapes"),
    (change(4, rounding=0), "dense: .*: TFLite has no such rounding"),
])
def test_what_tflite_cannot_compute_is_refused(network, complaint):
    with pytest.raises(ModelError, match=complaint):
        write(network)


def test_command_refuses_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: .*a\.hri: no such image"):
        main([str(tmp_path / "a.hri")])
    (tmp_path / "a.hri").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"^error: .*a\.hri: not a ROM image"):
        main([str(tmp_path / "a.hri"), "-o", str(tmp_path / "a.tflite")])
    assert not Path(tmp_path / "a.tflite").exists()
