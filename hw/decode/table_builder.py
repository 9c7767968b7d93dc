"""Expansion of a prefix code, stored as code lengths, into the table of an automaton."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from sw.format.sections import Codec
from sw.format.tables import MAX_CODE_LENGTH

from .layouts import CODE_WORD, RUNS, row_layout, table_layout


__all__ = ["TableBuilder", "TreeWalker", "level_layout"]


#: Code lengths in a word of section CODE.
LENGTHS_PER_WORD = 8

#: Width of the number of a tree level.
LEVEL_BITS = bits_for(MAX_CODE_LENGTH + 1)


def level_layout(shape):
    """Return the layout of what describes a level of the code tree of ``shape``.

    A level holds its leaves first, then its inner nodes: ``leaves`` of the former, whose symbols
    are listed from place ``first_leaf`` on; the states of the latter begin with ``first_state``.
    """
    return data.StructLayout({
        "leaves": range(shape.symbols + 1),
        "first_leaf": shape.symbol_bits,
        "first_state": shape.state_bits,
    })


class TreeWalker(wiring.Component):
    """Walks down the code tree from each inner node with each piece and writes the rows.

    Takes ``2 + 2 * shape.step_bits`` cycles for a row of the table.

    Parameters
    ----------
    shape : AutomatonShape
        The automaton.

    Members
    -------
    start : In(1)
        Strobe: begin at the root.
    states : In(shape.state_bits)
        Number of inner nodes.
    levels : Out(Signature)
        Levels of the tree: ``data`` is that of ``address`` in the same cycle.
    symbols : Out(Signature)
        Symbols in the order of their codewords, likewise.
    o : Out(stream.Signature(table_layout(shape), always_ready=True))
        Rows of the table, all of a state one after the other.
    done : Out(1)
        Strobe: with the last row.
    """

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "start": In(1),
            "states": In(shape.state_bits),
            "levels": Out(wiring.Signature({
                "address": Out(LEVEL_BITS),
                "data": In(level_layout(shape)),
            })),
            "symbols": Out(wiring.Signature({
                "address": Out(shape.symbol_bits),
                "data": In(shape.symbol_bits),
            })),
            "o": Out(stream.Signature(table_layout(shape), always_ready=True)),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        shape = self.shape
        node_layout = data.StructLayout({"level": LEVEL_BITS, "index": shape.state_bits})
        origin = Signal(node_layout)
        state = Signal(shape.state_bits)
        level_ends = Signal()
        last_state = Signal()
        piece = Signal(shape.step_bits)

        node = Signal(node_layout)
        bits = Signal.like(piece)
        steps = Signal(range(shape.step_bits))
        row = Signal(row_layout(shape))
        below = Signal(level_layout(shape))
        child = Signal(shape.state_bits + 1)
        index = Signal(shape.state_bits)

        m.d.comb += [
            self.levels.address.eq(node.level + 1),
            child.eq(Cat(bits[0], node.index)),
            index.eq(child - below.leaves),
            self.symbols.address.eq(below.first_leaf + child),
            self.o.payload.address.eq(Cat(piece, state)),
            self.o.payload.data.eq(row),
        ]

        m.d.sync += last_state.eq(state + 1 == self.states)

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += [origin.eq(0), state.eq(0), piece.eq(0)]
                with m.If(self.start):
                    m.next = "Begin"

            with m.State("Begin"):
                m.d.sync += [node.eq(origin), bits.eq(piece), steps.eq(0), row.eq(0)]
                m.next = "Fetch"

            with m.State("Fetch"):
                m.d.sync += below.eq(self.levels.data)
                m.next = "Step"

            with m.State("Step"):
                with m.If(steps == 0):
                    m.d.sync += level_ends.eq(state + 1 == below.first_state)
                with m.If(child < below.leaves):
                    m.d.sync += [
                        node.eq(0),
                        row.state.eq(0),
                        row.symbols[row.count].eq(self.symbols.data),
                        row.count.eq(row.count + 1),
                    ]
                with m.Else():
                    m.d.sync += [
                        node.level.eq(node.level + 1),
                        node.index.eq(index),
                        row.state.eq(below.first_state + index),
                    ]
                m.d.sync += [bits.eq(bits >> 1), steps.eq(steps + 1)]
                m.next = "Fetch"
                with m.If(steps == shape.step_bits - 1):
                    m.next = "Write"

            with m.State("Write"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += piece.eq(piece + 1)
                m.next = "Begin"
                with m.If(piece.all()):
                    m.d.sync += [state.eq(state + 1), origin.index.eq(origin.index + 1)]
                    with m.If(level_ends):
                        m.d.sync += [origin.level.eq(origin.level + 1), origin.index.eq(0)]
                    with m.If(last_state):
                        m.d.comb += self.done.eq(1)
                        m.next = "Idle"

        return m


class TableBuilder(wiring.Component):
    """Reads section CODE and writes the rows of the automaton's table.

    After the last word come ``MAX_CODE_LENGTH * (2 * symbols + 1) + 1`` cycles for sorting the
    symbols by code length, then ``2 + 2 * step_bits`` for each row of each existing state: for 32
    symbols and 4 bits a step 5,741 altogether. Words that come meanwhile wait.

    ``error`` rises, and no row is written, if the section has another length, codec or shape than
    the automaton's, or its code lengths are out of range or don't make a complete code. Whatever
    the section holds, ``busy`` falls in the end; the next word then begins another section.

    Parameters
    ----------
    shape : AutomatonShape
        The automaton.

    Members
    -------
    i : In(stream.Signature(CODE_WORD))
        Words of section CODE.
    o : Out(stream.Signature(table_layout(shape), always_ready=True))
        Rows of the table, as in ``PrefixTable.rows``; none for states that don't exist.
    runs : Out(RUNS)
        Which symbols stand for runs of zeros, and of how many.
    busy : Out(1)
        From the first word until the table is written or an error is found.
    error : Out(1)
        The last section was refused. Falls with the next first word.
    """

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "i": In(stream.Signature(CODE_WORD)),
            "o": Out(stream.Signature(table_layout(shape), always_ready=True)),
            "runs": Out(RUNS),
            "busy": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        shape = self.shape
        header = (Codec.PREFIX | shape.symbol_bits << 8 | shape.step_bits << 16
                  | shape.substreams << 24)
        length_words = max(1, shape.symbols // LENGTHS_PER_WORD)

        m.submodules.lengths = lengths = Memory(
            shape=data.ArrayLayout(4, LENGTHS_PER_WORD), depth=length_words, init=[])
        m.submodules.symbols = symbols = Memory(
            shape=shape.symbol_bits, depth=shape.symbols, init=[])
        m.submodules.levels = levels = Memory(
            shape=level_layout(shape), depth=1 << LEVEL_BITS, init=[])
        lengths_write, lengths_read = lengths.write_port(), lengths.read_port(domain="comb")
        symbols_write, levels_write = symbols.write_port(), levels.write_port()

        m.submodules.walker = walker = TreeWalker(shape)
        for memory, reader in ((levels, walker.levels), (symbols, walker.symbols)):
            read_port = memory.read_port(domain="comb")
            m.d.comb += [
                read_port.addr.eq(reader.address),
                reader.data.eq(read_port.data),
            ]
        wiring.connect(m, walker.o, wiring.flipped(self.o))

        words = Signal(range(2 + length_words + 1))
        refused = Signal()
        symbol = Signal(shape.symbol_bits)
        symbol_length = Signal(4)
        length = Signal(LEVEL_BITS, init=1)
        level = Signal(level_layout(shape))
        inner = Signal(range(shape.symbols), init=1)
        inner_next = Signal(signed(len(inner) + 2))
        m.d.comb += [
            lengths_write.addr.eq(words - 2),
            lengths_write.data.eq(self.i.payload.data),
            lengths_read.addr.eq(symbol // LENGTHS_PER_WORD),
            symbols_write.addr.eq(level.first_leaf + level.leaves),
            symbols_write.data.eq(symbol),
            levels_write.addr.eq(length),
            levels_write.data.eq(level),
            inner_next.eq(2 * inner - level.leaves),
            walker.states.eq(level.first_state),
        ]

        with m.FSM():
            with m.State("Read"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [length.eq(1), inner.eq(1), level.eq(0), level.first_state.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += [words.eq(words + 1), self.busy.eq(1)]
                    with m.Switch(words):
                        with m.Case(0):
                            m.d.sync += [
                                self.error.eq(0),
                                refused.eq(self.i.payload.data != header),
                            ]
                        with m.Case(1):
                            m.d.sync += self.runs.eq(self.i.payload.data)
                        with m.Case(2 + length_words):
                            m.d.sync += [words.eq(words), refused.eq(1)]
                        with m.Default():
                            m.d.comb += lengths_write.en.eq(1)
                    with m.If(self.i.payload.last):
                        m.next = "Look"
                        with m.If(words != 1 + length_words):
                            m.d.sync += refused.eq(1)

            with m.State("Look"):
                m.d.sync += [
                    words.eq(0),
                    symbol_length.eq(lengths_read.data[symbol % LENGTHS_PER_WORD]),
                ]
                m.next = "Sort"

            with m.State("Sort"):
                m.d.sync += symbol.eq(symbol + 1)
                with m.If((symbol_length > MAX_CODE_LENGTH)
                          | (symbol_length != 0) & (symbol_length < shape.min_code_length)):
                    m.d.sync += refused.eq(1)
                with m.If(symbol_length == length):
                    m.d.comb += symbols_write.en.eq(1)
                    m.d.sync += level.leaves.eq(level.leaves + 1)
                m.next = "Look"
                with m.If(symbol.all()):
                    m.next = "Level"

            with m.State("Level"):
                m.d.comb += levels_write.en.eq(1)
                m.d.sync += [
                    length.eq(length + 1),
                    inner.eq(inner_next),
                    level.leaves.eq(0),
                    level.first_leaf.eq(level.first_leaf + level.leaves),
                    level.first_state.eq(level.first_state + inner_next),
                ]
                m.next = "Look"
                # A complete code has fewer inner nodes than symbols.
                with m.If((inner_next < 0) | (inner_next >= shape.symbols)):
                    m.d.sync += refused.eq(1)
                with m.If(length == MAX_CODE_LENGTH):
                    m.next = "Judge"

            with m.State("Judge"):
                with m.If(refused | (inner != 0)):
                    m.d.sync += [self.error.eq(1), self.busy.eq(0)]
                    m.next = "Read"
                with m.Else():
                    m.d.comb += walker.start.eq(1)
                    m.next = "Walk"

            with m.State("Walk"):
                with m.If(walker.done):
                    m.d.sync += self.busy.eq(0)
                    m.next = "Read"

        return m
