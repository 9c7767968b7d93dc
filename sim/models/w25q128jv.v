// Flash W25Q128JV of Winbond, at 3.0 to 3.6 V; typical times of programming and erasing.

`timescale 1ns / 1ps

module W25Q128JV(
    input cs_n,
    input clk,
    inout [3:0] dq
);
    spi_flash #(
        .NAME("W25Q128JV"), .JEDEC(24'hef4018), .QE_REGISTER(2), .QE_BIT(1), .QE_AT_POWER_ON(1),
        .CONTINUOUS_MASK(8'h30), .CONTINUOUS(8'h20),
        .T_CLOCK(7.518), .T_CLOCK_READ(20), .T_DESELECT(50), .T_PROGRAM(400_000),
        .T_ERASE_4K(45_000_000), .T_ERASE_64K(150_000_000), .T_ERASE_CHIP(40_000_000_000.0),
        .T_WRITE_STATUS(10_000_000), .T_RESET(30_000), .T_WAKE(3_000)
    ) flash(.cs_n(cs_n), .clk(clk), .dq(dq));
endmodule
