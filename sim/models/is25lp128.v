// Flash IS25LP128 of ISSI, which the ULX3S has; typical times of programming and erasing.

`timescale 1ns / 1ps

module IS25LP128(
    input cs_n,
    input clk,
    inout [3:0] dq
);
    spi_flash #(
        .NAME("IS25LP128"), .JEDEC(24'h9d6018), .QE_REGISTER(1), .QE_BIT(6), .QE_AT_POWER_ON(0),
        .CONTINUOUS_MASK(8'hf0), .CONTINUOUS(8'ha0),
        .T_CLOCK(7.518), .T_CLOCK_READ(20), .T_DESELECT(7), .T_PROGRAM(200_000),
        .T_ERASE_4K(70_000_000), .T_ERASE_64K(140_000_000), .T_ERASE_CHIP(45_000_000_000.0),
        .T_WRITE_STATUS(2_000_000), .T_RESET(35_000)
    ) flash(.cs_n(cs_n), .clk(clk), .dq(dq));
endmodule
