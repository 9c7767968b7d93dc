# amaranth: UnusedElaboratable=no

"""What the vendor blocks are given, against the cells that yosys knows."""

import json
from functools import cache
from types import SimpleNamespace

import pytest
from amaranth.hdl import Elaboratable, IOPort, Module
from amaranth.lib import io

from hw.primitives.dp16kd import DP16KD
from hw.primitives.ehxplll import EHXPLLL
from hw.primitives.mult18x18d import MULT18X18D
from hw.primitives.pdpw16kd import PDPW16KD
from hw.primitives.sb_mac16 import SB_MAC16
from hw.primitives.sb_pll40_pad import SB_PLL40_PAD
from hw.primitives.sb_ram40_4k import SB_RAM40_4K
from hw.primitives.sb_spram256ka import SB_SPRAM256KA
from hw.rtl import generate
from hw.toolchain import program, run


ECP5 = "LFE5U-85F", ("ecp5/cells_bb.v", "ecp5/cells_sim.v")
ICE40 = "iCE40UP5K", ("ice40/cells_sim.v",)

# yosys' black box lacks parameters that nextpnr and the vendor's library have.
UNKNOWN = {"MULT18X18D": {"REG_INPUTC_CLK"}}


def pin():
    return io.SingleEndedPort(IOPort(1, name="pin"), direction="i")


class Wrapper(Elaboratable):
    """Has a block and its ports: a block that is a lone instance can't be a module itself."""

    def __init__(self, block):
        self.block = block
        self.signature = block.signature

    def __getattr__(self, name):
        return getattr(self.block, name)

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = self.block
        return m


BLOCKS = [
    (ECP5, DP16KD), (ECP5, PDPW16KD), (ECP5, MULT18X18D),
    (ECP5, lambda: EHXPLLL(pin(), input_hz=25_000_000, output_hz=80_000_000)),
    (ICE40, SB_RAM40_4K), (ICE40, SB_SPRAM256KA), (ICE40, SB_MAC16),
    (ICE40, lambda: SB_PLL40_PAD(pin(), input_hz=12_000_000, output_hz=24_000_000)),
]


@cache
def cells(libraries, folder):
    """Return all modules that yosys' libraries have, as its JSON has them."""
    (folder / "cells.ys").write_text("".join(
        f"read_verilog -lib -nowb +/{library}\n" for library in libraries)
        + "write_json cells.json\n")
    run([program("YOSYS"), "-q", "cells.ys"], folder, logs=("cells.log",), stop=None)
    return json.loads((folder / "cells.json").read_text())["modules"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.mark.parametrize("family, block", BLOCKS)
def test_parameters_and_ports_are_those_of_the_cell(folder, family, block):
    device, libraries = family
    component = block()
    (folder / "block.v").write_text(generate(
        Wrapper(component), name="block", platform=SimpleNamespace(device=device)))
    (folder / "block.ys").write_text("read_verilog block.v\nwrite_json block.json\n")
    run([program("YOSYS"), "-q", "block.ys"], folder, logs=("block.log",), stop=None)

    known = cells(libraries, folder)
    modules = json.loads((folder / "block.json").read_text())["modules"]
    instances = [cell for module in modules.values() for cell in module["cells"].values()
                 if cell["type"] in known]
    assert instances
    for cell in instances:
        module = known[cell["type"]]
        defaults = module.get("parameter_default_values", {})
        unknown = set(cell["parameters"]) - set(defaults)
        assert unknown <= UNKNOWN.get(cell["type"], set())
        widths = {name: len(port["bits"]) for name, port in module["ports"].items()}
        for name, bits in cell["connections"].items():
            assert len(bits) == widths[name], name
