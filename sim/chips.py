"""Chips around a simulated accelerator: its Verilog with models of them at its pins."""

from pathlib import Path

from sw.format.target import FLASH_OFFSET, Memory, Target


__all__ = ["flash_options", "with_chips"]


#: The accelerator with a flash, with the ports of one without.
FLASH_BOARD = """
module {top}_board(input clk, input rst, input rx, output tx, output [7:0] leds);
    wire flash_clk, flash_cs_n;
    wire [3:0] flash_o, flash_oe, flash_i;
    {top} accelerator(
        .clk(clk), .rst(rst), .rx(rx), .tx(tx), .leds(leds), .flash__clk(flash_clk),
        .flash__cs_n(flash_cs_n), .flash__o(flash_o), .flash__oe(flash_oe), .flash__i(flash_i));
    flash_board flash(
        .clk(flash_clk), .cs_n(flash_cs_n), .o(flash_o), .oe(flash_oe), .i(flash_i));
endmodule
"""


def with_chips(verilog: str, *, top: str, target: Target) -> tuple[str, str]:
    """Return the Verilog of accelerator ``top`` with what is at its pins, and its top module."""
    if target.memory is Memory.FLASH:
        return verilog + FLASH_BOARD.format(top=top), f"{top}_board"
    return verilog, top


def flash_options(image: bytes, file: Path) -> list[str]:
    """Write what a flash with ``image`` holds into ``file``; return the simulation's options."""
    file.write_bytes(b"\xff" * FLASH_OFFSET + image)
    return [f"+flash={file.resolve()}", "+flash_qe=1"]
