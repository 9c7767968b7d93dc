"""Cycles: how long an accelerator takes for a network's layers, and what binds each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .codecs.huffman import HuffmanCodec, chunks
from .format.schedule import Dataflow, ScheduleRecord
from .format.tables import GROUP, AutomatonShape, PrefixTable, RawShape
from .format.target import Target
from .format.timing import (FETCH_CYCLES, JOB_CYCLES, RECORD_CYCLES, TABLE_CYCLES,
                            decoder_latency, drain_cycles, groups_ahead, output_cycles)
from .image import Image


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
        What takes longest: ``"decoder"``, ``"outputs"`` (requantisers), ``"rows"`` or ``"columns"``
        (the array, with idle rows or columns), ``"array"`` (the array, well used) or
        ``"activations"`` (pooling, depthwise convolution, addition: one column a row).
    """

    cycles: int
    waiting: int
    binds: str


@dataclass(frozen=True)
class Prediction:
    """Cycles of an inference, layer by layer."""

    layers: tuple[LayerCycles, ...]

    @property
    def cycles(self) -> int:
        """Cycles of an inference."""
        return sum(layer.cycles for layer in self.layers) + 1

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
    """

    def __init__(self, image: Image) -> None:
        symbols = np.concatenate([np.zeros(0, np.int64), *(s.ravel() for s in image.symbols)])
        shape: RawShape | AutomatonShape = RawShape()
        if isinstance(image.table, PrefixTable):
            shape = image.table.shape
            turns = HuffmanCodec(shape).trace(symbols, image.table).finish
            ready = np.maximum.accumulate(turns) // (shape.substreams // 2)
            counts, groups = chunks(symbols, image.table)
        else:
            ready = np.arange(-(-len(symbols) // GROUP))
            counts, groups = np.full(len(ready), GROUP), np.arange(len(ready))
        #: Cycle in which each group would be decoded if none ever had to wait.
        self.ready: list[int] = (
            ready + FETCH_CYCLES + decoder_latency(shape)).tolist()
        self.ahead = groups_ahead(shape)
        self.chunks: Iterator[tuple[int, int]] = zip(counts.tolist(), groups.tolist(), strict=True)
        self.taken = [0] * len(self.ready)
        self.late = 0
        self.held = 0

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
                cycle = max(cycle + 1, self.arrival(group))
                self.taken[group] = cycle
                self.held += count
            self.held -= wanted
        return cycle

    def arrival(self, group: int) -> int:
        if group >= self.ahead:
            self.late = max(self.late, self.taken[group - self.ahead] - self.ready[group])
        return self.ready[group] + self.late


def predict(image: Image, target: Target) -> Prediction:
    """Return the cycles of an inference of ``image`` on ``target``.

    The array's side is exact; the decoder's is modelled group by group.
    """
    decoder = Decoder(image)
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
        last_beat = -target.rows
        if record.dataflow is Dataflow.ADD:
            cycle += TABLE_CYCLES
        for tile in range(record.tiles):
            outputs = record.outputs_last if tile == record.tiles - 1 else record.outputs
            if record.dataflow.has_weights:
                begin = max(filler, freed[1] + 1) + 1
                filled = decoder.fill(begin + JOB_CYCLES, *kernel_rows(record, outputs))
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
                                  binding(record, target, filling)))
    return Prediction(tuple(layers))


def kernel_rows(record: ScheduleRecord, outputs: int) -> tuple[list[int], int]:
    """Return the weights of each transfer of a kernel row, and the kernel rows of a tile."""
    if record.dataflow is Dataflow.DEPTHWISE:
        return [1], outputs * record.kernel_row
    whole, rest = divmod(record.kernel_row, GROUP)
    return [GROUP] * whole + [rest] * (rest > 0), outputs * record.kernel_rows


def end_of_tile(record: ScheduleRecord, target: Target, outputs: int, cycle: int, last_beat: int
                ) -> int:
    """Return the cycle of a tile's last beat, if it can begin in ``cycle``."""
    pause = output_cycles(target, outputs)
    beats = record.kernel_rows * record.beats
    windows = record.out_height * record.out_width
    first = max(cycle + beats, last_beat + output_cycles(target, record.outputs))
    return first + (windows - 1) * max(beats, pause)


def binding(record: ScheduleRecord, target: Target, filling: int) -> str:
    windows = record.tiles * record.out_height * record.out_width
    array = windows * record.kernel_rows * record.beats
    outputs = windows * output_cycles(target, record.outputs)
    if max(outputs, filling) > array:
        return "decoder" if filling > outputs else "outputs"
    if record.dataflow is not Dataflow.DENSE:
        return "activations"
    rows = record.out_stride / (record.tiles * target.rows)
    columns = record.kernel_row / (record.beats * target.columns)
    if min(rows, columns) > 0.9:
        return "array"
    return "rows" if rows < columns else "columns"
