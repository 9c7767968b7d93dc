import tracemalloc
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from sw import golden
from sw.format.layers import Operation
from sw.importers.npz import ModelError
from sw.importers.onnx import Reader, load, network_of
from sw.network import Activation, Network
from sw.zoo import load_model

from ...shared_data import shared_file
from ..networks import small_network
from .fuzz import mutations, read_or_refuse


OPERATORS = {
    Operation.CONV2D: "Conv", Operation.DEPTHWISE_CONV2D: "Conv", Operation.ADD: "Add",
    Operation.AVERAGE_POOL: "AveragePool", Operation.MAX_POOL: "MaxPool",
    Operation.SOFTMAX: "Softmax", Operation.FULLY_CONNECTED: "Gemm",
}


def model_of(nodes, constants, shape=(1, 2, 6, 6), output=("y",), opset=17, **options):
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", options.get("type", 1), shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in output],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def onnx_of(network):
    """Return ``network`` as an ONNX model, channels first."""
    nodes, constants, values = [], {}, ["x"]

    def node(operator, *inputs, **attributes):
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    height, width, channels = network.input_shape
    for layer in network.layers:
        inputs = [values[-back] for back in layer.inputs]
        attributes = {}
        if layer.operation.slides:
            ends = [(layer.output_shape[axis] - 1) * layer.stride[axis] + layer.kernel[axis]
                    - layer.padding[axis] - layer.input_shape[axis] for axis in (0, 1)]
            attributes = {"kernel_shape": layer.kernel, "strides": layer.stride,
                          "pads": [*layer.padding, *(max(0, end) for end in ends)]}
        if layer.weights is not None:
            constants[f"{layer.name}.b"] = layer.bias
            weights = layer.weights.transpose(0, 3, 1, 2)
            if layer.operation is Operation.FULLY_CONNECTED:
                inputs = [node("Flatten", *inputs)]
                before = layer.flattened
                weights = layer.weights.reshape(-1, *before).transpose(0, 3, 1, 2)
                weights = weights.reshape(len(weights), -1)
                attributes["transB"] = 1
            if layer.operation is Operation.DEPTHWISE_CONV2D:
                attributes["group"] = layer.input_shape[2]
            constants[f"{layer.name}.w"] = np.ascontiguousarray(weights)
            inputs += [f"{layer.name}.w", f"{layer.name}.b"]
        made = inputs[0]
        if layer.operation is not Operation.RESHAPE:
            made = node(OPERATORS[layer.operation], *inputs, **attributes)
        if layer.activation is Activation.RELU:
            made = node("Relu", made)
        if layer.activation is Activation.RELU6:
            constants |= {"zero": np.float32(0), "six": np.float32(6)}
            made = node("Clip", made, "zero", "six")
        values.append(made)
    nodes.append(helper.make_node("Identity", [values[-1]], ["y"]))
    return model_of(nodes, constants, (1, channels, height, width))


class Flattened:
    """A layer that knows the pixels that it flattens."""

    def __init__(self, layer, before):
        self.layer, self.flattened = layer, before

    def __getattr__(self, name):
        return getattr(self.layer, name)


def with_pixels(network):
    """Return ``network`` with layers that know their inputs' pixels."""
    shapes = [network.input_shape]
    layers = []
    for layer in network.layers:
        before = shapes[-layer.inputs[0]]
        layers.append(Flattened(layer, before))
        kept = layer.operation is Operation.RESHAPE
        shapes.append(before if kept else layer.output_shape)
    return type("Network", (), {"layers": layers, "input_shape": network.input_shape})


def session_of(model):
    # Optimised, it runs quantised layers in kernels whose 16-bit sums may saturate.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options,
                                        providers=["CPUExecutionProvider"])


def run(model, x):
    """Return what ONNX Runtime makes of NHWC inputs, one by one."""
    session = session_of(model)
    return np.concatenate([session.run(None, {"x": np.moveaxis(sample[None], -1, 1)})[0]
                           for sample in x.astype(np.float32)])


def assert_same(model, x, tolerance=1e-5):
    network = network_of(model.SerializeToString(), "model")
    wanted = run(model, x)
    found = network.run(x)[-1]
    assert np.moveaxis(found, -1, 1).reshape(wanted.shape) == pytest.approx(wanted, abs=tolerance)
    return network


def inputs_of(shape, count=5, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (count, *shape)).astype(np.float32)


@pytest.mark.parametrize("model", ["small", "kws_ref_model_float32", "pretrainedResnet",
                                   "vww_96_float", "ad01_fp32"])
def test_networks_equal_onnx_runtime(model):
    network = small_network() if model == "small" else load_model(
        shared_file(f"models/{model}.tflite"))
    x = inputs_of(network.input_shape)
    found = assert_same(onnx_of(with_pixels(network)), x, 1e-4)
    expected = network.run(x * network.input.divisor)[-1]
    assert found.run(x)[-1].ravel() == pytest.approx(expected.ravel(), abs=1e-3, rel=1e-3)


def weights(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


NORMALISATION = {"s": np.array([1, 2, 0.5], np.float32), "o": weights(3, seed=1),
                 "m": weights(3, seed=2), "v": np.array([1, 0.5, 2], np.float32)}


@pytest.mark.parametrize("nodes, constants", [
    ([("Conv", "x w", "a", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
      ("BatchNormalization", "a s o m v", "b", {}), ("Relu", "b", "c", {}),
      ("ReduceMean", "c", "d", {"axes": [2, 3], "keepdims": 0}), ("MatMul", "d f", "e", {}),
      ("Add", "e g", "y", {})],
     {"w": weights(3, 2, 3, 3), **NORMALISATION, "f": weights(3, 4), "g": weights(4)}),
    ([("Pad", "x p", "a", {}), ("Conv", "a w b", "c", {"strides": [2, 2]}),
      ("Mul", "c s", "d", {}), ("GlobalAveragePool", "d", "e", {}), ("Flatten", "e", "f", {}),
      ("Gemm", "f g", "h", {}), ("Softmax", "h", "y", {})],
     {"p": np.array([0, 0, 0, 1, 0, 0, 1, 0]), "w": weights(3, 2, 3, 3), "b": weights(3),
      "s": weights(1, 3, 1, 1), "g": weights(3, 4)}),
    ([("Transpose", "x", "a", {"perm": [0, 3, 1, 2]}), ("Conv", "a w", "b", {}),
      ("MaxPool", "b", "c", {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
      ("Transpose", "c", "d", {"perm": [0, 2, 3, 1]}), ("Reshape", "d r", "e", {}),
      ("Gemm", "e g", "y", {})],
     {"w": weights(3, 6, 1, 3), "r": np.array([1, -1]), "g": weights(6, 4)}),
    ([("MaxPool", "x", "a", {"kernel_shape": [3, 3], "strides": [2, 2],
                             "auto_pad": "SAME_UPPER"}),
      ("AveragePool", "a", "b", {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}),
      ("Conv", "b w", "c", {"auto_pad": "SAME_LOWER", "kernel_shape": [2, 2]}),
      ("Constant", "", "t", {"value_floats": [2.0]}), ("Mul", "c t", "d", {}),
      ("GlobalAveragePool", "d", "e", {}), ("Softmax", "e", "y", {"axis": 1})],
     {"w": weights(3, 2, 2, 2)}),
    ([("Conv", "x w", "a", {}), ("Conv", "a k", "b", {"pads": [1, 1, 1, 1], "group": 3}),
      ("Add", "a b", "c", {}), ("Clip", "c", "d", {"min": 0.0, "max": 6.0}),
      ("AveragePool", "d", "e", {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}),
      ("Dropout", "e", "y", {})],
     {"w": weights(3, 2, 3, 3), "k": weights(3, 1, 3, 3)}),
], ids=["normalised", "padded", "channels last", "same", "residual"])
def test_operators(nodes, constants):
    old = any("axes" in node[3] or node[0] == "Clip" for node in nodes)
    model = model_of(nodes_of(nodes), constants,
                     opset=10 if old else 17)
    last = nodes[0][0] == "Transpose"
    x = inputs_of((2, 6, 6) if last else (6, 6, 2))
    if not last:
        assert_same(model, x)
        return
    # The file takes NHWC itself.
    network = network_of(model.SerializeToString(), "model")
    session = session_of(model)
    wanted = np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])
    assert network.run(x)[-1].reshape(wanted.shape) == pytest.approx(wanted, abs=1e-5)


class Samples:
    def __init__(self, x):
        self.x = iter(x)

    def get_next(self):
        sample = next(self.x, None)
        return None if sample is None else {"x": np.moveaxis(sample[None], -1, 1)}


def quantised(model, x, folder, **options):
    """Return ``model`` as ONNX Runtime quantises it, in QDQ form."""
    from onnxruntime.quantization import QuantFormat, quantize_static
    onnx.save(model, folder / "float.onnx")
    with warnings.catch_warnings(action="ignore"):
        quantize_static(folder / "float.onnx", folder / "qdq.onnx", Samples(x),
                        quant_format=QuantFormat.QDQ, **options)
    return onnx.load(folder / "qdq.onnx")


def traced(qdq, x):
    """Return the network of a QDQ model and what ONNX Runtime gives it and each of its layers."""
    reader = Reader(qdq.graph, "model", 17, 1 << 30)
    network = reader.network()
    names = {}
    for name in reader.integers:
        names.setdefault(reader.builder.values[name].made, name)
    model = onnx.ModelProto()
    model.CopyFrom(qdq)
    del model.graph.output[:]
    for name in names.values():
        kind = helper.np_dtype_to_tensor_dtype(reader.integers[name])
        model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    session = session_of(model)
    made = [session.run(list(names.values()), {"x": np.moveaxis(sample[None], -1, 1)})
            for sample in x]
    values = {}
    for number, name, *outputs in zip(names, names.values(), *made, strict=True):
        integers = np.concatenate(outputs).astype(np.int16)
        integers -= 128 if reader.integers[name] == np.uint8 else 0
        values[number] = np.moveaxis(integers, 1, -1).astype(np.int8)
    return network, values


@pytest.mark.parametrize("model, kind", [
    ("small", "QInt8"), ("small", "QUInt8"), ("kws_ref_model_float32", "QInt8"),
    ("kws_ref_model_float32", "QUInt8"), ("pretrainedResnet", "QInt8"), ("ad01_fp32", "QInt8"),
    ("vww_96_float", "QInt8"),
])
def test_layers_of_quantised_models_are_a_step_from_onnx_runtime(tmp_path, model, kind):
    from onnxruntime.quantization import QuantType
    trained = small_network() if model == "small" else load_model(
        shared_file(f"models/{model}.tflite"))
    x = inputs_of(trained.input_shape, 10)
    qdq = quantised(onnx_of(with_pixels(trained)), x, tmp_path, per_channel=model != "small",
                    activation_type=getattr(QuantType, kind), weight_type=QuantType.QInt8)
    assert isinstance(load(tmp_path / "qdq.onnx"), Network)
    network, values = traced(qdq, x)
    assert (network.quantise_input(x) == values[0].reshape(len(x), *network.input_shape)).all()
    differing = compared = 0
    for number, layer in enumerate(network.layers, 1):
        # Pools keep the quantisation of their input, softmax has TFLite's.
        if layer.descriptor.operation.has_weights or layer.descriptor.operation is Operation.ADD:
            found = golden.apply(layer, *(values[number - back]
                                          for back in layer.descriptor.inputs))
            differences = np.abs(found.reshape(values[number].shape).astype(int) - values[number])
            assert differences.max() <= 1
            differing += (differences > 0).sum()
            compared += differences.size
    assert compared
    assert differing / compared < 0.005
    # What differs by a step in one layer may grow in those behind.
    last = network.layers[-1].descriptor
    found = last.output_scale * (golden.run(network, network.quantise_input(x))[-1].astype(float)
                                 - last.output_zero_point)
    wanted = run(qdq, x).reshape(len(x), -1)
    errors = np.abs(found.reshape(len(x), -1) - wanted) / last.output_scale
    assert errors.max() <= 10
    assert errors.mean() <= 2


STEPS = {"s": np.float32(0.1), "t": np.float32(0.02), "z": np.int8(0), "u": np.uint8(128),
         "q": np.random.default_rng(0).integers(-127, 128, (3, 2, 3, 3)).astype(np.int8),
         "qs": np.float32(0.005)}


def both(name, scale="s", zero="z"):
    """Return nodes that quantise ``name`` and restore it, as ``name.``."""
    return [("QuantizeLinear", f"{name} {scale} {zero}", f"{name}_q", {}),
            ("DequantizeLinear", f"{name}_q {scale} {zero}", f"{name}.", {})]


QUANTISED = [*both("x"), ("DequantizeLinear", "q qs", "w", {}), ("Conv", "x. w", "a", {})]


def nodes_of(nodes):
    return [helper.make_node(kind, names.split(), [output], **attributes)
            for kind, names, output, attributes in nodes]


@pytest.mark.parametrize("nodes, most", [
    ([*QUANTISED, *both("a"), ("Identity", "a.", "y", {})], 0),
    ([*both("x", zero="u"), *QUANTISED[2:], ("Relu", "a", "b", {}), *both("b"),
      ("Identity", "b.", "y", {})], 0),
    ([*QUANTISED, *both("a"), ("Relu", "a.", "b", {}), *both("b"), ("Identity", "b.", "y", {})], 0),
    ([*QUANTISED, ("QuantizeLinear", "a s z", "b", {}), ("MaxPool", "b", "c",
                                                         {"kernel_shape": [2, 2]}),
      ("DequantizeLinear", "c s z", "y", {})], 0),
    ([*QUANTISED, *both("a"), ("GlobalAveragePool", "a.", "b", {}), *both("b", "t"),
      ("Identity", "b.", "y", {})], 0.5),
    ([*QUANTISED, *both("a", "r"), ("Add", "a. two", "b", {}), *both("b"),
      ("Identity", "b.", "y", {})], 1),
], ids=["plain", "uint8", "relu apart", "integers", "pool", "bias apart"])
def test_quantised_graphs(nodes, most):
    model = model_of(nodes_of(nodes), STEPS | {"two": np.float32(0.25), "r": np.float32(0.2)})
    network = network_of(model.SerializeToString(), "model")
    x = inputs_of(network.input_shape)
    last = network.layers[-1].descriptor
    found = golden.run(network, network.quantise_input(x))[-1].astype(float)
    wanted = np.moveaxis(run(model, x), 1, -1) / last.output_scale + last.output_zero_point
    assert found.std() > 1
    assert np.abs(found - wanted).max() <= most + 0.51 * (most > 0) + 1e-3


def test_dead_filters_give_nothing():
    scales = np.array([0.005, 1e-12, 0.005], np.float32)
    nodes = [*both("x"), ("DequantizeLinear", "q qs", "w", {"axis": 0}),
             ("Conv", "x. w", "a", {}), *both("a"), ("Identity", "a.", "y", {})]
    model = model_of(nodes_of(nodes), STEPS | {"qs": scales})
    network = network_of(model.SerializeToString(), "model")
    assert (network.layers[0].weights.transpose(0, 3, 1, 2) == STEPS["q"]).all()
    x = inputs_of(network.input_shape)
    outputs = golden.run(network, network.quantise_input(x))[-1]
    assert not outputs[..., 1].any()
    assert np.moveaxis(run(model, x), 1, -1) == pytest.approx(outputs * 0.1, abs=1e-5)


@pytest.mark.parametrize("nodes, complaint", [
    ([*QUANTISED, *both("a", "t"), *both("a.", "s"), ("Identity", "a..", "y", {})],
     "must be quantised by 0.02 with zero point 0, as elsewhere, not by 0.1"),
    ([*both("x"), ("DequantizeLinear", "x_q t z", "y", {})], "must undo the quantisation before"),
    ([*both("x"), ("DequantizeLinear", "x_q s u", "y", {})], "must undo the quantisation before"),
    ([("DequantizeLinear", "x s z", "y", {})], "'x' must be quantised by an earlier node"),
    ([("QuantizeLinear", "x s gone", "y", {})], "zero point 'gone' must be a constant of integers"),
    ([("QuantizeLinear", "x s s", "y", {})], "zero point 's' must be a constant of integers"),
    ([("QuantizeLinear", "x s z", "y", {"output_dtype": 5})], "must make int8 or uint8 of floats"),
    ([("QuantizeLinear", "x s z", "a", {}), ("Conv", "a w", "y", {})],
     "'a' must be floats, not integers"),
    ([("DequantizeLinear", "q qs", "w", {}), ("Conv", "x w", "a", {}), *both("a"),
      ("Identity", "a.", "y", {})], "the input must be quantised, since others are"),
    ([*QUANTISED, ("Identity", "a", "y", {})], "output of conv2d_0 must be quantised"),
    ([*QUANTISED, *both("a"), ("Add", "a a.", "b", {}), *both("b"), ("Identity", "b.", "y", {})],
     "inputs of add_1 must be quantised"),
    ([("DequantizeLinear", "q qs u", "w", {}), ("Conv", "x w", "y", {})], "and symmetric"),
    ([*QUANTISED, ("Mul", "a s", "b", {}), *both("b"), ("Identity", "b.", "y", {})],
     "must be as they were quantised, not scaled afterwards"),
])
def test_unsupported_quantisation_is_refused(nodes, complaint):
    model = model_of(nodes_of(nodes), STEPS)
    with pytest.raises(ModelError, match=complaint):
        network_of(model.SerializeToString(), "model")


PADDING = {"w": weights(3, 2, 3, 3), "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
POOLED = [("Conv", "x w", "a", {}), ("GlobalAveragePool", "a", "b", {})]


@pytest.mark.parametrize("nodes, constants, complaint", [
    ([("Conv", "x w", "a", {}), ("Identity", "a", "b", {}), ("Relu", "b", "c", {}),
      ("Add", "a c", "y", {})], PADDING, r"node 2 .* must be a layer's output, used here alone"),
    ([("Conv", "x w", "a", {}), ("Pad", "a p", "y", {})], PADDING, "only a convolution can take"),
    ([("Conv", "x w", "a", {}), ("Pad", "a p", "b", {}), ("Mul", "b t", "c", {}),
      ("Conv", "c k", "y", {})], PADDING | {"t": np.float32(2), "k": weights(3, 3, 3, 3)},
     r"node 2 '' \(Mul\): only a convolution can take what was padded"),
    ([*POOLED, ("Softmax", "b", "y", {})], PADDING, "softmax must be over classes, not axis -1"),
    ([*POOLED, ("Transpose", "b", "c", {"perm": [0, 2, 3, 1]}),
      ("GlobalAveragePool", "c", "y", {})], PADDING, "must have the axes N, C, H, W, not hwc"),
    ([*POOLED, ("Flatten", "b", "c", {}), ("Conv", "c k", "y", {})],
     PADDING | {"k": weights(3, 3, 1, 1)}, "must have the axes N, C, H, W, not flat chw"),
    ([("Conv", "x w", "a", {}), ("Relu", "a", "a", {})], PADDING, "'a' must be made once"),
    ([("Conv", "x w", "y", {"kernel_shape": [5, 5]})], PADDING,
     r"must be \(3, 3\), as the weights have it"),
    ([("Re\nlu", "x", "y", {})], {}, r"node 0 '' \('Re\\nlu'\): the operator isn't supported"),
    ([("Relu", "z" * 9999, "y", {})], {}, "its input 'z{59} must be made"),
    ([("Relu", "x x", "y", {})], {}, "it must have 1 to 1 inputs, not 2"),
    ([("MaxPool", "x", "y", {})], {}, "it must have the attribute 'kernel_shape'"),
    ([("Conv", "x w", "a", {}), ("BatchNormalization", "a s o o v", "y", {})],
     PADDING | {"s": np.ones((9999, 1), np.float32), "v": np.ones((1, 9999), np.float32),
                "o": np.ones(3, np.float32)}, "it must have 3 values of each kind"),
    ([("Conv", "x w", "a0", {}),
      *(("Mul", f"a{number} t", f"a{number + 1}", {}) for number in range(9))],
     PADDING | {"t": np.float32(2)}, "at most 8 operators may become part of a layer"),
    ([("AveragePool", "x", "y", {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER",
                                 "count_include_pad": 1})], {}, "must not count padding"),
    ([("Dropout", "x r t", "y", {})], {"r": np.float32(0.5), "t": np.int32(1)}, "not be training"),
    ([("Identity", "x", f"i{number}", {}) for number in range(2049)], {},
     "must have at most 2048 nodes, not 2049"),
    ([("Sigmoid", "x", "y", {})], {}, r"node 0 '' \(Sigmoid\): the operator isn't supported"),
    ([("Relu", "z", "y", {})], {}, r"node 0 '' \(Relu\): its input 'z' must be made by an earlier"),
    ([("Conv", "a w", "y", {}), ("Relu", "y", "a", {})], {"w": weights(3, 2, 3, 3)},
     "its input 'a' must be made by an earlier node"),
    ([("Conv", "x w", "y", {})], {"w": weights(3, 2, 3, 3) * np.float32("nan")},
     "'w' holds NaN or infinity"),
    ([("Conv", "x w", "y", {})], {"w": weights(3, 2, 3, 3) * np.float32("inf")},
     "'w' holds NaN or infinity"),
    ([("Conv", "x w", "y", {})], {"w": weights(3, 4, 3, 3)}, "weights must take 2 channels, not 4"),
    ([("Conv", "x w", "y", {})], {"w": weights(3, 0, 3, 3)}, "none of them 0"),
    ([("Conv", "x w", "y", {})], {"w": weights(3, 2, 9, 9)}, r"a kernel of \(9, 9\) must fit"),
    ([("Conv", "x w", "y", {"group": 2})], {"w": weights(4, 2, 3, 3)}, "take 2 channels, not 4"),
    ([("Conv", "x w", "y", {"dilations": [2, 2]})], {"w": weights(3, 2, 3, 3)}, "dilation 1"),
    ([("Conv", "x w", "y", {"auto_pad": "SAME"})], {"w": weights(3, 2, 3, 3)},
     "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not b'SAME'"),
    ([("Conv", "x w", "y", {"unknown": 1})], {"w": weights(3, 2, 3, 3)},
     "attribute 'unknown' isn't supported"),
    ([("Conv", "x w", "y", {})], {"w": np.ones((3, 2, 3, 3), np.int64)}, "hold floats, not int64"),
    ([("Conv", "x w", "a", {}), ("Flatten", "a", "y", {})], {"w": weights(3, 2, 3, 3)},
     "what is flattened must go to a linear layer"),
    ([("Flatten", "x", "a", {}), ("Gemm", "a w", "y", {})], {"w": weights(9, 2)},
     r"weights must have the shape \(outputs, 72\), not \(2, 9\)"),
    ([("Clip", "x", "y", {"min": 0.0, "max": 1.0})], {}, "limits must be 0 and 6"),
    ([("Conv", "x w", "a", {}), ("Reshape", "a r", "y", {})],
     {"w": weights(3, 2, 3, 3), "r": np.array([2, -1])}, r"the output must have the shape"),
    ([("Identity", "x", "y", {})], {}, "must have layers"),
    ([("Loop", "x", "y", {})], {}, "the operator isn't supported"),
])
def test_unsupported_graphs_are_refused(nodes, constants, complaint):
    model = model_of(nodes_of(nodes), constants)
    with pytest.raises(ModelError, match=complaint):
        network_of(model.SerializeToString(), "model")


CONVOLUTION = [helper.make_node("Conv", ["x", "w"], ["y"])]


@pytest.mark.parametrize("change, complaint", [
    (lambda m: m.opset_import[0].ClearField("version"), "operator set must be 9 to 26, not 0"),
    (lambda m: m.graph.input.append(helper.make_tensor_value_info("z", 1, (1,))), "one input and"),
    (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7), "'x' must be float"),
    (lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_param", "c"),
     r"'x': its shape must be \(1, C, H, W\) or \(1, n\), not \(1, 0, 6, 6\)"),
    (lambda m: setattr(m.graph.initializer[0], "data_location", TensorProto.EXTERNAL),
     "constant 'w' must not lie in another file"),
    (lambda m: setattr(m.graph.initializer[0], "raw_data", b"1234"), "must have 216 bytes, not 4"),
    (lambda m: m.graph.initializer[0].dims.append(1 << 40), "constant 'w' must have a shape"),
    (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING), "not type 8"),
    (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "'w' must be given once"),
    (lambda m: m.graph.initializer.append(TensorProto(
        name="b", data_type=TensorProto.INT8, dims=[1], int32_data=[300])),
     "constant 'b' must hold values of the type int8"),
    (lambda m: setattr(m.graph.node[0], "domain", "com.other"), "of 'com.other' aren't supported"),
])
def test_damaged_models_are_refused(change, complaint):
    model = model_of(CONVOLUTION, {"w": weights(3, 2, 3, 3)})
    network_of(model.SerializeToString(), "model")
    change(model)
    with pytest.raises(ModelError, match=complaint):
        network_of(model.SerializeToString(), "model")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"a\.onnx: can't be read: No such file"):
        load(tmp_path / "a.onnx")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(ModelError):
        network_of(data, "model")


def nested(depth):
    """Return a model of operator set 17 whose graph lies in an attribute in a graph, and so on."""
    graph = b""
    for tag in b"\x32\x2a\x0a" * depth:
        graph = bytes([tag]) + length(graph) + graph
    opset = helper.make_opsetid("", 17).SerializeToString()
    return b"\x42" + length(opset) + opset + b"\x3a" + length(graph) + graph


def length(data):
    size, found = len(data), b""
    while size > 127:
        found, size = found + bytes([size & 127 | 128]), size >> 7
    return found + bytes([size])


@pytest.mark.parametrize("data, complaint", [
    (nested(5000), "is not an ONNX model: Error parsing"),
    (b"\x3a\x80\x80\x20" + b"\x0a\x00" * (1 << 18), "must have at most 262144 fields"),
    (b"\x3b", "a field must be of type 0, 1, 2 or 5, not 3"),
    (b"\x3a\x05\x00", "a field of 5 bytes must fit the 1 bytes that are left"),
    (b"\x3a" + b"\xff" * 11, "an integer must end"),
], ids=["nested", "many", "group", "long", "endless"])
def test_bombs_are_refused(data, complaint):
    with pytest.raises(ModelError, match=complaint):
        network_of(data, "model")


def test_constants_grow_with_the_file_alone():
    nodes = [("DequantizeLinear", "big qs", f"d{number}", {}) for number in range(800)]
    data = model_of(nodes_of(nodes), STEPS | {"big": np.zeros((400, 400), np.int8)}
                    ).SerializeToString()
    tracemalloc.start()
    with pytest.raises(ModelError, match="quantised constants must have at most 4 values"):
        network_of(data, "model")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 * len(data)


@pytest.mark.parametrize("kind", ["float", "quantised"])
@pytest.mark.parametrize("count", [200, pytest.param(4000, marks=pytest.mark.slow)])
def test_mutations_are_read_or_refused(count, kind):
    model = onnx_of(with_pixels(small_network())) if kind == "float" else model_of(
        nodes_of([*QUANTISED, *both("a"), ("Identity", "a.", "y", {})]), STEPS)
    data = model.SerializeToString()
    network_of(data, "model")
    refused = read_or_refuse(lambda copy: network_of(copy, "model"), mutations(data, count, count),
                             measured=50)
    assert refused > count // 4
