"""Walker: where a tile's windows, kernel rows and beats lie in the input."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.records import RECORD


__all__ = ["PLACE", "Countdown", "Walker"]


#: A beat's place: its byte address, its offset within its input row, whether that row is inside the
#: image, and whether it is the first or the last beat of its window.
PLACE = data.StructLayout({
    "address": 16, "offset": signed(17), "inside": 1, "first": 1, "last": 1,
})


class Walker(wiring.Component):
    """Walks output rows, output columns, kernel rows and beats, the last one innermost.

    Members
    -------
    record : In(RECORD)
        The layer.
    tile_offset : In(16)
        Bytes from the layer's origin to the tile's.
    begin : In(1)
        Goes to the tile's first beat; not together with ``step``.
    step : In(1)
        Goes to the next beat.
    place : Out(PLACE)
        The beat, from the cycle after ``begin`` or ``step``.
    tile_ends : Out(1)
        It is the tile's last beat.
    """

    record: In(RECORD)
    tile_offset: In(16)
    begin: In(1)
    step: In(1)
    place: Out(PLACE)
    tile_ends: Out(1)

    def elaborate(self, platform):
        m = Module()

        record = self.record
        lines = Countdown(m, "lines")
        columns = Countdown(m, "columns")
        kernel_rows = Countdown(m, "kernel_rows")
        beats = Countdown(m, "beats")

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

        window_ends = beats.last & kernel_rows.last
        m.d.comb += [
            self.place.address.eq(address),
            self.place.offset.eq(offset),
            self.place.inside.eq((y >= 0) & (y < record.in_height)),
            self.place.last.eq(window_ends),
            self.tile_ends.eq(window_ends & columns.last & lines.last),
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

        def begin_window(new_address, new_offset, new_y):
            beats.load(record.beats)
            kernel_rows.load(record.kernel_rows)
            m.d.sync += [
                *(register.eq(new_address) for register in (address, address_row, address_window)),
                *(register.eq(new_offset) for register in (offset, offset_window)),
                *(register.eq(new_y) for register in (y, y_window)),
            ]

        def next_column():
            begin_window(address_window + record.x_step, offset_window + record.x_step, y_window)
            columns.step()

        def begin_line(new_address, new_offset, new_y):
            begin_window(new_address, new_offset, new_y)
            columns.load(record.out_width)
            m.d.sync += address_line.eq(new_address)

        with m.If(self.begin):
            begin_line(record.origin + self.tile_offset, record.x_start + self.tile_offset,
                       record.y_start)
            lines.load(record.out_height)
            m.d.sync += offset_line.eq(record.x_start + self.tile_offset)
        with m.Elif(self.step):
            with m.If(~beats.last):
                next_beat()
            with m.Elif(~kernel_rows.last):
                next_kernel_row()
            with m.Elif(~columns.last):
                next_column()
            with m.Else():
                begin_line(address_line + record.y_step, offset_line, y_window + record.y_stride)
                lines.step()

        with m.If(self.begin | self.step):
            m.d.sync += self.place.first.eq(self.begin | window_ends)

        return m


class Countdown:
    """A loop counter that knows in a register when its last pass has come."""

    def __init__(self, m, name, bits=16):
        self.m = m
        self.left = Signal(bits, name=f"{name}_left")
        self.last = Signal(name=f"{name}_last")

    def load(self, count):
        self.m.d.sync += [self.left.eq(count), self.last.eq(count == 1)]

    def step(self):
        self.m.d.sync += [self.left.eq(self.left - 1), self.last.eq(self.left == 2)]
