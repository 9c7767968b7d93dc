"""iCESugar by MuseLab: an iCE40UP5K, 12 MHz, three LEDs, a USB serial port."""

from amaranth_boards.icesugar import ICESugarPlatform

from .board import Board


__all__ = ["ICESUGAR"]


ICESUGAR = Board(
    name="icesugar",
    title="iCESugar",
    platforms={"UP5K": ICESugarPlatform},
    default_device="UP5K",
    loader=None,
)
