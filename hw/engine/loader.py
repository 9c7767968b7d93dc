"""Loader: checks the ROM image and hands its sections to those who need them."""

from amaranth import *
from amaranth.lib import crc, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.decode.layouts import CODEBOOK_WORD, CODE_WORD, FILTERS
from hw.engine.filters import FilterCount
from hw.engine.header import Header
from hw.engine.records import WRITE as SCHEDULE_WRITE
from hw.engine.records import ChannelCheck, RecordCheck
from hw.engine.walker import Countdown
from hw.mac.outputs import CHANNEL_WRITE, ChannelField
from hw.memory.contract import region_layout
from sw.format.lanes import TansLanes
from sw.format.schedule import RECORD_WORDS
from sw.format.sections import HEADER_WORDS, Section
from sw.format.status import Error
from sw.format.tables import CODEBOOK_ENTRIES, RAW_ENTRIES, AutomatonShape, RawShape
from sw.format.target import Memory


__all__ = ["Loader"]


#: Words that section CODE may have: a code table, or the tables of tANS and what filters use.
CODE_WORDS = 16
TANS_CODE_WORDS = 2048


class Loader(wiring.Component):
    """Reads the image once, from its header to its last word, and stops at the first error.

    A word takes 5 cycles: one to hand it out and four for the CRC. Nothing that it hands out counts
    unless ``done`` comes without an error. Whatever the memory holds, it ends: it reads no more
    words than the memory has, and waits only for the decoder to take and expand its table. What
    comes from a flash may end early: its last word is looked at before the sections. Coded data
    that stay there are left to the runs.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator; the image's schedule must carry its hash.

    Members
    -------
    start : In(1)
        Starts reading. Not while it is at work.
    done : Out(1)
        High for a cycle at the end; ``error``, ``layers`` and ``coded`` are valid from then on.
    error : Out(Error)
        Why the image is refused.
    layers : Out(range(target.layers + 1))
        Layers of the network.
    coded : Out(region_layout(target.address_bits))
        Where the coded data are.
    regions : Out(stream.Signature(region_layout(target.address_bits)))
        What to read of the image.
    words : In(stream.Signature(32))
        The image. Words that were asked for and not taken are left behind at an error.
    schedule : Out(stream.Signature(WRITE, always_ready=True))
        Words for the schedule memory.
    channels : Out(stream.Signature(CHANNEL_WRITE, always_ready=True))
        Fields of channel records.
    code : Out(stream.Signature(CODE_WORD))
        Section CODE for the decoder.
    code_busy, code_error : In(1)
        The decoder is expanding its table; it can't use it.
    codebook : Out(stream.Signature(CODEBOOK_WORD, always_ready=True))
        Section CODEBOOK for the decoder.
    filters : Out(stream.Signature(FILTERS, always_ready=True))
        Layers that have weights, for a decoder that must know them; before section CODE.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "start": In(1),
            "done": Out(1),
            "error": Out(Error),
            "layers": Out(range(target.layers + 1)),
            "coded": Out(region_layout(target.address_bits)),
            "regions": Out(stream.Signature(region_layout(target.address_bits))),
            "words": In(stream.Signature(32)),
            "schedule": Out(stream.Signature(SCHEDULE_WRITE, always_ready=True)),
            "channels": Out(stream.Signature(CHANNEL_WRITE, always_ready=True)),
            "code": Out(stream.Signature(CODE_WORD)),
            "code_busy": In(1),
            "code_error": In(1),
            "codebook": Out(stream.Signature(CODEBOOK_WORD, always_ready=True)),
            "filters": Out(stream.Signature(FILTERS, always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        target = self.target

        m.submodules.crc = checksum = crc.catalog.CRC32_ISO_HDLC(data_width=8).create()
        m.submodules.header = header = Header(target)
        m.submodules.record_check = record_check = RecordCheck(target)
        m.submodules.channel_check = channel_check = ChannelCheck()

        word = Signal(32)
        byte = Signal(range(4))
        # Words taken since the image began, and words of the section taken.
        bits = target.address_bits
        taken_words = Signal(bits)
        index = Signal(16)

        def fail(error):
            m.d.sync += self.error.eq(error)
            m.next = "Finish"

        section = Signal(Section)
        length = Signal(bits)
        words_left = Countdown(m, "section_words", bits)
        bias_words = Signal(16)
        layer_word = Signal(range(RECORD_WORDS))

        m.d.comb += [
            header.words.payload.index.eq(index),
            header.words.payload.data.eq(self.words.payload),
            record_check.words.payload.index.eq(layer_word),
            record_check.words.payload.data.eq(self.words.payload),
            record_check.words.valid.eq(self.schedule.valid),
            record_check.clear.eq(self.start),
            channel_check.clear.eq(self.start),
            channel_check.channels.payload.eq(self.channels.payload),
            channel_check.channels.valid.eq(self.channels.valid),
            self.schedule.payload.address.eq(index),
            self.schedule.payload.data.eq(self.words.payload),
            self.code.payload.data.eq(self.words.payload),
            self.code.payload.last.eq(words_left.last),
            self.codebook.payload.address.eq(index),
            self.codebook.payload.data.eq(self.words.payload),
        ]

        if isinstance(target.decoder, TansLanes):
            m.submodules.filter_count = filter_count = FilterCount()
            wiring.connect(m, filter_count.layers, wiring.flipped(self.filters))
            m.d.comb += [
                filter_count.clear.eq(self.start),
                filter_count.words.valid.eq(self.schedule.valid),
                filter_count.words.payload.eq(record_check.words.payload),
            ]

        def take_section():
            with m.Switch(section):
                with m.Case(Section.SCHEDULE):
                    m.d.comb += self.schedule.valid.eq(1)
                    m.d.sync += layer_word.eq(layer_word + 1)
                    with m.If(layer_word == RECORD_WORDS - 1):
                        m.d.sync += [layer_word.eq(0), self.layers.eq(self.layers + 1)]
                with m.Case(Section.CODEBOOK):
                    m.d.comb += self.codebook.valid.eq(1)

        # Channel records: biases and multipliers a word each, shifts a byte each.
        with m.Switch(section):
            with m.Case(Section.BIAS):
                m.d.comb += self.channels.payload.field.eq(ChannelField.BIAS)
            with m.Case(Section.MULTIPLIER):
                m.d.comb += self.channels.payload.field.eq(ChannelField.MULTIPLIER)
            with m.Default():
                m.d.comb += self.channels.payload.field.eq(ChannelField.SHIFT)
        is_shift = section == Section.SHIFT
        crc_byte = word.word_select(byte, 8)
        m.d.comb += [
            self.channels.payload.channel.eq(Mux(is_shift, Cat(byte, index), index)),
            self.channels.payload.data.eq(Mux(is_shift, crc_byte, word)),
        ]

        def hand_out_channels():
            with m.Switch(section):
                with m.Case(Section.BIAS, Section.MULTIPLIER):
                    m.d.comb += self.channels.valid.eq(byte == 0)
                with m.Case(Section.SHIFT):
                    m.d.comb += self.channels.valid.eq(1)

        codebook_entries, code_words = CODEBOOK_ENTRIES, CODE_WORDS
        if isinstance(target.decoder, AutomatonShape):
            codebook_entries = target.decoder.symbols
        elif isinstance(target.decoder, RawShape):
            codebook_entries = RAW_ENTRIES
        elif isinstance(target.decoder, TansLanes):
            code_words = TANS_CODE_WORDS
        most_words = {
            Section.NETWORK: min(target.memory_words, 1 << 16),
            Section.SCHEDULE: target.layers * RECORD_WORDS,
            Section.BIAS: target.channels,
            Section.MULTIPLIER: target.channels,
            Section.SHIFT: target.channels // 4,
            Section.CODE: code_words,
            Section.CODEBOOK: target.codebooks * codebook_entries // 4,
            Section.CODED_DATA: target.memory_words,
        }
        most = Signal(bits + 1)
        with m.Switch(section):
            for which, words in most_words.items():
                with m.Case(which):
                    m.d.comb += most.eq(words)
        wrong_length = Signal()
        m.d.comb += wrong_length.eq(
            (length > most)
            | ((section == Section.CODE) & (length == 0))
            | ((section == Section.SCHEDULE) & (length == 0))
            | ((section == Section.MULTIPLIER) & (length != bias_words))
            | (is_shift & (length != (bias_words + 3)[2:])))

        has_flash = target.memory.has_flash
        outside = target.memory is Memory.FLASH
        in_header = Signal()
        section_ends = Signal()
        with m.FSM():
            with m.State("Idle"):
                with m.If(self.start):
                    m.d.sync += [
                        self.error.eq(Error.NONE),
                        self.layers.eq(0),
                        taken_words.eq(0),
                        index.eq(0),
                        in_header.eq(1),
                        layer_word.eq(0),
                        section.eq(Section.NETWORK),
                    ]
                    m.d.comb += checksum.start.eq(1)
                    m.next = "Ask for header"

            with m.State("Ask for header"):
                m.d.comb += [
                    self.regions.valid.eq(1),
                    self.regions.payload.address.eq(0),
                    self.regions.payload.words.eq(HEADER_WORDS),
                ]
                with m.If(self.regions.ready):
                    m.next = "Take header word"

            with m.State("Take header word"):
                m.d.comb += self.words.ready.eq(1)
                m.d.sync += [word.eq(self.words.payload), byte.eq(0)]
                with m.If(self.words.valid):
                    m.d.sync += taken_words.eq(taken_words + 1)
                    with m.If(index == HEADER_WORDS - 1):
                        m.next = "Check header"
                    with m.Else():
                        m.d.comb += header.words.valid.eq(1)
                        m.next = "Add to CRC"

            with m.State("Add to CRC"):
                m.d.comb += [checksum.data.eq(crc_byte), checksum.valid.eq(1)]
                m.d.sync += byte.eq(byte + 1)
                with m.If(~in_header):
                    hand_out_channels()
                with m.If(byte == 3):
                    m.d.sync += index.eq(index + 1)
                    m.next = "Take word"
                    with m.If(in_header):
                        m.next = "Take header word"
                    with m.Elif(section_ends):
                        m.next = "Take CRC"

            with m.State("Check header"):
                m.d.comb += checksum.start.eq(1)
                with m.If(~header.is_image):
                    fail(Error.NO_IMAGE)
                    if has_flash:
                        with m.If(header.is_erased):
                            fail(Error.FLASH_ERASED)
                with m.Elif(~header.is_known):
                    fail(Error.VERSION)
                with m.Elif(word != checksum.crc):
                    fail(Error.HEADER_CRC)
                with m.Elif(~header.fits_target):
                    fail(Error.TARGET)
                with m.Elif(~header.fits_memory):
                    fail(Error.LENGTH)
                with m.Else():
                    m.d.sync += in_header.eq(0)
                    m.next = "Ask for last word" if has_flash else "Ask for sections"

            with m.State("Ask for last word"):
                m.d.comb += [
                    self.regions.valid.eq(1),
                    self.regions.payload.address.eq(header.words_total - 1),
                    self.regions.payload.words.eq(1),
                ]
                with m.If(self.regions.ready):
                    m.next = "Take last word"

            with m.State("Take last word"):
                m.d.comb += self.words.ready.eq(1)
                with m.If(self.words.valid):
                    m.next = "Ask for sections"
                    with m.If(self.words.payload.all()):
                        fail(Error.TRUNCATED)

            with m.State("Ask for sections"):
                m.d.comb += [
                    self.regions.valid.eq(1),
                    self.regions.payload.address.eq(HEADER_WORDS),
                    self.regions.payload.words.eq(
                        header.words_total - HEADER_WORDS
                        - (header.lengths[Section.CODED_DATA] + 1 if outside else 0)),
                ]
                with m.If(self.regions.ready):
                    m.next = "Measure section"

            with m.State("Measure section"):
                m.d.sync += [index.eq(0), length.eq(header.lengths[section])]
                m.next = "Begin section"

            with m.State("Begin section"):
                words_left.load(length)
                with m.Switch(section):
                    with m.Case(Section.BIAS):
                        m.d.sync += bias_words.eq(length)
                    with m.Case(Section.CODED_DATA):
                        m.d.sync += [
                            self.coded.address.eq(taken_words),
                            self.coded.words.eq(length),
                        ]
                with m.If(wrong_length):
                    fail(Error.LENGTH)
                with m.Elif(outside & (section == Section.CODED_DATA)):
                    m.next = "Finish"
                with m.Elif(length == 0):
                    m.next = "Take CRC"
                with m.Else():
                    m.next = "Take word"

            with m.State("Take word"):
                is_code = section == Section.CODE
                m.d.comb += [
                    self.code.valid.eq(is_code & self.words.valid),
                    self.words.ready.eq(~is_code | self.code.ready),
                ]
                m.d.sync += [word.eq(self.words.payload), byte.eq(0)]
                with m.If(self.words.valid & self.words.ready):
                    m.d.sync += [
                        taken_words.eq(taken_words + 1),
                        section_ends.eq(words_left.last),
                    ]
                    words_left.step()
                    take_section()
                    m.next = "Add to CRC"

            with m.State("Take CRC"):
                m.d.comb += self.words.ready.eq(1)
                m.d.sync += word.eq(self.words.payload)
                with m.If(self.words.valid):
                    m.d.sync += taken_words.eq(taken_words + 1)
                    m.next = "Check section"

            with m.State("Check section"):
                m.next = "End section"
                with m.If(word != checksum.crc):
                    fail(Error.SECTION_CRC)
                with m.Elif(layer_word != 0):
                    fail(Error.LENGTH)
                with m.Elif(record_check.illegal | channel_check.illegal):
                    fail(Error.SCHEDULE)
                with m.Elif((section == Section.CODE) & self.code_busy):
                    m.next = "Check section"
                with m.Elif((section == Section.CODE) & self.code_error):
                    fail(Error.CODE_TABLE)

            with m.State("End section"):
                m.d.comb += checksum.start.eq(1)
                m.d.sync += section.eq(section + 1)
                m.next = "Measure section"
                with m.If(section == Section.CODED_DATA):
                    m.next = "Finish"

            with m.State("Finish"):
                m.d.comb += self.done.eq(1)
                m.next = "Idle"

        return m
