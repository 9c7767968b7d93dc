"""Resources of a build: whole, by block, and before anything is synthesised."""

import re

from rich.table import Table

from sw.format.devices import DEVICES


__all__ = ["DECODER", "ExcessError", "blocks", "count_cells", "fit", "hard_blocks",
           "report_resources"]


#: The block that decodes weights, table loader, codebooks and repacker included.
DECODER = "accelerator.engine.decoder"

NEXTPNR_BELS = {"lut4": "TRELLIS_COMB", "ff": "TRELLIS_FF", "ebr": "DP16KD", "dsp": "MULT18X18D"}

# Shapes of a block RAM: words and bits of each.
EBR_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))

# yosys puts a memory into LUTs up to 18 cells of 16 words and 4 bits, and into a block RAM from 24.
EBR_CELLS = 24

# A memory in Verilog as Amaranth generates it.
MEMORY = re.compile(r"^ +reg \[(\d+):0\] \S+ +\[(\d+):0\];", re.MULTILINE)

# How many of each resource a cell of yosys takes.
YOSYS_CELLS = {
    "lut4": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4, "SB_LUT4": 1},
    "ff": {"TRELLIS_FF": 1} | {
        f"SB_DFF{edge}{enable}{reset}": 1
        for edge in ("", "N") for enable in ("", "E") for reset in ("", "R", "S", "SR", "SS")},
    "ebr": {"DP16KD": 1, "PDPW16KD": 1, "SB_RAM40_4K": 1},
    "dsp": {"MULT18X18D": 1, "SB_MAC16": 1},
}

BLOCK_METHOD = ("yosys synth_ecp5 -noflatten: blocks synthesised one by one, without the "
                "optimisation across blocks, and without the packing, that the whole has")


def report_resources(nextpnr, by_block, *, estimate):
    """Return the report's section ``resources``.

    Parameters
    ----------
    nextpnr : dict
        The JSON report of nextpnr-ecp5.
    by_block : dict
        As `blocks` returns it; its decoder has figures of its own.
    estimate : (int, int)
        LUT4 and block RAMs that were expected of the decoder.
    """
    totals = {}
    for resource, bel in NEXTPNR_BELS.items():
        usage = nextpnr["utilization"][bel]
        totals[resource] = {"used": usage["used"], "available": usage["available"]}
    totals["spram"] = {"used": 0, "available": 0}
    decoder = by_block[DECODER]
    shares = {
        "decoder_lut4": decoder["lut4"], "decoder_lut4_estimate": estimate[0],
        "decoder_lut4_share": decoder["lut4"] / sum(used["lut4"] for used in by_block.values()),
        "decoder_ebr": decoder["ebr"], "decoder_ebr_estimate": estimate[1]}
    return totals | shares | {"by_block": {"method": BLOCK_METHOD, "blocks": by_block}}


def count_cells(cells):
    """Return the resources that ``cells``, a number by type of cell, take."""
    return {resource: sum(cells.get(cell, 0) * weight for cell, weight in weights.items())
            for resource, weights in YOSYS_CELLS.items()}


def blocks(stat, *, top, depth=2):
    """Return the resources of each block from the statistics of an unflattened synthesis.

    Parameters
    ----------
    stat : dict
        What yosys' ``stat -json`` writes; each module is named by the path of its one instance.
    top : str
        The module whose parts are the blocks.
    depth : int
        How far below it a block lies; what lies deeper counts for it.
    """
    totals = {}
    for name, module in stat["modules"].items():
        path = name.removeprefix("\\").split(".")
        if path[0] != top:
            continue
        block = ".".join(path[:depth + 1])
        used = count_cells(module["num_cells_by_type"])
        totals[block] = {resource: totals.get(block, {}).get(resource, 0) + count
                         for resource, count in used.items()}
    return {block: used for block, used in sorted(totals.items()) if any(used.values())}


class ExcessError(ValueError):
    """What a design needs more of than a device has.

    Parameters
    ----------
    device : str
        The device.
    rows : list of (str, int, int)
        Name, needed and available.
    """

    def __init__(self, device, rows):
        super().__init__(f"too big for {device}: " + ", ".join(
            f"{needed:,} {name} of {available:,}" for name, needed, available in rows))
        self.rows = rows

    @property
    def table(self):
        table = Table("", "needed", "available", "too many")
        for name, needed, available in self.rows:
            table.add_row(name, f"{needed:,}", f"{available:,}", f"{needed - available:,}")
        return table


def fit(needed, device):
    """Refuse a design that needs more than the device has.

    Parameters
    ----------
    needed : dict of str to int
        Number by resource.
    device : str
        A key of ``DEVICES``.

    Raises
    ------
    ExcessError
        If there are too few of a resource.
    """
    available = DEVICES[device]
    if rows := [(name, count, available[name]) for name, count in needed.items()
                if count > available[name]]:
        raise ExcessError(device, rows)


def hard_blocks(verilog):
    """Return the least block RAM and multipliers that ``verilog`` takes, without a synthesis.

    Block RAM is what it instantiates and what its memories, whose reads are clocked, can't do
    without.
    """
    needed = {resource: sum(len(re.findall(rf"^ +{cell} ", verilog, re.MULTILINE))
                            for cell in YOSYS_CELLS[resource])
              for resource in ("ebr", "dsp")}
    for last_bit, last_word in MEMORY.findall(verilog):
        needed["ebr"] += block_rams(int(last_word) + 1, int(last_bit) + 1)
    return needed


def block_rams(words, bits):
    """Return the least block RAMs of a memory; 0 if it becomes distributed RAM."""
    count = min(ceil(words, depth) * ceil(bits, width) for depth, width in EBR_SHAPES)
    return count if ceil(words, 16) * ceil(bits, 4) >= EBR_CELLS * count else 0


def ceil(dividend, divisor):
    return -(-dividend // divisor)
