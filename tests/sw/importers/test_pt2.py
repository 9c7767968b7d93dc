import io
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.format.layers import Operation
from sw.importers import pt2
from sw.importers.npz import ModelError
from sw.importers.pt2 import load, network_of
from sw.network import Activation

from .fuzz import changed_values, mutations, read_or_refuse


def sizes(shape):
    return [{"as_int": size} for size in shape]


def meta(shape, *, requires_grad=True):
    strides = [int(np.prod(shape[axis + 1:])) for axis in range(len(shape))]
    return {"dtype": 7, "sizes": sizes(shape), "requires_grad": requires_grad,
            "device": {"type": "cpu", "index": None}, "strides": sizes(strides),
            "storage_offset": {"as_int": 0}, "layout": 7}


def argument(value):
    kinds = {str: "as_tensor", int: "as_int", float: "as_float", bool: "as_bool", list: "as_ints"}
    if value is None:
        return {"as_none": True}
    return {kinds[type(value)]: {"name": value} if isinstance(value, str) else value}


def node(operator, output, **arguments):
    return {"target": f"torch.ops.aten.{operator}", "name": output, "metadata": {},
            "inputs": [{"name": name, "arg": argument(value), "kind": 1}
                       for name, value in arguments.items()],
            "outputs": [{"as_tensor": {"name": output}}], "is_hop_single_tensor_return": None}


def members_of(nodes, weights, values, output):
    """Return the members of an archive as `torch.export.save` of PyTorch 2.13 lays them out."""
    config = {name: {"path_name": f"weight_{number}", "is_param": True, "use_pickle": False,
                     "tensor_meta": meta(array.shape)}
              for number, (name, array) in enumerate(weights.items())}
    parameters = {name: f"p_{name.replace('.', '_')}" for name in weights}
    specs = [{"parameter": {"arg": {"name": value}, "parameter_name": name}}
             for name, value in parameters.items()]
    specs += [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}]
    graph = {"inputs": [*map(argument, parameters.values()), argument("x")],
             "outputs": [argument(output)], "nodes": nodes,
             "tensor_values": {name: meta(shape, requires_grad=False)
                               for name, shape in values.items()},
             "sym_int_values": {}, "sym_bool_values": {}, "custom_obj_values": {}}
    model = {"graph_module": {"graph": graph, "signature": {
                "input_specs": specs,
                "output_specs": [{"user_output": {"arg": argument(output)}}]}},
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
WEIGHTS = {"conv.weight": RNG.normal(0, 0.5, (4, 2, 3, 3)).astype(np.float32),
           "conv.bias": RNG.normal(0, 0.5, 4).astype(np.float32),
           "dense.weight": RNG.normal(0, 0.5, (3, 36)).astype(np.float32)}
NODES = [node("conv2d.default", "conv2d", input="x", weight="p_conv_weight", bias="p_conv_bias",
              stride=[2, 2], padding=[1, 1]),
         node("relu_.default", "relu_", self="conv2d"),
         node("flatten.using_ints", "flatten", self="relu_", start_dim=1),
         node("linear.default", "linear", input="flatten", weight="p_dense_weight")]
VALUES = {"x": (1, 2, 6, 6), "conv2d": (1, 4, 3, 3), "relu_": (1, 4, 3, 3), "flatten": (1, 36),
          "linear": (1, 3)}


def members():
    """Return the members that PyTorch writes for `Small`, at the end, with WEIGHTS."""
    return json_copy(members_of(NODES, WEIGHTS, VALUES, "linear"))


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
    hidden = np.einsum("nchwij,ocij->nohw", windows, WEIGHTS["conv.weight"])
    hidden = np.maximum(hidden + WEIGHTS["conv.bias"][:, None, None], 0)
    expected = hidden.reshape(2, -1) @ WEIGHTS["dense.weight"].T
    assert network.run(x)[-1].reshape(2, 3) == pytest.approx(expected, abs=1e-5)


def stored(found):
    return found["data/weights/model_weights_config.json"]["config"]["conv.weight"]


def argument_of(node, name):
    found, = (entry["arg"] for entry in node["inputs"] if entry["name"] == name)
    return found


@pytest.mark.parametrize("change, complaint", [
    (lambda m: stored(m).update(
        use_pickle=True), "weights 'conv.weight' asks for a pickle, which could run any code"),
    (lambda m: m["data/constants/model_constants_config.json"]["config"].update(
        state={"path_name": "custom_obj_0", "use_pickle": False}), "constants 'state' asks for a"),
    (lambda m: graph(m).update(custom_obj_values={"a": {}}), "asks for custom objects"),
    (lambda m: m.update({"data/aotinductor/model/a.so": b""}), "holds compiled code"),
    (lambda m: m.update({"models/second.json": {}}), "must hold one model, not 2"),
    (lambda m: m.update({"byteorder": b"big"}), "must be little-endian"),
    (lambda m: m.update({"archive_format": b"pt3"}), "archive_format is another"),
    (lambda m: m["models/model.json"]["schema_version"].update(major=9), "version 8, not 9"),
    (lambda m: m.pop("data/weights/weight_0"), "member 'data/weights/weight_0' is missing"),
    (lambda m: m.update({"data/weights/weight_0": b"1234"}),
     "conv.weight must have 288 bytes of data, not 4"),
    (lambda m: m.update({"data/weights/weight_1": np.full(4, np.nan, "<f4").tobytes()}),
     "conv.bias holds NaN or infinity"),
    (lambda m: stored(m)["tensor_meta"].update(
        dtype=5), "conv.weight must hold floats, not type 5"),
    (lambda m: stored(m)["tensor_meta"].update(
        storage_offset={"as_int": 4}), "conv.weight must be stored densely"),
    (lambda m: stored(m)["tensor_meta"].update(
        sizes=sizes((4, 2, 3, 1 << 40))), "sizes must be a few known numbers"),
    (lambda m: stored(m)["tensor_meta"].update(
        sizes=sizes((0, 2, 3, 3)), strides=sizes((18, 9, 3, 1))), "0 bytes of data, not 288"),
    (lambda m: graph(m)["nodes"].reverse(),
     r"node linear \(aten\.linear\.default\): its input 'flatten' must be made by an earlier node"),
    (lambda m: graph(m)["nodes"][1].update(target="torch.ops.aten.gelu.default"),
     r"node relu_ \(aten\.gelu\.default\): the operator isn't supported"),
    (lambda m: graph(m)["nodes"][1].update(target="torch.ops.other.relu.default"),
     r"node relu_ \(other\.relu\.default\): the operator isn't supported"),
    (lambda m: graph(m)["nodes"][1].update(target="os.system"), "the operator isn't supported"),
    (lambda m: graph(m)["nodes"][1].update(name="a\n\x1b[31m" + "b" * 200, target="gelu"),
     rf"^node a\?\?\[31m{'b' * 73} \(gelu\): the operator isn't supported$"),
    (lambda m: graph(m)["nodes"][1].update(target="torch.ops.aten.conv1d.default"),
     r"node relu_ \(aten\.conv1d\.default\): the operator isn't supported"),
    (lambda m: argument_of(graph(m)["nodes"][0], "padding").update(as_ints=[1] * 9999),
     r"sizes must be one or two numbers, not \[1, 1.{,240}$"),
    (lambda m: graph(m)["nodes"].insert(1, node("clone.default", "clone", self="conv2d")),
     r"relu_\.default\): it must not change a value in place that is used elsewhere, too"),
    (lambda m: graph(m)["tensor_values"]["x"]["sizes"].__setitem__(0, {"as_expr": {}}),
     "sizes must be fixed: export the module without dynamic shapes"),
    (lambda m: stored(m)["tensor_meta"].update(strides=sizes((18, 9, 3, 2))),
     "conv.weight must be stored densely"),
    (lambda m: m.update({"archive_format": b"pt2" + bytes(14)}), "at most 16 bytes, not 17"),
    (lambda m: m.update({"models/model.json": b"[" + b"[]," * (1 << 21)}),
     "'models/model.json' must have at most 4194304 bytes, not 6291457"),
    (lambda m: graph(m)["nodes"][0]["inputs"].pop(1), "node conv2d .* missing 1 required"),
    (lambda m: graph(m)["tensor_values"].update(x=meta((2, 2, 6, 6))), r"must be \(1, C, H, W\)"),
    (lambda m: graph(m)["tensor_values"].update(flatten=meta((1, 35))),
     r"shape \(1, 36\), not \(1, 35"),
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


def test_weights_that_are_used_often_are_refused(monkeypatch):
    weights = {"w": np.eye(100, dtype=np.float32)}
    nodes = [node("linear.default", f"v{number + 1}", input=f"v{number}", weight="p_w")
             for number in range(3)]
    values = {f"v{number}": (1, 100) for number in range(4)}
    found = json_copy(members_of(nodes, weights, values | {"x": (1, 100)}, "v3"))
    argument_of(graph(found)["nodes"][0], "input")["as_tensor"]["name"] = "x"
    archive = archive_of(found)
    monkeypatch.setattr(pt2, "MAX_BYTES", 120_000)
    assert len(network_of(archive, "net").layers) == 3
    monkeypatch.setattr(pt2, "MAX_BYTES", 119_999)
    with pytest.raises(ModelError, match=r"node v3 .* must take at most 119999 bytes as float32"):
        network_of(archive, "net")


def test_weights_of_another_order_are_turned():
    """PyTorch stores tensors of memory format channels_last so."""
    found, weights = members(), WEIGHTS["conv.weight"]
    stored(found)["tensor_meta"].update(strides=sizes((18, 1, 6, 2)))
    found["data/weights/weight_0"] = weights.transpose(0, 2, 3, 1).tobytes()
    network = network_of(archive_of(found), "net")
    assert np.array_equal(network.layers[0].weights, weights.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("offset", [1 << 62, 1 << 63, (1 << 64) - 1])
def test_offsets_beyond_the_file_are_refused(offset):
    archive = archive_of(members())
    start = archive.index(b"PK\1\2")
    length = 46 + int.from_bytes(archive[start + 28:start + 30], "little")
    entry = bytearray(archive[start:start + length])
    extra = struct.pack("<HHQ", 1, 8, offset)
    entry[30:32] = struct.pack("<H", len(extra))
    entry[42:46] = b"\xff" * 4
    end = bytearray(archive[archive.rindex(b"PK\5\6"):])
    size, = struct.unpack("<I", end[12:16])
    end[12:16] = struct.pack("<I", size + len(extra))
    copy = archive[:start] + entry + extra + archive[start + length:start + size] + end
    with pytest.raises(ModelError, match="member 'archive_format' is damaged: "):
        network_of(copy, "net")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(ModelError):
        network_of(b"PK" + data, "net")


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_mutated_archives_are_read_or_refused(count):
    read_or_refuse(lambda copy: network_of(copy, "net"),
                   mutations(archive_of(members()), count, count), measured=50)


@pytest.mark.parametrize("member", ["models/model.json", "data/weights/model_weights_config.json"])
@pytest.mark.parametrize("count", [200, pytest.param(10000, marks=pytest.mark.slow)])
def test_other_values_in_graphs_are_read_or_refused(member, count):
    found = members()
    read_or_refuse(
        lambda copy: network_of(archive_of(found | {member: copy}), "net"),
        (json.dumps(copy).encode() for copy in changed_values(found[member], count, count)))


@pytest.mark.parametrize("member", ["models/model.json", "data/weights/model_weights_config.json"])
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_graphs_are_read_or_refused(member, count):
    found = members()
    text = json.dumps(found[member]).encode()
    read_or_refuse(lambda copy: network_of(archive_of(found | {member: copy}), "net"),
                   mutations(text, count, count))


def assert_within(found, wanted):
    """Assert that all of ``wanted`` is in ``found``, which may have more keys."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            assert_within(found[key], value)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_within(one, other)
    else:
        assert (type(found), found) == (type(wanted), wanted)


def test_archives_of_these_tests_are_those_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 4, 3, stride=2, padding=1)
            self.dense = torch.nn.Linear(36, 3, bias=False)

        def forward(self, x):
            return self.dense(torch.flatten(torch.relu_(self.conv(x)), 1))

    module = Small().eval()
    module.load_state_dict({name: torch.tensor(array) for name, array in WEIGHTS.items()})
    program = torch.export.export(module, (torch.zeros(1, 2, 6, 6),))
    torch.export.save(program, tmp_path / "net.pt2")
    with zipfile.ZipFile(tmp_path / "net.pt2") as archive:
        found = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    for name, wanted in members().items():
        if isinstance(wanted, dict):
            assert_within(json.loads(found[name]), wanted)
        elif not name.endswith(".pt"):
            assert found[name] == wanted, name
