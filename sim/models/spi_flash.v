// SPI NOR flash of 16 MB, as the data sheets of W25Q128JV and IS25LP128 describe it: what both have
// in common. What a data sheet forbids, or a chip would silently ignore, ends the simulation.
//
// Contents at power-on: the file of +flash=FILE from address 0, 0xFF behind it. +flash_absent leaves
// the pins alone, +flash_jedec=HEX is another identification, +flash_qe=0 clears QE, +flash_asleep
// begins powered down, as an iCE40 leaves it.

`timescale 1ns / 1ps

module spi_flash #(
    parameter NAME = "",
    parameter [23:0] JEDEC = 0,
    // QE is a bit of status register 1 or 2, which has an instruction to write it alone.
    parameter QE_REGISTER = 1,
    parameter QE_BIT = 6,
    parameter QE_AT_POWER_ON = 0,
    // Mode bits of a quad I/O read that would make the next one do without instruction.
    parameter [7:0] CONTINUOUS_MASK = 0,
    parameter [7:0] CONTINUOUS = 0,
    // ns
    parameter real T_CLOCK = 0,
    parameter real T_CLOCK_READ = 0,
    parameter real T_DESELECT = 0,
    parameter real T_PROGRAM = 0,
    parameter real T_ERASE_4K = 0,
    parameter real T_ERASE_64K = 0,
    parameter real T_ERASE_CHIP = 0,
    parameter real T_WRITE_STATUS = 0,
    parameter real T_RESET = 0,
    // From power-down; a chip without the time doesn't know the instructions.
    parameter real T_WAKE = 0
) (
    input cs_n,
    input clk,
    inout [3:0] dq
);
    localparam BYTES = 1 << 24;

    localparam [3:0] INSTRUCTION = 0, ADDRESS = 1, MODE = 2, DUMMY = 3, OUT = 4, IN = 5, DONE = 6;

    reg [7:0] memory [0:BYTES-1];
    reg [7:0] page [0:255];
    reg [255:0] written;
    reg [7:0] status1 = 0, status2 = 0;
    reg write_enabled = 0, volatile_enabled = 0, reset_enabled = 0;
    reg absent = 0, asleep = 0;
    reg [23:0] jedec = JEDEC;

    reg clk_was = 0, cs_was = 1;
    reg [3:0] phase = INSTRUCTION;
    reg [7:0] instruction = 0, data = 0, received = 0;
    reg [23:0] address = 0;
    reg [31:0] bits = 0;
    reg [31:0] bytes = 0;
    reg [2:0] lanes = 1, lanes_in = 1;
    reg [3:0] bits_left = 0;
    reg [3:0] drive = 0, out = 0;
    realtime busy_until = 0, deselected = -1000, clocked = -1000;
    reg first_clock = 1;

    wire qe = QE_REGISTER == 1 ? status1[QE_BIT] : status2[QE_BIT];

    assign dq[0] = drive[0] ? out[0] : 1'bz;
    assign dq[1] = drive[1] ? out[1] : 1'bz;
    assign dq[2] = drive[2] ? out[2] : 1'bz;
    assign dq[3] = drive[3] ? out[3] : 1'bz;

    integer i, file, got;
    reg [8*512-1:0] name;
    initial begin
        for (i = 0; i < BYTES; i = i + 1)
            memory[i] = 8'hff;
        for (i = 0; i < 256; i = i + 1)
            page[i] = 8'hff;
        if ($value$plusargs("flash=%s", name)) begin
            file = $fopen(name, "rb");
            if (file == 0)
                $fatal(1, "%s: no file %0s", NAME, name);
            got = $fread(memory, file);
            $fclose(file);
        end
        absent = $test$plusargs("flash_absent") != 0;
        asleep = $test$plusargs("flash_asleep") != 0;
        if (!$value$plusargs("flash_jedec=%h", jedec))
            jedec = JEDEC;
        if (!$value$plusargs("flash_qe=%d", i))
            i = QE_AT_POWER_ON;
        if (QE_REGISTER == 1)
            status1[QE_BIT] = i[0];
        else
            status2[QE_BIT] = i[0];
    end

    function [7:0] status;
        input integer register;
        status = register == 2 ? status2
            : {status1[7:2], write_enabled, $realtime < busy_until};
    endfunction

    task begin_busy(input real duration);
        begin
            busy_until = $realtime + duration;
            write_enabled = 0;
            volatile_enabled = 0;
        end
    endtask

    task need_write_enable;
        if (!write_enabled)
            $fatal(1, "%s: instruction %h without write enable", NAME, instruction);
    endtask

    // Lanes of what comes in; what follows an instruction.
    task decode;
        begin
            if (asleep && instruction != 8'hab)
                $fatal(1, "%s: instruction %h while powered down", NAME, instruction);
            if ($realtime < busy_until && instruction != 8'h05 && instruction != 8'h35)
                $fatal(1, "%s: instruction %h while busy", NAME, instruction);
            if (reset_enabled && instruction != 8'h99)
                reset_enabled = 0;
            lanes_in = 1;
            lanes = 1;
            bits = 0;
            case (instruction)
                8'h9f, 8'h05: phase = OUT;
                8'h35: begin
                    if (QE_REGISTER != 2)
                        $fatal(1, "%s: unknown instruction %h", NAME, instruction);
                    phase = OUT;
                end
                8'h03, 8'h0b, 8'h02, 8'h20, 8'hd8: phase = ADDRESS;
                8'h6b, 8'heb: begin
                    if (!qe)
                        $fatal(1, "%s: quad read %h with QE = 0", NAME, instruction);
                    phase = ADDRESS;
                    lanes = 4;
                    lanes_in = instruction == 8'heb ? 4 : 1;
                end
                8'h01: phase = IN;
                8'h31: begin
                    if (QE_REGISTER != 2)
                        $fatal(1, "%s: unknown instruction %h", NAME, instruction);
                    phase = IN;
                end
                8'h06, 8'h04, 8'hc7, 8'h60, 8'h66: phase = DONE;
                8'h50: begin
                    if (QE_REGISTER != 2)
                        $fatal(1, "%s: unknown instruction %h", NAME, instruction);
                    phase = DONE;
                end
                8'h99: begin
                    if (!reset_enabled)
                        $fatal(1, "%s: reset without reset enable", NAME);
                    phase = DONE;
                end
                8'hab, 8'hb9: begin
                    if (T_WAKE == 0)
                        $fatal(1, "%s: unknown instruction %h", NAME, instruction);
                    phase = DONE;
                end
                default: $fatal(1, "%s: unknown instruction %h", NAME, instruction);
            endcase
            bytes = 0;
            written = 0;
        end
    endtask

    task rise;
        begin
            if (!qe && !dq[3])
                $fatal(1, "%s: HOLD# is low", NAME);
            if (!first_clock) begin
                if ($realtime - clocked < T_CLOCK - 0.0005)
                    $fatal(1, "%s: clock period of %0.3f ns", NAME, $realtime - clocked);
                if (instruction == 8'h03 && phase != INSTRUCTION
                    && $realtime - clocked < T_CLOCK_READ - 0.0005)
                    $fatal(1, "%s: clock period of %0.3f ns in a plain read", NAME,
                           $realtime - clocked);
            end
            first_clock = 0;
            clocked = $realtime;
            if (phase == OUT && (dq & drive) != (out & drive))
                $fatal(1, "%s: somebody else drives the pins", NAME);
            case (phase)
                INSTRUCTION: begin
                    instruction = {instruction[6:0], dq[0]};
                    bits = bits + 1;
                    if (bits == 8)
                        decode;
                end
                ADDRESS: begin
                    address = lanes_in == 4 ? {address[19:0], dq} : {address[22:0], dq[0]};
                    bits = bits + lanes_in;
                    if (bits == 24) begin
                        bits = 0;
                        case (instruction)
                            8'h03: phase = OUT;
                            8'h0b, 8'h6b: phase = DUMMY;
                            8'heb: phase = MODE;
                            8'h02: phase = IN;
                            default: phase = DONE;
                        endcase
                    end
                end
                MODE: begin
                    data = {data[3:0], dq};
                    bits = bits + 4;
                    if (bits == 8) begin
                        if ((data & CONTINUOUS_MASK) == CONTINUOUS)
                            $fatal(1, "%s: the model has no continuous read (mode %h)", NAME, data);
                        bits = 4;
                        phase = DUMMY;
                    end
                end
                DUMMY: begin
                    bits = bits + 1;
                    if (bits == 8)
                        phase = OUT;
                end
                IN: begin
                    data = {data[6:0], dq[0]};
                    bits = bits + 1;
                    if (bits % 8 == 0) begin
                        page[instruction == 8'h02 ? address[7:0] : bytes[7:0]] = data;
                        if (instruction == 8'h02) begin
                            written[address[7:0]] = 1;
                            address[7:0] = address[7:0] + 1;
                        end
                        bytes = bytes + 1;
                    end
                end
                DONE: bits = bits + 1;
                default: ;
            endcase
        end
    endtask

    task fall;
        if (phase == OUT) begin
            if (bits_left == 0) begin
                bits_left = 8;
                case (instruction)
                    8'h9f: received = bytes < 3 ? jedec[8 * (2 - bytes) +: 8] : 8'h00;
                    8'h05: received = status(1);
                    8'h35: received = status(2);
                    default: received = memory[address];
                endcase
                bytes = bytes + 1;
                if (instruction != 8'h9f && instruction != 8'h05 && instruction != 8'h35)
                    address = address + 1;
            end
            drive = lanes == 4 ? 4'hf : 4'h2;
            out = lanes == 4 ? received[7:4] : {2'b0, received[7], 1'b0};
            received = received << lanes;
            bits_left = bits_left - lanes;
        end
    endtask

    // What an instruction does, it does when the chip is deselected.
    task execute;
        begin
            case (instruction)
                8'h06: write_enabled = 1;
                8'h04: write_enabled = 0;
                8'h50: volatile_enabled = 1;
                8'h66: reset_enabled = 1;
                8'h99: begin
                    begin_busy(T_RESET);
                    reset_enabled = 0;
                end
                8'hb9: asleep = 1;
                8'hab: begin
                    asleep = 0;
                    begin_busy(T_WAKE);
                end
                8'h01, 8'h31: begin
                    if (!volatile_enabled)
                        need_write_enable;
                    if (bytes != 1 && !(QE_REGISTER == 2 && instruction == 8'h01 && bytes == 2))
                        $fatal(1, "%s: %0d bytes for a status register", NAME, bytes);
                    if (instruction == 8'h31)
                        status2 = page[0];
                    else begin
                        status1 = page[0] & 8'hfc;
                        if (bytes == 2)
                            status2 = page[1];
                    end
                    begin_busy(volatile_enabled ? 0 : T_WRITE_STATUS);
                end
                8'h02: begin
                    need_write_enable;
                    for (i = 0; i < 256; i = i + 1)
                        if (written[i])
                            memory[{address[23:8], i[7:0]}]
                                = memory[{address[23:8], i[7:0]}] & page[i];
                    begin_busy(T_PROGRAM);
                end
                8'h20: begin
                    need_write_enable;
                    for (i = 0; i < 4096; i = i + 1)
                        memory[{address[23:12], i[11:0]}] = 8'hff;
                    begin_busy(T_ERASE_4K);
                end
                8'hd8: begin
                    need_write_enable;
                    for (i = 0; i < 65536; i = i + 1)
                        memory[{address[23:16], i[15:0]}] = 8'hff;
                    begin_busy(T_ERASE_64K);
                end
                8'hc7, 8'h60: begin
                    need_write_enable;
                    for (i = 0; i < BYTES; i = i + 1)
                        memory[i] = 8'hff;
                    begin_busy(T_ERASE_CHIP);
                end
                default: ;
            endcase
        end
    endtask

    always @(posedge clk or negedge clk or posedge cs_n or negedge cs_n) begin
        if (absent) begin
            drive = 0;
        end else if (cs_n && !cs_was) begin
            if ((phase == IN && (bits % 8 != 0 || bytes == 0)) || (phase == DONE && bits != 0))
                $fatal(1, "%s: deselected in the middle of instruction %h", NAME, instruction);
            if (phase == IN || phase == DONE)
                execute;
            drive = 0;
            deselected = $realtime;
        end else if (!cs_n && cs_was) begin
            if ($realtime - deselected < T_DESELECT - 0.0005)
                $fatal(1, "%s: deselected for %0.3f ns", NAME, $realtime - deselected);
            if (clk)
                $fatal(1, "%s: selected while the clock is high", NAME);
            phase = INSTRUCTION;
            bits = 0;
            bits_left = 0;
            first_clock = 1;
        end else if (!cs_n && clk != clk_was) begin
            if (clk)
                rise;
            else
                fall;
        end
        clk_was = clk;
        cs_was = cs_n;
    end
endmodule
