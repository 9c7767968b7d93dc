"""iCEBreaker by 1BitSquared: an iCE40UP5K, 12 MHz, two LEDs, a USB serial port."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from .board import Board


__all__ = ["ICEBREAKER"]


ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker",
    platforms={"UP5K": ICEBreakerPlatform},
    default_device="UP5K",
    loader="ice40_generic",
    flash_only=True,
)
