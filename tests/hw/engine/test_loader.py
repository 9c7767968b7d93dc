import struct

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect

from hw.engine.fetcher import Fetcher
from hw.engine.loader import Loader
from hw.mac.outputs import ChannelField
from hw.memory.weights import WeightMemory
from sw.format.schedule import HALFWORDS, RECORD_WORDS
from sw.format.sections import HEADER_WORDS, MAGIC, VERSION, Section, crc32, pack_header
from sw.format.status import Error
from sw.format.target import Target
from sw.schedule import schedule
from tests.hw.engine.networks import NETWORKS


TARGET = Target(memory_words=512)
BIASES = [5, -7, 1 << 30, -(1 << 31), 0, 99]
MULTIPLIERS = [1 << 30, (1 << 31) - 1, 3, 4, 5, 6]
SHIFTS = [7, -1, -31, -5, -6, -7]
RECORDS = schedule(NETWORKS["three layers"], TARGET)
CODE = [0x1111_1111, 0x2222_2222, 0x3333_3333]
CODED = list(range(100, 125))


def sections():
    return {
        Section.NETWORK: bytes(range(40)),
        Section.SCHEDULE: b"".join(record.pack() for record in RECORDS),
        Section.BIAS: struct.pack("<6i", *BIASES),
        Section.MULTIPLIER: struct.pack("<6i", *MULTIPLIERS),
        Section.SHIFT: struct.pack("<6b2x", *SHIFTS),
        Section.CODE: struct.pack("<3I", *CODE),
        Section.CODEBOOK: bytes(range(32)),
        Section.CODED_DATA: struct.pack("<25I", *CODED),
    }


def make_image(changes=None, *, target_hash=TARGET.hash):
    parts = sections() | (changes or {})
    lengths = {section: len(part) // 4 for section, part in parts.items()}
    body = b"".join(part + struct.pack("<I", crc32(part)) for part in parts.values())
    return pack_header(target_hash, lengths) + body


def forge_header(total, length):
    """Return a header with a right CRC whose sections all have ``length`` words."""
    words = struct.pack("<3sBII8I", MAGIC, VERSION, total, TARGET.hash, *[length] * 8)
    return words + struct.pack("<I", crc32(words))


class LoaderWithMemory(wiring.Component):
    """The loader, and a weight memory that holds the image."""

    start: In(1)

    def __init__(self, image):
        self.loader = Loader(TARGET)
        words = struct.unpack(f"<{len(image) // 4}I", image)
        self.memory = WeightMemory(TARGET.memory_words, init=words)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader = loader = self.loader
        m.submodules.memory = memory = self.memory
        m.submodules.fetcher = fetcher = Fetcher(memory_latency=memory.latency)
        connect(m, loader.regions, fetcher.regions)
        connect(m, fetcher.reads, memory.reads)
        connect(m, memory.o, fetcher.fetched)
        connect(m, fetcher.o, loader.words)
        return m


def load(simulate, image, *, code_error=0):
    """Return what the loader says of ``image``, and what it handed out."""
    dut = LoaderWithMemory(image)
    loader = dut.loader
    seen = {"schedule": {}, "channels": {}, "code": [], "codebook": {}}
    said = []

    async def testbench(ctx):
        ctx.set(loader.code_error, code_error)
        ctx.set(loader.start, 1)
        await ctx.tick()
        ctx.set(loader.start, 0)
        error, layers, coded = await ctx.tick().sample(
            loader.error, loader.layers, loader.coded).until(loader.done)
        said.extend([Error(error), layers, (coded.address, coded.words)])

    async def watch(ctx):
        while True:
            _, _, *streams = await ctx.tick().sample(
                loader.schedule.valid, loader.schedule.payload,
                loader.channels.valid, loader.channels.payload,
                loader.codebook.valid, loader.codebook.payload)
            for name, valid, payload in zip(("schedule", "channels", "codebook"), streams[::2],
                                            streams[1::2], strict=True):
                if valid and name == "channels":
                    assert (payload.field, payload.channel) not in seen[name]
                    seen[name][payload.field, payload.channel] = payload.data
                elif valid:
                    assert payload.address not in seen[name]
                    seen[name][payload.address] = payload.data

    async def decoder(ctx):
        # It takes a word now and then, and is busy for a while after the last one.
        pause = 0
        while True:
            ctx.set(loader.code.ready, pause == 0)
            _, _, word, taken = await ctx.tick().sample(
                loader.code.payload, loader.code.valid & loader.code.ready)
            if taken:
                seen["code"].append((word.data, word.last))
                ctx.set(loader.code_busy, word.last)
                pause = 100 if word.last else 7
            elif pause:
                pause -= 1
                if pause == 0:
                    ctx.set(loader.code_busy, 0)

    simulate(dut, testbench, background=[watch, decoder])
    return *said, seen


def test_sections_are_handed_out(simulate):
    error, layers, coded, seen = load(simulate, make_image())
    assert error is Error.NONE
    assert layers == len(RECORDS)
    parts = sections()
    assert list(seen["schedule"].items()) == list(enumerate(
        struct.unpack(f"<{len(RECORDS) * RECORD_WORDS}I", parts[Section.SCHEDULE])))
    assert seen["code"] == [(CODE[0], 0), (CODE[1], 0), (CODE[2], 1)]
    assert list(seen["codebook"].items()) == list(enumerate(
        struct.unpack("<8I", parts[Section.CODEBOOK])))
    for field, values, mask in ((ChannelField.BIAS, BIASES, 0xffff_ffff),
                                (ChannelField.MULTIPLIER, MULTIPLIERS, 0xffff_ffff),
                                (ChannelField.SHIFT, SHIFTS, 0xff)):
        for channel, value in enumerate(values):
            assert seen["channels"][field, channel] & mask == value & mask
    address, words = coded
    image = make_image()
    assert image[address * 4:(address + words) * 4] == parts[Section.CODED_DATA]


def flip(image, byte, bit=0):
    return image[:byte] + bytes([image[byte] ^ 1 << bit]) + image[byte + 1:]


@pytest.mark.parametrize("image, error", [
    (b"", Error.NO_IMAGE),
    (flip(make_image(), 0), Error.NO_IMAGE),
    (flip(make_image(), 3, 1), Error.VERSION),
    (flip(make_image(), 5), Error.HEADER_CRC),
    (flip(make_image(), 8), Error.HEADER_CRC),
    (flip(make_image(), 13, 7), Error.HEADER_CRC),
    (flip(make_image(), 47, 7), Error.HEADER_CRC),
    (make_image(target_hash=TARGET.hash ^ 1), Error.TARGET),
    (flip(make_image(), 50), Error.SECTION_CRC),
    (flip(make_image(), len(make_image()) - 1), Error.SECTION_CRC),
    (make_image({Section.CODE: b""}), Error.LENGTH),
    (make_image({Section.CODE: bytes(4 * 17)}), Error.LENGTH),
    (make_image({Section.SCHEDULE: b""}), Error.LENGTH),
    (make_image({Section.SCHEDULE: bytes(4 * RECORD_WORDS + 4)}), Error.LENGTH),
    (make_image({Section.MULTIPLIER: bytes(20)}), Error.LENGTH),
    (make_image({Section.SHIFT: bytes(12)}), Error.LENGTH),
    (make_image({Section.CODEBOOK: bytes(4 * TARGET.codebooks * 8 + 4)}), Error.LENGTH),
    (forge_header(HEADER_WORDS + 9 * 8 - 1, 8), Error.LENGTH),
    (forge_header(HEADER_WORDS + 63 * 8, 62), Error.LENGTH),
    (forge_header(HEADER_WORDS + 0x0100_0002 * 8, 0x0100_0001), Error.LENGTH),
    (forge_header(0x1_0000 + HEADER_WORDS + 9 * 8, 8), Error.LENGTH),
], ids=lambda value: getattr(value, "name", ""))
def test_bad_image_refused(simulate, image, error):
    assert load(simulate, image)[0] is error


@pytest.mark.parametrize("number, name, value", [
    (0, "flags", 5),
    *((1, name, 0) for name in ("tiles", "outputs", "outputs_last", "out_height", "out_width",
                                "kernel_rows", "beats")),
    (0, "outputs", 9),
    (2, "outputs_last", 9),
    (2, "outputs", 16),
    (0, "kernel_row", 0),
])
def test_record_that_would_never_end_refused(simulate, number, name, value):
    fields = list(struct.unpack(f"<{len(RECORDS) * len(HALFWORDS)}H",
                                sections()[Section.SCHEDULE]))
    fields[number * len(HALFWORDS) + HALFWORDS.index(name)] = value
    image = make_image({Section.SCHEDULE: struct.pack(f"<{len(fields)}H", *fields)})
    assert load(simulate, image)[0] is Error.SCHEDULE


@pytest.mark.parametrize("section, number, value", [
    (Section.SHIFT, 0, b"\x08"),
    (Section.SHIFT, 5, b"\xe0"),
    (Section.SHIFT, 2, b"\x7f"),
    (Section.MULTIPLIER, 1, b"\0\0\0\x80"),
])
def test_channel_record_that_no_requantiser_has_refused(simulate, section, number, value):
    data = bytearray(sections()[section])
    data[number * len(value):(number + 1) * len(value)] = value
    assert load(simulate, make_image({section: bytes(data)}))[0] is Error.SCHEDULE


def test_decoder_refuses_its_table(simulate):
    assert load(simulate, make_image(), code_error=1)[0] is Error.CODE_TABLE


def test_missing_sections_are_empty(simulate):
    empty = {section: b"" for section in Section
             if section not in (Section.SCHEDULE, Section.CODE)}
    error, layers, coded, _ = load(simulate, make_image(empty))
    assert error is Error.NONE
    assert layers == len(RECORDS)
    assert coded[1] == 0
