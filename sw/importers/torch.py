"""PyTorch modules: convolutional networks, exported in the process that built them."""

import io
from typing import Any

from sw.network import FloatNetwork

from .npz import ModelError
from .pt2 import network_of


__all__ = ["from_module"]


def from_module(module: Any, example: Any, *, name: str = "module") -> FloatNetwork:
    """Return the network that a PyTorch module computes, in evaluation mode.

    It is what `sw.importers.pt2` makes of the module's archive: inputs are NHWC, what the module
    takes with channels last.

    Parameters
    ----------
    module : torch.nn.Module
        It is run through `torch.export.export`.
    example : torch.Tensor, shape (1, C, H, W) or (1, n)
        An input.

    Raises
    ------
    ModelError
        If the module holds what `sw.importers.pt2.load` refuses; the message names the operator
        and its node.
    """
    import torch

    archive = io.BytesIO()
    with torch.no_grad():
        program = torch.export.export(module.eval(), (example,))
        torch.export.save(program, archive)
    try:
        return network_of(archive.getvalue(), name)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None
