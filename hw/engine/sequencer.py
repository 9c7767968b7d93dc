"""Sequencer: walks the layers' windows and tells memories and MAC array what to do each cycle."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.records import RECORD, RecordReader
from hw.mac.outputs import POSITION
from sw.format.schedule import RECORD_WORDS, Dataflow


__all__ = ["BEAT", "Sequencer"]


#: What the array does in a cycle: bytes of the activation memory, a word of the tile store.
BEAT = data.StructLayout({
    "address": 16,
    "offset": signed(17),
    "row_bytes": 16,
    "inside": 1,
    "fill": signed(8),
    "weight": 9,
    "dataflow": Dataflow,
    "first": 1,
    "last": 1,
    "position": POSITION,
})


class Sequencer(wiring.Component):
    """Walks tiles, output rows, output columns, kernel rows and beats, the last one innermost.

    Gives a beat a cycle, but waits for each tile's weights, and before a window's last beat until
    the outputs of the window before are through the requantisers. A layer takes
    ``RecordReader.latency + 3`` cycles before its first tile, 1 cycle more for each tile, and
    ``drain`` cycles after its last beat.

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
        dense = record.flags.dataflow == Dataflow.DENSE

        tiles_filled = Signal(range(3))
        m.d.sync += tiles_filled.eq(tiles_filled + self.filled - self.freed)

        # How many more of each there are, and for each a flag that this is the last one.
        tiles = Countdown(m, "tiles", 16)
        lines = Countdown(m, "lines", 16)
        columns = Countdown(m, "columns", 16)
        kernel_rows = Countdown(m, "kernel_rows", 16)
        beats = Countdown(m, "beats", 16)

        # Byte addresses of the beat, and of the first byte of its kernel row, window and line.
        address = Signal(16)
        address_row = Signal(16)
        address_window = Signal(16)
        address_line = Signal(16)
        # Offset within the input row, of the beat, its window and its line.
        offset = Signal(signed(17))
        offset_window = Signal(signed(17))
        offset_line = Signal(signed(17))
        # Input row of the beat and of its window.
        y = Signal(signed(17))
        y_window = Signal(signed(17))
        weight = Signal(range(target.tile_words))
        weight_tile = Signal()
        first = Signal()
        tile_offset = Signal(16)
        position = Signal(POSITION)
        out_tile = Signal(16)

        running = Signal()
        window_ends = beats.last & kernel_rows.last
        tile_ends = window_ends & columns.last & lines.last

        # Cycles in which the requantisers take a window's outputs from the array.
        cycles_between = target.rows // target.requantisers
        pause = Signal(range(cycles_between))
        step = Signal()
        m.d.comb += step.eq(running & ~(window_ends & (pause != 0)))
        with m.If(step & window_ends):
            m.d.sync += pause.eq(cycles_between - 1)
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)

        m.d.sync += [
            self.beats.valid.eq(step),
            self.beats.payload.address.eq(address),
            self.beats.payload.offset.eq(offset),
            self.beats.payload.row_bytes.eq(record.row_bytes),
            self.beats.payload.inside.eq((y >= 0) & (y < record.in_height)),
            self.beats.payload.fill.eq(record.flags.fill),
            self.beats.payload.weight.eq(Cat(weight, weight_tile)),
            self.beats.payload.dataflow.eq(record.flags.dataflow),
            self.beats.payload.first.eq(first),
            self.beats.payload.last.eq(window_ends),
            self.beats.payload.position.eq(position),
        ]

        def next_beat():
            beats.step()
            m.d.sync += [
                address.eq(address + record.beat_step),
                offset.eq(offset + record.beat_step),
            ]

        def next_kernel_row():
            beats.load(record.beats)
            kernel_rows.step()
            m.d.sync += [
                address.eq(address_row + record.row_bytes),
                address_row.eq(address_row + record.row_bytes),
                offset.eq(offset_window),
                y.eq(y + 1),
            ]

        def next_column():
            begin_window(address_window + record.x_step, offset_window + record.x_step, y_window)
            columns.step()
            m.d.sync += position.address.eq(position.address + record.out_stride)

        def next_line():
            begin_window(address_line + record.y_step, offset_line, y_window + record.y_stride)
            columns.load(record.out_width)
            lines.step()
            m.d.sync += [
                address_line.eq(address_line + record.y_step),
                position.address.eq(position.address + record.out_stride),
            ]

        def begin_window(new_address, new_offset, new_y):
            beats.load(record.beats)
            kernel_rows.load(record.kernel_rows)
            m.d.sync += [
                *(register.eq(new_address) for register in (address, address_row, address_window)),
                *(register.eq(new_offset) for register in (offset, offset_window)),
                *(register.eq(new_y) for register in (y, y_window)),
            ]

        with m.If(step):
            m.d.sync += [first.eq(window_ends), weight.eq(Mux(window_ends, 0, weight + 1))]
            with m.If(~beats.last):
                next_beat()
            with m.Elif(~kernel_rows.last):
                next_kernel_row()
            with m.Elif(~columns.last):
                next_column()
            with m.Else():
                next_line()

        def begin_tile():
            begin_window(record.origin + tile_offset, record.x_start + tile_offset, record.y_start)
            columns.load(record.out_width)
            lines.load(record.out_height)
            m.d.sync += [
                address_line.eq(record.origin + tile_offset),
                offset_line.eq(record.x_start + tile_offset),
                first.eq(1),
                weight.eq(0),
                position.address.eq(out_tile),
                position.count.eq(Mux(tiles.last, record.outputs_last, record.outputs)),
            ]

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

            with m.State("Next tile"):
                begin_tile()
                with m.If(~dense | (tiles_filled != 0)):
                    m.next = "Run"
                with m.Else():
                    m.d.comb += self.waiting.eq(1)

            with m.State("Run"):
                m.d.comb += running.eq(1)
                with m.If(step & tile_ends):
                    tiles.step()
                    m.d.comb += self.freed.eq(dense)
                    m.d.sync += [
                        weight_tile.eq(weight_tile ^ dense),
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


class Countdown:
    """A loop counter whose end is known in a register."""

    def __init__(self, m, name, width):
        self.m = m
        self.left = Signal(width, name=f"{name}_left")
        self.last = Signal(name=f"{name}_last")

    def load(self, count):
        self.m.d.sync += [self.left.eq(count), self.last.eq(count == 1)]

    def step(self):
        self.m.d.sync += [self.left.eq(self.left - 1), self.last.eq(self.left == 2)]
