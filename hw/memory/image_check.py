"""Check of a ROM image, bit by bit, on its way into a memory."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sw.format.sections import HEADER_WORDS, MAGIC, SECTIONS, VERSION
from sw.format.status import Error


__all__ = ["ImageCheck"]


#: CRC-32 as in the format, its lowest bit first.
POLYNOMIAL = 0xedb88320

#: Word of the header that holds the length of the whole; those of the sections begin at FIRST.
WHOLE, FIRST = 1, 3


class ImageCheck(wiring.Component):
    """Looks at the bytes of an image in order: header, lengths, and the CRC of each section.

    A byte takes 9 cycles, at the end of a word 10, of a part 13. It takes no byte behind the
    image's last one, nor any behind what is wrong. What a section holds is not looked at.

    Parameters
    ----------
    target : Target
        The accelerator whose hash the image's schedule must carry.
    most_bytes : int
        How long an image may be; a power of two.

    Members
    -------
    clear : In(1)
        Begins anew.
    i : In(stream.Signature(8))
        The image.
    address : Out(range(most_bytes))
        Which byte the next one is.
    done : Out(1)
        The image has ended, or it isn't good; high until it begins anew. ``error`` is valid.
    error : Out(Error)
        NONE, FLASH_ERASED if it begins with nothing but ones, TRUNCATED if they take the place of a
        section's CRC; NO_IMAGE, VERSION, HEADER_CRC, TARGET, LENGTH or SECTION_CRC.
    """

    def __init__(self, target, *, most_bytes):
        if most_bytes.bit_count() != 1 or not 256 <= most_bytes <= 1 << 17:
            raise ValueError(f"Bytes of an image must be a power of two, 256 to {1 << 17}, "
                             f"not {most_bytes}")
        self.target = target
        self.most_bytes = most_bytes
        super().__init__({
            "clear": In(1),
            "i": In(stream.Signature(8)),
            "address": Out(range(most_bytes)),
            "done": Out(1),
            "error": Out(Error),
        })

    def elaborate(self, platform):
        m = Module()

        # The byte at work, its lowest bit next, and how many of its bits are through.
        byte = Signal(8)
        bit = Signal(3)
        # One bit more than addresses have: an image that is too long ends there.
        count = Signal(len(self.address) + 1)
        too_long = count[-1]
        place, word_of_header = count[:2], count[2:6]
        m.d.comb += self.address.eq(count)

        # The part that is checked is called by the header's word with its length, the header itself
        # by the one before. There are so many words to come, then the CRC.
        part = Signal(4, init=FIRST - 1)
        in_header = part == FIRST - 1
        left = Signal(15, init=HEADER_WORDS - 1)
        in_crc = Signal()

        # The lower halves of the header's words.
        m.submodules.lengths = lengths = Memory(shape=16, depth=16, init=[])
        write_port, read_port = lengths.write_port(granularity=8), lengths.read_port()
        m.d.comb += [
            write_port.addr.eq(word_of_header),
            write_port.data.eq(self.i.payload.replicate(2)),
            read_port.addr.eq(part),
        ]

        expected = Signal(8)
        with m.Switch(count[:4]):
            for number, value in enumerate([*MAGIC, VERSION]):
                with m.Case(number):
                    m.d.comb += expected.eq(value)
            for number, value in enumerate(self.target.hash.to_bytes(4, "little"), 8):
                with m.Case(number):
                    m.d.comb += expected.eq(value)
        other_image, other_version, other_target, bad_length, erased = (
            Signal(name=name) for name in ("other_image", "other_version", "other_target",
                                           "bad_length", "erased"))

        crc = Signal(32, init=0xffff_ffff)
        differs = Signal()
        # The word consists of ones so far.
        ones = Signal()
        feedback = (crc[0] ^ byte[0]) & ~in_crc

        def fail(error):
            m.d.sync += self.error.eq(error)
            m.next = "Done"

        def examine_header():
            with m.If(self.i.payload != expected):
                with m.Switch(word_of_header):
                    with m.Case(0):
                        m.d.sync += [other_image.eq(other_image | (place != 3)),
                                     other_version.eq(other_version | (place == 3))]
                    with m.Case(2):
                        m.d.sync += other_target.eq(1)
            is_length = ((word_of_header == WHOLE)
                         | (word_of_header >= FIRST) & (word_of_header < FIRST + SECTIONS))
            with m.If(is_length & Mux(place[1], self.i.payload != 0,
                                      place[0] & self.i.payload[7])):
                m.d.sync += bad_length.eq(1)

        def judge_header():
            with m.If(other_image):
                fail(Error.NO_IMAGE)
                with m.If(erased):
                    fail(Error.FLASH_ERASED)
            with m.Elif(other_version):
                fail(Error.VERSION)
            with m.Elif(differs):
                fail(Error.HEADER_CRC)
            with m.Elif(other_target):
                fail(Error.TARGET)
            with m.Elif(bad_length):
                fail(Error.LENGTH)

        with m.FSM():
            with m.State("Take"):
                m.d.comb += self.i.ready.eq(~too_long)
                m.d.sync += byte.eq(self.i.payload)
                with m.If(place == 0):
                    m.d.sync += ones.eq(1)
                with m.If(self.i.valid & ~too_long):
                    with m.If(in_header):
                        m.d.comb += write_port.en.eq(Cat(place == 0, place == 1))
                        examine_header()
                    m.d.sync += count.eq(count + 1)
                    m.next = "Bits"
                with m.If(too_long):
                    fail(Error.LENGTH)

            with m.State("Bits"):
                m.d.sync += [
                    byte.eq(byte[1:]),
                    bit.eq(bit + 1),
                    ones.eq(ones & byte[0]),
                    crc.eq((crc >> 1) ^ Mux(feedback, POLYNOMIAL, 0)),
                    differs.eq(differs | (in_crc & (byte[0] == crc[0]))),
                ]
                with m.If(bit == 7):
                    m.next = "Take"
                    with m.If(place == 0):
                        m.next = "Word"

            with m.State("Word"):
                m.d.sync += left.eq(left - 1)
                m.next = "Take"
                with m.If(in_crc):
                    m.d.sync += [crc.eq(crc.init), in_crc.eq(0), part.eq(part + 1)]
                    m.next = "Ask"
                    with m.If(part == FIRST + SECTIONS - 1):
                        m.d.sync += part.eq(WHOLE)
                    with m.If(in_header):
                        judge_header()
                    with m.Elif(differs):
                        fail(Error.SECTION_CRC)
                        with m.If(ones):
                            fail(Error.TRUNCATED)
                with m.Elif(left == 1):
                    m.d.sync += in_crc.eq(1)
                with m.If(word_of_header == 1):
                    m.d.sync += erased.eq(ones)

            # The next part's length, or at the end that of the whole.
            with m.State("Ask"):
                m.next = "Learn"
            with m.State("Learn"):
                m.d.sync += left.eq(read_port.data)
                m.next = "Begin"
            with m.State("Begin"):
                m.d.sync += in_crc.eq(left == 0)
                m.next = "Take"
                with m.If(part == WHOLE):
                    fail(Error.NONE)
                    with m.If(count[2:] != left):
                        fail(Error.LENGTH)

            with m.State("Done"):
                m.d.comb += self.done.eq(1)

        return ResetInserter(self.clear)(m)
