// Model of the ECP5's DP16KD as hw/primitives/dp16kd.py uses it: both ports on one clock, whole
// words of 18 bits, output registers, port B reads only. It begins as zeros.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter GSR = "ENABLED",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000"
) (
    input CLKA, CLKB, CEA, CEB, OCEA, OCEB, WEA, WEB, RSTA, RSTB,
    input CSA0, CSA1, CSA2, CSB0, CSB1, CSB2,
    input
        ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
    input
        ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
    input
        DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13,
        DIA14, DIA15, DIA16, DIA17,
    input
        DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13,
        DIB14, DIB15, DIB16, DIB17,
    output
        DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13,
        DOA14, DOA15, DOA16, DOA17,
    output
        DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13,
        DOB14, DOB15, DOB16, DOB17
);
    // A missing module is always an error; $fatal here would be a warning that -Wno-fatal hides.
    if (DATA_WIDTH_A != 18 || DATA_WIDTH_B != 18 || REGMODE_A != "OUTREG" ||
        REGMODE_B != "OUTREG" || WRITEMODE_A != "NORMAL" || WRITEMODE_B != "NORMAL" ||
        GSR != "DISABLED" || RESETMODE != "SYNC" || ASYNC_RESET_RELEASE != "SYNC" ||
        CSDECODE_A != "0b000" || CSDECODE_B != "0b000")
        DP16KD_mode_without_model refused ();

    wire [13:0] address_a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    wire [13:0] address_b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    wire [17:0] write_data = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0
    };
    reg [17:0] memory [0:1023];
    reg [17:0] word_a = 0, word_b = 0, data_a = 0, data_b = 0;
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0
    } = data_a;
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0
    } = data_b;

    integer i;
    initial
        for (i = 0; i < 1024; i = i + 1)
            memory[i] = 0;

    always @(posedge CLKA) begin
        if (RSTA || RSTB || CLKB !== CLKA || OCEA != CEA || OCEB != CEB || WEB || CSA2 || CSA1 ||
            CSA0 || CSB2 || CSB1 || CSB0 || address_a[3:0] != 3 || address_b[3:0] != 0)
            $fatal(1, "DP16KD: the model has one clock, whole words, no reset, no chip select");
        if (CEA && WEA && CEB && address_a[13:4] == address_b[13:4])
            $fatal(1, "DP16KD: a word is read while it is written");
        if (CEA) begin
            if (WEA)
                memory[address_a[13:4]] <= write_data;
            else
                word_a <= memory[address_a[13:4]];
            data_a <= word_a;
        end
        if (CEB) begin
            word_b <= memory[address_b[13:4]];
            data_b <= word_b;
        end
    end
endmodule
