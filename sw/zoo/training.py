"""The loop that trained the networks that ship."""

# These let it be checked without torch, which only the training needs.
# mypy: allow-subclassing-any

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional


__all__ = ["train"]


Trained = TypeVar("Trained", bound=nn.Module)

BATCH = 64

#: Of the cycle of learning rates (Smith and Topin 2018), and how soft the classes are.
GREATEST_RATE, SMOOTHING = 4e-3, 0.05


def train(make: Callable[[], Trained], x: Tensor, y: Tensor, *, seed: int, epochs: int,
          decay: float, change: Callable[[Tensor], Tensor]) -> Trained:
    """Return a module trained on inputs and their classes. The same machine gives the same weights.

    Parameters
    ----------
    make : function
        Makes the module; its weights are drawn.
    x : Tensor, shape (n, channels, height, width)
        Pixels of 0 to 1.
    y : Tensor of int64, shape (n,)
    seed : int
        Of the initial weights, the order of samples and all that is random.
    epochs : int
        How often each input is seen.
    decay : float
        Decay of weights.
    change : function
        Changes a batch a little, each time anew.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    module = make()
    optimiser = torch.optim.AdamW(module.parameters(), weight_decay=decay)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=GREATEST_RATE, epochs=epochs, steps_per_epoch=-(-len(x) // BATCH))
    for epoch in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            batch = order[start:start + BATCH]
            optimiser.zero_grad()
            loss = functional.cross_entropy(module(change(x[batch])), y[batch],
                                            label_smoothing=SMOOTHING)
            torch.autograd.backward(loss)
            optimiser.step()
            rate.step()
        print(f"\repoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", end="", flush=True)
    print()
    module.eval()
    return module
