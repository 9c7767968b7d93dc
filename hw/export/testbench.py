"""Testbench in Verilog that feeds a decoder core and checks what comes out."""

from dataclasses import dataclass
from string import Template

from amaranth.hdl import Const, Value


__all__ = ["Testbench", "write_testbench"]


#: Cycles without any symbol after which a core hangs.
PATIENCE = 100_000

#: Cycles without any symbol after which none is under way.
SETTLED = 200


@dataclass(frozen=True)
class Testbench:
    """A testbench: its Verilog, and the files that it reads, by their names.

    Parameters
    ----------
    verilog : str
        Module ``NAME_tb``.
    files : dict of str to str
        Words in hexadecimal, one a line.
    """

    verilog: str
    files: dict[str, str]


TEXT = Template("""\
// Self-checking testbench of ${name}: ${about}
// Run it where its files ${name}_tb_*.hex are. It prints PASS, or FAIL and ends with an error.
`timescale 1ns / 1ps

module ${name}_tb;
    reg clk = 0;
    reg rst = 1;
    reg tables = 0;
    reg streams = 0;
    integer cycle = 0;
    integer quiet = 0;
    integer checked = 0;
    integer place;

${declarations}
    ${name} dut (
${connections}
    );

    always #5 clk = ~clk;

${sources}
    reg [${symbol_msb}:0] expected [0:${last}];
    initial $$readmemh("${name}_tb_expected.hex", expected);

    // Stalls of the output, and what it must keep meanwhile.
    reg [15:0] random = 16'h5eed;
    reg stalled = 0;
    reg [${o_msb}:0] kept;
    wire [31:0] count = ${count};
    always @(posedge clk) begin
        random <= {random[14:0], random[15] ^ random[13] ^ random[12] ^ random[10]};
        o__ready <= random[2:0] != 0;
        stalled <= o__valid && !o__ready;
        kept <= o__payload;
        if (stalled && (!o__valid || o__payload !== kept))
            $$fatal(1, "FAIL: cycle %0d: a stalled transfer changed", cycle);
        quiet <= quiet + 1;
        if (o__valid && o__ready) begin
            quiet <= 0;
            for (place = 0; place < count; place = place + 1)
                if (checked + place < ${symbols}
                        && o__payload[place * ${symbol_bits} +: ${symbol_bits}]
                            !== expected[checked + place])
                    $$fatal(1, "FAIL: symbol %0d must be %h, not %h", checked + place,
                           expected[checked + place],
                           o__payload[place * ${symbol_bits} +: ${symbol_bits}]);
            checked <= checked + count;
        end
        if (quiet == ${patience})
            $$fatal(1, "FAIL: nothing for ${patience} cycles, after %0d symbols", checked);
    end

    always @(posedge clk) begin
        cycle <= cycle + 1;
        rst <= cycle < 4;
        tables <= cycle > 6;
        streams <= tables${written};
${refused}        if (checked >= ${symbols}${done}) begin
${error}            $$display("PASS: ${symbols} symbols in %0d cycles", cycle);
            $$finish;
        end
    end
endmodule

// Offers the words of a file, with a pause now and then${more}.
module ${name}_tb_source #(
    parameter WIDTH = 1,
    parameter LENGTH = 1,
    parameter TAIL = 0,
    parameter SEED = 16'h1,
    parameter FILE = ""
) (
    input clk,
    input enable,
    output reg valid,
    input ready,
    output reg [WIDTH-1:0] payload,
    output done
);
    reg [WIDTH-1:0] words [0:LENGTH-1];
    reg [15:0] random = SEED;
    integer at = 0;
    assign done = at >= LENGTH && !valid;
    initial begin
        $$readmemh(FILE, words);
        valid = 0;
        payload = 0;
    end
    always @(posedge clk) begin
        random <= {random[14:0], random[15] ^ random[13] ^ random[12] ^ random[10]};
        if (!valid || ready) begin
            valid <= enable && random[2:0] != 0 && (at < LENGTH || TAIL);
            if (enable && random[2:0] != 0) begin
                payload <= at < LENGTH ? words[at] : {WIDTH{1'b0}};
                at <= at + 1;
            end
        end
    end
endmodule
""")


def write_testbench(core, sample, *, component, name, about):
    """Return the testbench of module ``name``, generated from ``component``.

    It writes the tables, lets the core run, feeds it with pauses, stalls its output, and compares
    every symbol with those of the ``sample``; where the core says at the end whether all was
    sound, it must say so.
    """
    ports = ports_of(component)
    parts = {
        "declarations": [], "connections": [".clk(clk)", ".rst(rst)"], "sources": [],
    }
    files = {"expected": hexadecimal(sample.symbols.tolist(), core.symbol_bits)}
    for port, width in ports.items():
        parts["connections"].append(f".{port}({port})")
        kind = "wire"
        if port in sample.constants:
            initial = "streams" if port == "run" else f"{width}'d{sample.constants[port]}"
        elif port == "o__ready":
            kind, initial = "reg", "0"
        else:
            initial = None
        parts["declarations"].append(
            f"    {kind} {f'[{width - 1}:0] ' if width > 1 else ''}{port}"
            f"{f' = {initial}' if initial else ''};")
    streams = [("i", "streams", sample.words, 1)]
    streams += [(port, "streams", words, 0) for port, words in sample.streams.items()]
    streams += [(port, "tables", words, 0) for port, words in sample.tables.items()]
    for number, (port, enable, words, tail) in enumerate(streams):
        width = ports[f"{port}__payload"]
        files[port] = hexadecimal(words, width)
        # A stream that never waits has no port to say so.
        ready = f"{port}__ready" if f"{port}__ready" in ports else "1'b1"
        parts["declarations"].append(f"    wire {port}_done;")
        parts["sources"].append(
            f"    {name}_tb_source #(.WIDTH({width}), .LENGTH({len(words)}), .TAIL({tail}),\n"
            f"        .SEED(16'h{0x1234 + 0x1111 * number:x}), .FILE(\"{name}_tb_{port}.hex\"))\n"
            f"    {port}_source (.clk(clk), .enable({enable}), .valid({port}__valid),"
            f" .ready({ready}),\n"
            f"        .payload({port}__payload), .done({port}_done));\n")
    written = "".join(f" && {port}_done" for port in sample.tables)
    if "busy" in ports:
        written += " && !busy"
    refused = error = done = ""
    if "done" in ports:
        # All have left that there are: not one transfer too many.
        done = f" && done && quiet > {SETTLED}"
        error = (f"            if (checked >= {len(sample.symbols) + core.places})\n"
                 '                $fatal(1, "FAIL: %0d symbols are too many", checked);\n')
        error += ('            if (error)\n'
                  '                $fatal(1, "FAIL: the core found an error");\n')
    elif "error" in ports:
        refused = '        if (error)\n            $fatal(1, "FAIL: the core refused its table");\n'
    size = len(sample.symbols)
    count_at = core.places * core.symbol_bits
    o_width = ports["o__payload"]
    verilog = TEXT.substitute(
        {key: "\n".join(lines) for key, lines in parts.items() if key != "connections"},
        connections=",\n".join(f"        {line}" for line in parts["connections"]),
        name=name, about=about, symbols=size, last=size - 1, symbol_bits=core.symbol_bits,
        symbol_msb=core.symbol_bits - 1, o_msb=o_width - 1,
        count=f"o__payload[{o_width - 1}:{count_at}]" if o_width > count_at else core.places,
        patience=PATIENCE, written=written, refused=refused, done=done, error=error,
        more=", and zeros behind them if TAIL")
    return Testbench(verilog, {f"{name}_tb_{port}.hex": text for port, text in files.items()})


def ports_of(component):
    """Return the width of each port that `hw.rtl.generate` makes."""
    return {"__".join(map(str, path)): len(Value.cast(value))
            for path, _, value in component.signature.flatten(component)
            if not isinstance(Value.cast(value), Const)}


def hexadecimal(words, width):
    digits = -(-width // 4)
    return "".join(f"{word & (1 << width) - 1:0{digits}x}\n" for word in words)
