import pytest

from hw.report.resources import (DECODER, ExcessError, block_rams, blocks, count_cells, fit,
                                 hard_blocks, report_resources)


def module(**cells):
    return {"num_cells_by_type": cells}


def test_cells_are_weighted():
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "PDPW16KD": 1,
             "DP16KD": 2, "MULT18X18D": 5, "accelerator.engine": 1}
    assert count_cells(cells) == {"lut4": 24, "ff": 7, "ebr": 3, "dsp": 5}


def test_deep_modules_count_for_their_block():
    stat = {"modules": {
        "\\top": module(LUT4=1000),
        "\\accelerator": module(LUT4=1),
        "\\accelerator.engine": module(TRELLIS_FF=2),
        "\\accelerator.engine.decoder": module(LUT4=4),
        "\\accelerator.engine.decoder.lookup": module(LUT4=8, DP16KD=1),
        "\\accelerator.engine.wires": module(),
    }}
    assert blocks(stat, top="accelerator") == {
        "accelerator": {"lut4": 1, "ff": 0, "ebr": 0, "dsp": 0},
        "accelerator.engine": {"lut4": 0, "ff": 2, "ebr": 0, "dsp": 0},
        "accelerator.engine.decoder": {"lut4": 12, "ff": 0, "ebr": 1, "dsp": 0},
    }


def test_report_says_how_blocks_were_counted_and_what_the_decoder_takes():
    usage = {bel: {"used": 1, "available": 2}
             for bel in ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")}
    by_block = {DECODER: {"lut4": 1, "ebr": 2}, "accelerator.mac": {"lut4": 3, "ebr": 0}}
    resources = report_resources({"utilization": usage}, by_block, estimate=(5, 6))
    assert resources["lut4"] == {"used": 1, "available": 2}
    assert resources["spram"] == {"used": 0, "available": 0}
    assert [resources[f"decoder_{name}"] for name in (
        "lut4", "lut4_estimate", "lut4_share", "ebr", "ebr_estimate")] == [1, 5, 0.25, 2, 6]
    assert "-noflatten" in resources["by_block"]["method"]


def test_what_a_device_has_fits():
    fit({"ebr": 56, "dsp": 28}, "LFE5U-25F")


def test_excess_over_a_device_is_refused():
    with pytest.raises(ExcessError, match=r"^too big for LFE5U-25F: 60 ebr of 56$") as refusal:
        fit({"ebr": 60, "dsp": 28}, "LFE5U-25F")
    assert refusal.value.rows == [("ebr", 60, 56)]
    columns = [list(column.cells) for column in refusal.value.table.columns]
    assert columns == [["ebr"], ["60"], ["56"], ["4"]]


def test_hard_blocks_are_counted_in_the_verilog():
    verilog = ("module a(x);\n  DP16KD #(\n    .A(1)\n  ) m (\n  );\n  PDPW16KD #(\n  ) n (\n  );\n"
               "  MULT18X18D #(\n  ) p (\n  );\n"
               "  reg [31:0] weights [16383:0];\n  reg [7:0] small [15:0];\n  reg [31:0] word;\n"
               "endmodule\n")
    assert hard_blocks(verilog) == {"ebr": 2 + 32, "dsp": 1}


@pytest.mark.parametrize("words, bits, count", [
    (16384, 32, 32),   # not 29, which would hold as many bits
    (2048, 8, 1),      # though half of it stays empty
    (2048, 9, 1),
    (2049, 9, 2),
    (384, 32, 1),
    (512, 37, 2),
    (192, 8, 1),
    (144, 8, 0),       # distributed RAM
    (16, 72, 0),
])
def test_block_rams_of_a_memory(words, bits, count):
    assert block_rams(words, bits) == count
