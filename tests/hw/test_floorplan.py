import re
from dataclasses import replace

import pytest

from hw.floorplan import floorplan
from sw.format.target import LARGE, PRESETS


TARGET = LARGE["ulx3s", "85F"]
DEVICE = "LFE5U-85F"


def test_every_place_has_one_cell():
    places = floorplan(TARGET, DEVICE)
    assert len(set(places.values())) == len(places)
    kinds = [re.fullmatch(r"X\d+/Y(\d+)/(MULT18|EBR)_?\d", place).groups()
             for place in places.values()]
    assert {row for row, kind in kinds if kind == "MULT18"} == {"10", "34", "58"}
    assert {row for row, kind in kinds if kind == "EBR"} == {"22", "46"}
    assert [kind for _, kind in kinds].count("MULT18") == 16 * 8 + 4 * 4


def test_rows_lie_near_the_requantiser_that_takes_their_sums():
    columns = {cell: int(re.match(r"X(\d+)/", place)[1])
               for cell, place in floorplan(TARGET, DEVICE).items()}
    for requantiser in range(4):
        mine = [column for cell, column in columns.items()
                if ((row := re.search(r"row(\d+)", cell)) and int(row[1]) % 4 == requantiser)
                or f"{requantiser}." in cell]
        assert len(mine) == 32 + 8 + 4 + 8
        assert max(mine) - min(mine) < 27


@pytest.mark.parametrize("target, device", [
    (PRESETS["ulx3s", "85F"], DEVICE),
    (TARGET, "LFE5U-45F"),
    (replace(TARGET, rows=8), DEVICE),
    (replace(TARGET, channels=512), DEVICE),
])
def test_others_are_placed_without(target, device):
    assert floorplan(target, device) == {}
