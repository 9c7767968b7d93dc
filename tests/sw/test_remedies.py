import re
from dataclasses import replace

import pytest

from sw.compress import main
from sw.compression import compress
from sw.format.target import LARGE, PRESETS
from sw.remedies import fitting_targets
from sw.schedule import Need, ScheduleError, needs, place_activations
from tests.hw.engine.networks import NETWORKS
from tests.shared_data import shared_file


SMALL = replace(PRESETS["ulx3s", "85F"], memory_words=4096)


def test_bits_that_are_said_to_fit_do(capsys):
    with pytest.raises(ScheduleError, match="image has") as raised:
        compress("digits", quantiser="uniform", codec="raw", target=SMALL)
    memory, *others = raised.value.needs
    assert memory == Need("bytes of weight memory", 35184, 16384)
    assert all(need.needed <= need.available for need in others)
    bits, boards = raised.value.remedies
    most = float(re.fullmatch("The weight memory takes at most (.*) bits per weight of this "
                              "network.", bits)[1])
    assert "ulx3s 12F; " in boards
    fitting = compress("digits", quantiser="step", bits=most - 0.15, target=SMALL)
    assert most - 0.5 < fitting.size.bits_per_weight <= most
    with pytest.raises(ScheduleError):
        compress("digits", quantiser="step", bits=most + 0.15, target=SMALL)


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_that_are_needed_are_those_that_are_placed(name):
    layers = NETWORKS[name]
    size = needs(layers, SMALL, image_bytes=0, codebooks=1)[1].needed
    enough = replace(SMALL, activation_bytes=1024)
    while size > enough.activation_bytes:
        with pytest.raises(ScheduleError, match=f"need {size} bytes"):
            place_activations(layers, enough)
        enough = replace(enough, activation_bytes=2 * enough.activation_bytes)
    place_activations(layers, enough)


def test_targets_that_fit_have_enough_of_everything():
    layers = NETWORKS["three layers"]
    every = fitting_targets(layers, image_bytes=1000, codebooks=1)
    assert len(every) == len(PRESETS) + len(LARGE)
    assert fitting_targets(layers, image_bytes=100_000, codebooks=1) == ("ulx3s 85F, large",)
    assert fitting_targets(layers, image_bytes=1000, codebooks=17) == ()


def test_command_shows_what_is_needed(capsys, tmp_path):
    image = tmp_path / "image.hri"
    with pytest.raises(SystemExit, match=r"^error: image has"):
        main([str(shared_file("models/vww_96_int8.tflite")), "--quantiser", "uniform", "--codec",
              "raw", "-o", str(image)])
    error = capsys.readouterr().err
    assert re.search(r"bytes of weight memory .* 131,072 ", error)
    assert re.search(r"The weight memory takes at most 4\.\d\d bits per weight", error)
    assert "No board's accelerator has enough of everything for it as it is." in error
    assert not image.exists()
