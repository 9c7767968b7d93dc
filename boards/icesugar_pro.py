"""iCESugar-Pro by MuseLab: an ECP5, 25 MHz, one LED of three colours, a USB serial port."""

from amaranth.build import Attrs
from amaranth_boards.icesugar_pro import ICESugarProPlatform
from amaranth_boards.resources import LEDResources

from .board import Board


__all__ = ["ICESUGAR_PRO"]


class Platform(ICESugarProPlatform):  # type: ignore[misc]
    """The board with the colours of its LED as LEDs of their own: red, green, blue."""

    resources = (
        *(resource for resource in ICESugarProPlatform.resources if resource.name != "rgb_led"),
        *LEDResources(pins="A11 A12 B11", invert=True, attrs=Attrs(IO_TYPE="LVCMOS33")),
    )


ICESUGAR_PRO = Board(
    name="icesugar_pro",
    title="iCESugar-Pro",
    platforms={"25F": Platform},
    default_device="25F",
    loader=None,
)
