from dataclasses import replace

import pytest

from sw.format.target import PRESETS, Memory, Target, find_targets, larger


LARGE_RAM = Target(memory=Memory.SPRAM, memory_words=32768, activation_bytes=65536)


def test_addresses_reach_every_word_of_the_large_ram():
    assert LARGE_RAM.address_bits == 15
    # Of the last word nobody could say that it is the image's.
    assert LARGE_RAM.image_words == 32767
    assert LARGE_RAM.memory.has_flash


@pytest.mark.parametrize("words", [16384, 65536])
def test_large_ram_of_another_size_refused(words):
    with pytest.raises(ValueError, match=f"must be .*, not {words}"):
        replace(LARGE_RAM, memory_words=words)


@pytest.mark.parametrize("target, memory, known", [
    (PRESETS["ulx3s", "85F"], Memory.SPRAM, "bram or flash or sdram, not spram"),
    (LARGE_RAM, Memory.FLASH, "spram, not flash"),
])
def test_memory_of_another_device_refused(target, memory, known):
    with pytest.raises(ValueError, match=f"Memory of this target must be {known}"):
        target.with_memory(memory)


def test_large_ram_is_no_boards_yet():
    assert LARGE_RAM.with_memory(Memory.SPRAM) is LARGE_RAM
    assert larger(LARGE_RAM) is None
    assert find_targets(LARGE_RAM.hash) == {}
