from dataclasses import replace

import numpy as np
import pytest

from sw import choice
from sw.choice import TIE, choose, decoders
from sw.codecs import CODECS
from sw.compression import compress
from sw.cost import decoder_resources
from sw.format.lanes import TansLanes
from sw.format.tables import AutomatonShape, RawShape
from sw.format.target import LARGE, PRESETS, Memory, Target, tans_lanes
from sw.plan import Plan
from tests.shared_data import shared_file


DIGITS = PRESETS["ulx3s", "85F"]


@pytest.fixture
def candidates(monkeypatch):
    """Return the candidates of the last choice, and the chosen one."""
    found = []
    best = choice.best

    def record(candidates):
        found[:] = [*candidates, best(candidates)]
        return found[-1]
    monkeypatch.setattr(choice, "best", record)
    return found


@pytest.fixture
def every_codec(monkeypatch):
    """Let each codec be chosen."""
    monkeypatch.setattr(choice, "USUAL", tuple(CODECS))


@pytest.mark.usefixtures("every_codec")
@pytest.mark.parametrize("options", [
    {}, {"bits": 3}, {"quantiser": "codebook"}, {"quantiser": "uniform"},
    {"target": DIGITS.with_memory(Memory.FLASH)}, {"target": PRESETS["ulx3s", "12F"]}], ids=str)
def test_small_and_fast_and_then_cheap(candidates, options):
    made = compress("digits", **options)
    *found, chosen = candidates
    assert (made.data, made.target) == (chosen.contents, chosen.target)
    assert {type(one.decoder) for one in found} >= {TansLanes, RawShape}

    def product(one):
        return len(one.contents) * one.cycles
    least = min(map(product, found))
    assert product(chosen) <= (1 + TIE) * least
    for other in found:
        if decoder_resources(other.decoder) < decoder_resources(chosen.decoder):
            assert product(other) > (1 + TIE) * least


def test_lanes_are_as_many_as_the_network_needs(candidates):
    assert compress("digits", codec="tans").target.decoder == tans_lanes(4)
    cycles = {one.decoder.lanes: one.cycles for one in candidates[:-1]
              if isinstance(one.decoder, TansLanes)}
    assert cycles[1] > 1.1 * cycles[4]
    # What a flash gives in time, one lane decodes.
    flash = compress("digits", quantiser="uniform", codec="tans",
                     target=DIGITS.with_memory(Memory.FLASH))
    assert flash.target.decoder == tans_lanes(1)


def test_lanes_that_are_asked_for():
    few, many = (compress("digits", codec="tans", lanes=lanes) for lanes in (1, 4))
    assert (few.target.decoder.lanes, many.target.decoder.lanes) == (1, 4)
    assert few.image.network.layers[0].descriptor == many.image.network.layers[0].descriptor
    with pytest.raises(ValueError, match="Lanes must be at most the 4 columns, not 8"):
        compress("digits", codec="tans", lanes=8)
    with pytest.raises(ValueError, match="Lanes must be those of a target's decoder, not of none"):
        compress("digits", codec="tans", lanes=1, target=None)
    with pytest.raises(ValueError, match="Lanes must be those of codec tans, not huffman"):
        compress("digits", codec="huffman", lanes=1)


def test_lanes_of_the_larger_target():
    model = shared_file("models/kws_ref_model.tflite")
    found = compress(model, codec="tans", lanes=8)
    assert found.target == LARGE["ulx3s", "85F"].with_decoder(tans_lanes(8))


def test_images_of_a_codec_have_one_decoder():
    found = {compress("digits", quantiser="codebook", bits=bits, codec="huffman").target.decoder
             for bits in (2, 4)}
    assert found == {AutomatonShape()}


def test_other_codecs_are_asked_for():
    assert decoders(Plan(), DIGITS) == [AutomatonShape(), RawShape()]


@pytest.mark.usefixtures("every_codec")
def test_a_full_device_gets_what_it_has_room_for():
    everything = decoders(Plan(), DIGITS)
    assert {codec for codec in CODECS if any(shape in everything for shape in
                                             decoders(Plan(codec=codec), DIGITS))} == set(CODECS)
    fewer = decoders(Plan(), PRESETS["ulx3s", "12F"])
    assert tans_lanes(4) in everything
    assert tans_lanes(4) not in fewer
    assert tans_lanes(2) in fewer
    # Where nothing has room, the cheapest is tried.
    assert decoders(Plan(), replace(DIGITS, device="iCE40UP5K")) == [RawShape()]


def test_without_a_target_the_smallest_is_taken():
    sizes = iter((7, 5, 5, 9, 8))
    made = choose(Plan(), None, lambda decoder, target: (bytes(next(sizes)), decoder.name))
    assert (len(made.contents), made.content) == (5, decoders(Plan(), None)[1].name)
    made = choose(Plan(codec="rice"), None, lambda decoder, _: (bytes(3), decoder.name))
    assert made.content == "rice"


def test_the_likeliest_refusal_is_told():
    def refuse(decoder, _):
        raise ValueError(f"no {decoder.name}")
    with pytest.raises(ValueError, match=f"no {AutomatonShape().name}"):
        choose(Plan(), Target(), refuse)


def test_same_coded_data_for_all_lanes(candidates):
    compress("digits", codec="tans")
    images = [one.contents for one in candidates if isinstance(one.decoder, TansLanes)]
    assert len({len(image) for image in images}) == 1
    assert np.array_equal(*(np.frombuffer(image[-1000:], np.uint8) for image in images[:2]))
