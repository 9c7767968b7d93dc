"""From a network and a target to schedule records, pooling records and cycles."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import prod

import numpy as np

from sw.format.layers import LayerDescriptor, Operation, Rounding
from sw.format.schedule import POOL_WEIGHT, Dataflow, ScheduleRecord
from sw.format.target import Target
from sw.golden import requantise
from sw.network import quantise_multiplier


__all__ = ["ScheduleError", "place_activations", "pooling_channel", "schedule"]


#: What targets can run, in a chain.
OPERATIONS = (Operation.CONV2D, Operation.FULLY_CONNECTED, Operation.AVERAGE_POOL,
              Operation.MAX_POOL)

#: The largest window of average pooling, in pixels.
MAX_WINDOW = 4096


class ScheduleError(ValueError):
    """A network that a target can't run. The message says what exceeds what."""


def place_activations(layers: Sequence[LayerDescriptor], target: Target) -> tuple[int, ...]:
    """Return the byte address of the input and of every layer's output.

    A layer reads one end of the activation memory and writes the other.

    Raises
    ------
    ScheduleError
        If a layer's input and output don't fit the activation memory together.
    """
    sizes = [int(np.prod(layers[0].input_shape)),
             *(int(np.prod(layer.output_shape)) for layer in layers)]
    for number, (before, after) in enumerate(pairwise(sizes)):
        if before + after > target.activation_bytes:
            raise ScheduleError(
                f"layer {number}: input and output need {before + after} bytes of activation "
                f"memory, {before + after - target.activation_bytes} more than the target's "
                f"{target.activation_bytes}")
    return tuple(target.activation_bytes - size if number % 2 else 0
                 for number, size in enumerate(sizes))


def schedule(layers: Sequence[LayerDescriptor], target: Target) -> tuple[ScheduleRecord, ...]:
    """Return each layer's schedule record.

    Parameters
    ----------
    layers : sequence of LayerDescriptor
        The network; each layer's input is the output of the one before.
    target : Target
        What runs it.

    Raises
    ------
    ScheduleError
        If the target can't run the network; the message names the layer and the excess.
    """
    if not layers:
        raise ScheduleError("network must have a layer")
    for number, layer in enumerate(layers):
        check_layer(number, layer)
    if len(layers) > target.layers:
        raise ScheduleError(f"network has {len(layers)} layers, "
                            f"{len(layers) - target.layers} more than the target's {target.layers}")
    channels = sum(layer.channels for layer in layers)
    if channels > target.channels:
        raise ScheduleError(f"network has {channels} channel records, {channels - target.channels} "
                            f"more than the target's {target.channels}")
    for number, (before, after) in enumerate(pairwise(layers)):
        if np.prod(before.output_shape) != np.prod(after.input_shape):
            raise ScheduleError(f"layer {number + 1}: input must have the {before.output_shape} "
                                f"values of layer {number}, not {after.input_shape}")

    addresses = place_activations(layers, target)
    records = []
    channel_base = 0
    for number, layer in enumerate(layers):
        try:
            records.append(make_record(layer, target, addresses[number], addresses[number + 1],
                                       channel_base))
        except ValueError as error:
            raise ScheduleError(
                f"layer {number} ({layer.operation.name.lower()}): {error}") from error
        channel_base += layer.channels
    return tuple(records)


def check_layer(number: int, layer: LayerDescriptor) -> None:
    place = f"layer {number} ({layer.operation.name.lower()})"
    if layer.operation not in OPERATIONS:
        known = ", ".join(operation.name.lower() for operation in OPERATIONS)
        raise ScheduleError(f"{place}: targets can run {known} alone")
    if layer.inputs != (1,):
        raise ScheduleError(f"{place}: input must be made by the layer before, "
                            f"not {layer.inputs[0]} back")
    if layer.rounding is not Rounding.TWICE:
        raise ScheduleError(f"{place}: targets can't round sums once")


def make_record(layer: LayerDescriptor, target: Target, in_base: int, out_base: int,
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

    if layer.operation.has_weights:
        dataflow = Dataflow.DENSE
        kernel_row = kernel_width * in_channels
        outputs = min(target.rows, out_channels)
        beats, beat_step, tile_step = -(-kernel_row // target.columns), target.columns, 0
        if kernel_height * beats > target.tile_words:
            raise ScheduleError(
                f"a filter takes {kernel_height * beats} words of {target.columns} weights, "
                f"{kernel_height * beats - target.tile_words} more than the tile store's "
                f"{target.tile_words}")
    else:
        maximum = layer.operation is Operation.MAX_POOL
        dataflow = Dataflow.MAXIMUM if maximum else Dataflow.DIAGONAL
        kernel_row = 0
        outputs = min(target.rows, target.columns, out_channels)
        beats, beat_step, tile_step = kernel_width, in_channels, outputs
        if not maximum and (limit := average_limit(layer)):
            raise ScheduleError(limit)
    tiles = -(-out_channels // outputs)

    return ScheduleRecord(
        dataflow=dataflow,
        shared=int(not layer.operation.has_weights),
        codebook=layer.codebook,
        fill=-128 if dataflow is Dataflow.MAXIMUM else layer.input_zero_point,
        activation_min=layer.activation_min,
        activation_max=layer.activation_max,
        output_zero_point=layer.output_zero_point if layer.operation.has_weights else 0,
        tiles=tiles,
        outputs=outputs,
        outputs_last=out_channels - (tiles - 1) * outputs,
        out_height=layer.output_shape[0],
        out_width=layer.output_shape[1],
        kernel_rows=kernel_height,
        beats=beats,
        beat_step=beat_step,
        tile_step=tile_step,
        origin=(in_base - pad_top * row_bytes - pad_left * in_channels) & 0xffff,
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
