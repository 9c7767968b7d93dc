# amaranth: UnusedElaboratable=no

import pytest
from amaranth.hdl import Fragment

from hw.engine.datapath import Datapath
from hw.engine.engine import Engine
from sw.format.target import Target
from sw.format.timing import drain_cycles


@pytest.mark.parametrize("rows, columns, requantisers",
                         [(4, 4, 1), (8, 4, 2), (8, 8, 4), (16, 8, 4), (32, 8, 1)])
def test_outputs_are_written_when_the_schedule_says(rows, columns, requantisers):
    target = Target(rows=rows, columns=columns, requantisers=requantisers)
    datapath = Datapath(target)
    assert datapath.latency == drain_cycles(target)
    Fragment.get(datapath, platform=None)


def test_image_beyond_the_memory_rejected():
    target = Target(memory_words=256)
    with pytest.raises(ValueError, match="at most 1024 bytes, not 1028"):
        Engine(target, bytes(1028))
