"""What would make a network fit that a target is too small for."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from .format.layers import LayerDescriptor
from .format.target import LARGE, PRESETS
from .schedule import Need, ScheduleError, needs


__all__ = ["explain", "fitting_targets", "remedies"]


def fitting_targets(layers: Sequence[LayerDescriptor], *, image_bytes: int, codebooks: int
                    ) -> tuple[str, ...]:
    """Return the names of the boards' targets that have enough of everything for a network.

    Parameters
    ----------
    image_bytes, codebooks : int
        As in `needs`.
    """
    named = [(f"{board} {device}{size}", target)
             for presets, size in ((PRESETS, ""), (LARGE, ", large"))
             for (board, device), target in presets.items()]
    return tuple(name for name, target in named if all(
        need.needed <= need.available
        for need in needs(layers, target, image_bytes=image_bytes, codebooks=codebooks)))


def remedies(layers: Sequence[LayerDescriptor], sizes: Sequence[Need], *, weight_bytes: int,
             codebooks: int) -> tuple[str, ...]:
    """Return sentences on what would make a network fit a target.

    Parameters
    ----------
    sizes : sequence of Need
        What it needs of the target, the weight memory first.
    weight_bytes : int
        Bytes of the image that exist because of the weights.
    codebooks : int
        In its image.
    """
    found = []
    memory, *others = sizes
    if memory.needed > memory.available:
        room = memory.available - (memory.needed - weight_bytes)
        bits = 8 * room / sum(layer.weights for layer in layers)
        found.append(f"The weight memory takes at most {bits:.2f} bits per weight of this network."
                     if bits > 0 else "The weight memory is too small for biases and multipliers "
                     "alone.")
    if any(need.needed > need.available for need in others):
        found.append("Fewer bits per weight don't help: weights aren't all that is too much.")
    fitting = fitting_targets(layers, image_bytes=memory.needed, codebooks=codebooks)
    found.append(f"It fits as it is: {'; '.join(fitting)}." if fitting
                 else "No board's accelerator has enough of everything for it as it is.")
    return tuple(found)


def explain(error: Exception) -> None:
    """Print what a network that doesn't fit needs, and what would help, if ``error`` says so."""
    if not isinstance(error, ScheduleError) or not error.needs:
        return
    shown = Table("", "needed", "available", "too many")
    for need in error.needs:
        excess = need.needed - need.available
        shown.add_row(need.name, f"{need.needed:,}", f"{need.available:,}",
                      f"{excess:,}" if excess > 0 else "")
    Console(stderr=True, width=120).print(shown, *error.remedies, sep="\n")
