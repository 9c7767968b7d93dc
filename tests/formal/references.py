"""Decoders as docs/format.md has them: what short coded data mean, without a clock.

Each is combinational and looks at all of the coded data at once. Nothing in them is taken from the
gateware, which other tests compare with the software's codecs.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sw.format.tables import GROUP


__all__ = ["PrefixReference", "TansReference"]


class Reader:
    """Reads fields of the bits of ``words``, one behind the other."""

    def __init__(self, m, words, position=0):
        self.m = m
        self.words = words
        self.position = Const(position, range(len(words) + 1))

    def peek(self, width):
        """Return the next bits."""
        bits = Signal(width)
        self.m.d.comb += bits.eq(self.words >> self.position)
        return bits

    def skip(self, count):
        """Go on."""
        after = Signal(range(len(self.words) + 2))
        self.m.d.comb += after.eq(self.position + count)
        self.position = after


def named(m, value, shape=None):
    """Return a signal that is ``value``, of ``shape``."""
    signal = Signal(len(value) if shape is None else shape)
    m.d.comb += signal.eq(value)
    return signal


class TansReference(wiring.Component):
    """Symbols of tANS coded data (docs/format.md, section 11), of one table, whatever its rows.

    Members
    -------
    count : In(range(symbols + 1))
        Symbols that there are.
    states : Out(ArrayLayout(table_bits, symbols))
        State of each symbol.
    rows : In(ArrayLayout(row, symbols))
        Its row, as `sw.format.lanes.TansLanes` has it: ``next`` and ``value``.
    values : Out(ArrayLayout(signed(8), symbols))
        Its value.
    ended : Out(1)
        The states are 0 at the end.
    """

    def __init__(self, bits, symbols, *, table_bits, states):
        self.bits = bits
        self.symbols = symbols
        self.table_bits = table_bits
        self.turns = states
        row = data.StructLayout({"next": table_bits + 2, "value": signed(16 - table_bits)})
        super().__init__({
            "data": In(bits),
            "count": In(range(symbols + 1)),
            "states": Out(data.ArrayLayout(table_bits, symbols)),
            "rows": In(data.ArrayLayout(row, symbols)),
            "values": Out(data.ArrayLayout(signed(8), symbols)),
            "ended": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        size = self.table_bits
        states = [self.data.word_select(turn, size) for turn in range(self.turns)]
        reader = Reader(m, self.data, position=self.turns * size)
        for number in range(self.symbols):
            turn = number % self.turns
            state, row = states[turn], self.rows[number]
            base, code = row.next[:size], Cat(row.next[:2], row.next[size:])
            width = Signal(range(size + 1))
            with m.If(~code[3]):
                m.d.comb += width.eq(size - code[:3])
            with m.Elif(code[2]):
                m.d.comb += width.eq(1 + code[0])
            mask = named(m, (1 << width) - 1, size)
            there = number < self.count
            following = (base & ~mask) | (reader.peek(size) & mask)
            m.d.comb += [
                self.states[number].eq(state),
                self.values[number].eq(row.value),
            ]
            reader.skip(Mux(there, width, 0))
            states[turn] = named(m, Mux(there, following, state), size)
        m.d.comb += self.ended.eq(~Cat(*states).any())

        return m


class PrefixReference(wiring.Component):
    """Groups of prefix coded data (docs/format.md, section 10), turn by turn.

    Parameters
    ----------
    tables : sequence of PrefixTable
        Codes, of one shape.
    turns : int
        Pieces that there are.

    Members
    -------
    code : In(range(len(tables)))
        Which of the codes it is.
    groups : Out(ArrayLayout(..., turns))
        What ends in each turn: whether a group does (``whole``), its ``number`` and ``symbols``.
    """

    def __init__(self, tables, turns):
        self.tables = tables
        self.shape = shape = tables[0].shape
        self.turns = turns
        group = data.StructLayout({
            "symbols": data.ArrayLayout(shape.symbol_bits, GROUP), "number": 8, "whole": 1})
        super().__init__({
            "data": In(turns * shape.step_bits),
            "code": In(range(len(tables))),
            "groups": Out(data.ArrayLayout(group, turns)),
        })

    def elaborate(self, platform):
        m = Module()

        shape = self.shape
        longest = max(max(table.lengths) for table in self.tables)
        # A node of the code tree: a one, then the bits that lead to it. 0 is none.
        leaves = [Signal(longest + 1) for _ in range(shape.symbols)]
        with m.Switch(self.code):
            for number, table in enumerate(self.tables):
                with m.Case(number):
                    m.d.comb += [leaf.eq(1 << length | word if length else 0) for leaf, length, word
                                 in zip(leaves, table.lengths, table.codewords, strict=True)]

        substream = data.StructLayout({
            "node": longest + 1, "symbols": data.ArrayLayout(shape.symbol_bits, GROUP),
            "count": ceil_log2(GROUP), "number": 8, "idle": 1})
        substreams = [Const({"idle": 1}, substream)] * shape.substreams
        begun = Const(0, 8)
        for turn, group in enumerate(self.groups):
            place = turn % shape.substreams
            for bit in range(shape.step_bits):
                before, after = substreams[place], Signal(substream)
                number = Mux(before.idle, begun, before.number)
                begun = named(m, begun + before.idle, 8)
                node = named(m, Cat(self.data[turn * shape.step_bits + bit],
                                    Mux(before.idle, 1, before.node)), longest + 1)
                hits = Cat(node == leaf for leaf in leaves)
                symbol = Signal(shape.symbol_bits)
                for value, hit in enumerate(hits):
                    with m.If(hit):
                        m.d.comb += symbol.eq(value)
                symbols = named(m, before.symbols.as_value()
                                | symbol << shape.symbol_bits * before.count)
                ends = named(m, hits.any() & (before.count == GROUP - 1))
                m.d.comb += [
                    after.node.eq(Mux(hits.any(), 1, node)),
                    after.number.eq(number),
                    after.idle.eq(ends),
                ]
                with m.If(~ends):
                    m.d.comb += [
                        after.count.eq(before.count + hits.any()),
                        after.symbols.eq(symbols),
                    ]
                with m.If(ends):
                    m.d.comb += [
                        group.symbols.eq(symbols),
                        group.number.eq(number),
                        group.whole.eq(1),
                    ]
                substreams[place] = after

        return m
