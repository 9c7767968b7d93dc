// SDRAM MT48LC16M16A2-75: 4 banks of 8192 rows of 512 columns of 16 bits, 32 MB. What its data sheet
// forbids ends the simulation; so do power-down, autoprecharge and masked reads, which it lacks.
//
// +sdram_absent leaves the pins alone, +sdram_flip=HEX inverts bit 0 of the halfword at this address
// (bank, row, column) whenever it is read.

`timescale 1ns / 1ps

module MT48LC16M16A2(
    input clk,
    input cke,
    input cs_n,
    input ras_n,
    input cas_n,
    input we_n,
    input [1:0] ba,
    input [12:0] a,
    input [1:0] dqm,
    inout [15:0] dq
);
    // ns
    localparam real T_POWER_UP = 100_000, T_RCD = 20, T_RP = 20, T_RAS = 44, T_RAS_MAX = 120_000,
        T_RC = 66, T_RFC = 66, T_RRD = 15, T_WR = 15, T_CK2 = 10, T_CK3 = 7.5, T_REFI = 7812.5;
    // Refreshes may be late, but not more than so many.
    localparam LATE = 8;
    localparam real E = 0.0005;
    localparam [2:0] MODE_SET = 0, REFRESH = 1, PRECHARGE = 2, ACTIVATE = 3, WRITE = 4, READ = 5,
        STOP = 6, NOTHING = 7;

    reg [15:0] memory [0:(1<<24)-1];

    reg [3:0] open = 0;
    reg [12:0] row [0:3];
    realtime activated [0:3];
    realtime precharged [0:3];
    realtime last_write [0:3];
    realtime any_activated = -1000, refreshed = -1000, clocked = -1000, initialised = 0;
    integer refreshes = 0, since_mode = 100;
    reg [1:0] initial_refreshes = 0;
    reg all_precharged = 0, mode_known = 0;

    reg [2:0] latency = 2;
    reg [9:0] length = 1;
    reg reading = 0, writing = 0;
    reg [1:0] bank = 0;
    reg [8:0] column = 0;
    reg [9:0] left = 0;
    reg [15:0] queue [0:2];
    reg [2:0] queued = 0;
    reg drive = 0;
    reg [15:0] out = 0;

    reg absent = 0, flips = 0;
    reg [23:0] flipped = 0;
    initial begin
        absent = $test$plusargs("sdram_absent") != 0;
        flips = $value$plusargs("sdram_flip=%h", flipped) != 0;
    end

    assign dq = drive && !absent ? out : 16'bz;

    integer i;
    initial
        for (i = 0; i < 4; i = i + 1) begin
            activated[i] = -1000;
            precharged[i] = -1000;
            last_write[i] = -1000;
        end

    task check(input broken, input [8*48-1:0] rule);
        if (broken)
            $fatal(1, "MT48LC16M16A2: %0s", rule);
    endtask

    function early(input realtime since, input real interval);
        early = $realtime - since < interval - E;
    endfunction

    task close(input [1:0] which);
        if (open[which]) begin
            check(early(activated[which], T_RAS), "tRAS: precharge too early");
            check(early(last_write[which], T_WR), "tWR: precharge too early after a write");
            open[which] = 0;
            precharged[which] = $realtime;
            if (which == bank) begin
                reading = 0;
                check(writing, "a precharge in a burst of writes");
            end
        end
    endtask

    task begin_burst;
        begin
            check(!open[ba], "a column of a closed bank");
            check(early(activated[ba], T_RCD), "tRCD: read or write too early");
            check(a[10], "the model has no autoprecharge");
            check(early(clocked, latency == 2 ? T_CK2 : T_CK3), "tCK: clock too fast");
            bank = ba;
            column = a[8:0];
            left = length;
        end
    endtask

    always @(posedge clk) begin
        check(!cke && mode_known, "the model has no power-down");
        check(mode_known && ($realtime - initialised) > (refreshes + LATE) * T_REFI,
              "tREFI: refreshes are late");
        for (i = 0; i < 4; i = i + 1)
            check(open[i] && $realtime - activated[i] > T_RAS_MAX, "tRAS: a row is open too long");

        drive = queued[0];
        out = queue[0];
        queued = queued >> 1;
        queue[0] = queue[1];
        queue[1] = queue[2];

        if (!cs_n && {ras_n, cas_n, we_n} != NOTHING) begin
            check($realtime < T_POWER_UP, "a command in the first 100 us");
            check(since_mode < 1, "tMRD: a command too early after a mode");
            check(early(refreshed, T_RFC), "tRFC: a command too early after a refresh");
            check(!mode_known && {ras_n, cas_n, we_n} > PRECHARGE, "no mode has been set");
            case ({ras_n, cas_n, we_n})
                MODE_SET: begin
                    check(open != 0, "a mode while a bank is open");
                    check(!all_precharged || initial_refreshes < 2,
                          "a mode before precharge and 2 refreshes");
                    check(a[6:4] != 2 && a[6:4] != 3, "CAS latency must be 2 or 3");
                    check(a[3] || a[2:0] > 3 || a[9:7] != 0 || a[12:10] != 0 || ba != 0,
                          "the model lacks this mode");
                    check(early(precharged[0], T_RP), "tRP: a mode too early");
                    latency = a[6:4];
                    length = 1 << a[2:0];
                    since_mode = -1;
                    if (!mode_known)
                        initialised = $realtime;
                    mode_known = 1;
                end
                REFRESH: begin
                    check(open != 0, "a refresh while a bank is open");
                    for (i = 0; i < 4; i = i + 1)
                        check(early(precharged[i], T_RP), "tRP: refresh too early");
                    refreshed = $realtime;
                    if (mode_known)
                        refreshes = refreshes + 1;
                    else if (initial_refreshes < 2)
                        initial_refreshes = initial_refreshes + 1;
                end
                PRECHARGE:
                    for (i = 0; i < 4; i = i + 1)
                        if (a[10] || i == ba) begin
                            if (!mode_known)
                                precharged[i] = $realtime;
                            if (a[10])
                                all_precharged = 1;
                            close(i[1:0]);
                        end
                ACTIVATE: begin
                    check(open[ba], "a bank is open already");
                    check(early(precharged[ba], T_RP), "tRP: activate too early");
                    check(early(activated[ba], T_RC), "tRC: activate too early");
                    check(early(any_activated, T_RRD), "tRRD: activate too early");
                    open[ba] = 1;
                    row[ba] = a;
                    activated[ba] = $realtime;
                    any_activated = $realtime;
                end
                WRITE: begin
                    begin_burst;
                    check(queued != 0 || drive, "a write while data are read");
                    writing = 1;
                    reading = 0;
                end
                READ: begin
                    begin_burst;
                    check(dqm != 0, "the model has no masked reads");
                    reading = 1;
                    writing = 0;
                end
                default: begin
                    reading = 0;
                    writing = 0;
                end
            endcase
        end

        if (reading) begin
            queue[latency - 2] = memory[{bank, row[bank], column}]
                ^ {15'b0, flips && flipped == {bank, row[bank], column}};
            queued[latency - 2] = 1;
        end
        if (writing) begin
            if (!dqm[0])
                memory[{bank, row[bank], column}][7:0] = dq[7:0];
            if (!dqm[1])
                memory[{bank, row[bank], column}][15:8] = dq[15:8];
            last_write[bank] = $realtime;
        end
        if (reading || writing) begin
            // A burst stays within its block of columns.
            column = (column & ~(length[8:0] - 9'd1)) | ((column + 9'd1) & (length[8:0] - 9'd1));
            left = left - 1;
            if (left == 0) begin
                reading = 0;
                writing = 0;
            end
        end
        if (since_mode < 100)
            since_mode = since_mode + 1;
        clocked = $realtime;
    end
endmodule
