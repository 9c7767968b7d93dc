"""Cuts bit fields that follow one another out of a stream of words."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from .lookahead import Lookahead


__all__ = ["FieldCutter", "WordWindow", "cut_latency", "shifted"]


# Until the last step fields are aligned to so many bits only: the rest of each shift is made once,
# on the narrow field, instead of at every branch of the tree.
GRANULE = 8
LAST_GRANULE = 4


class WordWindow(wiring.Component):
    """The two words that bits are taken from, and the next one.

    Two words and the next one must have come before there are steps. A word comes each cycle if
    need be.

    Parameters
    ----------
    word_bits : int
        Bits of a word.

    Members
    -------
    i : In(stream.Signature(word_bits))
        Words. ``ready`` follows ``advance`` combinationally.
    words : Out(2 * word_bits)
        Two words, the earlier one lower.
    advance : In(1)
        The earlier word is used up. Only if ``next_valid`` has been in the cycle before.
    next_valid : Out(1)
        In the next cycle all three words will be there.
    """

    def __init__(self, word_bits):
        self.word_bits = word_bits
        super().__init__({
            "i": In(stream.Signature(word_bits)),
            "words": Out(2 * word_bits),
            "advance": In(1),
            "next_valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.following = following = Lookahead(self.word_bits)
        wiring.connect(m, wiring.flipped(self.i), following.i)

        words = Signal(2 * self.word_bits, reset_less=True)
        valid = Signal(2)
        m.d.comb += [
            self.words.eq(words),
            following.take.eq(self.advance | following.valid & ~valid[0]),
            self.next_valid.eq(following.next_valid & valid[0]),
        ]
        with m.If(following.take):
            m.d.sync += [
                words.eq(Cat(words[self.word_bits:], following.payload)),
                valid.eq(Cat(valid[1], 1)),
            ]

        return m


class FieldCutter(wiring.Component):
    """Cuts fields out of words, as many in a step as it has lanes; bit 0 comes first.

    A step takes the widths of a field for each lane, and gives the fields ``latency`` steps later,
    the bits behind them too. A tree of shifters halves the lanes at each level; sums of widths say
    by how much. Only the first addition is in a loop of one step.

    The component is to step by an enable, and to start by a reset, which doesn't clear widths and
    fields that are under way; those of steps before the first one since are ignored.

    Parameters
    ----------
    lanes : int
        Fields of a step: 1, 2, 4 or 8.
    most_bits : int
        Greatest width of a field.
    word_bits : int
        Bits of a word, a power of two; at least as many as the fields of a step can have.
    fixed_bits : int
        Width that all fields have while ``fixed``.

    Members
    -------
    widths : In(ArrayLayout(range(most_bits + 1), lanes))
        Widths of the fields.
    fixed : In(1)
        They are ``fixed_bits`` each instead.
    words : In(2 * word_bits)
        Two words, the lower one the earlier.
    advance : Out(1)
        The step uses the earlier word up.
    fields : Out(ArrayLayout(most_bits, lanes))
        Fields, two levels of logic behind registers.

    Attributes
    ----------
    latency : int
        Steps from widths to fields.
    """

    def __init__(self, lanes, *, most_bits, word_bits, fixed_bits):
        if lanes not in (1, 2, 4, 8):
            raise ValueError(f"Lanes must be 1, 2, 4 or 8, not {lanes}")
        if word_bits < lanes * most_bits:
            raise ValueError(f"Words must have {lanes * most_bits} bits or more, not {word_bits}")

        self.lanes = lanes
        self.most_bits = most_bits
        self.word_bits = word_bits
        self.fixed_bits = fixed_bits
        self.latency = cut_latency(lanes)
        super().__init__({
            "widths": In(data.ArrayLayout(range(most_bits + 1), lanes)),
            "fixed": In(1),
            "words": In(2 * word_bits),
            "advance": Out(1),
            "fields": Out(data.ArrayLayout(most_bits, lanes)),
        })

    def elaborate(self, platform):
        m = Module()

        sums = Sums(m, self)
        levels = exact_log2(self.lanes)
        steps = sum_latency(self.lanes)

        begun = Signal(steps)
        position = Signal(exact_log2(self.word_bits))
        next_position = Signal(len(position) + 1)
        m.d.comb += [
            next_position.eq(position + sums.of(levels, 0, steps)),
            self.advance.eq(next_position[-1] & begun[-1]),
        ]
        m.d.sync += begun.eq(Cat(1, begun))
        with m.If(begun[-1]):
            m.d.sync += position.eq(next_position)

        def cut(level, number, bits, offset, next_offset, steps):
            """Cut the fields of a branch out of ``bits`` that have been shifted up to ``offset``.

            All is of step ``steps``, but ``next_offset`` which is there a step earlier.
            """
            if level == 0:
                m.d.comb += self.fields[number].eq(shifted(
                    bits, offset, 1, self.most_bits))
                return
            sum_of_lower = sums.of(level - 1, 2 * number, steps - 1)
            next_upper = (next_offset + sum_of_lower)[:ceil_log2(
                granule(level) + self.most_bits << level - 1)]
            upper = register(m, next_upper)
            for half, start in enumerate((offset, upper)):
                part = register(m, shifted(bits, start, granule(level - 1), self.span(level - 1)))
                rest = start[:exact_log2(granule(level - 1))]
                cut(level - 1, 2 * number + half, part, register(m, rest), rest, steps + 1)

        root = granule(levels)
        rest = position[:exact_log2(root)]
        bits = register(m, shifted(self.words, position, root, self.span(levels)))
        cut(levels, 0, bits, register(m, rest), rest, steps + 1)

        return m

    def span(self, level):
        """Return the bits that a branch of ``2 ** level`` lanes needs."""
        return (self.most_bits << level) + granule(level) - 1


class Sums:
    """Sums of neighbouring widths, at any step; for `FieldCutter`."""

    def __init__(self, m, cutter):
        self.m = m
        self.cutter = cutter
        self.known = {}

    def of(self, level, number, steps):
        """Return the sum of a branch of ``2 ** level`` lanes, so many steps later."""
        key = level, number, steps
        if key not in self.known:
            self.known[key] = self.make(*key)
        return self.known[key]

    def make(self, level, number, steps):
        m, cutter = self.m, self.cutter
        if level == steps == 0:
            return cutter.widths[number]
        if steps > max(1, min(level, 2)):
            return register(m, self.of(level, number, steps - 1))
        # Widths come from block RAM and are added by pairs; four pairs are added at once.
        lower = min(level, 1) if steps == 2 else 0
        parts = [self.of(lower, place, steps - 1)
                 for place in range(number << level - lower, number + 1 << level - lower)]
        total = Signal(range((cutter.most_bits << level) + 1), reset_less=True)
        m.d.sync += total.eq(sum(parts[1:], parts[0]))
        if steps == 1:
            with m.If(cutter.fixed):
                m.d.sync += total.eq(cutter.fixed_bits << level)
        return total


def sum_latency(lanes):
    """Return the steps until the sum of all widths is there: four lanes need two additions."""
    return 1 if lanes < 4 else 2


def cut_latency(lanes):
    """Return the steps from widths to fields."""
    return sum_latency(lanes) + 1 + exact_log2(lanes)


def granule(level):
    return GRANULE if level else LAST_GRANULE


def register(m, value):
    kept = Signal(len(value), reset_less=True)
    m.d.sync += kept.eq(value)
    return kept


def shifted(bits, offset, granule, span):
    """Return ``span`` of ``bits``, shifted by the part of ``offset`` that ``granule`` divides.

    Where they end the shift takes others in; none of them may be needed.
    """
    for place in reversed(range(exact_log2(granule), len(offset))):
        shift = 1 << place
        kept = bits[:span + shift - granule]
        bits = Mux(offset[place], Cat(bits[shift:shift + len(kept)], kept[len(bits) - shift:]),
                   kept)
    return bits[:span]
