import io
import json
import pickle
import re
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sw.format.layers import InputDescription, Operation
from sw.importers import npz
from sw.importers.npz import ModelError, WeightsAlone, load, save
from sw.network import Activation, FloatLayer, FloatNetwork

from ..networks import small_network
from .fuzz import mutations, read_or_refuse


DOCUMENTATION = Path(__file__).parents[3] / "docs" / "network.md"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.fixture
def members(path):
    """Write a sound model file and return what it holds, by name."""
    save(path, small_network())
    with np.load(path) as archive:
        return dict(archive)


def refusal(path):
    with pytest.raises(ModelError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_round_trip(path):
    network = small_network()
    save(path, network)
    loaded = load(path)
    assert (loaded.name, loaded.input, loaded.input_shape) == (
        network.name, network.input, network.input_shape)
    for found, wanted in zip(loaded.layers, network.layers, strict=True):
        for name, value in vars(wanted).items():
            assert np.array_equal(getattr(found, name), value), name


def test_example_of_the_documentation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example, = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    exec(example, {})
    assert re.fullmatch(r"\[\d \d \d \d \d\]\n", capsys.readouterr().out)


def test_same_network_same_bytes(path, tmp_path):
    save(path, small_network())
    save(tmp_path / "again.npz", small_network())
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_weights_alone(path):
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez(path, layer=weights)
    loaded = load(path)
    assert isinstance(loaded, WeightsAlone)
    assert loaded.name == "model"
    assert np.array_equal(loaded.arrays["layer"], weights)


def test_compressed_file_is_read(path, members):
    np.savez_compressed(path, **members)
    assert load(path).name == "small"


def test_missing_file(path):
    assert refusal(path) == "can't be read: No such file or directory"


def test_folder(path):
    path.mkdir()
    assert refusal(path) == "can't be read: Is a directory"


@pytest.mark.parametrize("data, complaint", [
    (b"", "is not an npz file"),
    (b"hello", "is not an npz file"),
    (npy(np.zeros(3)), "is not an npz file"),
    (pickle.dumps([1]), "is a pickle, which could run any code, and not an npz file"),
    (b"PK\3\4", "is damaged or truncated: File is not a zip file"),
])
def test_not_a_model_file(path, data, complaint):
    path.write_bytes(data)
    assert refusal(path) == complaint


def test_truncated_anywhere(path, members):
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        refusal(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_anywhere(tmp_path, data):
    path = tmp_path / "damaged.npz"
    save(path, small_network())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(ModelError):
        load(path)


def test_object_array(path):
    np.savez(path, layer=np.array([{}, []], dtype=object))
    assert refusal(path) == "array 'layer' is a pickle of objects, which could run any code"


def test_pickle_in_the_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("layer.npy", pickle.dumps([1]))
    assert refusal(path).startswith("array 'layer' is damaged: the magic string is not correct")


def test_member_that_is_no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../layer.npy", npy(np.zeros(3)))
    assert refusal(path) == "holds '../layer.npy', which is no array of its own"


def test_directory_that_unpacks_to_too_much(path, monkeypatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 100_000)
    np.savez_compressed(path, layer=np.zeros(30_000, np.float32))
    assert path.stat().st_size < 1_000
    assert refusal(path) == "must unpack to at most 100000 bytes, not 120128"


def test_header_that_declares_too_much(path):
    large = npy(np.zeros(3, np.float32)).replace(b"(3,), }" + 12 * b" ", b"(9999999999999,), }")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("layer.npy", large)
    assert refusal(path) == ("array 'layer' declares float32 of shape (9999999999999,), which does "
                             "not fit the 140 bytes that it has")


def test_too_many_members(path, monkeypatch):
    monkeypatch.setattr(npz, "MAX_MEMBERS", 2)
    np.savez(path, a=1, b=2, c=3)
    assert refusal(path) == "must hold at most 2 arrays, not 3"


@pytest.mark.parametrize("changes, complaint", [
    ({"dense.bias": None}, "array 'dense.bias' is missing"),
    ({"extra": np.zeros(3, np.float32)}, "no layer uses array 'extra'"),
    ({"conv.bias": np.zeros(7, np.float32)}, "array 'conv.bias' must have shape (8,), not (7,)"),
    ({"conv.bias": np.zeros(8)}, "array 'conv.bias' must be float32, not float64"),
    ({"conv.bias": np.full(8, np.nan, np.float32)}, "array 'conv.bias' holds NaN or infinity"),
    ({"conv.bias": np.full(8, np.inf, np.float32)}, "array 'conv.bias' holds NaN or infinity"),
    ({"network": np.zeros(3)}, "'network' must be one string, not float64 of (3,)"),
    ({"network": np.array("{")}, "'network' is not JSON: Expecting property name"),
    ({"network": np.array("[" * 100_000)}, "'network' is not JSON: "),
    ({"network": np.array("3")}, "network must be an object, not int"),
    ({"network": np.array("{}")}, "network: version is missing"),
    ({"network": np.array("x" * (1 << 20) + "x")}, "'network' must have at most 1048576 char"),
])
def test_bad_members_rejected(path, members, changes, complaint):
    members |= changes
    np.savez(path, **{name: array for name, array in members.items() if array is not None})
    assert refusal(path).startswith(complaint)


def change_layer(number, **changes):
    return lambda description: description["layers"][number].update(changes)


def change_input(**changes):
    return lambda description: description["input"].update(changes)


@pytest.mark.parametrize("change, complaint", [
    (lambda description: description.update(version=2), "network: version must be 1, not 2"),
    (lambda description: description.update(name=3), "network: name is 3, which has the wrong"),
    (lambda description: description.update(layers=[]), "small: a network must have layers"),
    (change_layer(1, name="conv"), "network: layers must have different names"),
    (change_layer(0, name="../conv"), "layer 0: name must be 1 to 64 of"),
    (change_layer(0, operation="lstm"), "conv: operation must be one of conv2d, fully_connected,"),
    (change_layer(1, inputs=[3]), "greatest: inputs must be 1 to 2 layers back, not (3,)"),
    (change_layer(1, inputs=[]), "greatest: inputs must be 1 to 2 layers back, not ()"),
    (change_layer(1, operation="add"), "greatest: add: inputs must be 2 of earlier layers"),
    (change_layer(0, activation="tanh"), "conv: activation must be one of none, relu, relu6, not"),
    (change_layer(0, output_shape=[6, 6]), "conv: output_shape must be 3 integers, not [6, 6]"),
    (change_layer(0, stride=[1, True]), "conv: stride must be 2 integers, not [1, True]"),
    (change_layer(0, kernel=[3, 4]), "array 'conv.weights' must have shape (8, 3, 4, 1), not"),
    (change_layer(0, output_shape=[10 ** 9, 6, 8]), "conv: conv2d: output shape must be 1 to"),
    (change_layer(0, padding=[3, 1]), "conv: conv2d: padding must be 0 to 2, not 3"),
    (change_layer(1, operation="softmax", activation="relu", output_shape=[6, 6, 8],
                  kernel=[1, 1], stride=[1, 1]),
     "greatest: softmax must have no activation, not relu"),
    (change_layer(1, output_shape=[5, 5, 9]), "greatest: max_pool: pooling keeps the 8 channels"),
    (change_input(dtype="uint8"), "input: dtype must be int8, not uint8"),
    (change_input(zero_point=128), "input: zero_point must be -128 to 127, not 128"),
    (change_input(scale=0), "input: scale must be positive"),
    (change_input(divisor=0.0), "input: scale must be positive and divisor not 0"),
    (change_input(scale=float("nan")), "'network' is not JSON: NaN is no number"),
    (change_input(mean=10 ** 400), "int too large"),
])
def test_bad_descriptions_rejected(path, members, change, complaint):
    description = json.loads(str(members["network"]))
    change(description)
    members["network"] = np.array(json.dumps(description))
    np.savez(path, **members)
    assert refusal(path).startswith(complaint)


def test_graph_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    shape = (4, 4, 2)
    point = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0), "activation": Activation.NONE}
    network = FloatNetwork("graph", InputDescription(1.0, 0, 0.0, 1.0), shape, (
        FloatLayer("own", Operation.DEPTHWISE_CONV2D, shape, shape, (3, 3), (1, 1), (1, 1),
                   Activation.RELU, rng.normal(size=(2, 3, 3, 1)).astype(np.float32),
                   np.ones(2, np.float32)),
        FloatLayer("sum", Operation.ADD, shape, shape, **point, inputs=(1, 2)),
        FloatLayer("flat", Operation.RESHAPE, shape, (1, 1, 32), **point),
        FloatLayer("shares", Operation.SOFTMAX, (1, 1, 32), (1, 1, 32), **point)))
    save(tmp_path / "graph.npz", network)
    read = load(tmp_path / "graph.npz")
    x = rng.normal(size=(3, *shape))
    own, added, flat, shares = read.run(x)
    for values, wanted in zip(read.run(x), network.run(x), strict=True):
        assert np.array_equal(values, wanted)
    assert np.array_equal(added, own + x.astype(np.float32))
    powers = np.exp(flat)
    assert shares == pytest.approx(powers / powers.sum(axis=-1, keepdims=True), abs=1e-6)


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("count", [100, pytest.param(1500, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_refused(path, members, count):
    data = path.read_bytes()
    read_or_refuse(lambda copy: load(write(path, copy)), mutations(data, count, count),
                   measured=50)


@pytest.mark.parametrize("count", [100, pytest.param(1500, marks=pytest.mark.slow)])
def test_mutated_descriptions_are_read_or_refused(path, members, count):
    text = str(members["network"]).encode()

    def read(copy):
        np.savez(path, **members | {"network": np.array(copy.decode(errors="replace"))})
        return load(path)

    read_or_refuse(read, mutations(text, count, count))


@pytest.mark.parametrize("count", [100, pytest.param(1500, marks=pytest.mark.slow)])
def test_mutated_arrays_are_read_or_refused(path, members, count):
    array = npy(members["conv.weights"])

    def read(copy):
        with zipfile.ZipFile(path, "w") as archive:
            for name, values in members.items():
                archive.writestr(f"{name}.npy", copy if name == "conv.weights" else npy(values))
        return load(path)

    read_or_refuse(read, mutations(array, count, count))
