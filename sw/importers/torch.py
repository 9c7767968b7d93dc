"""PyTorch modules: convolutional networks, exported in the process that built them."""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.format.layers import InputDescription, Operation
from sw.network import Activation, FloatLayer, FloatNetwork, Shape

from .npz import ModelError


__all__ = ["from_module"]


#: Operators that change nothing when a network runs.
PASSED_ON = ("dropout", "contiguous", "clone", "alias")
STILL: dict[str, Any] = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0)}


def from_module(module: Any, example: Any, *, name: str = "module") -> FloatNetwork:
    """Return the network that a PyTorch module computes, in evaluation mode.

    Convolutions (also depthwise), linear layers, max- and average-pooling, batch normalisation
    after a convolution (folded), ReLU and ReLU6, addition, flattening and softmax over classes.
    Inputs are NHWC: what the module takes, with channels last.

    Parameters
    ----------
    module : torch.nn.Module
        It is run through `torch.export.export`, never through a file.
    example : torch.Tensor, shape (1, C, H, W) or (1, n)
        An input.

    Raises
    ------
    ModelError
        If the module holds anything else; the message names the operator and its node.
    """
    import torch

    with torch.no_grad():
        program = torch.export.export(module.eval(), (example,))
    return Tracer(program, name).network()


class Tracer:
    """Walks the nodes of an exported program."""

    def __init__(self, program: Any, name: str) -> None:
        self.program = program
        self.name = name
        self.layers: list[FloatLayer] = []
        #: What each node gives: the number of its layer, 0 for the input.
        self.made: dict[Any, int] = {}
        self.shapes: list[Shape] = []

    def network(self) -> FloatNetwork:
        signature = self.program.graph_signature
        constants = signature.inputs_to_parameters | signature.inputs_to_buffers
        for node in self.program.graph.nodes:
            try:
                if node.op == "placeholder" and node.name not in constants:
                    self.input(node)
                elif node.op == "call_function":
                    self.call(node)
                elif node.op == "output" and self.made.get(node.args[0][0]) != len(self.layers):
                    raise ModelError("the output must be made by the last layer")
            except (ValueError, IndexError, TypeError, KeyError) as error:
                raise ModelError(f"{self.name}: node {node.name} ({node.target}): "
                                 f"{str(error).splitlines()[0]}") from None
        if not self.layers:
            raise ModelError(f"{self.name}: must have layers")
        return FloatNetwork(self.name, InputDescription(1.0, 0, 0.0, 1.0), self.shapes[0],
                            tuple(self.layers))

    def input(self, node: Any) -> None:
        if self.shapes:
            raise ModelError("must have one input")
        self.shapes.append(channels_last(node))
        self.made[node] = 0

    def constant(self, node: Any) -> NDArray[np.float32]:
        signature = self.program.graph_signature
        key = (signature.inputs_to_parameters | signature.inputs_to_buffers)[node.name]
        values: NDArray[np.float32] = self.program.state_dict[key].detach().numpy().astype(
            np.float32)
        if not np.isfinite(values).all():
            raise ModelError(f"{key} holds NaN or infinity")
        return values

    def call(self, node: Any) -> None:
        operator = str(node.target).split(".")[1].rstrip("_")
        handler = getattr(self, f"do_{operator}", None)
        if operator in PASSED_ON:
            self.made[node] = self.made[node.args[0]]
        elif handler is None:
            raise ModelError("the operator isn't supported")
        else:
            handler(node, *node.args, **node.kwargs)

    def append(self, node: Any, operation: Operation, *sources: Any, **fields: Any) -> None:
        number = len(self.layers)
        numbers = [self.made[source] for source in sources]
        before, after = self.shapes[numbers[0]], channels_last(node)
        if operation is Operation.FULLY_CONNECTED:
            before = (1, 1, prod(before))
        self.layers.append(FloatLayer(
            f"{operation.name.lower()}_{number}", operation, before, after,
            activation=Activation.NONE, inputs=tuple(number + 1 - made for made in numbers),
            **fields))
        self.shapes.append(after)
        self.made[node] = number + 1

    def change(self, node: Any, source: Any, **changes: Any) -> None:
        """Let the layer that makes ``source`` make ``node``, changed."""
        number = self.made[source] - 1
        if number < 0 or len(source.users) != 1:
            raise ModelError("its input must be a layer's output, used here alone")
        if self.layers[number].activation is not Activation.NONE:
            raise ModelError("its input must have no activation yet")
        self.layers[number] = replace(self.layers[number], **changes)
        self.made[node] = number + 1

    def do_conv2d(self, node: Any, x: Any, weight: Any, bias: Any = None, stride: Any = (1, 1),
                  padding: Any = (0, 0), dilation: Any = (1, 1), groups: int = 1) -> None:
        filters = self.constant(weight).transpose(0, 2, 3, 1)
        channels = self.shapes[self.made[x]][2]
        if groups not in (1, channels) or pair(dilation) != (1, 1):
            raise ModelError(f"groups must be 1 or {channels} and dilation 1, not {groups} and "
                             f"{dilation}")
        depthwise = groups > 1
        self.append(node, Operation.DEPTHWISE_CONV2D if depthwise else Operation.CONV2D, x,
                    kernel=filters.shape[1:3], stride=pair(stride), padding=pair(padding),
                    weights=filters, bias=self.bias(bias, len(filters)))

    def do_linear(self, node: Any, x: Any, weight: Any, bias: Any = None) -> None:
        filters = self.constant(weight)
        height, width, channels = self.shapes[self.made[x]]
        # Flattening took channels first.
        filters = filters.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        self.append(node, Operation.FULLY_CONNECTED, x, **STILL,
                    weights=filters.reshape(len(filters), 1, 1, -1),
                    bias=self.bias(bias, len(filters)))

    def bias(self, node: Any, filters: int) -> NDArray[np.float32]:
        return np.zeros(filters, np.float32) if node is None else self.constant(node)

    def do_batch_norm(self, node: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any,
                      training: bool, momentum: float, eps: float, *_: Any) -> None:
        layer = self.layers[self.made[x] - 1]
        if layer.weights is None or layer.bias is None:
            raise ModelError("batch normalisation must follow a convolution")
        factor = self.constant(weight) / np.sqrt(self.constant(variance) + np.float32(eps))
        self.change(node, x, weights=layer.weights * factor[:, None, None, None],
                    bias=(layer.bias - self.constant(mean)) * factor + self.constant(bias))

    def do_relu(self, node: Any, x: Any) -> None:
        self.change(node, x, activation=Activation.RELU)

    def do_relu6(self, node: Any, x: Any) -> None:
        self.change(node, x, activation=Activation.RELU6)

    def do_hardtanh(self, node: Any, x: Any, low: float = -1, high: float = 1) -> None:
        if (low, high) != (0, 6):
            raise ModelError(f"limits must be 0 and 6, not {low} and {high}")
        self.change(node, x, activation=Activation.RELU6)

    def do_max_pool2d(self, node: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0,
                      dilation: Any = 1, ceil_mode: bool = False) -> None:
        if pair(dilation) != (1, 1):
            raise ModelError(f"dilation must be 1, not {dilation}")
        self.append(node, Operation.MAX_POOL, x, kernel=pair(kernel), padding=pair(padding),
                    stride=pair(stride or kernel))

    def do_avg_pool2d(self, node: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0,
                      ceil_mode: bool = False, count_padding: bool = True, divisor: Any = None
                      ) -> None:
        if pair(padding) != (0, 0) or divisor is not None:
            raise ModelError(f"average pooling must have no padding and no divisor of its own, "
                             f"not {padding} and {divisor}")
        self.append(node, Operation.AVERAGE_POOL, x, kernel=pair(kernel), padding=(0, 0),
                    stride=pair(stride or kernel))

    def do_adaptive_avg_pool2d(self, node: Any, x: Any, size: Any) -> None:
        if pair(size) != (1, 1):
            raise ModelError(f"the output's size must be 1, not {size}")
        kernel = self.shapes[self.made[x]][:2]
        self.append(node, Operation.AVERAGE_POOL, x, kernel=kernel, stride=(1, 1), padding=(0, 0))

    def do_flatten(self, node: Any, x: Any, *_: Any) -> None:
        shape = tuple(node.meta["val"].shape)
        if len(shape) != 2 or shape[0] != 1:
            raise ModelError(f"the output must have the shape (1, n), not {shape}")
        if any("linear" not in str(user.target) for user in node.users) and (
                self.shapes[self.made[x]][:2] != (1, 1)):
            raise ModelError("what is flattened must go to a linear layer")
        self.made[node] = self.made[x]

    do_view = do_reshape = do_flatten

    def do_add(self, node: Any, x: Any, y: Any) -> None:
        self.append(node, Operation.ADD, x, y, **STILL)

    def do_softmax(self, node: Any, x: Any, dim: int, *_: Any) -> None:
        if len(node.meta["val"].shape) != 2 or dim not in (1, -1):
            raise ModelError(f"softmax must be over classes, not dimension {dim}")
        self.append(node, Operation.SOFTMAX, x, **STILL)


def channels_last(node: Any) -> Shape:
    shape = tuple(int(size) for size in node.meta["val"].shape)
    if shape[0] != 1 or len(shape) not in (2, 4):
        raise ModelError(f"its shape must be (1, C, H, W) or (1, n), not {shape}")
    return (1, 1, shape[1]) if len(shape) == 2 else (shape[2], shape[3], shape[1])


def pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if isinstance(value, str) or len(value) > 2:
        raise ModelError(f"sizes must be one or two numbers, not {value}")
    return value[0], value[-1]
