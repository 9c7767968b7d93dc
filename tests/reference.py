"""LiteRT's reference kernels: every tensor that a model computes."""

import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType


__all__ = ["operator_outputs"]


def operator_outputs(model, x):
    """Return what each operator of ``model``, the bytes of a file, gives for each input of ``x``.

    Parameters
    ----------
    x : array of shape (n, ...)
        Inputs, without a batch dimension each.

    Returns
    -------
    list of array of shape (n, ...)
    """
    graph = tflite.Model.GetRootAs(model).Subgraphs(0)
    tensors = [graph.Operators(index).Outputs(0) for index in range(graph.OperatorsLength())]
    interpreter = Interpreter(
        model_content=model, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, x[:1].shape)
    interpreter.allocate_tensors()
    outputs = [[] for _ in tensors]
    for sample in x:
        interpreter.set_tensor(source, sample[None])
        interpreter.invoke()
        for index, tensor in enumerate(tensors):
            outputs[index].append(interpreter.get_tensor(tensor))
    return [np.concatenate(values) for values in outputs]
