"""Estimates of decoders against their synthesis."""

import pytest

from boards import find_board
from hw.decode.decoder import Decoder
from hw.report.resources import count_cells
from hw.rtl import generate
from hw.toolchain import synthesise
from hw.top import ACCELERATOR
from sw.cost import LUT4_ERROR, decoder_resources
from sw.format.tables import AutomatonShape, RawShape
from sw.format.target import Target, tans_lanes


@pytest.mark.parametrize("shape", [
    RawShape(), AutomatonShape(),
    *(pytest.param(AutomatonShape(*sizes), marks=pytest.mark.slow)
      for sizes in ((4, 6, 4), (4, 4, 4), (2, 3, 2))),
    *(pytest.param(tans_lanes(lanes), marks=pytest.mark.slow) for lanes in (1, 4)),
], ids=str)
def test_estimate_is_what_yosys_finds(tmp_path, shape):
    verilog = generate(Decoder(Target(decoder=shape)), name=ACCELERATOR,
                       platform=find_board("ulx3s").platform("85F"))
    stat = synthesise(verilog, "LFE5U-85F", directory=tmp_path, flatten=True)
    cells = count_cells(stat["design"]["num_cells_by_type"])
    lut4, ebr = decoder_resources(shape)
    assert cells["lut4"] == pytest.approx(lut4, rel=LUT4_ERROR)
    assert (cells["ebr"], cells["dsp"]) == (ebr, 0)
