import pytest

from boards import find_board
from hw.site import Site
from sw.format.target import LARGE, Target


ULX3S = find_board("ulx3s")


@pytest.mark.parametrize("asked, target, clock_hz", [
    (None, Target(), 80_000_000),
    (None, LARGE["ulx3s", "85F"], 50_000_000),
    (100_000_000, LARGE["ulx3s", "85F"], 100_000_000),
])
def test_clock_suits_the_target_unless_another_is_asked_for(asked, target, clock_hz):
    site = Site(ULX3S, "85F", asked).suited(target)
    assert site == Site(ULX3S, "85F", clock_hz)


def test_rate_that_the_chosen_clock_can_not_make_refused():
    site = Site(ULX3S, "85F", None, baud=4_000_000)
    assert site.suited(Target()).clock_hz == 80_000_000
    with pytest.raises(ValueError, match="multiple of the 4000000 baud"):
        site.suited(LARGE["ulx3s", "85F"])
