"""Sequencer: walks the layers' windows and tells memories and MAC array what to do each cycle."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.engine.records import RECORD, RecordReader, has_weights
from hw.engine.walker import PLACE, Countdown, Walker
from hw.mac.outputs import POSITION
from sw.format.schedule import RECORD_WORDS, Dataflow


__all__ = ["BEAT", "Sequencer"]


#: What the array does in a cycle: bytes of the activation memory, a word of the tile store.
BEAT = data.StructLayout({
    "place": PLACE,
    "row_bytes": 16,
    "fill": signed(8),
    "weight": 9,
    "dataflow": Dataflow,
    "position": POSITION,
})


class Sequencer(wiring.Component):
    """Walks tiles, output rows, output columns, kernel rows and beats, the last one innermost.

    Gives a beat a cycle, but waits for each tile's weights, and before a window's last beat until
    the outputs of the window before are through the requantisers. A layer takes
    ``RecordReader.latency + 3`` cycles before its first tile, an addition `TABLE_CYCLES` more, 1
    cycle more for each tile, and ``drain`` cycles after its last beat.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.
    drain : int
        Cycles from a beat until its outputs are in the activation memory.

    Members
    -------
    start : In(1)
        Starts with the first layer. Not while it is at work.
    layers : In(range(target.layers + 1))
        Layers of the network, 1 or more.
    address : Out(16), word : In(32)
        A read port of the schedule memory.
    filled : In(1)
        Another tile, in turn, is complete.
    freed : Out(1)
        The array has read the oldest tile for the last time.
    beats : Out(stream.Signature(BEAT, always_ready=True))
        What to do.
    record : Out(RECORD)
        The layer at work.
    prepare : Out(1), prepared : In(1)
        The layer is an addition, whose tables must be filled; they are.
    waiting : Out(1)
        In this cycle only weights are missing.
    layer_done : Out(1)
        All outputs of a layer are written.
    done : Out(1)
        All outputs of the last layer are written.
    """

    def __init__(self, target, *, drain):
        self.target = target
        self.drain = drain
        super().__init__({
            "start": In(1),
            "layers": In(range(target.layers + 1)),
            "address": Out(16),
            "word": In(32),
            "filled": In(1),
            "freed": Out(1),
            "beats": Out(stream.Signature(BEAT, always_ready=True)),
            "record": Out(RECORD),
            "prepare": Out(1),
            "prepared": In(1),
            "waiting": Out(1),
            "layer_done": Out(1),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        target = self.target

        m.submodules.reader = reader = RecordReader()
        m.d.comb += [
            self.address.eq(reader.address),
            reader.word.eq(self.word),
            self.record.eq(reader.record),
        ]
        record = reader.record
        weighted = has_weights(record.flags.dataflow)

        tiles_filled = Signal(range(3))
        m.d.sync += tiles_filled.eq(tiles_filled + self.filled - self.freed)

        m.submodules.walker = walker = Walker()
        tiles = Countdown(m, "tiles")
        tile_offset = Signal(16)
        weight = Signal(range(target.tile_words))
        weight_tile = Signal()
        position = Signal(POSITION)
        out_tile = Signal(16)
        running = Signal()
        place = walker.place
        m.d.comb += [
            walker.record.eq(record),
            walker.tile_offset.eq(tile_offset),
        ]

        # Cycles in which the requantisers take a window's outputs from the array.
        pause = Signal(range(target.rows // target.requantisers))
        step = walker.step
        m.d.comb += step.eq(running & ~(place.last & (pause != 0)))
        with m.If(step & place.last):
            m.d.sync += pause.eq((position.count - 1) >> exact_log2(target.requantisers))
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)

        m.d.sync += [
            self.beats.valid.eq(step),
            self.beats.payload.place.eq(place),
            self.beats.payload.row_bytes.eq(record.row_bytes),
            self.beats.payload.fill.eq(record.flags.fill),
            self.beats.payload.weight.eq(Cat(weight, weight_tile)),
            self.beats.payload.dataflow.eq(record.flags.dataflow),
            self.beats.payload.position.eq(position),
        ]
        with m.If(step):
            m.d.sync += weight.eq(Mux(place.last, 0, weight + 1))
            with m.If(place.last):
                m.d.sync += position.address.eq(position.address + record.out_stride)

        layers_left = Signal.like(self.layers)
        drain_left = Signal(range(self.drain + 1))
        with m.FSM():
            with m.State("Idle"):
                with m.If(self.start):
                    m.d.sync += [
                        layers_left.eq(self.layers),
                        reader.base.eq(0),
                        weight_tile.eq(0),
                    ]
                    m.next = "Next layer"

            with m.State("Next layer"):
                m.d.comb += reader.start.eq(1)
                m.d.sync += layers_left.eq(layers_left - 1)
                m.next = "Read record"

            with m.State("Read record"):
                with m.If(reader.valid):
                    tiles.load(record.tiles)
                    m.d.sync += [
                        reader.base.eq(reader.base + RECORD_WORDS),
                        tile_offset.eq(0),
                        out_tile.eq(record.out_base),
                        position.channel.eq(record.channel_base),
                        position.shared.eq(record.flags.shared),
                    ]
                    m.next = "Next tile"
                    with m.If(record.flags.dataflow == Dataflow.ADD):
                        m.d.comb += self.prepare.eq(1)
                        m.next = "Prepare"

            with m.State("Prepare"):
                with m.If(self.prepared):
                    m.next = "Next tile"

            with m.State("Next tile"):
                m.d.comb += walker.begin.eq(1)
                m.d.sync += [
                    weight.eq(0),
                    position.address.eq(out_tile),
                    position.count.eq(Mux(tiles.last, record.outputs_last, record.outputs)),
                ]
                with m.If(~weighted | (tiles_filled != 0)):
                    m.next = "Run"
                with m.Else():
                    m.d.comb += self.waiting.eq(1)

            with m.State("Run"):
                m.d.comb += running.eq(1)
                with m.If(step & walker.tile_ends):
                    tiles.step()
                    m.d.comb += self.freed.eq(weighted)
                    m.d.sync += [
                        weight_tile.eq(weight_tile ^ weighted),
                        tile_offset.eq(tile_offset + record.tile_step),
                        out_tile.eq(out_tile + record.outputs),
                        drain_left.eq(self.drain),
                    ]
                    with m.If(~record.flags.shared):
                        m.d.sync += position.channel.eq(position.channel + record.outputs)
                    m.next = "Next tile"
                    with m.If(tiles.last):
                        m.next = "Drain"

            with m.State("Drain"):
                m.d.sync += drain_left.eq(drain_left - 1)
                with m.If(drain_left == 1):
                    m.d.comb += self.layer_done.eq(1)
                    m.next = "Next layer"
                    with m.If(layers_left == 0):
                        m.d.comb += self.done.eq(1)
                        m.next = "Idle"

        return m
