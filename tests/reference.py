"""LiteRT's reference kernels: what they make of each layer of an int8 model."""

from dataclasses import dataclass

import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from sw.format.layers import LayerDescriptor, Operation
from sw.network import Layer, requantisation


__all__ = ["Step", "steps"]


OPERATIONS = {
    tflite.BuiltinOperator.CONV_2D: (Operation.CONV2D, tflite.Conv2DOptions),
    tflite.BuiltinOperator.FULLY_CONNECTED: (Operation.FULLY_CONNECTED,
                                             tflite.FullyConnectedOptions),
    tflite.BuiltinOperator.AVERAGE_POOL_2D: (Operation.AVERAGE_POOL, tflite.Pool2DOptions),
    tflite.BuiltinOperator.MAX_POOL_2D: (Operation.MAX_POOL, tflite.Pool2DOptions),
}


@dataclass(frozen=True)
class Step:
    """A layer, and the tensors that LiteRT gave it and got from it."""

    layer: Layer
    inputs: np.ndarray
    outputs: np.ndarray


def steps(path, x):
    """Return a Step for each operator of the model that `Layer` can express, run on ``x``."""
    model = tflite.Model.GetRootAs(path.read_bytes())
    graph = model.Subgraphs(0)
    operators = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code in OPERATIONS:
            operators.append((*OPERATIONS[code], operator))

    interpreter = Interpreter(
        model_path=str(path), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, x[:1].shape)
    interpreter.allocate_tensors()

    layers = [layer_of(graph, operator, operation, options, interpreter)
              for operation, options, operator in operators]
    inputs = [[] for _ in operators]
    outputs = [[] for _ in operators]
    for sample in x:
        interpreter.set_tensor(source, sample[None])
        interpreter.invoke()
        for index, (_, _, operator) in enumerate(operators):
            inputs[index].append(interpreter.get_tensor(operator.Inputs(0)))
            outputs[index].append(interpreter.get_tensor(operator.Outputs(0)))
    return [Step(layer, np.concatenate(before), np.concatenate(after))
            for layer, before, after in zip(layers, inputs, outputs, strict=True)]


def layer_of(graph, operator, operation, options_type, interpreter):
    options = options_type()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)

    input_shape, input_scale, input_zero = tensor(graph, operator.Inputs(0))
    output_shape, output_scale, output_zero = tensor(graph, operator.Outputs(0))
    name = graph.Tensors(operator.Outputs(0)).Name().decode()
    low, high = -128, 127
    if options.FusedActivationFunction() == tflite.ActivationFunctionType.RELU:
        low = output_zero

    kernel = stride = (1, 1)
    padding = (0, 0)
    weights = None
    if operation.has_weights:
        weights = interpreter.get_tensor(operator.Inputs(1))
        weights = weights.reshape(len(weights), *(4 - weights.ndim) * (1,), *weights.shape[1:])
        kernel = weights.shape[1:3]
    else:
        kernel = (options.FilterHeight(), options.FilterWidth())
    if operation is not Operation.FULLY_CONNECTED:
        stride = (options.StrideH(), options.StrideW())
        if options.Padding() == tflite.Padding.SAME:
            padding = tuple(
                max(0, (out - 1) * step + size - full) // 2
                for out, step, size, full in zip(output_shape, stride, kernel, input_shape,
                                                 strict=False))
    descriptor = LayerDescriptor(
        operation, input_shape, output_shape, kernel, stride, padding, input_zero, output_zero, low,
        high, float(input_scale), float(output_scale))
    if weights is None:
        return Layer.pooling(name, descriptor)

    _, weight_scale, _ = tensor(graph, operator.Inputs(1), each=True)
    weight_scale = np.broadcast_to(weight_scale, len(weights)).astype(np.float64)
    multiplier, shift = requantisation(
        operation, float(input_scale) * weight_scale / float(output_scale))
    return Layer(name, descriptor, weights, weight_scale,
                 interpreter.get_tensor(operator.Inputs(2)), multiplier, shift)


def tensor(graph, index, *, each=False):
    """Return a tensor's shape without the batch, its scale (or scales), and its zero point."""
    tensor = graph.Tensors(index)
    quantisation = tensor.Quantization()
    shape = tuple(tensor.ShapeAsNumpy()[1:].tolist())
    scales = quantisation.ScaleAsNumpy()
    return ((*(3 - len(shape)) * (1,), *shape), scales if each else scales[0],
            quantisation.ZeroPoint(0))
