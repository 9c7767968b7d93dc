"""ULX3S by Radiona: an ECP5, 25 MHz, eight LEDs, a USB serial port."""

from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal
from amaranth_boards.ulx3s import (ULX3S_12F_Platform, ULX3S_25F_Platform, ULX3S_45F_Platform,
                                   ULX3S_85F_Platform)

from .board import Board


__all__ = ["ULX3S"]


ULX3S = Board(
    name="ulx3s",
    title="ULX3S",
    platforms={
        "12F": ULX3S_12F_Platform,
        "25F": ULX3S_25F_Platform,
        "45F": ULX3S_45F_Platform,
        "85F": ULX3S_85F_Platform,
    },
    default_device="85F",
    loader="ulx3s",
    # All four data pins both ways. The flash's clock is pin CCLK, which only USRMCLK reaches.
    resources=(
        Resource("flash", 0,
            Subsignal("cs", PinsN("R2", dir="o")),
            Subsignal("dq", Pins("W2 V2 Y2 W1", dir="io")),
            Attrs(PULLMODE="UP", DRIVE="4", SLEWRATE="FAST", IO_TYPE="LVCMOS33")),
    ),
)
