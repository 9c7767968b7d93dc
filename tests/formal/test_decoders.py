# amaranth: UnusedElaboratable=no

from itertools import product

import pytest
from amaranth import *

from hw.decode.automaton import Automaton
from hw.decode.rice import RiceCore
from hw.decode.runlength import RunLengthCore
from hw.decode.table_runs import TableRuns
from hw.decode.tans import TansDecoder
from hw.decode.window import BitWindow
from hw.primitives.dp16kd import DP16KD
from sw.format.lanes import TansLanes
from sw.format.tables import MAX_CODE_LENGTH, AutomatonShape, PrefixTable, TansShape

from .bench import Bench
from .references import PrefixReference, TansReference


def zigzag(symbol):
    """Return the weight of a symbol of Golomb-Rice and run-length codes: 0, -1, 1, -2, ..."""
    return symbol[1:8] ^ symbol[0].replicate(8)


def offer(bench, stream, words):
    """Offer coded data, with pauses, and then anything; return that a word is transferred."""
    width = len(stream.payload)
    if len(words) % width:
        words = Cat(words, bench.constant(-len(words) % width))
    number = Signal(range(2 * len(words)))
    taken = bench.source(stream, Mux(number < len(words) // width,
                                     words.word_select(number, width), bench.any(width)))
    with bench.m.If(taken & ~number[-1]):
        bench.m.d.sync += number.eq(number + 1)
    return taken


def check(bench, given, payload, items, expected):
    """Demand that each transfer is what the reference has under its number."""
    came = bench.count(given, 63)
    for item in items:
        bench.always(~(given & item.whole & (came == item.number)) | (payload == expected(item)))
    return came


class Watched:
    """Ports of a part, to be looked at from outside."""

    def __init__(self, monkeypatch, part):
        self.ports = {}
        elaborate = part.elaborate

        def watched(component, platform):
            m = elaborate(component, platform)
            m.d.comb += [copy.eq(getattr(component, name)) for name, copy in self.ports.items()]
            return m

        monkeypatch.setattr(part, "elaborate", watched)

    def watch(self, name, shape):
        self.ports[name] = copy = Signal(shape, name=name)
        return copy


def test_bits_in_a_window(prove):
    def bench(cls):
        bench = Bench(dut := cls(), any_history=True)
        m = bench.m
        bench.source(dut.i)
        # Half of a word is shown before the word is taken.
        comes = dut.i.valid & ~bench.before(dut.i.valid & ~dut.i.ready)
        steps = bench.any(range(17))
        bench.assume(steps <= 16)
        m.d.comb += [
            dut.take.eq(bench.any() & dut.valid),
            dut.end.eq(dut.offset + steps),
        ]
        came = bench.bits_in_order(comes, dut.i.payload, dut.take, dut.bits, steps)
        # All that is shown is there, besides.
        bench.within(2, dut.valid, while_=dut.i.valid)
        bench.reaches((came == 70) & dut.valid)
        return bench

    prove(bench, BitWindow, depth=10, bug=("self.take & self.end[-1]", "self.take & self.end[3]"))


def plain(window, follow):
    """Return a function that makes the bench of a decoder that needs no table.

    ``follow`` returns a step's length, whether there is a symbol, and which, from the bits that the
    window shows and ``step``, with which it goes on.
    """
    def bench(cls):
        bench = Bench(dut := cls(), any_history=True)
        m = bench.m
        bits, offset, step, end = (window.watch(*port) for port in (
            ("bits", 16), ("offset", 4), ("take", 1), ("end", 5)))
        m.d.comb += dut.direct.eq(bench.constant())
        taken, given = bench.source(dut.i), bench.sink(dut.o)
        length, decoded, symbol, legal = follow(bench, bits, step & ~bench.begins)
        bench.always(~step | ~legal | (end == offset + length))
        came = bench.in_order(step & decoded & ~bench.begins, Cat(
            Mux(dut.direct, zigzag(symbol), symbol), legal), given,
            Cat(dut.o.payload, 1), may_differ=lambda kept: ~kept[-1])
        bench.within(4, dut.o.valid | taken, while_=dut.i.valid)
        bench.reaches(given & (came == 3) & (dut.o.payload == 0xa5))
        return bench
    return bench


def rice_step(bench, bits, step):
    """Docs/format.md, section 12."""
    m = bench.m
    k = Signal(3)
    q = Signal(range(9), init=8)
    m.d.comb += q.eq(8)
    for place in reversed(range(8)):
        with m.If(~bits[place]):
            m.d.comb += q.eq(place)
    byte = bits[8:]
    changes = (q == 8) & (byte < 8)
    with m.If(step & changes):
        m.d.sync += k.eq(byte)
    low = (bits >> (q + 1)) & ((1 << k) - 1)
    symbol = Signal(8)
    m.d.comb += symbol.eq(Mux(q == 8, byte, q << k | low))
    return Mux(q == 8, 16, q + 1 + k), ~changes, symbol, Const(1)


def run_length_step(bench, bits, step, *, block=4):
    """Docs/format.md, section 13, in shorter blocks."""
    m = bench.m
    v, r = Signal(4), Signal(3)
    number = Signal(range(block + 1), init=block)
    zeros = Signal(7)
    value_next = Signal()
    legal = Signal(init=1)
    begins = number == block
    run_next = (r != 0) & (zeros == 0) & ~value_next
    most = ((1 << r) - 1)[:7]
    run = Signal(7)
    at = Signal(3)
    is_value = Signal()
    m.d.comb += [
        run.eq(Mux(run_next, bits & most, zeros)),
        at.eq(Mux(run_next, r, 0)),
        is_value.eq(run == 0),
    ]
    value = (bits >> at) & ((1 << v) - 1)[:8]
    with m.If(step & begins):
        m.d.sync += [
            v.eq(bits[:4]),
            r.eq(bits[4:7]),
            legal.eq(legal & (bits[:4] <= 8) & ~bits[7]),
            number.eq(0),
            zeros.eq(0),
            value_next.eq(0),
        ]
    with m.Elif(step):
        m.d.sync += [
            number.eq(number + 1),
            zeros.eq(Mux(is_value, 0, run - 1)),
            value_next.eq(Mux(run_next, run != most, value_next) & ~is_value),
        ]
    symbol = Signal(8)
    m.d.comb += symbol.eq(Mux(is_value, value + (r != 0), 0))
    length = Mux(begins, 8, at + Mux(is_value, v, 0))
    return length, ~begins, symbol, legal


def test_rice(prove, monkeypatch):
    prove(plain(Watched(monkeypatch, BitWindow), rice_step), RiceCore, depth=12,
          bug=("symbol_bits < RICE_PARAMETERS", "symbol_bits <= RICE_PARAMETERS"))


def test_run_lengths_in_blocks_of_four(prove, monkeypatch):
    prove(plain(Watched(monkeypatch, BitWindow), run_length_step), RunLengthCore, depth=12,
          small=("range(BLOCK), init=BLOCK - 1", "range(4), init=3"),
          bug=("run.any() & (run != run_mask)", "run.any()"))


class Content:
    """What a block RAM holds, to be looked at from outside; it may be anything at first."""

    def __init__(self, monkeypatch):
        self.reads = reads = []
        twin = DP16KD.twin

        def watched(*args, **options):
            m = twin(*args, **options)
            for address, word in reads:
                port = m.submodules.memory.read_port(domain="comb")
                m.d.comb += [
                    port.addr.eq(address),
                    word.eq(port.data),
                ]
            reads.clear()
            return m

        monkeypatch.setattr(DP16KD, "twin", watched)

    def __getitem__(self, address):
        word = Signal(18)
        self.reads.append((address, word))
        return word


def all_codes(shape):
    """Return the tables of all complete codes."""
    longest = shape.symbols - 1
    return [PrefixTable(shape, lengths, (), shape.symbols)
            for lengths in product(range(longest + 1), repeat=shape.symbols)
            if sum(1 << MAX_CODE_LENGTH - length for length in lengths if length)
            == 1 << MAX_CODE_LENGTH and all(
                not length or length >= shape.min_code_length for length in lengths)]


def automaton(content, turns):
    """Return a function that makes the bench of an automaton, for any code of four symbols."""
    tables = all_codes(AutomatonShape(2, 2, 2))
    reference = PrefixReference(tables, turns)

    def bench(cls):
        bench = Bench(dut := cls(reference.shape), any_history=True)
        m = bench.m
        m.submodules.reference = reference
        m.d.comb += [
            reference.data.eq(bench.constant(len(reference.data))),
            reference.code.eq(bench.constant(range(len(tables)))),
        ]
        bench.assume(reference.code < len(tables))
        for address in range(1 << reference.shape.address_bits):
            rows = Array(table.rows[address] for table in tables)
            bench.assume(content[address] == rows[reference.code])
        offer(bench, dut.i, reference.data)
        given = bench.sink(dut.o)
        came = check(bench, given, dut.o.payload.as_value(), reference.groups,
                     lambda group: group.symbols.as_value())
        bench.reaches(given & (came == 1) & (dut.o.payload.as_value() == 0b11_00_10_01))
        return bench
    return bench


@pytest.mark.slow
def test_automaton(prove, monkeypatch):
    prove(automaton(Content(monkeypatch), 10), Automaton, depth=17,
          what=" of any code of 4 symbols", bug=("steps.eq(Cat(1, steps))", "steps.eq(3)"))


def lanes_of_tans(content, shape, symbols, words):
    """Return a function that makes the bench of a decoder of tANS, for any table whatever."""
    size, states = shape.code.table_bits, shape.code.states
    reference = TansReference(words * shape.word_bits, symbols, table_bits=size, states=states)

    def bench(cls):
        bench = Bench(dut := cls(shape), any_history=True)
        m = bench.m
        m.submodules.reference = reference
        m.d.comb += [
            reference.data.eq(bench.constant(reference.bits)),
            reference.count.eq(bench.constant(range(symbols + 1))),
        ]
        bench.assume((reference.count != 0) & (reference.count <= symbols))
        m.d.comb += [row.as_value().eq(content[state]) for row, state in
                     zip(reference.rows, reference.states, strict=True)]
        offer(bench, dut.i, reference.data)
        run = Signal(dut.runs.payload.shape())
        m.d.comb += [
            run.count.eq(reference.count),
            run.last.eq(1),
        ]
        asked = bench.count(bench.source(dut.runs, run.as_value()), 1)
        bench.assume(~(asked & dut.runs.valid))

        given = bench.sink(dut.o)
        came = bench.count(given, 63)
        bench.always(~given | (came * shape.lanes < reference.count))
        for number in range(symbols):
            there = given & (came == number // shape.lanes) & (number < reference.count)
            bench.always(~there | (
                dut.o.payload[number % shape.lanes] == reference.values[number]))
        bench.always(~dut.done | (dut.error == ~reference.ended))
        bench.within(dut.latency + 2, dut.o.valid | dut.done,
                     while_=dut.i.valid & (dut.runs.valid | asked))
        bench.reaches(dut.done & ~dut.error & (came * shape.lanes >= symbols)
                      & (reference.count == symbols) & (reference.values[symbols - 1] == -99))
        return bench
    return bench


@pytest.mark.slow
@pytest.mark.parametrize("lanes, states, words, depth", [(1, 4, 2, 23), (2, 16, 5, 26)])
def test_lanes_of_tans(prove, monkeypatch, lanes, states, words, depth):
    shape = TansLanes(TansShape(8, states), lanes=lanes, tables=1)
    prove(lanes_of_tans(Content(monkeypatch), shape, 3, words), TansDecoder, depth=depth,
          what=f" of {lanes} lanes and any table", within=TableRuns,
          bug=("more.eq(run.more)", "more.eq(run.more + 1)"))
