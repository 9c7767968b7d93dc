"""Filler: has the tiles' weights decoded, layer by layer, and places them in the tile store."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.decode.layouts import JOB, delivery_layout
from hw.engine.records import RecordReader, has_weights
from hw.mac.tiles import write_layout
from sw.format.schedule import RECORD_WORDS, Dataflow


__all__ = ["Filler"]


class Filler(wiring.Component):
    """Fills the two tiles of the tile store in turn, for all layers that have weights.

    Takes a transfer a cycle while a tile is free, and places them a cycle later; it stalls the
    decoder otherwise. A tile starts 2 cycles after the one before; a layer takes
    ``RecordReader.latency + 1`` cycles more, whether it has weights or not.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.

    Members
    -------
    start : In(1)
        Starts with the first layer. Not while it is at work.
    layers : In(range(target.layers + 1))
        Layers of the network.
    address : Out(16), word : In(32)
        A read port of the schedule memory.
    jobs : Out(stream.Signature(JOB))
        Orders for the decoder, one a filter.
    weights : In(stream.Signature(delivery_layout(target.transfer_weights)))
        What the decoder delivers.
    writes : Out(stream.Signature(write_layout(target), always_ready=True))
        Weights and their place in the tile store.
    freed : In(1)
        The array is through with the tile that it was given last.
    filled : Out(1)
        The next tile, in turn, is complete: the array may read it.
    filling : Out(1)
        A tile is being filled: weights are taken as they come.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "start": In(1),
            "layers": In(range(target.layers + 1)),
            "address": Out(16),
            "word": In(32),
            "jobs": Out(stream.Signature(JOB)),
            "weights": In(stream.Signature(delivery_layout(target.transfer_weights))),
            "writes": Out(stream.Signature(write_layout(target), always_ready=True)),
            "freed": In(1),
            "filled": Out(1),
            "filling": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        target = self.target

        m.submodules.reader = reader = RecordReader()
        m.d.comb += [self.address.eq(reader.address), reader.word.eq(self.word)]
        record = reader.record

        # Depthwise weights have a word each, as if each were a kernel row.
        depthwise = record.flags.dataflow == Dataflow.DEPTHWISE
        kernel_rows = Mux(depthwise, record.kernel_row, record.kernel_rows)

        # Where the next weights belong. Kernel rows follow one another without a gap.
        tile = Signal()
        row = Signal(range(target.rows))
        place = Signal(range(target.tile_words))
        half = Signal()
        kernel_rows_left = Signal(16)
        outputs_left = Signal(range(target.rows + 1))
        row_ends = self.weights.payload.last
        filter_ends = row_ends & (kernel_rows_left == 1)
        tile_ends = filter_ends & (outputs_left == 1)
        taken = self.weights.valid & self.weights.ready

        # Tiles that are complete and not yet freed.
        used = Signal(range(3))
        m.d.sync += used.eq(used + (taken & tile_ends) - self.freed)

        m.d.comb += self.weights.ready.eq(self.filling)
        m.d.sync += [
            self.writes.valid.eq(taken),
            self.writes.payload.row.eq(row),
            self.writes.payload.address.eq(Cat(place, tile)),
            self.writes.payload.half.eq(half),
            self.writes.payload.weights.eq(self.weights.payload.weights),
            self.filled.eq(taken & tile_ends),
        ]

        tiles_left = Signal(16)
        outputs = Signal(range(target.rows + 1))
        m.d.comb += outputs.eq(Mux(tiles_left == 1, record.outputs_last, record.outputs))
        jobs_left = Signal(range(target.rows + 1))
        m.d.comb += [
            self.jobs.valid.eq(jobs_left != 0),
            self.jobs.payload.kernel_rows.eq(kernel_rows),
            self.jobs.payload.length.eq(Mux(depthwise, 1, record.kernel_row)),
            self.jobs.payload.codebook.eq(record.flags.codebook),
        ]
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += jobs_left.eq(jobs_left - 1)

        layers_left = Signal.like(self.layers)
        with m.FSM():
            with m.State("Idle"):
                with m.If(self.start):
                    m.d.sync += [layers_left.eq(self.layers), reader.base.eq(0), tile.eq(0)]
                    m.next = "Next layer"

            with m.State("Next layer"):
                with m.If(layers_left == 0):
                    m.next = "Idle"
                with m.Else():
                    m.d.comb += reader.start.eq(1)
                    m.d.sync += layers_left.eq(layers_left - 1)
                    m.next = "Read record"

            with m.State("Read record"):
                with m.If(reader.valid):
                    m.d.sync += [
                        reader.base.eq(reader.base + RECORD_WORDS),
                        tiles_left.eq(record.tiles),
                    ]
                    with m.If(has_weights(record.flags.dataflow)):
                        m.next = "Next tile"
                    with m.Else():
                        m.next = "Next layer"

            with m.State("Next tile"):
                m.d.sync += [
                    row.eq(0),
                    place.eq(0),
                    half.eq(0),
                    kernel_rows_left.eq(kernel_rows),
                    outputs_left.eq(outputs),
                ]
                with m.If(used != 2):
                    m.d.sync += jobs_left.eq(outputs)
                    m.next = "Fill"

            with m.State("Fill"):
                m.d.comb += self.filling.eq(1)
                with m.If(taken):
                    if target.columns == target.transfer_weights:
                        m.d.sync += place.eq(place + 1)
                    else:
                        m.d.sync += [
                            half.eq(~half & ~row_ends),
                            place.eq(place + (half | row_ends)),
                        ]
                    with m.If(row_ends):
                        m.d.sync += kernel_rows_left.eq(kernel_rows_left - 1)
                    with m.If(filter_ends):
                        m.d.sync += [
                            row.eq(row + 1),
                            place.eq(0),
                            kernel_rows_left.eq(kernel_rows),
                            outputs_left.eq(outputs_left - 1),
                        ]
                    with m.If(tile_ends):
                        m.d.sync += [tile.eq(~tile), tiles_left.eq(tiles_left - 1)]
                        m.next = "Next layer"
                        with m.If(tiles_left != 1):
                            m.next = "Next tile"

        return m
