"""Trains `mnist`: a network like LeNet-5 on a part of MNIST's test images.

The data are the 10,000 test images of MNIST (LeCun, Cortes and Burges), 28 x 28 pixels of 0 to 255.
Every fifth of them is held out and never trained on. They don't ship.
"""

# These let it be checked without torch, which only the training needs.
# mypy: allow-subclassing-any

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.format.layers import InputDescription, Operation
from sw.importers.npz import save
from sw.network import Activation, FloatLayer, FloatNetwork

from . import load_labelled
from .training import train


__all__ = ["HELD_OUT", "main"]


#: Of the initial weights, the order of samples and all that is random in training.
SEED = 60

#: Every so many digits one is held out, beginning with the first.
HELD_OUT = 5

EPOCHS, DECAY = 40, 0.05

#: Greatest turn, in radians, change of size, and shift, in half images, of a digit in training.
TURN, SIZE, SHIFT = 0.2, 0.12, 0.12

#: Every pixel becomes an int8 without error.
INPUT = InputDescription(scale=1 / 255, zero_point=-128, mean=0.0, divisor=255.0)


class Mnist(nn.Module):
    """The network, on NCHW pixels of 0 to 1; `as_network` describes its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.dense1 = nn.Linear(5 * 5 * 16, 120)
        self.dense2 = nn.Linear(120, 84)
        self.dense3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.dense1(x.permute(0, 2, 3, 1).flatten(1)))
        x = functional.relu(self.dense2(x))
        logits: Tensor = self.dense3(x)
        return logits


def moved(x: Tensor) -> Tensor:
    """Return ``x`` with each image turned, resized and shifted a little."""
    count = len(x)
    turn = (2 * torch.rand(count) - 1) * TURN
    size = 1 + (2 * torch.rand(count) - 1) * SIZE
    shift = (2 * torch.rand(count, 2) - 1) * SHIFT
    rows = torch.stack([
        torch.stack([size * torch.cos(turn), -size * torch.sin(turn), shift[:, 0]], dim=1),
        torch.stack([size * torch.sin(turn), size * torch.cos(turn), shift[:, 1]], dim=1)], dim=1)
    grid = functional.affine_grid(rows, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def as_network(module: Mnist) -> FloatNetwork:
    """Return the trained module as the project's network."""
    layers = []
    shape = (28, 28, 1)
    for number, (padding, size) in enumerate(((2, 28), (0, 10)), 1):
        weights, bias = arrays(module, f"conv{number}")
        out = (size, size, len(weights))
        layers.append(FloatLayer(
            f"conv{number}", Operation.CONV2D, shape, out, (5, 5), (1, 1), (padding, padding),
            Activation.RELU, np.ascontiguousarray(weights.transpose(0, 2, 3, 1)), bias))
        shape = (size // 2, size // 2, len(weights))
        layers.append(FloatLayer(f"pool{number}", Operation.MAX_POOL, out, shape, (2, 2), (2, 2),
                                 (0, 0), Activation.NONE))
    count = 400
    for number in (1, 2, 3):
        weights, bias = arrays(module, f"dense{number}")
        layers.append(FloatLayer(
            f"dense{number}", Operation.FULLY_CONNECTED, (1, 1, count), (1, 1, len(weights)),
            (1, 1), (1, 1), (0, 0), Activation.NONE if number == 3 else Activation.RELU,
            weights[:, None, None, :], bias))
        count = len(weights)
    return FloatNetwork("mnist", INPUT, (28, 28, 1), tuple(layers))


def arrays(module: Mnist, name: str) -> tuple[np.ndarray, np.ndarray]:
    return (module.get_parameter(f"{name}.weight").detach().numpy(),
            module.get_parameter(f"{name}.bias").detach().numpy())


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sw.zoo.mnist", description="Train the network mnist.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("data", type=Path, metavar="FILE",
                        help="npz of MNIST's test images x, 28 x 28, and their classes y")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/zoo"), metavar="FOLDER",
                        help="where mnist.npz goes")
    arguments = parser.parse_args(argv)

    x, y = load_labelled(arguments.data)
    held = np.arange(len(y)) % HELD_OUT == 0
    pixels = torch.from_numpy(x[~held].astype(np.float32))[:, None] / INPUT.divisor
    classes = torch.from_numpy(y[~held].astype(np.int64))
    network = as_network(train(Mnist, pixels, classes, seed=SEED, epochs=EPOCHS, decay=DECAY,
                               change=moved))

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "mnist.npz"
    save(path, network)
    accuracy = np.mean(network.classify(x[held]) == y[held])
    weights = sum(layer.weights.size for layer in network.weighted if layer.weights is not None)
    print(f"{path}: {weights} weights, accuracy {accuracy:.2%} of {held.sum()} held-out digits")


if __name__ == "__main__":
    main()
