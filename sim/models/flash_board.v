// A flash at the pins of the accelerator: an IS25LP128, or with +flash_winbond a W25Q128JV.

`timescale 1ns / 1ps

module flash_board(
    input clk,
    input cs_n,
    input [3:0] o,
    input [3:0] oe,
    output [3:0] i
);
    wire [3:0] dq;
    assign dq[0] = oe[0] ? o[0] : 1'bz;
    assign dq[1] = oe[1] ? o[1] : 1'bz;
    assign dq[2] = oe[2] ? o[2] : 1'bz;
    assign dq[3] = oe[3] ? o[3] : 1'bz;
    assign i = dq;

    reg winbond;
    initial
        winbond = $test$plusargs("flash_winbond") != 0;

    IS25LP128 issi(.cs_n(cs_n | winbond), .clk(clk), .dq(dq));
    W25Q128JV other(.cs_n(cs_n | ~winbond), .clk(clk), .dq(dq));
endmodule
