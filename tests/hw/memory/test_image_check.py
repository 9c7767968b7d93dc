# amaranth: UnusedElaboratable=no

from itertools import chain, repeat

import pytest

from hw.memory.image_check import ImageCheck
from sw.format.sections import HEADER_WORDS, Section
from sw.format.status import Error
from tests.hw.engine.test_loader import TARGET, flip, forge_header, make_image


MOST = 1024


def check(simulate, image, *, idle=0):
    """Send an image, as if it were in an erased flash; return the error, and how much was taken."""
    dut = ImageCheck(TARGET, most_bytes=MOST)
    result = {}

    async def testbench(ctx):
        bytes_left = chain(image, repeat(0xff))
        taken = cycles = 0
        while True:
            assert ctx.get(dut.address) == taken % MOST
            for _ in range(idle):
                await ctx.tick()
            ctx.set(dut.i.payload, next(bytes_left))
            ctx.set(dut.i.valid, 1)
            while not ctx.get(dut.i.ready | dut.done):
                await ctx.tick()
                cycles += 1
            if ctx.get(dut.done):
                break
            taken += 1
            await ctx.tick()
            cycles += 1
            ctx.set(dut.i.valid, 0)
        for _ in range(20):
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
        result.update(error=Error(ctx.get(dut.error)), taken=taken, cycles=cycles)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        assert not ctx.get(dut.done)
        assert ctx.get(dut.address) == 0

    simulate(dut, testbench, watch=[dut.i], max_cycles=20_000)
    return result


@pytest.mark.parametrize("idle", [0, 3, 20])
@pytest.mark.parametrize("image", [
    make_image(), make_image({Section.CODEBOOK: b"", Section.BIAS: b""}),
    make_image(dict.fromkeys(Section, b""))])
def test_good_image_is_taken_to_its_last_byte(simulate, image, idle):
    result = check(simulate, image, idle=idle)
    assert result["error"] is Error.NONE
    assert result["taken"] == len(image)


def test_cycles_of_a_byte_a_word_and_a_section(simulate):
    image = make_image()
    assert check(simulate, image)["cycles"] == len(image) * 9 + len(image) // 4 + 9 * 3


IMAGE = make_image()


@pytest.mark.parametrize("image, error", [
    (b"", Error.FLASH_ERASED),
    (bytes(100), Error.NO_IMAGE),
    (flip(IMAGE, 0), Error.NO_IMAGE),
    (flip(IMAGE, 2), Error.NO_IMAGE),
    (flip(IMAGE, 3, 1), Error.VERSION),
    *((flip(IMAGE, place, place % 8), Error.HEADER_CRC) for place in range(4, 48, 3)),
    (make_image(target_hash=TARGET.hash ^ 1), Error.TARGET),
    (make_image(target_hash=TARGET.hash ^ 1 << 31), Error.TARGET),
    (flip(IMAGE, 48), Error.SECTION_CRC),
    (flip(IMAGE, 48 + 40), Error.SECTION_CRC),
    (flip(IMAGE, len(IMAGE) - 1, 7), Error.SECTION_CRC),
    (IMAGE[:60], Error.TRUNCATED),
    (IMAGE[:300], Error.TRUNCATED),
    (IMAGE[:-4], Error.TRUNCATED),
    (forge_header(HEADER_WORDS + 0x0100_0002 * 8, 0x0100_0001), Error.LENGTH),
    (forge_header(HEADER_WORDS + 8 * 0x8001, 0x8000), Error.LENGTH),
    (forge_header(0x1_0000 + HEADER_WORDS + 9 * 8, 8), Error.LENGTH),
    # The whole is longer, or shorter, than its sections.
    (forge_header(HEADER_WORDS + 9, 0) + bytes(32), Error.LENGTH),
    (forge_header(HEADER_WORDS + 7, 0) + bytes(32), Error.LENGTH),
    # It is longer than the memory.
    (make_image({Section.CODED_DATA: bytes(MOST)}), Error.LENGTH),
], ids=lambda value: getattr(value, "name", ""))
def test_what_is_wrong_is_told(simulate, image, error):
    result = check(simulate, image)
    assert result["error"] is error
    assert result["taken"] <= MOST


def test_empty_sections_are_good_as_their_crc_is_that_of_nothing(simulate):
    assert check(simulate, forge_header(HEADER_WORDS + 8, 0) + bytes(32))["error"] is Error.NONE


def test_image_that_fills_the_memory_is_good(simulate):
    rest = MOST - len(IMAGE)
    assert check(simulate, make_image({Section.NETWORK: bytes(40 + rest)})) == {
        "error": Error.NONE, "taken": MOST, "cycles": MOST * 9 + MOST // 4 + 9 * 3}


@pytest.mark.parametrize("most_bytes", [128, 1000, 1 << 18])
def test_size_refused(most_bytes):
    with pytest.raises(ValueError, match=f"power of two, 256 to 131072, not {most_bytes}"):
        ImageCheck(TARGET, most_bytes=most_bytes)
