import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sw import golden
from sw.format.layers import Operation, Rounding
from sw.importers import npz, tflite
from sw.importers.npz import ModelError
from sw.importers.tflite import load, network_of

from ...shared_data import shared_file


INT8 = {"kws_ref_model": "kws_x", "pretrainedResnet_quant": "ic_x", "ad01_int8": "ad_x",
        "vww_96_int8": "vww_x"}
FLOAT = {"kws_ref_model_float32": "kws_ref_model", "pretrainedResnet": "pretrainedResnet_quant",
         "ad01_fp32": "ad01_int8", "vww_96_float": "vww_96_int8"}


def model_file(model):
    return shared_file(f"models/{model}.tflite")


def inputs(model, count):
    """Return real inputs of ``model``, then shifted ones, then random ones."""
    rng = np.random.default_rng(0)
    with np.load(shared_file("data/mlperf_tiny_inputs.npz")) as samples:
        real = samples[INT8[model]][:count // 2]
    shifted = real[rng.integers(len(real), size=count // 4)].copy()
    for sample in shifted:
        sample[:] = np.roll(sample, rng.integers(1, 4), axis=0)
    rest = count - len(real) - len(shifted)
    return np.concatenate([real, shifted,
                           rng.integers(-128, 128, (rest, *real.shape[1:]), np.int8)])


@pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", INT8)
def test_every_tensor_equals_litert(model, count):
    reference = pytest.importorskip("tests.reference")
    path = model_file(model)
    network = load(path)
    x = inputs(model, count)
    expected = reference.operator_outputs(path.read_bytes(), x)
    for layer, found, wanted in zip(network.layers, golden.run(network, x), expected, strict=True):
        assert np.array_equal(found.reshape(wanted.shape), wanted), layer.name


@pytest.mark.parametrize("model", FLOAT)
def test_float_models_follow_litert(model):
    reference = pytest.importorskip("tests.reference")
    path = model_file(model)
    network = load(path)
    source = load(model_file(FLOAT[model])).input
    x = source.scale * (inputs(FLOAT[model], 4).astype(np.float32) - source.zero_point)
    expected = reference.operator_outputs(path.read_bytes(), x.astype(np.float32))
    # LiteRT's dynamic range kernels quantise the inputs of each layer; ours don't.
    loose = 0.2 if model == "kws_ref_model_float32" else 1e-4
    for layer, found, wanted in zip(network.layers, network.run(x), expected, strict=True):
        assert np.abs(found.reshape(wanted.shape) - wanted).max() < loose * (
            np.ptp(wanted) + 1e-6), layer.name


def test_layers_are_what_the_file_says():
    network = load(model_file("pretrainedResnet_quant"))
    assert network.name == "pretrainedResnet_quant"
    assert network.input_shape == (32, 32, 3)
    assert (network.input.scale, network.input.zero_point) == (1.0, -128)
    assert (network.weights, network.macs) == (77_360, 12_501_632)
    added = network.layers[3].descriptor
    assert (network.layers[3].name, added.operation, added.inputs) == (
        "add_3", Operation.ADD, (3, 1))
    assert network.layers[13].descriptor.operation is Operation.RESHAPE
    assert network.layers[14].descriptor.rounding is Rounding.ONCE
    depthwise = load(model_file("kws_ref_model")).layers[1]
    assert depthwise.weights.shape == (64, 3, 3, 1)


def test_factor_too_small_for_tflite_gives_nothing():
    multiplier, shift = tflite.multipliers(np.array([2.0 ** -33, 0.001]))
    greatest = np.array([[(1 << 31) - 1, 1000], [-(1 << 31) + 1, -1000]])
    assert golden.requantise(greatest, multiplier, shift).tolist() == [[0, 1], [0, -1]]


def refusal(data):
    """Return why ``data`` are refused, or nothing if they aren't."""
    try:
        network_of(data, "model")
    except ModelError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("data", [b"", b"PK\3\4" * 9, b"\x80\4" + bytes(20)])
def test_other_files_refused(data):
    assert "is not a TensorFlow Lite model" in refusal(data)


def test_missing_file_refused(tmp_path):
    with pytest.raises(ModelError, match=r"a\.tflite: can't be read: No such file"):
        load(tmp_path / "a.tflite")


def test_big_file_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 10)
    (tmp_path / "a.tflite").write_bytes(bytes(11))
    with pytest.raises(ModelError, match=r"a\.tflite: must have at most 10 bytes, not 11"):
        load(tmp_path / "a.tflite")


def test_truncated_files_refused():
    data = model_file("kws_ref_model").read_bytes()
    for size in range(0, len(data), 997):
        assert refusal(data[:size])


@given(st.binary(max_size=200))
def test_random_bytes_refused(noise):
    assert refusal(noise[:4] + tflite.IDENTIFIER + noise[4:])


def flip(model, data):
    """Change up to eight bytes of a model and read it."""
    contents = bytearray(model_file(model).read_bytes())
    size = len(contents)
    # Graphs lie at the ends of these files, weights between them.
    regions = st.sampled_from([(0, 4000), (size - 6000, size), (size - 24_000, size), (0, size)])
    for _ in range(data.draw(st.integers(1, 8))):
        start, end = data.draw(regions)
        contents[data.draw(st.integers(start, end - 1))] = data.draw(st.integers(0, 255))
    assert len(refusal(bytes(contents)).splitlines()) <= 1


@pytest.mark.parametrize("model", INT8)
@settings(max_examples=25)
@given(data=st.data())
def test_flipped_bytes_end_in_one_line(model, data):
    flip(model, data)


@pytest.mark.slow
@pytest.mark.parametrize("model", [*INT8, *FLOAT])
@settings(max_examples=1500)
@given(data=st.data())
def test_thousands_of_flipped_bytes_end_in_one_line(model, data):
    flip(model, data)
