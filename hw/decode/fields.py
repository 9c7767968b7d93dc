"""Cuts bit fields that follow one another out of a stream of words."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.pipeline import delay

from .stream_register import StreamRegister


__all__ = ["FieldCutter", "WordSplitter", "WordWindow", "least_additions", "shifted"]


class WordWindow(wiring.Component):
    """The two words that bits are taken from.

    A word comes each cycle if need be. There may be a step only if ``next_valid`` has been in the
    cycle before; it is in each cycle in which there is a word to come, once enough have come.

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
    step : In(1)
        There is a step.
    advance : In(1)
        The step uses the earlier word up.
    next_valid : Out(1)
        In the next cycle both words will be there, and one more.
    """

    def __init__(self, word_bits):
        self.word_bits = word_bits
        super().__init__({
            "i": In(stream.Signature(word_bits)),
            "words": Out(2 * word_bits),
            "step": In(1),
            "advance": In(1),
            "next_valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.following = following = StreamRegister(self.word_bits)
        wiring.connect(m, wiring.flipped(self.i), following.i)

        words = Signal(2 * self.word_bits, reset_less=True)
        valid = Signal(2)
        comes = Signal()
        m.d.comb += [
            self.words.eq(words),
            comes.eq(Mux(valid[0], self.advance & self.step, following.o.valid)),
            following.o.ready.eq(comes),
            # Whether a step takes the following word is known too late to count here.
            self.next_valid.eq(valid[0] & (self.i.valid | following.o.valid & ~self.step)),
        ]
        with m.If(comes):
            m.d.sync += [
                words.eq(Cat(words[self.word_bits:], following.o.payload)),
                valid.eq(Cat(valid[1], 1)),
            ]

        return m


class WordSplitter(wiring.Component):
    """Cuts words into parts of equal size, the lower bits first.

    A part leaves ``latency`` cycles or more after its word has come, one per cycle; words follow
    without a gap. A stall keeps the rest.

    Parameters
    ----------
    word_bits, part_bits : int
        Bits of a word and of a part, powers of two.

    Members
    -------
    i : In(stream.Signature(word_bits))
        Words. ``ready`` follows ``o.ready`` combinationally.
    o : Out(stream.Signature(part_bits))
        Parts.

    Attributes
    ----------
    latency : int
        Cycles from a word to its first part: none if they are the same.
    """

    def __init__(self, word_bits, part_bits):
        self.word_bits = word_bits
        self.part_bits = part_bits
        self.latency = int(part_bits < word_bits)
        super().__init__({
            "i": In(stream.Signature(word_bits)),
            "o": Out(stream.Signature(part_bits)),
        })

    def elaborate(self, platform):
        m = Module()

        if self.word_bits == self.part_bits:
            wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
            return m

        m.submodules.word = word = StreamRegister(self.word_bits)
        wiring.connect(m, wiring.flipped(self.i), word.i)
        part = Signal(range(self.word_bits // self.part_bits))
        m.d.comb += [
            self.o.payload.eq(word.o.payload.word_select(part, self.part_bits)),
            self.o.valid.eq(word.o.valid),
            word.o.ready.eq(self.o.ready & part.all()),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += part.eq(part + 1)

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
    additions : int
        Steps in which widths are added: `least_additions` for the number of lanes, or up to as many
        as the tree has levels.
    registered : bool
        Whether ``advance`` comes from a register, for a step more.

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

    def __init__(self, lanes, *, most_bits, word_bits, fixed_bits, additions,
                 registered=False):
        if lanes not in (1, 2, 4, 8):
            raise ValueError(f"Lanes must be 1, 2, 4 or 8, not {lanes}")
        if word_bits < lanes * most_bits:
            raise ValueError(f"Words must have {lanes * most_bits} bits or more, not {word_bits}")

        self.lanes = lanes
        self.most_bits = most_bits
        self.word_bits = word_bits
        self.fixed_bits = fixed_bits
        self.additions = additions
        self.registered = registered
        self.latency = additions + registered + 1 + exact_log2(lanes)
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
        aligned = granules(levels)
        spans = [(self.most_bits << level) + aligned[level] - 1 for level in range(levels + 1)]
        steps = self.additions

        begun = Signal(steps)
        position = Signal(exact_log2(self.word_bits))
        next_position = Signal(len(position) + 1)
        m.d.comb += next_position.eq(position + sums.of(levels, 0, steps))
        m.d.sync += begun.eq(Cat(1, begun))
        with m.If(begun[-1]):
            m.d.sync += position.eq(next_position)
        m.d["sync" if self.registered else "comb"] += self.advance.eq(next_position[-1] & begun[-1])
        start = delay(m, position, self.registered)
        steps += self.registered

        def cut(level, number, bits, offset, next_offset, steps):
            """Cut the fields of a branch out of ``bits`` that have been shifted up to ``offset``.

            All is of step ``steps``, but ``next_offset`` which is there a step earlier.
            """
            if level == 0:
                m.d.comb += self.fields[number].eq(shifted(
                    bits, offset, 1, self.most_bits))
                return
            sum_of_lower = sums.of(level - 1, 2 * number, steps - 1)
            upper = register(m, (next_offset + sum_of_lower)[:ceil_log2(
                aligned[level] + (self.most_bits << level - 1))])
            for half, start in enumerate((offset, upper)):
                branch(level - 1, 2 * number + half, bits, start, steps)

        def branch(level, number, bits, start, steps):
            """Align the fields of a branch, which begin at bit ``start``, and cut them out."""
            rest = start[:exact_log2(aligned[level])]
            part = register(m, shifted(bits, start, aligned[level], spans[level]))
            cut(level, number, part, register(m, rest), rest, steps + 1)

        branch(levels, 0, self.words, start, steps)

        return m


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
        # The last addition may be of more than two sums.
        known = min(level, cutter.additions) or 1
        if steps > known:
            return register(m, self.of(level, number, steps - 1))
        lower = steps - 1 if level else 0
        parts = [self.of(lower, place, steps - 1)
                 for place in range(number << level - lower, number + 1 << level - lower)]
        # Registers are set and reset by themselves only to what they begin with.
        fixed = cutter.fixed_bits << level
        total = Signal(range((cutter.most_bits << level) + 1), init=fixed, reset_less=True)
        while len(parts) > 1:
            parts = [lower + upper for lower, upper in zip(parts[::2], parts[1::2], strict=True)]
        m.d.sync += total.eq(parts[0])
        if steps == 1:
            with m.If(cutter.fixed):
                m.d.sync += total.eq(fixed)
        return total


def least_additions(lanes):
    """Return the fewest steps in which the widths of all lanes are added."""
    return 1 if lanes < 4 else 2


def granules(levels):
    """Return what the fields of a branch are aligned to, for each level.

    Shifting a branch by less, on all its bits, would cost more LUTs than shifting its parts. The
    last step, behind which lanes make states, is to be short.
    """
    return [2 if levels else 4, *(4 << level for level in range(1, levels + 1))]


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
