from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sw.format.layers import LayerDescriptor, Operation
from sw.format.schedule import POOL_WEIGHT, Dataflow, ScheduleRecord
from sw.format.target import Memory, Target
from sw.golden import requantise
from sw.schedule import (MAX_WINDOW, Need, ScheduleError, check_shared, divide, needs,
                         place_activations, pooling_channel, schedule)

from .networks import graph


TARGET = Target()
SHARED = Target(memory=Memory.SPRAM, memory_words=32768, activation_bytes=65536)


def layer(operation, input_shape, output_shape, *, kernel=(1, 1), stride=(1, 1), padding=(0, 0)):
    return LayerDescriptor(operation, input_shape, output_shape, kernel, stride, padding, -3, 5,
                           -100, 101, 1.0, 1.0)


CONVOLUTION = layer(Operation.CONV2D, (5, 6, 3), (3, 7, 10), kernel=(3, 2), stride=(2, 1),
                    padding=(1, 1))
GREATEST = layer(Operation.MAX_POOL, (3, 7, 10), (3, 3, 10), kernel=(2, 3), stride=(1, 2),
                 padding=(1, 0))
MEAN = layer(Operation.AVERAGE_POOL, (3, 3, 10), (1, 2, 10), kernel=(3, 2))
DENSE = layer(Operation.FULLY_CONNECTED, (1, 1, 20), (1, 1, 3))
NETWORK = (CONVOLUTION, GREATEST, MEAN, DENSE)


def test_activations_lie_at_either_end():
    assert place_activations(NETWORK, TARGET) == (0, 8192 - 210, 0, 8192 - 20, 0)


def test_activations_that_share_a_memory_are_its_end():
    addresses = place_activations(NETWORK, SHARED)
    # 90 and 210 bytes at once, in steps of 64.
    begin = 65536 - 320
    assert addresses == (begin, 65536 - 210, begin, 65536 - 20, begin)


def test_image_has_what_activations_leave():
    room = 131_072 - 320
    assert needs(NETWORK, SHARED, image_bytes=7, codebooks=1)[0] == (
        Need("bytes of weight memory", 7, room))
    check_shared(NETWORK, SHARED, room)
    check_shared(NETWORK, TARGET, 10 * room)
    with pytest.raises(ScheduleError, match="image has 130756 bytes and activations need 320, "
                                            "4 more than the memory's 131072"):
        check_shared(NETWORK, SHARED, room + 4)


def test_records_by_hand():
    convolution, greatest, mean, dense = schedule(
        (replace(CONVOLUTION, codebook=2), GREATEST, MEAN, replace(DENSE, codebook=1)), TARGET)
    # Filters of 3 rows of 6 weights; the first window begins a row and a pixel before the input.
    assert convolution == ScheduleRecord(
        dataflow=Dataflow.DENSE, shared=0, codebook=2, fill=-3, activation_min=-100,
        activation_max=101, output_zero_point=5, once=0, tiles=2, outputs=8, outputs_last=2,
        out_height=3, out_width=7, kernel_rows=3, beats=2, beat_step=4, tile_step=0,
        origin=0x10000 - 18 - 3, row_bytes=18, in_height=5, x_start=-3, x_step=3, y_start=-1,
        y_step=36, y_stride=2, out_base=7982, out_stride=10, channel_base=0, kernel_row=6)
    # Eight channels at a time, as many as rows.
    assert greatest == ScheduleRecord(
        dataflow=Dataflow.MAXIMUM, shared=1, codebook=0, fill=-128, activation_min=-100,
        activation_max=101, output_zero_point=0, once=0, tiles=2, outputs=8, outputs_last=2,
        out_height=3, out_width=3, kernel_rows=2, beats=3, beat_step=10, tile_step=8,
        origin=7982 - 70, row_bytes=70, in_height=3, x_start=0, x_step=20,
        y_start=-1, y_step=70, y_stride=1, out_base=0, out_stride=10, channel_base=12, kernel_row=0)
    assert mean == ScheduleRecord(
        dataflow=Dataflow.DIAGONAL, shared=1, codebook=0, fill=-3, activation_min=-100,
        activation_max=101, output_zero_point=0, once=0, tiles=2, outputs=8, outputs_last=2,
        out_height=1, out_width=2, kernel_rows=3, beats=2, beat_step=10, tile_step=8,
        origin=0, row_bytes=30, in_height=3, x_start=0, x_step=10, y_start=0,
        y_step=30, y_stride=1, out_base=8172, out_stride=10, channel_base=16, kernel_row=0)
    assert dense == ScheduleRecord(
        dataflow=Dataflow.DENSE, shared=0, codebook=1, fill=-3, activation_min=-100,
        activation_max=101, output_zero_point=5, once=0, tiles=1, outputs=3, outputs_last=3,
        out_height=1, out_width=1, kernel_rows=1, beats=5, beat_step=4, tile_step=0,
        origin=8172, row_bytes=20, in_height=1, x_start=0, x_step=20, y_start=0,
        y_step=20, y_stride=1, out_base=0, out_stride=3, channel_base=20, kernel_row=20)


def test_array_decides_tiles_and_beats():
    convolution, greatest, _, dense = schedule(NETWORK, Target(rows=4, columns=8, requantisers=1))
    assert (convolution.tiles, convolution.outputs, convolution.outputs_last) == (3, 4, 2)
    assert (convolution.beats, convolution.beat_step) == (1, 8)
    assert (greatest.tiles, greatest.outputs) == (3, 4)
    assert dense.beats == 3
    _, greatest, _, _ = schedule(NETWORK, Target(rows=16, columns=8))
    assert (greatest.tiles, greatest.outputs, greatest.outputs_last) == (1, 10, 10)


def test_largest_network_fits():
    # A filter of tile_words * columns weights, and activations that fill their memory.
    wide = layer(Operation.FULLY_CONNECTED, (1, 1, 1024), (1, 1, 500))
    assert schedule([wide], Target(activation_bytes=2048))[0].beats == 256
    full = layer(Operation.MAX_POOL, (1, 1, 512), (1, 1, 512))
    assert schedule([full] * 32, Target(activation_bytes=1024))[31].out_base == 0


@pytest.mark.parametrize("layers, target, complaint", [
    ([], TARGET, "network must have a layer"),
    ([GREATEST] * 3, Target(layers=2), "network has 3 layers, 1 more than the target's 2"),
    ([layer(Operation.FULLY_CONNECTED, (1, 1, 3), (1, 1, 65))], Target(channels=64),
     "network has 68 channel records, 4 more than the target's 64"),
    ([GREATEST, layer(Operation.CONV2D, (3, 3, 10), (3, 3, 200))], Target(activation_bytes=1024),
     r"layer 1: .* need 1890 bytes of activation memory, 866 more than the target's 1024"),
], ids=["no layer", "layers", "channels", "activations"])
def test_networks_beyond_the_target_refused(layers, target, complaint):
    with pytest.raises(ScheduleError, match=f"^{complaint}"):
        schedule(layers, target)


@pytest.mark.parametrize("refused, complaint", [
    (layer(Operation.FULLY_CONNECTED, (1, 1, 1025), (1, 1, 1)),
     r"fully_connected\): a filter takes 257 words of 4 weights, 1 more than the tile store's 256"),
    (layer(Operation.CONV2D, (9, 9, 50), (1, 1, 1), kernel=(9, 9)),
     r"conv2d\): a filter takes 1017 words of 4 weights, 761 more than the tile store's 256"),
    (layer(Operation.CONV2D, (2, 40, 10), (1, 40, 2), stride=(170, 1)),
     r"conv2d\): the step to the next output row is 68000 bytes, 2465 more than a record's 65535"),
    (layer(Operation.CONV2D, (1, 1, 1000), (1, 1, 2), stride=(1, 66)),
     r"conv2d\): the step to the next output column is 66000 bytes, 465 more than a record's"),
    (layer(Operation.MAX_POOL, (1, 1, 200), (1, 1, 200), kernel=(1, 180), padding=(0, 170)),
     r"max_pool\): padding to the left is 34000 bytes, 1232 more than a record's 32768"),
    (layer(Operation.AVERAGE_POOL, (3, 3, 2), (3, 3, 2), kernel=(2, 2), padding=(1, 1)),
     r"average_pool\): average pooling must have no padding"),
    # Padding below and to the right follows from the shapes.
    (layer(Operation.AVERAGE_POOL, (3, 3, 2), (2, 3, 2), kernel=(2, 2)),
     r"average_pool\): average pooling must have no padding"),
])
def test_layers_beyond_the_target_refused(refused, complaint):
    with pytest.raises(ScheduleError, match=rf"^layer 0 \({complaint}"):
        schedule([refused], TARGET)


def test_codebook_beyond_the_record_refused():
    with pytest.raises(ScheduleError, match=r"layer 1 \(fully_connected\): codebook must be 0 to "
                                            "15, not 16"):
        schedule([MEAN, replace(DENSE, codebook=16)], TARGET)


def test_channel_of_max_pooling_halves():
    multiplier, shift = pooling_channel(GREATEST)
    assert (multiplier, shift) == (1 << 30, 0)
    greatest = np.arange(-128, 128)
    assert np.array_equal(requantise(2 * greatest, np.array([multiplier]), np.array([shift])),
                          greatest)


@pytest.mark.parametrize("kernel, record", [
    ((1, 1), (1 << 30, -5)), ((2, 2), (1 << 30, -7)), ((4, 2), (1 << 30, -8)), ((3, 3), None),
    ((7, 7), None), ((5, 13), None), ((64, 64), (1 << 30, -17)),
])
def test_channel_of_average_pooling_divides(kernel, record):
    window = kernel[0] * kernel[1]
    found = pooling_channel(layer(Operation.AVERAGE_POOL, (*kernel, 1), (1, 1, 1), kernel=kernel))
    assert record in (found, None)
    rng = np.random.default_rng(window)
    halves = window // 2 + window * np.arange(-3, 4)
    sums = np.concatenate([[-128 * window, 127 * window, 0], halves,
                           rng.integers(-128 * window, 127 * window, 200)])
    # Rounded half away from zero.
    expected = [int(abs(Fraction(int(total), window)) + Fraction(1, 2)) * (1 if total > 0 else -1)
                for total in sums]
    assert requantise(POOL_WEIGHT * sums, np.array(found[:1]), np.array(found[1:])).tolist() == (
        expected)


def test_averages_beyond_targets_have_the_channel_of_max_pooling():
    padded = layer(Operation.AVERAGE_POOL, (3, 3, 2), (3, 3, 2), kernel=(2, 2), padding=(1, 1))
    large = layer(Operation.AVERAGE_POOL, (255, 255, 1), (1, 1, 1), kernel=(255, 255))
    assert pooling_channel(padded) == pooling_channel(large) == (1 << 30, 0)


def test_large_windows_refused_at_once(monkeypatch):
    monkeypatch.setattr("sw.schedule.np.arange", None)
    large = layer(Operation.AVERAGE_POOL, (65, 64, 1), (1, 1, 1), kernel=(65, 64))
    with pytest.raises(ScheduleError, match="a window of average pooling is 65 x 64 pixels, "
                                            f"64 more than {MAX_WINDOW}"):
        schedule([large], TARGET)


def test_equal_windows_are_tried_once():
    divide.cache_clear()
    for kernel in ((3, 5), (5, 3), (3, 5)):
        pooling_channel(layer(Operation.AVERAGE_POOL, (*kernel, 1), (1, 1, 1), kernel=kernel))
    assert divide.cache_info().misses == 1


GRAPH = tuple(layer.descriptor for layer in graph(0).layers)


#: With a filter a channel: two in the graph meet the same input.
RESIDUAL = (GRAPH[0], replace(GRAPH[2], inputs=(1,)), replace(GRAPH[2], inputs=(1,)),
            replace(GRAPH[3], inputs=(1, 3)), *GRAPH[4:])


@pytest.mark.parametrize("layers, complaint", [
    (GRAPH[:2], r"layer 1 \(depthwise_conv2d\): it must have one filter a channel, not 2"),
    ((*GRAPH[5:], GRAPH[5]), r"layer 1 \(softmax\): only the last layer may be one"),
    (GRAPH[-1:], "network must have a layer"),
])
def test_what_targets_cannot_run_is_refused(layers, complaint):
    with pytest.raises(ScheduleError, match=complaint):
        schedule(layers, Target())


def test_what_is_needed_later_is_kept():
    addresses = place_activations(RESIDUAL, Target(activation_bytes=1024))
    made = [(address, address + 64) for address in addresses[1:5]]
    # Layer 0's output is the second input of layer 3, whose own lies elsewhere.
    assert all(made[0][1] <= start or end <= made[0][0] for start, end in made[1:])
    assert addresses[5] == addresses[4]
    assert addresses[7] == addresses[6]


def test_residual_addition_by_hand():
    records = schedule(RESIDUAL, TARGET)
    assert len(records) == 5
    addition = records[3]
    addresses = place_activations(RESIDUAL, TARGET)
    assert (addition.dataflow, addition.shared, addition.once) == (Dataflow.ADD, 1, 0)
    assert (addition.kernel_rows, addition.beats) == (1, 2)
    assert addition.origin == addresses[3]
    assert addition.origin + addition.beat_step & 0xffff == addresses[1]
    assert (addition.tiles, addition.outputs, addition.kernel_row) == (1, 4, 0)
    # Behind it lie its 8 records: 4 of outputs, and those of both inputs.
    assert records[4].channel_base == addition.channel_base + 8
    assert records[4].once == 1
