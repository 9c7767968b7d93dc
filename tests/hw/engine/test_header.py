import struct

import pytest

from hw.engine.header import Header
from sw.format.sections import HEADER_WORDS, Section, pack_header
from sw.format.target import Target
from tests.hw.streams import send


TARGET = Target(memory_words=256)
LENGTHS = {section: 3 * section + 1 for section in Section}


@pytest.mark.parametrize("word, bit, broken", [
    (None, None, None),
    (0, 0, "is_image"),
    (0, 25, "is_known"),
    (1, 3, "fits_memory"),
    (1, 17, "fits_memory"),
    (2, 31, "fits_target"),
    (3, 0, "fits_memory"),
    (10, 20, "fits_memory"),
])
def test_what_the_words_say(simulate, word, bit, broken):
    words = list(struct.unpack(f"<{HEADER_WORDS}I", pack_header(TARGET.hash, LENGTHS)))
    if word is not None:
        words[word] ^= 1 << bit
    dut = Header(TARGET)

    async def testbench(ctx):
        await send(ctx, dut.words, [{"index": index, "data": data}
                                    for index, data in enumerate(words[:-1])])
        for name in ("is_image", "is_known", "fits_target", "fits_memory"):
            assert ctx.get(getattr(dut, name)) == (name != broken), name
        if word is None:
            assert ctx.get(dut.words_total) == HEADER_WORDS + sum(LENGTHS.values()) + len(LENGTHS)
            assert list(ctx.get(dut.lengths)) == list(LENGTHS.values())

    simulate(dut, testbench)


def test_image_beyond_the_memory(simulate):
    dut = Header(TARGET)
    words = struct.unpack(f"<{HEADER_WORDS}I", pack_header(TARGET.hash, dict.fromkeys(Section, 40)))

    async def testbench(ctx):
        await send(ctx, dut.words, [{"index": index, "data": data}
                                    for index, data in enumerate(words[:-1])])
        assert not ctx.get(dut.fits_memory)

    simulate(dut, testbench)
