"""From a network and a target to schedule records, pooling records and cycles."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np

from sw.format.layers import LayerDescriptor, Operation, Rounding
from sw.format.schedule import POOL_WEIGHT, Dataflow, ScheduleRecord
from sw.format.target import Memory, Target
from sw.golden import ADD_SHIFT, requantise
from sw.network import quantise_multiplier


__all__ = ["Need", "ScheduleError", "addition_channels", "check_shared", "computed", "needs",
           "place_activations", "pooling_channel", "schedule"]


#: The largest window of average pooling, in pixels.
MAX_WINDOW = 4096

#: Activations that share a memory with an image take a multiple of so many bytes of it.
STEP = 64

#: Layers that change no value where they stand: a softmax at the end is the host's.
FREE = (Operation.RESHAPE, Operation.SOFTMAX)


@dataclass(frozen=True)
class Need:
    """What a network takes of a size of a target.

    Parameters
    ----------
    name : str
        What the size is called, with its unit.
    needed, available : int
        How much the network takes, and how much the target has.
    """

    name: str
    needed: int
    available: int


class ScheduleError(ValueError):
    """A network that a target can't run. The message says what exceeds what.

    ``needs`` are all sizes, where they are known, and ``remedies`` sentences on what would help.
    """

    needs: tuple[Need, ...] = ()
    remedies: tuple[str, ...] = ()


def computed(layers: Sequence[LayerDescriptor]) -> tuple[int, ...]:
    """Return the numbers of the layers that a target computes, those with a schedule record."""
    return tuple(number for number, layer in enumerate(layers) if layer.operation not in FREE)


def place_activations(layers: Sequence[LayerDescriptor], target: Target) -> tuple[int, ...]:
    """Return the byte address of the input and of every layer's output.

    Outputs lie at one end of the activation memory and the other by turns, as near to it as those
    that are still needed allow. Where an image shares it, it is the end of the memory, no longer
    than they need.

    Raises
    ------
    ScheduleError
        If they don't fit.
    """
    size = target.activation_bytes
    addresses = arrange(layers, size)
    if target.memory is not Memory.SPRAM:
        return addresses
    for length in range(STEP, size, STEP):
        with suppress(ScheduleError):
            return tuple(size - length + address for address in arrange(layers, length))
    return addresses


def check_shared(layers: Sequence[LayerDescriptor], target: Target, image_bytes: int) -> None:
    """Refuse an image that reaches into the activations, where they share a memory.

    Raises
    ------
    ScheduleError
        Then.
    """
    if target.memory is not Memory.SPRAM:
        return
    activations = target.activation_bytes - min(place_activations(layers, target))
    if (excess := image_bytes + activations - 4 * target.memory_words) > 0:
        raise ScheduleError(f"image has {image_bytes} bytes and activations need {activations}, "
                            f"{excess} more than the memory's {4 * target.memory_words}")


def arrange(layers: Sequence[LayerDescriptor], size: int) -> tuple[int, ...]:
    """Return where the input and every layer's output lie in so many bytes."""
    tensors, needed_until = lifetimes(layers)
    addresses: dict[int, int] = {}
    used: list[tuple[int, int, int]] = []
    for number in (-1, *computed(layers)):
        shape = layers[0].input_shape if number < 0 else layers[number].output_shape
        length, tensor = prod(shape), number + 1
        used = [place for place in used if needed_until[place[2]] >= number]
        whole = length + sum(end - start for start, end, _ in used)
        if whole > size:
            raise ScheduleError(f"layer {max(number, 0)}: input and output need {whole} bytes of "
                                f"activation memory, {whole - size} more than the target's {size}")
        gaps = [(low, high - length) for low, high in zip(
            (0, *(end for _, end, _ in used)), (*(start for start, _, _ in used), size),
            strict=True) if high - low >= length]
        if not gaps:
            raise ScheduleError(f"layer {max(number, 0)}: its {length} output bytes don't fit the "
                                f"activation memory beside others in one piece")
        addresses[tensor] = gaps[-1][1] if tensor % 2 else gaps[0][0]
        used = sorted([*used, (addresses[tensor], addresses[tensor] + length, tensor)])
    return tuple(addresses[tensor] for tensor in tensors)


def lifetimes(layers: Sequence[LayerDescriptor]) -> tuple[list[int], dict[int, int]]:
    """Return which tensor the input and each layer's output are, and the last layer to need it.

    The input is tensor 0, layer n makes n + 1.
    """
    tensors = [0]
    needed_until = {0: -1}
    for number, layer in enumerate(layers):
        for back in layer.inputs:
            needed_until[tensors[number + 1 - back]] = number
        made = tensors[number + 1 - layer.inputs[0]] if layer.operation in FREE else number + 1
        tensors.append(made)
        needed_until.setdefault(made, number)
    needed_until[tensors[-1]] = len(layers)
    return tensors, needed_until


def needs(layers: Sequence[LayerDescriptor], target: Target, *, image_bytes: int, codebooks: int
          ) -> tuple[Need, ...]:
    """Return what a network takes of each size of a target, whether it fits or not.

    Parameters
    ----------
    image_bytes : int
        Of its ROM image.
    codebooks : int
        In its ROM image.

    A weight memory that is shared with activations has what they leave.
    """
    _, needed_until = lifetimes(layers)
    lengths = {number + 1: prod(layers[number].output_shape) for number in computed(layers)}
    lengths[0] = prod(layers[0].input_shape)
    activations = max(sum(length for tensor, length in lengths.items()
                          if tensor - 1 <= number <= needed_until[tensor])
                      for number in range(-1, len(layers)))
    filters = [layer.kernel[0] * (
        layer.kernel[1] if layer.operation is Operation.DEPTHWISE_CONV2D
        else -(-layer.kernel[1] * layer.input_shape[2] // target.columns))
        for layer in layers if layer.operation.has_weights]
    weight_bytes = 4 * target.memory_words
    if target.memory is Memory.SPRAM:
        weight_bytes -= min(target.activation_bytes, activations + -activations % STEP)
    return (Need("bytes of weight memory", image_bytes, weight_bytes),
            Need("bytes of activation memory", activations, target.activation_bytes),
            Need(f"words of {target.columns} weights for the longest filter",
                 max(filters, default=0), target.tile_words),
            Need("channel records", sum(layer.records for layer in layers), target.channels),
            Need("layers", len(computed(layers)), target.layers),
            Need("codebooks", codebooks, target.codebooks))


def schedule(layers: Sequence[LayerDescriptor], target: Target) -> tuple[ScheduleRecord, ...]:
    """Return the schedule record of each layer that a target computes.

    Parameters
    ----------
    layers : sequence of LayerDescriptor
        The network.
    target : Target
        What runs it.

    Raises
    ------
    ScheduleError
        If the target can't run the network; the message names the layer and the excess.
    """
    numbers = computed(layers)
    if not numbers:
        raise ScheduleError("network must have a layer")
    for number, layer in enumerate(layers[:-1]):
        if layer.operation is Operation.SOFTMAX:
            raise ScheduleError(f"layer {number} (softmax): only the last layer may be one")
    if len(numbers) > target.layers:
        raise ScheduleError(f"network has {len(numbers)} layers, {len(numbers) - target.layers} "
                            f"more than the target's {target.layers}")
    channels = sum(layer.records for layer in layers)
    if channels > target.channels:
        raise ScheduleError(f"network has {channels} channel records, {channels - target.channels} "
                            f"more than the target's {target.channels}")

    addresses = place_activations(layers, target)
    records = []
    channel_base = 0
    for number in numbers:
        layer = layers[number]
        try:
            records.append(make_record(
                layer, target, [addresses[number + 1 - back] for back in layer.inputs],
                addresses[number + 1], channel_base))
        except ValueError as error:
            raise ScheduleError(
                f"layer {number} ({layer.operation.name.lower()}): {error}") from error
        channel_base += layer.records
    return tuple(records)


def make_record(layer: LayerDescriptor, target: Target, in_bases: Sequence[int], out_base: int,
                channel_base: int) -> ScheduleRecord:
    height, width, in_channels = layer.input_shape
    out_channels = layer.output_shape[2]
    kernel_height, kernel_width = layer.kernel
    pad_top, pad_left = layer.padding
    row_bytes = width * in_channels
    for label, value, most in (
            ("the step to the next output row", layer.stride[0] * row_bytes, 0xffff),
            ("the step to the next output column", layer.stride[1] * in_channels, 0xffff),
            ("padding to the left", pad_left * in_channels, 0x8000)):
        if value > most:
            raise ScheduleError(f"{label} is {value} bytes, {value - most} more than a record's "
                                f"{most}")

    # Where rows don't share their inputs, each has one of its own.
    outputs = min(target.rows, target.read_bytes, out_channels)
    beats, beat_step, tile_step, kernel_row = kernel_width, in_channels, outputs, 0
    match layer.operation:
        case Operation.CONV2D | Operation.FULLY_CONNECTED:
            dataflow = Dataflow.DENSE
            kernel_row = kernel_width * in_channels
            outputs = min(target.rows, out_channels)
            beats, beat_step, tile_step = -(-kernel_row // target.columns), target.columns, 0
        case Operation.DEPTHWISE_CONV2D:
            dataflow = Dataflow.DEPTHWISE
            kernel_row = kernel_height * kernel_width
            if in_channels != out_channels:
                raise ScheduleError(f"it must have one filter a channel, not "
                                    f"{out_channels // in_channels}")
        case Operation.ADD:
            dataflow = Dataflow.ADD
            beats, beat_step = 2, (in_bases[1] - in_bases[0]) & 0xffff
        case Operation.MAX_POOL:
            dataflow = Dataflow.MAXIMUM
        case _:
            dataflow = Dataflow.DIAGONAL
            if limit := average_limit(layer):
                raise ScheduleError(limit)
    if dataflow.has_weights and kernel_height * beats > target.tile_words:
        raise ScheduleError(
            f"a filter takes {kernel_height * beats} words of {target.columns} weights, "
            f"{kernel_height * beats - target.tile_words} more than the tile store's "
            f"{target.tile_words}")
    tiles = -(-out_channels // outputs)

    return ScheduleRecord(
        dataflow=dataflow,
        shared=int(not dataflow.has_weights),
        codebook=layer.codebook,
        fill=-128 if dataflow is Dataflow.MAXIMUM else layer.input_zero_point,
        activation_min=layer.activation_min,
        activation_max=layer.activation_max,
        output_zero_point=0 if layer.operation.pools else layer.output_zero_point,
        once=int(layer.rounding is Rounding.ONCE),
        tiles=tiles,
        outputs=outputs,
        outputs_last=out_channels - (tiles - 1) * outputs,
        out_height=layer.output_shape[0],
        out_width=layer.output_shape[1],
        kernel_rows=kernel_height,
        beats=beats,
        beat_step=beat_step,
        tile_step=tile_step,
        origin=(in_bases[0] - pad_top * row_bytes - pad_left * in_channels) & 0xffff,
        row_bytes=row_bytes,
        in_height=height,
        x_start=-pad_left * in_channels,
        x_step=layer.stride[1] * in_channels,
        y_start=-pad_top,
        y_step=layer.stride[0] * row_bytes,
        y_stride=layer.stride[0],
        out_base=out_base,
        out_stride=out_channels,
        channel_base=channel_base,
        kernel_row=kernel_row,
    )


def addition_channels(layer: LayerDescriptor) -> list[tuple[int, int, int]]:
    """Return bias, multiplier and shift of an addition's outputs and of its two inputs.

    An input's bias is its zero point. The outputs' is 0: they are rescaled sums of the rescaled
    inputs, which are shifted to the left by ``ADD_SHIFT`` before that, as in TFLite.
    """
    assert layer.addend is not None
    scale, zero_point = layer.addend
    twice = 2 * max(layer.input_scale, scale)
    factors = np.array([twice / ((1 << ADD_SHIFT) * layer.output_scale),
                        layer.input_scale / twice, scale / twice])
    multipliers, shifts = quantise_multiplier(factors)
    return list(zip((0, layer.input_zero_point, zero_point), multipliers.tolist(), shifts.tolist(),
                    strict=True))


def pooling_channel(layer: LayerDescriptor) -> tuple[int, int]:
    """Return multiplier and shift of the channel record that a pooling layer's outputs share.

    With them the requantiser turns ``2 * max`` into max, or ``POOL_WEIGHT * sum`` into TFLite's
    average: the sum over the window divided by its size, rounded half away from zero. An average
    that no target can compute has the record of max-pooling, which nobody uses.
    """
    if layer.operation is Operation.MAX_POOL or average_limit(layer):
        return 1 << 30, 0
    return divide(prod(layer.kernel))


def average_limit(layer: LayerDescriptor) -> str | None:
    """Return why no target can compute an average pooling, None if one can."""
    if any((layer.output_shape[axis] - 1) * layer.stride[axis] + layer.kernel[axis]
           > layer.input_shape[axis] or layer.padding[axis] for axis in (0, 1)):
        return "average pooling must have no padding"
    height, width = layer.kernel
    if height * width > MAX_WINDOW:
        return (f"a window of average pooling is {height} x {width} pixels, "
                f"{height * width - MAX_WINDOW} more than {MAX_WINDOW}")
    return None


@cache
def divide(window: int) -> tuple[int, int]:
    """Return multiplier and shift that divide by ``window``: every sum that can occur is tried."""
    sums = np.arange(-128 * window, 127 * window + 1)
    averages = np.sign(sums) * ((np.abs(sums) + window // 2) // window)
    multiplier, shift = quantise_multiplier(np.array([1 / (window * POOL_WEIGHT)]))
    if not np.array_equal(requantise(sums * POOL_WEIGHT, multiplier, shift), averages):
        raise ScheduleError(f"averages of {window} pixels can't be exact")
    return int(multiplier[0]), int(shift[0])
