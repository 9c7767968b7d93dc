"""Trains `digits`: scikit-learn's handwritten digits, 8 x 8 pixels of 0 to 16.

The data are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak,
UCI, 1998): 1,797 digits. A stratified fifth of them is held out and never trained on.
"""

# These let it be checked without torch, which only the training needs.
# mypy: allow-subclassing-any

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

from sw.format.layers import InputDescription, Operation
from sw.importers.npz import save
from sw.network import Activation, FloatLayer, FloatNetwork

from .training import train


__all__ = ["main"]


#: Of the split, the initial weights, the order of samples and all that is random in training.
SEED = 1797

EPOCHS, DECAY = 100, 1.0
CALIBRATION = 100

#: Standard deviation of the noise on weights during training, of that of the weights: it teaches
#: the network to bear their quantisation.
NOISE = 0.2

#: Every pixel becomes an int8 without error.
INPUT = InputDescription(scale=1 / 240, zero_point=-128, mean=0.0, divisor=16.0)


class Digits(nn.Module):
    """The network, on NCHW pixels of 0 to 1; `as_network` describes its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 4)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.dense = nn.Linear(4 * 4 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (1, 2, 1, 2))
        for conv in (self.conv1, self.conv2, self.conv3):
            x = functional.relu(functional.conv2d(x, noisy(conv.weight, self.training), conv.bias,
                                                  padding=conv.padding))
        x = functional.max_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1)
        return functional.linear(x, noisy(self.dense.weight, self.training), self.dense.bias)


def noisy(weights: Tensor, training: bool) -> Tensor:
    if not training:
        return weights
    return weights + NOISE * weights.detach().std() * torch.randn_like(weights)


def shifted(x: Tensor) -> Tensor:
    """Return ``x`` with each image moved by up to one pixel in both directions."""
    padded = functional.pad(x, (1, 1, 1, 1))
    moves = torch.randint(0, 3, (len(x), 2)).tolist()
    return torch.stack([image[:, down:down + 8, right:right + 8]
                        for image, (down, right) in zip(padded, moves, strict=True)])


def as_network(module: Digits) -> FloatNetwork:
    """Return the trained module as the project's network."""
    layers = []
    shape = (8, 8, 1)
    for name in ("conv1", "conv2", "conv3"):
        weights = module.get_parameter(f"{name}.weight").detach().numpy().transpose(0, 2, 3, 1)
        bias = module.get_parameter(f"{name}.bias").detach().numpy()
        out = (8, 8, len(weights))
        layers.append(FloatLayer(
            name, Operation.CONV2D, shape, out, weights.shape[1:3], (1, 1), (1, 1),
            Activation.RELU, np.ascontiguousarray(weights), bias))
        shape = out
    layers.append(FloatLayer("pool", Operation.MAX_POOL, shape, (4, 4, 64), (2, 2), (2, 2), (0, 0),
                             Activation.NONE))
    weights = module.dense.weight.detach().numpy()[:, None, None, :]
    layers.append(FloatLayer("dense", Operation.FULLY_CONNECTED, (1, 1, 1024), (1, 1, 10), (1, 1),
                             (1, 1), (0, 0), Activation.NONE, weights,
                             module.dense.bias.detach().numpy()))
    return FloatNetwork("digits", INPUT, (8, 8, 1), tuple(layers))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sw.zoo.digits", description="Train the network digits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/zoo"), metavar="FOLDER",
                        help="where digits.npz and digits_data.npz go")
    arguments = parser.parse_args(argv)

    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images.astype(np.uint8)[..., None], digits.target.astype(np.uint8), test_size=0.2,
        stratify=digits.target, random_state=SEED)
    pixels = torch.from_numpy(x_train.astype(np.float32)).permute(0, 3, 1, 2) / INPUT.divisor
    classes = torch.from_numpy(y_train.astype(np.int64))
    network = as_network(train(Digits, pixels, classes, seed=SEED, epochs=EPOCHS, decay=DECAY,
                               change=shifted))

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "digits.npz"
    save(path, network)
    np.savez(arguments.output / "digits_data.npz", x=x_test, y=y_test,
             calibration=x_train[:CALIBRATION])
    accuracy = np.mean(network.classify(x_test) == y_test)
    weights = sum(layer.weights.size for layer in network.weighted if layer.weights is not None)
    print(f"{path}: {weights} weights, accuracy {accuracy:.2%} of {len(x_test)} held-out digits")


if __name__ == "__main__":
    main()
