from dataclasses import replace

import pytest

from sw.format.layers import Rounding
from sw.format.target import Target
from sw.schedule import ScheduleError, schedule

from .networks import graph


LAYERS = tuple(layer.descriptor for layer in graph(0).layers)


@pytest.mark.parametrize("layers, complaint", [
    (LAYERS[:2], r"layer 1 \(depthwise_conv2d\): targets can run conv2d, fully_connected, "),
    ((LAYERS[0], replace(LAYERS[2], inputs=(2,))),
     r"layer 1 \(conv2d\): input must be made by the layer before, not 2 back"),
    ((replace(LAYERS[0], rounding=Rounding.ONCE),),
     r"layer 0 \(conv2d\): targets can't round sums once"),
])
def test_what_targets_cannot_run_is_refused(layers, complaint):
    with pytest.raises(ScheduleError, match=complaint):
        schedule(layers, Target())
