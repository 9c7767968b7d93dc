"""Estimates of decoders against their synthesis."""

import pytest

from boards import find_board
from hw.accelerator import Accelerator
from hw.decode.decoder import Decoder
from hw.report.resources import count_cells, hard_blocks
from hw.rtl import generate
from hw.toolchain import synthesise
from hw.top import ACCELERATOR
from sw.cost import LUT4_ERROR, accelerator_resources, decoder_resources
from sw.format.tables import AutomatonShape, RawShape
from sw.format.target import LARGE, Memory, Target, tans_lanes


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


@pytest.mark.parametrize("changes", [
    {}, {"rows": 4, "requantisers": 1}, {"columns": 8}, {"rows": 16}, {"requantisers": 4},
    {"memory_words": 32768}, {"activation_bytes": 65536}, {"channels": 4096}, {"layers": 64},
    {"memory": Memory.FLASH}, vars(LARGE["ulx3s", "85F"])], ids=lambda changes: " ".join(changes))
def test_block_rams_of_an_accelerator(changes):
    target = Target(**{**changes, "decoder": RawShape()})
    verilog = generate(Accelerator(target, b"", clock_hz=80_000_000, baud=115_200),
                       name=ACCELERATOR, platform=find_board("ulx3s").platform("85F"))
    # What yosys makes a block RAM, and needn't be one, is one more.
    _, ebr = accelerator_resources(target)
    assert hard_blocks(verilog)["ebr"] == ebr - 1
