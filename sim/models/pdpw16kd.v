// Model of the ECP5's PDPW16KD as hw/primitives/pdpw16kd.py uses it: both ports on one clock, whole
// words of 36 bits, output register. It begins as zeros.
module PDPW16KD #(
    parameter DATA_WIDTH_W = 36,
    parameter DATA_WIDTH_R = 36,
    parameter REGMODE = "NOREG",
    parameter GSR = "ENABLED",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_W = "0b000",
    parameter CSDECODE_R = "0b000"
) (
    input CLKW, CLKR, CEW, CER, OCER, RST, CSW0, CSW1, CSW2, CSR0, CSR1, CSR2, BE0, BE1, BE2, BE3,
    input
        ADW0, ADW1, ADW2, ADW3, ADW4, ADW5, ADW6, ADW7, ADW8,
    input
        DI0, DI1, DI2, DI3, DI4, DI5, DI6, DI7, DI8, DI9, DI10, DI11, DI12, DI13, DI14, DI15,
        DI16, DI17, DI18, DI19, DI20, DI21, DI22, DI23, DI24, DI25, DI26, DI27, DI28, DI29,
        DI30, DI31, DI32, DI33, DI34, DI35,
    input
        ADR0, ADR1, ADR2, ADR3, ADR4, ADR5, ADR6, ADR7, ADR8, ADR9, ADR10, ADR11, ADR12, ADR13,
    output
        DO0, DO1, DO2, DO3, DO4, DO5, DO6, DO7, DO8, DO9, DO10, DO11, DO12, DO13, DO14, DO15,
        DO16, DO17, DO18, DO19, DO20, DO21, DO22, DO23, DO24, DO25, DO26, DO27, DO28, DO29,
        DO30, DO31, DO32, DO33, DO34, DO35
);
    // A missing module is always an error; $fatal here would be a warning that -Wno-fatal hides.
    if (DATA_WIDTH_W != 36 || DATA_WIDTH_R != 36 || REGMODE != "OUTREG" || GSR != "DISABLED" ||
        RESETMODE != "SYNC" || ASYNC_RESET_RELEASE != "SYNC" || CSDECODE_W != "0b000" ||
        CSDECODE_R != "0b000")
        PDPW16KD_mode_without_model refused ();

    wire [8:0] write_address = {
        ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0
    };
    wire [35:0] write_data = {
        DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24, DI23, DI22,
        DI21, DI20, DI19, DI18, DI17, DI16, DI15, DI14, DI13, DI12, DI11, DI10, DI9, DI8, DI7,
        DI6, DI5, DI4, DI3, DI2, DI1, DI0
    };
    wire [13:0] read_address = {
        ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2, ADR1, ADR0
    };
    reg [35:0] memory [0:511];
    reg [35:0] word = 0, data = 0;
    // The halves of a word leave exchanged.
    assign {
        DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24, DO23, DO22,
        DO21, DO20, DO19, DO18, DO17, DO16, DO15, DO14, DO13, DO12, DO11, DO10, DO9, DO8, DO7,
        DO6, DO5, DO4, DO3, DO2, DO1, DO0
    } = {data[17:0], data[35:18]};

    integer i;
    initial
        for (i = 0; i < 512; i = i + 1)
            memory[i] = 0;

    always @(posedge CLKW) begin
        if (RST || CLKR !== CLKW || !BE0 || !BE1 || !BE2 || !BE3 || CSW2 || CSW1 || CSW0 ||
            CSR2 || CSR1 || CSR0 || read_address[4:0] != 0)
            $fatal(1, "PDPW16KD: the model has one clock, whole words, no reset, no chip select");
        if (CEW && CER && write_address == read_address[13:5])
            $fatal(1, "PDPW16KD: a word is read while it is written");
        if (CEW)
            memory[write_address] <= write_data;
        if (CER)
            word <= memory[read_address[13:5]];
        if (OCER)
            data <= word;
    end
endmodule
