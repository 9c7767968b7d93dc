"""Header of the ROM image: what it promises, and whether it can be true."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.sections import HEADER_WORDS, MAGIC, SECTIONS, VERSION


__all__ = ["HEADER_WORD", "Header"]


#: A word of the header, and which one it is.
HEADER_WORD = data.StructLayout({"index": range(HEADER_WORDS), "data": 32})


class Header(wiring.Component):
    """Keeps what the header's words say, from one cycle after each.

    Parameters
    ----------
    target : Target
        The accelerator that is to run the image.

    Members
    -------
    words : In(stream.Signature(HEADER_WORD, always_ready=True))
        The header's words in order, but for its CRC.
    is_image, is_known : Out(1)
        It begins with the magic; the format's version is ours.
    fits_target : Out(1)
        The schedule is for the target.
    fits_memory : Out(1)
        The sections make the whole, and the whole fits the weight memory.
    is_erased : Out(1)
        Its first word is that of a flash without anything.
    words_total : Out(target.address_bits)
        Words of the image.
    lengths : Out(ArrayLayout(target.address_bits, SECTIONS))
        Words of each section.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "words": In(stream.Signature(HEADER_WORD, always_ready=True)),
            "is_image": Out(1),
            "is_known": Out(1),
            "fits_target": Out(1),
            "fits_memory": Out(1),
            "is_erased": Out(1),
            "words_total": Out(target.address_bits),
            "lengths": Out(data.ArrayLayout(target.address_bits, SECTIONS)),
        })

    def elaborate(self, platform):
        m = Module()

        word = self.words.payload.data
        bits = self.target.address_bits
        # Words that the sections leave of the total; what needs more bits fits no memory.
        rest = Signal(signed(bits + 5))
        too_long = Signal()
        m.d.comb += self.fits_memory.eq(
            (rest == 0) & ~too_long & (self.words_total <= self.target.memory_words))

        with m.If(self.words.valid):
            with m.Switch(self.words.payload.index):
                with m.Case(0):
                    m.d.sync += [
                        self.is_image.eq(word[:24] == int.from_bytes(MAGIC, "little")),
                        self.is_known.eq(word[24:] == VERSION),
                        self.is_erased.eq(word.all()),
                    ]
                with m.Case(1):
                    m.d.sync += [
                        self.words_total.eq(word),
                        rest.eq(word[:bits] - (HEADER_WORDS + SECTIONS)),
                        too_long.eq(word[bits:] != 0),
                    ]
                with m.Case(2):
                    m.d.sync += self.fits_target.eq(word == self.target.hash)
                with m.Default():
                    m.d.sync += [
                        self.lengths.eq(Cat(self.lengths.as_value()[bits:], word[:bits])),
                        rest.eq(rest - word[:bits]),
                        too_long.eq(too_long | (word[bits:] != 0)),
                    ]

        return m
