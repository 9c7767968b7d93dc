"""Cycles: how long an accelerator takes for a network's layers, and what binds each."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from .codecs import rice
from .codecs.huffman import HuffmanCodec, chunks
from .codecs.tans import TansCodec
from .format.lanes import TansLanes
from .format.schedule import Dataflow, ScheduleRecord
from .format.tables import (BLOCK, ESCAPE_BITS, GROUP, PlainCode, PrefixTable, RawShape, RiceCode,
                            RiceShape, RunLengthShape, TansCode)
from .format.target import DecoderShape, Memory, Target
from .format.timing import (FETCH_CYCLES, JOB_CYCLES, LANE_WORDS, QUEUE_WORDS, RECORD_CYCLES,
                            TABLE_CYCLES, WORD_BITS, decoder_latency, drain_cycles, fetch_cycles,
                            groups_ahead, memory_timing, output_cycles)
from .image import Image
from .supply import Supply, words_needed


__all__ = ["LayerCycles", "Prediction", "predict"]


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of a layer.

    Parameters
    ----------
    cycles : int
        From the end of the layer before to its own end.
    waiting : int
        Of these, cycles in which the array waits for weights.
    binds : str
        What takes longest: ``"memory"`` or ``"decoder"`` (the weights), ``"outputs"``
        (requantisers), ``"rows"`` or ``"columns"`` (the array, with idle rows or columns),
        ``"array"`` (the array, well used) or ``"activations"`` (pooling, depthwise convolution,
        addition: one column a row).
    """

    cycles: int
    waiting: int
    binds: str


@dataclass(frozen=True)
class Prediction:
    """Cycles of an inference, layer by layer.

    Parameters
    ----------
    layers : tuple of LayerCycles
        The layers.
    check : int
        Cycles after the last layer until the CRC of the coded data is there.
    """

    layers: tuple[LayerCycles, ...]
    check: int = 0

    @property
    def cycles(self) -> int:
        """Cycles of an inference."""
        return sum(layer.cycles for layer in self.layers) + 1 + self.check

    @property
    def waiting(self) -> int:
        """Cycles in which the array waits for weights."""
        return sum(layer.waiting for layer in self.layers)


class Decoder:
    """The decoder as the array sees it: when it delivers the weights of each tile.

    Parameters
    ----------
    image : Image
        Its coded data.
    lanes : TansLanes, optional
        The decoder of tANS coded data; that of others follows from their table.
    memory : Memory
        Where the coded data are.
    fetch : int
        Cycles from the start of a run until it takes the first word from block RAM.

    Attributes
    ----------
    waited : float
        Cycles in which it waited for words so far.
    """

    def __init__(self, image: Image, lanes: TansLanes | None = None,
                 memory: Memory = Memory.BLOCK_RAM, *, fetch: int = FETCH_CYCLES) -> None:
        symbols = np.concatenate([np.zeros(0, np.int64), *(s.ravel() for s in image.symbols)])
        shape: DecoderShape = RawShape()
        if isinstance(image.table, PrefixTable):
            shape = image.table.shape
            turns = HuffmanCodec(shape).trace(symbols, image.table).finish
            ready = np.maximum.accumulate(turns) // (shape.substreams // 2)
            counts, groups = chunks(symbols, image.table)
        elif isinstance(image.table, TansCode) and lanes is not None:
            shape = lanes
            ready = lane_steps(TansCodec(lanes).widths(symbols, image.table), lanes,
                               filter_sizes(image.table))
            counts, groups = np.full(len(ready), lanes.lanes), np.arange(len(ready))
        elif isinstance(image.table, PlainCode):
            shape = RiceShape() if isinstance(image.table, RiceCode) else RunLengthShape()
            ready = np.arange(len(symbols)) + pauses(symbols, image.table)
            counts, groups = np.ones(len(ready), np.int64), np.arange(len(ready))
        else:
            ready = np.arange(-(-len(symbols) // GROUP))
            counts, groups = np.full(len(ready), GROUP), np.arange(len(ready))
        #: Cycle in which each group would be decoded if none ever had to wait.
        self.ready: list[int] = (
            ready + fetch + decoder_latency(shape)).tolist()
        self.ahead = groups_ahead(shape)
        self.chunks: Iterator[tuple[int, int]] = zip(counts.tolist(), groups.tolist(), strict=True)
        self.taken = [0] * len(self.ready)
        self.late = 0.0
        self.held = 0
        self.waited = 0.0
        self.supply: Supply | None = None
        if memory_timing(memory).word_cycles > 1:
            self.supply = Supply(memory_timing(memory))
            self.needed: list[int] = words_needed(image, lanes).tolist()
            self.after_word = decoder_latency(shape)
            if isinstance(shape, TansLanes):
                self.after_word -= shape.turns + shape.word_bits // WORD_BITS + 1

    def fill(self, start: int, lengths: list[int], times: int) -> int:
        """Return the cycle in which the last of a tile's transfers comes.

        Parameters
        ----------
        start : int
            The first cycle in which a transfer can come.
        lengths : list of int
            Weights of each transfer of a kernel row.
        times : int
            Kernel rows of the tile.
        """
        cycle = start - 1
        for wanted in lengths * times:
            # What is left of chunks before may suffice; then no chunk is taken in this cycle.
            cycle += self.held >= wanted
            while self.held < wanted:
                count, group = next(self.chunks)
                cycle = max(cycle + 1, ceil(self.arrival(group)))
                self.taken[group] = cycle
                self.held += count
            self.held -= wanted
        return cycle

    def arrival(self, group: int) -> float:
        if group >= self.ahead:
            self.late = max(self.late, self.taken[group - self.ahead] - self.ready[group])
        cycle = self.ready[group] + self.late
        if self.supply:
            came = self.supply.take(self.needed[group], cycle - self.after_word) + self.after_word
            self.waited += max(0.0, came - cycle)
            self.late += max(0.0, came - cycle)
        return self.ready[group] + self.late


def predict(image: Image, target: Target) -> Prediction:
    """Return the cycles of an inference of ``image`` on ``target``.

    The array's side is exact; the decoder's is modelled group by group, that of a memory which
    streams word by word.
    """
    lanes = target.decoder if isinstance(target.decoder, TansLanes) else None
    decoder = Decoder(image, lanes, target.memory, fetch=fetch_cycles(target))
    layers = []
    # When the array has read the last two tiles, the last one first, and when the filler is free.
    freed = [-1, -1]
    filler = 0
    layer_end = -1
    for record in image.schedule:
        filler += 1 + RECORD_CYCLES
        layer_start = layer_end + 1
        cycle = layer_start + 1 + RECORD_CYCLES
        waiting = filling = 0
        waited = decoder.waited
        last_beat = -target.rows
        if record.dataflow is Dataflow.ADD:
            cycle += TABLE_CYCLES
        for tile in range(record.tiles):
            outputs = record.outputs_last if tile == record.tiles - 1 else record.outputs
            if record.dataflow.has_weights:
                begin = max(filler, freed[1] + 1) + 1
                filled = decoder.fill(begin + JOB_CYCLES, *kernel_rows(
                    record, outputs, target.transfer_weights))
                filling += filled - begin
                filler = filled + 1
                waiting += max(0, filled + 2 - cycle)
                cycle = max(cycle, filled + 2)
            last_beat = end_of_tile(record, target, outputs, cycle, last_beat)
            if record.dataflow.has_weights:
                freed = [last_beat, freed[0]]
            cycle = last_beat + 1
        layer_end = last_beat + drain_cycles(target)
        layers.append(LayerCycles(layer_end - max(0, layer_start - 1), waiting,
                                  binding(record, target, filling, decoder.waited - waited)))
    check = 0
    if decoder.supply:
        # Behind the coded data, whose words are all taken by then.
        read = decoder.supply.take(len(decoder.supply.taken) + 1, layer_end)
        check = max(0, ceil(read) - layer_end)
    return Prediction(tuple(layers), check)


def pauses(symbols: NDArray[np.integer], table: PlainCode) -> NDArray[np.int64]:
    """Return the cycles without a symbol before each of a code without a table.

    Those are changes of the parameter, or the beginnings of blocks.
    """
    if isinstance(table, RiceCode):
        _, widths = rice.fields_of(symbols.astype(np.uint8))
        return np.cumsum(widths > ESCAPE_BITS)
    return np.arange(len(symbols)) // BLOCK + 1


def filter_sizes(table: TansCode) -> NDArray[np.int64]:
    """Return the symbols of each filter."""
    return np.concatenate([np.full(layer.filters, layer.size) for layer in table.layers])


def lane_steps(widths: NDArray[np.uint8], lanes: TansLanes, filters: NDArray[np.int64]
               ) -> NDArray[np.int64]:
    """Return when the lanes of tANS step on to each group, in cycles since the first could be.

    A step takes bits for all lanes. It can't be before there are the word that they begin in and
    the two behind it, of which the memory delivers ``WORD_BITS`` a cycle while there is room for
    them. One filter can begin in a cycle.
    """
    padded = np.pad(widths, (0, -len(widths) % lanes.lanes)).reshape(-1, lanes.lanes)
    taken = np.append(np.full(lanes.turns, lanes.lanes * lanes.code.table_bits),
                      padded.sum(axis=1, dtype=np.int64))
    begun = (np.cumsum(taken) - taken) // lanes.word_bits
    begins = (np.cumsum(filters) - filters) // lanes.lanes
    durations = np.append(np.ones(lanes.turns, np.int64),
                          np.maximum(1, np.bincount(begins, minlength=len(padded))))
    cycles = lanes.word_bits // WORD_BITS
    room = LANE_WORDS + QUEUE_WORDS // cycles
    # When each word came, and when the first step was that began behind it.
    came: list[int] = []
    left: list[int] = []
    cycle = 0
    steps = []
    for word, duration in zip(begun.tolist(), durations.tolist(), strict=False):
        left += [cycle] * (word - len(left))
        while len(came) < word + 3:
            earliest = came[-1] + cycles if came else -2
            if len(came) >= room:
                earliest = max(earliest, left[len(came) - room])
            came.append(earliest)
        cycle = max(cycle, came[word + 2])
        steps.append(cycle)
        cycle += duration
    return np.array(steps[lanes.turns:]) - lanes.turns


def kernel_rows(record: ScheduleRecord, outputs: int, most: int = GROUP) -> tuple[list[int], int]:
    """Return the weights of each transfer of a kernel row, and the kernel rows of a tile.

    A transfer has at most ``most`` weights.
    """
    if record.dataflow is Dataflow.DEPTHWISE:
        return [1], outputs * record.kernel_row
    whole, rest = divmod(record.kernel_row, most)
    return [most] * whole + [rest] * (rest > 0), outputs * record.kernel_rows


def end_of_tile(record: ScheduleRecord, target: Target, outputs: int, cycle: int, last_beat: int
                ) -> int:
    """Return the cycle of a tile's last beat, if it can begin in ``cycle``."""
    pause = output_cycles(target, outputs)
    beats = record.kernel_rows * record.beats
    windows = record.out_height * record.out_width
    first = max(cycle + beats, last_beat + output_cycles(target, record.outputs))
    return first + (windows - 1) * max(beats, pause)


def binding(record: ScheduleRecord, target: Target, filling: int, waited: float) -> str:
    windows = record.tiles * record.out_height * record.out_width
    array = windows * record.kernel_rows * record.beats
    outputs = windows * output_cycles(target, record.outputs)
    if max(outputs, filling) > array:
        if filling <= outputs:
            return "outputs"
        return "memory" if waited > filling / 20 else "decoder"
    if record.dataflow is not Dataflow.DENSE:
        return "activations"
    rows = record.out_stride / (record.tiles * target.rows)
    columns = record.kernel_row / (record.beats * target.columns)
    if min(rows, columns) > 0.9:
        return "array"
    return "rows" if rows < columns else "columns"
