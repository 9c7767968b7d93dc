"""Schedule records: what the gateware's sequencer is told about each layer."""

import struct
from dataclasses import astuple, dataclass, fields
from enum import IntEnum


__all__ = ["HALFWORDS", "POOL_WEIGHT", "RECORD_WORDS", "Dataflow", "ScheduleRecord"]


#: What average pooling multiplies its inputs by: room for the requantiser's rounding.
POOL_WEIGHT = 64


class Dataflow(IntEnum):
    """How the MAC array is used."""

    #: Each row multiplies all columns by its filter.
    DENSE = 0
    #: Row r multiplies column r alone, by POOL_WEIGHT; for average pooling.
    DIAGONAL = 1
    #: The array rests; each column keeps twice its greatest input; for max-pooling.
    MAXIMUM = 2
    #: Row r multiplies column r alone, by its own weight; for depthwise convolution.
    DEPTHWISE = 3
    #: Row r takes column r of two beats, which are rescaled and added.
    ADD = 4

    @property
    def has_weights(self) -> bool:
        return self in (Dataflow.DENSE, Dataflow.DEPTHWISE)


@dataclass(frozen=True)
class ScheduleRecord:
    """One layer as the sequencer walks it. All fields are 16 bits wide; addresses are bytes.

    For each tile, output row, output column, kernel row and beat (innermost), ``columns`` bytes are
    read from ``origin + output row * y_step + output column * x_step + kernel row * row_bytes
    + beat * beat_step + tile * tile_step``. A byte outside the image (judged by its row and by its
    offset within the row) reads as ``fill``.

    Parameters
    ----------
    dataflow : Dataflow
        What the array does; bits 2:0 of the first field.
    shared : int
        1 where one channel record serves all outputs (pooling, addition); bit 3 of the first field.
    codebook : int
        Codebook of the layer's weights; bits 7:4 of the first field.
    fill : int
        Value of bytes outside the image, int8; bits 15:8 of the first field.
    activation_min, activation_max : int
        Range of the outputs, int8 each.
    output_zero_point : int
        Added after requantisation, int8. 0 in average pooling.
    once : int
        1 where the product of sum and multiplier is rounded once; bit 8 of the third field.
    tiles : int
        Groups of output channels; ``outputs`` in each but the last.
    outputs, outputs_last : int
        Output channels of a tile, and of the last one.
    out_height, out_width : int
        Output positions.
    kernel_rows : int
        Kernel rows of a window.
    beats : int
        Reads of a kernel row: of ``columns`` weights (dense), or of a window's pixel.
    beat_step, tile_step : int
        Bytes from one to the next.
    origin : int
        Address of the first byte of the first window, modulo 2**16: padding lies before the input.
    row_bytes, in_height : int
        Bytes of an input row, and rows.
    x_start, x_step : int
        Offset within the row of the first window's first byte (negative in padding); bytes from one
        output column to the next.
    y_start, y_step, y_stride : int
        Row of the first window (negative in padding); bytes, and rows, from one output row to the
        next.
    out_base, out_stride : int
        Address of the first output byte; bytes of an output position.
    channel_base : int
        First channel record of the layer.
    kernel_row : int
        Weights of a kernel row; of a filter in depthwise convolution; 0 where there are none.
    """

    dataflow: Dataflow
    shared: int
    codebook: int
    fill: int
    activation_min: int
    activation_max: int
    output_zero_point: int
    once: int
    tiles: int
    outputs: int
    outputs_last: int
    out_height: int
    out_width: int
    kernel_rows: int
    beats: int
    beat_step: int
    tile_step: int
    origin: int
    row_bytes: int
    in_height: int
    x_start: int
    x_step: int
    y_start: int
    y_step: int
    y_stride: int
    out_base: int
    out_stride: int
    channel_base: int
    kernel_row: int

    def __post_init__(self) -> None:
        for name in ("fill", "activation_min", "activation_max", "output_zero_point"):
            if not -128 <= getattr(self, name) <= 127:
                raise ValueError(f"{name} must be -128 to 127, not {getattr(self, name)}")
        for name in ("x_start", "y_start"):
            if not -0x8000 <= getattr(self, name) <= 0x7fff:
                raise ValueError(f"{name} must be -32768 to 32767, not {getattr(self, name)}")
        if not 0 <= self.codebook <= 15:
            raise ValueError(f"codebook must be 0 to 15, not {self.codebook}")
        for name in ("tiles", "outputs", "outputs_last", "out_height", "out_width", "kernel_rows",
                     "beats", "in_height", "row_bytes"):
            if not 1 <= getattr(self, name) <= 0xffff:
                raise ValueError(f"{name} must be 1 to 65535, not {getattr(self, name)}")
        for name in ("beat_step", "tile_step", "origin", "x_step", "y_step", "y_stride", "out_base",
                     "out_stride", "channel_base", "kernel_row"):
            if not 0 <= getattr(self, name) <= 0xffff:
                raise ValueError(f"{name} must be 0 to 65535, not {getattr(self, name)}")

    def pack(self) -> bytes:
        """Return the record as the image holds it: 24 fields of 16 bits."""
        values = [value & 0xffff for value in astuple(self)]
        head = (self.dataflow | self.shared << 3 | self.codebook << 4 | (self.fill & 0xff) << 8,
                self.activation_min & 0xff | (self.activation_max & 0xff) << 8,
                self.output_zero_point & 0xff | self.once << 8)
        return struct.pack(f"<{len(HALFWORDS)}H", *head, *values[HEAD_FIELDS:])

    @classmethod
    def unpack(cls, data: bytes) -> "ScheduleRecord":
        """Return the record that ``data`` holds.

        Raises
        ------
        ValueError
            If a field is out of range.
        """
        flags, activation, zero_point, *values = struct.unpack(f"<{len(HALFWORDS)}H", data)
        head = {
            "dataflow": Dataflow(flags & 7), "shared": flags >> 3 & 1, "codebook": flags >> 4 & 15,
            "fill": signed(flags >> 8, 8),
            "activation_min": signed(activation & 0xff, 8),
            "activation_max": signed(activation >> 8, 8),
            "output_zero_point": signed(zero_point & 0xff, 8), "once": zero_point >> 8 & 1,
        }
        tail = dict(zip(HALFWORDS[3:], values, strict=True))
        for name in ("x_start", "y_start"):
            tail[name] = signed(tail[name], 16)
        return cls(**head, **tail)


def signed(value: int, bits: int) -> int:
    return value - (value >> (bits - 1) << bits)


#: Fields of ScheduleRecord that share the first three halfwords.
HEAD_FIELDS = 8

#: What each halfword of a record holds, in order.
HALFWORDS = ("flags", "activation", "output_zero_point",
             *(field.name for field in fields(ScheduleRecord)[HEAD_FIELDS:]))

#: Words of 32 bits that a record takes.
RECORD_WORDS = len(HALFWORDS) // 2
