import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.format.layers import Operation
from sw.importers.npz import ModelError
from sw.importers.pt2 import load, network_of
from sw.network import Activation

from .fuzz import mutations, read_or_refuse


def sizes(shape):
    return [{"as_int": size} for size in shape]


def meta(shape, dtype=7):
    strides = [int(np.prod(shape[axis + 1:])) for axis in range(len(shape))]
    return {"dtype": dtype, "sizes": sizes(shape), "requires_grad": True,
            "device": {"type": "cpu", "index": None}, "strides": sizes(strides),
            "storage_offset": {"as_int": 0}, "layout": 7}


def argument(value):
    kinds = {str: "as_tensor", int: "as_int", float: "as_float", bool: "as_bool", list: "as_ints"}
    if value is None:
        return {"as_none": True}
    return {kinds[type(value)]: {"name": value} if isinstance(value, str) else value}


def node(operator, output, **arguments):
    return {"target": f"torch.ops.aten.{operator}.default", "name": output, "metadata": {},
            "inputs": [{"name": name, "arg": argument(value), "kind": 1}
                       for name, value in arguments.items()],
            "outputs": [{"as_tensor": {"name": output}}], "is_hop_single_tensor_return": None}


def members_of(nodes, weights, values, output):
    """Return the members of an archive as `torch.export.save` of PyTorch 2.13 lays them out."""
    config = {name: {"path_name": f"weight_{number}", "is_param": True, "use_pickle": False,
                     "tensor_meta": meta(array.shape)}
              for number, (name, array) in enumerate(weights.items())}
    specs = [{"parameter": {"arg": {"name": f"p_{name}"}, "parameter_name": name}}
             for name in weights] + [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}]
    graph = {"inputs": [argument(f"p_{name}") for name in weights] + [argument("x")],
             "outputs": [argument(output)], "nodes": nodes,
             "tensor_values": {name: meta(shape) for name, shape in values.items()},
             "sym_int_values": {}, "sym_bool_values": {}, "custom_obj_values": {}}
    model = {"graph_module": {"graph": graph, "signature": {
                "input_specs": specs, "output_specs": [{"user_output": {"arg": argument(output)}}]},
                "module_call_graph": []},
             "opset_version": {"aten": 10}, "schema_version": {"major": 8, "minor": 20}}
    return {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little",
            "models/model.json": model,
            "data/weights/model_weights_config.json": {"config": config},
            "data/constants/model_constants_config.json": {"config": {}},
            "data/sample_inputs/model.pt": b"\x80\x02cos\nsystem\nnever opened",
            **{f"data/weights/weight_{number}": array.astype("<f4").tobytes()
               for number, array in enumerate(weights.values())}}


def archive_of(members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            # Always the same bytes.
            archive.writestr(zipfile.ZipInfo(f"net/{name}"),
                             content if isinstance(content, bytes) else json.dumps(content))
    return data.getvalue()


RNG = np.random.default_rng(0)
WEIGHTS = {"conv": RNG.normal(0, 0.5, (4, 2, 3, 3)).astype(np.float32),
           "bias": RNG.normal(0, 0.5, 4).astype(np.float32),
           "dense": RNG.normal(0, 0.5, (3, 36)).astype(np.float32)}
NODES = [node("conv2d", "a", input="x", weight="p_conv", bias="p_bias", stride=[2, 2],
              padding=[1, 1]),
         node("relu_", "b", self="a"), node("flatten", "c", self="b", start_dim=1),
         node("linear", "d", input="c", weight="p_dense")]
VALUES = {"x": (1, 2, 6, 6), "a": (1, 4, 3, 3), "b": (1, 4, 3, 3), "c": (1, 36), "d": (1, 3)}


def members():
    return json_copy(members_of(NODES, WEIGHTS, VALUES, "d"))


def json_copy(content):
    return {name: value if isinstance(value, bytes) else json.loads(json.dumps(value))
            for name, value in content.items()}


def graph(found):
    return found["models/model.json"]["graph_module"]["graph"]


def test_network_without_pytorch(tmp_path):
    (tmp_path / "net.pt2").write_bytes(archive_of(members()))
    network = load(tmp_path / "net.pt2")
    assert network.name == "net"
    assert [layer.operation for layer in network.layers] == [
        Operation.CONV2D, Operation.FULLY_CONNECTED]
    assert network.layers[0].activation is Activation.RELU
    x = RNG.normal(0, 1, (2, 6, 6, 2)).astype(np.float32)
    # What PyTorch computes, channels first.
    padded = np.pad(x.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    hidden = np.einsum("nchwij,ocij->nohw", windows, WEIGHTS["conv"])
    hidden = np.maximum(hidden + WEIGHTS["bias"][:, None, None], 0)
    expected = hidden.reshape(2, -1) @ WEIGHTS["dense"].T
    assert network.run(x)[-1].reshape(2, 3) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("change, complaint", [
    (lambda m: m["data/weights/model_weights_config.json"]["config"]["conv"].update(
        use_pickle=True), "weights 'conv' asks for a pickle, which could run any code"),
    (lambda m: m["data/constants/model_constants_config.json"]["config"].update(
        state={"path_name": "custom_obj_0", "use_pickle": False}), "constants 'state' asks for a"),
    (lambda m: graph(m).update(custom_obj_values={"a": {}}), "asks for custom objects"),
    (lambda m: m.update({"data/aotinductor/model/a.so": b""}), "holds compiled code"),
    (lambda m: m.update({"models/second.json": {}}), "must hold one model, not 2"),
    (lambda m: m.update({"byteorder": b"big"}), "must be little-endian"),
    (lambda m: m.update({"archive_format": b"pt3"}), "archive_format is another"),
    (lambda m: m["models/model.json"]["schema_version"].update(major=9), "version 8, not 9"),
    (lambda m: m.pop("data/weights/weight_0"), "member 'data/weights/weight_0' is missing"),
    (lambda m: m.update({"data/weights/weight_0": b"1234"}), "conv must have 288 bytes of data"),
    (lambda m: m.update({"data/weights/weight_1": np.full(4, np.nan, "<f4").tobytes()}),
     "bias holds NaN or infinity"),
    (lambda m: m["data/weights/model_weights_config.json"]["config"]["conv"]["tensor_meta"].update(
        dtype=5), "conv must hold floats, not type 5"),
    (lambda m: m["data/weights/model_weights_config.json"]["config"]["conv"]["tensor_meta"].update(
        storage_offset={"as_int": 4}), "conv must be stored densely"),
    (lambda m: m["data/weights/model_weights_config.json"]["config"]["conv"]["tensor_meta"].update(
        sizes=sizes((4, 2, 3, 1 << 40))), "sizes must be a few known numbers"),
    (lambda m: m["data/weights/model_weights_config.json"]["config"]["conv"]["tensor_meta"].update(
        sizes=sizes((0, 2, 3, 3)), strides=sizes((18, 9, 3, 1))), "0 bytes of data, not 288"),
    (lambda m: graph(m)["nodes"].reverse(),
     r"node d \(aten\.linear\.default\): its input 'c' must be made by an earlier node"),
    (lambda m: graph(m)["nodes"][1].update(target="torch.ops.aten.gelu.default"),
     r"node b \(aten\.gelu\.default\): the operator isn't supported"),
    (lambda m: graph(m)["nodes"][1].update(target="torch.ops.other.relu.default"),
     r"node b \(other\.relu\.default\): the operator isn't supported"),
    (lambda m: graph(m)["nodes"][1].update(target="os.system"), "the operator isn't supported"),
    (lambda m: graph(m)["nodes"][0]["inputs"].pop(1), "node a .* missing 1 required"),
    (lambda m: graph(m)["tensor_values"].update(x=meta((2, 2, 6, 6))), r"must be \(1, C, H, W\)"),
    (lambda m: graph(m)["tensor_values"].update(c=meta((1, 35))), r"shape \(1, 36\), not \(1, 35"),
    (lambda m: graph(m).update(outputs=[]), "must have one output, not 0"),
    (lambda m: graph(m).pop("nodes"), "the graph is damaged: KeyError: 'nodes'"),
    (lambda m: m.update({"models/model.json": b"{"}), "'models/model.json' is not JSON"),
    (lambda m: m.update({"models/model.json": b"[" * 100000}), "is not JSON: maximum recursion"),
])
def test_damaged_archives_are_refused(change, complaint):
    found = members()
    change(found)
    with pytest.raises(ModelError, match=complaint):
        network_of(archive_of(found), "net")


@pytest.mark.parametrize("data, complaint", [
    (b"", "is not a .pt2 archive"), (b"\x80\x02cos\nsystem\n", "is not a .pt2 archive"),
    (b"PK\x03\x04", "is damaged or truncated"),
])
def test_other_files_are_refused(data, complaint):
    with pytest.raises(ModelError, match=complaint):
        network_of(data, "net")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"a\.pt2: can't be read: No such file"):
        load(tmp_path / "a.pt2")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(ModelError):
        network_of(b"PK" + data, "net")


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_mutated_archives_are_read_or_refused(count):
    read_or_refuse(lambda copy: network_of(copy, "net"),
                   mutations(archive_of(members()), count, count), measured=50)


@pytest.mark.parametrize("member", ["models/model.json", "data/weights/model_weights_config.json"])
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_graphs_are_read_or_refused(member, count):
    found = members()
    text = json.dumps(found[member]).encode()
    read_or_refuse(lambda copy: network_of(archive_of(found | {member: copy}), "net"),
                   mutations(text, count, count))
