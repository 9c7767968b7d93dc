// An SDRAM at the pins of the accelerator, with the registers at the pads. Its clock is the inverse
// of the accelerator's; pads and board delay what it answers by half a cycle, as they do at 80 MHz.

`timescale 1ns / 1ps

module sdram_board(
    input clk,
    input ras_n,
    input cas_n,
    input we_n,
    input [1:0] ba,
    input [12:0] a,
    input [15:0] o,
    input oe,
    output reg [15:0] i
);
    reg [2:0] command = 7;
    reg [1:0] bank = 0;
    reg [12:0] address = 0;
    reg [15:0] data = 0, late = 0;
    reg drive = 0;
    wire [15:0] dq = drive ? data : 16'bz;

    always @(posedge clk) begin
        command <= {ras_n, cas_n, we_n};
        bank <= ba;
        address <= a;
        data <= o;
        drive <= oe;
        late <= dq;
        i <= late;
    end

    MT48LC16M16A2 chip(
        .clk(~clk), .cke(1'b1), .cs_n(1'b0), .ras_n(command[2]), .cas_n(command[1]),
        .we_n(command[0]), .ba(bank), .a(address), .dqm(2'b00), .dq(dq));
endmodule
