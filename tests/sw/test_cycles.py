from types import SimpleNamespace

import numpy as np
import pytest

from sw.codecs import HuffmanCodec
from sw.cycles import (Decoder, LayerCycles, end_of_tile, kernel_rows, lane_steps,
                       predict)
from sw.format.layers import LayerDescriptor, Operation
from sw.format.schedule import Dataflow
from sw.format.tables import AutomatonShape, RawShape, RawTable
from sw.format.target import Memory, Target, tans_lanes
from sw.format.timing import (FETCH_CYCLES, JOB_CYCLES, RECORD_CYCLES, MemoryTiming,
                              decoder_latency, drain_cycles, groups_ahead, memory_timing)
from sw.schedule import schedule
from sw.supply import Supply, words_needed


TARGET = Target()
RAW = RawTable(8)
SLOW = AutomatonShape(symbol_bits=2, step_bits=2, substreams=2)
FAST = AutomatonShape(symbol_bits=2, step_bits=2, substreams=4)


def layer(operation, input_shape, output_shape, *, kernel=(1, 1), padding=(0, 0), stride=(1, 1)):
    return LayerDescriptor(operation, input_shape, output_shape, kernel, stride, padding, 0, 0,
                           -128, 127, 1.0, 1.0)


POOL = layer(Operation.MAX_POOL, (4, 4, 4), (2, 2, 4), kernel=(2, 2), stride=(2, 2))
SQUARE = layer(Operation.MAX_POOL, (2, 2, 4), (2, 2, 4))
DENSE = layer(Operation.FULLY_CONNECTED, (1, 1, 256), (1, 1, 64))


def image_of(layers, *, shape=None, target=TARGET, seed=0):
    """Return what `predict` wants of an image: symbols of at least 2 bits, schedule, table."""
    rng = np.random.default_rng(seed)
    symbols = tuple(rng.integers(0, 4, described.weight_shape) for described in layers
                    if described.weight_shape)
    return SimpleNamespace(schedule=schedule(layers, target), symbols=symbols,
                           table=HuffmanCodec(shape).fit(symbols) if shape else RAW)


def sequence(symbols, table):
    return SimpleNamespace(symbols=(np.array(symbols),), table=table)


def test_kernel_rows():
    def record(dataflow, length):
        return SimpleNamespace(dataflow=dataflow, kernel_row=length, kernel_rows=3)

    assert kernel_rows(record(Dataflow.DENSE, 27), 5) == ([4, 4, 4, 4, 4, 4, 3], 15)
    assert kernel_rows(record(Dataflow.DENSE, 8), 1) == ([4, 4], 3)
    assert kernel_rows(record(Dataflow.DENSE, 3), 1) == ([3], 3)
    assert kernel_rows(record(Dataflow.DEPTHWISE, 6), 5) == ([1], 30)


def test_pooling_by_hand():
    prediction = predict(image_of([POOL, SQUARE]), TARGET)
    # A record, 4 windows of 4 beats, and the drain; a cycle to start and one to end.
    first = 1 + RECORD_CYCLES + 16 + drain_cycles(TARGET)
    # The 4 windows of the second have one beat each; the next waits for 4 outputs, 2 a cycle.
    second = 2 + RECORD_CYCLES + 1 + 3 * 2 + drain_cycles(TARGET)
    assert prediction.layers == (LayerCycles(first, 0, "activations"),
                                 LayerCycles(second, 0, "outputs"))
    assert (prediction.cycles, prediction.waiting) == (first + second + 1, 0)


@pytest.mark.parametrize("requantisers, last", [(4, 100 + 3 + 5 * 3), (2, 100 + 4 + 5 * 4),
                                                (1, 100 + 8 + 5 * 8)])
def test_windows_wait_for_requantisers(requantisers, last):
    # The tile before ended in cycle 100; six windows of three beats follow.
    record = SimpleNamespace(kernel_rows=3, beats=1, out_height=2, out_width=3, outputs=8)
    assert end_of_tile(record, Target(requantisers=requantisers), 8, 100, 100) == last


def test_raw_symbols_come_as_they_are_wanted():
    first = FETCH_CYCLES + decoder_latency(RawShape())
    assert Decoder(sequence([0] * 64, RAW)).fill(0, [4] * 4, 4) == first + 15
    assert Decoder(sequence([0] * 64, RAW)).fill(100, [4] * 4, 4) == 115
    # A kernel row of five weights takes two transfers, whatever groups they lie in.
    assert Decoder(sequence([0] * 15, RAW)).fill(100, [4, 1], 3) == 105


def test_automaton_comes_as_fast_as_its_bits():
    # Codewords of two bits: 8 bits a group, two of them a cycle.
    table = HuffmanCodec(SLOW).fit([np.arange(400) % 4])
    assert table.lengths == (2, 2, 2, 2)
    decoder = Decoder(sequence(np.arange(400) % 4, table))
    first = FETCH_CYCLES + decoder_latency(SLOW)
    # Two substreams take turns, so that the first two groups end together.
    assert decoder.ready[:4] == [first + 6, first + 7, first + 14, first + 15]
    assert decoder.fill(0, [4], 100) == decoder.ready[-1] == first + 399


def test_groups_wait_in_the_decoder():
    symbols = np.arange(1000) % 4
    table = HuffmanCodec(SLOW).fit([symbols])
    ahead = groups_ahead(SLOW)
    late = 10_000
    assert Decoder(sequence(symbols, table)).fill(late, [4], ahead) == late + ahead - 1
    # Beyond those that wait it is the decoder's pace again: a group in four cycles.
    last = Decoder(sequence(symbols, table)).fill(late, [4], ahead + 100)
    assert last == pytest.approx(late + 400, abs=ahead)


def test_run_of_zeros_takes_a_cycle_for_four():
    symbols = np.zeros(1020, int)
    table = HuffmanCodec(FAST).fit([symbols])
    assert max(table.runs) == 255
    assert Decoder(sequence(symbols, table)).fill(1000, [4] * 5, 51) >= 1000 + 255 - 1


@pytest.mark.parametrize("described, binds", [
    (DENSE, "decoder"),
    (layer(Operation.CONV2D, (16, 16, 4), (16, 16, 8)), "outputs"),
    (layer(Operation.CONV2D, (8, 8, 8), (8, 8, 8), kernel=(3, 3), padding=(1, 1)), "array"),
    (layer(Operation.CONV2D, (8, 8, 8), (8, 8, 9), kernel=(3, 3), padding=(1, 1)), "rows"),
    (layer(Operation.CONV2D, (8, 8, 3), (8, 8, 8), kernel=(3, 3), padding=(1, 1)), "columns"),
    (layer(Operation.MAX_POOL, (8, 8, 4), (7, 7, 4), kernel=(2, 2)), "activations"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_binds(described, binds):
    prediction = predict(image_of([described]), TARGET)
    assert prediction.layers[0].binds == binds


def test_array_well_used_takes_its_beats():
    described = layer(Operation.CONV2D, (8, 8, 8), (8, 8, 16), kernel=(3, 3), padding=(1, 1))
    prediction = predict(image_of([described]), TARGET)
    # Two tiles of 64 windows of 18 beats. The first tile's weights, one transfer a cycle, are
    # waited for; those of the second come in time.
    filled = 8 * 9 * 8 // 4
    assert prediction.layers[0].cycles == pytest.approx(
        2 * 64 * 18 + filled + RECORD_CYCLES + JOB_CYCLES + drain_cycles(TARGET), abs=4)
    assert prediction.waiting == pytest.approx(filled + JOB_CYCLES, abs=4)


def test_slower_decoders_take_longer():
    raw, fast, slow = (predict(image_of([DENSE], shape=shape), TARGET)
                       for shape in (None, FAST, SLOW))
    assert raw.cycles < fast.cycles < slow.cycles
    assert raw.waiting < fast.waiting < slow.waiting
    # 16,384 weights: four a cycle, or two bits each, of which four or two a cycle.
    for prediction, decoding in ((raw, 4096), (fast, 8192), (slow, 16_384)):
        assert prediction.cycles == pytest.approx(decoding, rel=0.05)


def test_long_windows_hide_a_slow_decoder():
    small = layer(Operation.CONV2D, (8, 8, 8), (8, 8, 8), kernel=(3, 3), padding=(1, 1))
    fast, slow = (predict(image_of([small, small], shape=shape), TARGET) for shape in (FAST, SLOW))
    assert slow.layers[0].waiting > fast.layers[0].waiting > 0
    # Weights of the second layer come while the first is under way.
    assert slow.layers[1] == fast.layers[1]
    assert slow.layers[1].waiting == 0


def test_larger_arrays_take_fewer_cycles():
    described = layer(Operation.CONV2D, (8, 8, 8), (8, 8, 32), kernel=(3, 3), padding=(1, 1))
    targets = [Target(rows=4, requantisers=1), TARGET, Target(rows=8, columns=8),
               Target(rows=16, columns=8, requantisers=4)]
    cycles = [predict(image_of([described], target=target), target).cycles for target in targets]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] / cycles[3] == pytest.approx(8, rel=0.4)


@pytest.mark.parametrize("lanes", [4, 8])
def test_lanes_of_tans_step_as_their_words_come(lanes):
    shape = tans_lanes(lanes)
    # Few bits: a group a cycle from the states on. Many: as fast as words come.
    whole = np.array([80 * lanes])
    steps = lane_steps(np.full(80 * lanes, 1, np.uint8), shape, whole)
    assert 0 <= steps[0] <= 64 * 8 // 32
    assert (np.diff(steps) == 1).all()
    steps = lane_steps(np.full(80 * lanes, 32 // lanes * 3, np.uint8), shape, whole)
    assert (steps[-1] - steps[0]) / 79 == pytest.approx(3, rel=0.05)
    # What few bits leave unread doesn't last: many behind them come as fast as words do.
    widths = np.repeat((1, 32 // lanes * 2), 400 * lanes)
    steps = lane_steps(widths.astype(np.uint8), shape, np.array([len(widths)]))
    assert (np.diff(steps[:400]) == 1).all()
    assert (steps[-1] - steps[400]) / 399 == pytest.approx(2, rel=0.1)
    # A filter a cycle.
    steps = lane_steps(np.full(80 * lanes, 1, np.uint8), shape, np.full(40 * lanes, 2))
    assert (np.diff(steps) == lanes // 2).all()


def test_words_of_a_memory_come_at_its_rate_while_there_is_room():
    supply = Supply(MemoryTiming(first=10, word_cycles=4, peak_cycles=4, queue=2, resume=1))
    assert [supply.take(words, 0) for words in (1, 2, 3)] == [10, 14, 18]
    # Two words are read ahead while nobody wants them; the next one is begun when one is taken.
    assert [supply.take(words, 100) for words in (4, 5, 6)] == [22, 26, 105]
    assert supply.take(6, 200) == 105


@pytest.mark.parametrize("shape", [None, SLOW, FAST])
def test_words_needed_are_those_of_the_coded_data(shape):
    image = image_of([DENSE], shape=shape)
    words = words_needed(image)
    assert (np.diff(words) >= 0).all()
    total = -(-16384 // 4) if shape is None else 4096 * 2 * 4 // 32
    assert 0 < words[0] <= 2
    assert words[-1] == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("memory", [Memory.FLASH, Memory.SDRAM])
def test_a_memory_that_streams_binds(memory):
    target = TARGET.with_memory(memory)
    prediction = predict(image_of([DENSE], target=target), target)
    assert prediction.layers[0].binds == "memory"
    # As many words as there are groups of four weights of 8 bits.
    roofline = 256 * 64 / 4 * memory_timing(memory).word_cycles
    assert roofline < prediction.cycles < 1.05 * roofline + 150


def test_a_memory_that_nobody_waits_for_costs_nothing():
    wide = layer(Operation.CONV2D, (16, 16, 8), (16, 16, 8), kernel=(3, 3), padding=(1, 1))
    inside, outside = (predict(image_of([wide], target=target), target)
                       for target in (TARGET, TARGET.with_memory(Memory.SDRAM)))
    assert outside.layers[0].binds == inside.layers[0].binds == "array"
    # But for the first tile.
    assert 0 < outside.cycles - inside.cycles < 300
