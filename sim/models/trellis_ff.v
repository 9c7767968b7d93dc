// Model of the ECP5's flip-flop as hw/primitives/trellis_ff.py uses it: without reset or enable.
module TRELLIS_FF #(
    parameter GSR = "ENABLED",
    parameter CEMUX = "1",
    parameter CLKMUX = "CLK",
    parameter LSRMUX = "LSR",
    parameter REGSET = "RESET"
) (
    input CLK, LSR, DI,
    output reg Q = 0
);
    // A missing module is always an error; $fatal here would be a warning that -Wno-fatal hides.
    if (GSR != "DISABLED" || CEMUX != "1" || CLKMUX != "CLK" || LSRMUX != "LSR" ||
        REGSET != "RESET")
        TRELLIS_FF_mode_without_model refused ();

    always @(posedge CLK) begin
        if (LSR)
            $fatal(1, "TRELLIS_FF: the model has no reset");
        Q <= DI;
    end
endmodule
