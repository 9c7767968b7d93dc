"""Chips around a simulated accelerator: its Verilog with models of them at its pins."""

from pathlib import Path

from sw.format.target import FLASH_OFFSET, Memory, Target


__all__ = ["flash_options", "with_chips"]


#: What is around an accelerator with a chip: wires, its ports, the chip.
FLASH = ("""
    wire flash_clk, flash_cs_n;
    wire [3:0] flash_o, flash_oe, flash_i;
""", """,
        .flash__clk(flash_clk), .flash__cs_n(flash_cs_n), .flash__o(flash_o),
        .flash__oe(flash_oe), .flash__i(flash_i)""", """
    flash_board flash(
        .clk(flash_clk), .cs_n(flash_cs_n), .o(flash_o), .oe(flash_oe), .i(flash_i));
""")
SDRAM = ("""
    wire sdram_ras_n, sdram_cas_n, sdram_we_n, sdram_oe;
    wire [1:0] sdram_ba;
    wire [12:0] sdram_a;
    wire [15:0] sdram_o, sdram_i;
""", """,
        .sdram__ras_n(sdram_ras_n), .sdram__cas_n(sdram_cas_n), .sdram__we_n(sdram_we_n),
        .sdram__ba(sdram_ba), .sdram__a(sdram_a), .sdram__o(sdram_o), .sdram__oe(sdram_oe),
        .sdram__i(sdram_i)""", """
    sdram_board sdram(
        .clk(clk), .ras_n(sdram_ras_n), .cas_n(sdram_cas_n), .we_n(sdram_we_n), .ba(sdram_ba),
        .a(sdram_a), .o(sdram_o), .oe(sdram_oe), .i(sdram_i));
""")

CHIPS = {Memory.FLASH: [FLASH], Memory.SDRAM: [FLASH, SDRAM]}


def with_chips(verilog: str, *, top: str, target: Target) -> tuple[str, str]:
    """Return the Verilog of accelerator ``top`` with what is at its pins, and its top module."""
    if target.memory not in CHIPS:
        return verilog, top
    wires, ports, chips = map("".join, zip(*CHIPS[target.memory], strict=True))
    return f"""{verilog}
module {top}_board(input clk, input rst, input rx, output tx, output [7:0] leds);
{wires}
    {top} accelerator(
        .clk(clk), .rst(rst), .rx(rx), .tx(tx), .leds(leds){ports});
{chips}
endmodule
""", f"{top}_board"


def flash_options(image: bytes, file: Path) -> list[str]:
    """Write what a flash with ``image`` holds into ``file``; return the simulation's options."""
    file.write_bytes(b"\xff" * FLASH_OFFSET + image)
    return [f"+flash={file.resolve()}", "+flash_qe=1"]
