"""Cores of decoders: what codes their data, a simulation of them, a shell to place them in."""

from dataclasses import dataclass
from itertools import chain, groupby, repeat

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.decode.automaton import Automaton
from hw.decode.expander import RunExpander
from hw.decode.layouts import RUNS, chunk_layout, table_layout
from hw.decode.raw import RawUnpacker
from hw.decode.tans import TansDecoder
from sw.codecs.huffman import HuffmanCodec, code_lengths
from sw.codecs.tans import TansCodec
from sw.format.lanes import TansLanes
from sw.format.sections import pack_code
from sw.format.tables import GROUP, MAX_RUNS, AutomatonShape, TansShape

from .textbook import LONGEST, TextbookHuffman, decoder_tables, encode


__all__ = ["CORES", "Coded", "RawCore", "Shell", "simulate"]


#: Symbols of the longest run that a decoder takes.
LONGEST_RUN = (1 << 16) - 1

#: Bits of a count in the tables of the textbook's decoder, for each symbol.
LENGTH_BITS = 4


@dataclass(frozen=True)
class Coded:
    """Weights, coded for a core.

    Parameters
    ----------
    values : array
        What the core is to give.
    bits : int
        Of coded data and tables.
    entropy : float
        Bits a weight, of all weights that share a table.
    constants : dict
        What is put to ports that are no streams.
    tables : list of (str, list of int)
        What is written to streams of tables, before the coded data.
    streams : list of (str, list of int)
        What the core takes: coded data first.
    """

    values: np.ndarray
    bits: int
    entropy: float
    constants: dict
    tables: list
    streams: list


def entropy(values):
    """Return the bits of all ``values``, whose table isn't counted."""
    _, counts = np.unique(values, return_counts=True)
    return float(counts @ np.log2(counts.sum() / counts))


def flatten(layers):
    return np.concatenate([layer.ravel() for layer in layers])


def words_of(data, size):
    data += bytes(-len(data) % size)
    return [int.from_bytes(data[start:start + size], "little")
            for start in range(0, len(data), size)]


class TansCore:
    """Lanes of tANS, with the runs that choose tables and the check at the end."""

    def __init__(self, shape):
        self.shape = shape
        self.lanes = shape.lanes
        self.name = f"tans, {shape.code.states} states"

    def component(self):
        return TansDecoder(self.shape)

    def code(self, layers):
        codec = TansCodec(self.shape, deltas=False)
        code = codec.fit(layers)
        values = flatten(layers)
        coded = codec.encode(values.astype(np.int64), code)
        used = np.concatenate([np.repeat(part.tables, part.size * part.filters // len(part.tables))
                               for part in code.layers])
        runs = []
        for table, group in groupby(used.tolist()):
            count = sum(1 for _ in group)
            runs += [(table, LONGEST_RUN)] * (count // LONGEST_RUN)
            runs += [(table, count % LONGEST_RUN)] * (count % LONGEST_RUN > 0)
        table_bits = (self.shape.tables - 1).bit_length()
        address_bits = table_bits + self.shape.code.table_bits
        written = [address | row << address_bits for address, row in enumerate(
            row for table in code.tables for row in self.shape.rows(table))]
        return Coded(
            values, 8 * (len(pack_code(code)) + len(coded)),
            sum(entropy(values[used == table]) for table in np.unique(used)) / values.size,
            {"run": 1}, [("rows", written)],
            [("i", words_of(coded, self.shape.word_bits // 8)),
             ("runs", [table | count << table_bits | (number == len(runs) - 1) << table_bits + 16
                       for number, (table, count) in enumerate(runs)])])

    @staticmethod
    def values_of(transfer):
        return list(transfer)


class AutomatonWithRuns(wiring.Component):
    """Automaton and the expansion of its runs, without what builds the table."""

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "table": In(stream.Signature(table_layout(shape), always_ready=True)),
            "run": In(1),
            "runs": In(RUNS),
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(chunk_layout(shape.symbol_bits))),
        })

    def elaborate(self, platform):
        m = Module()

        restart = ResetInserter(~self.run)
        automaton = Automaton(self.shape)
        m.submodules.automaton = restart(automaton)
        expander = RunExpander(self.shape.symbol_bits)
        m.submodules.expander = restart(expander)
        wiring.connect(m, wiring.flipped(self.table), automaton.table)
        wiring.connect(m, wiring.flipped(self.i), automaton.i)
        wiring.connect(m, automaton.o, expander.i)
        wiring.connect(m, expander.o, wiring.flipped(self.o))
        m.d.comb += expander.runs.eq(self.runs)

        return m


class AutomatonCore:
    """Automaton of a prefix code; it gives indices of values."""

    def __init__(self, shape):
        self.shape = shape
        self.lanes = shape.substreams // 2
        self.name = f"automaton, {self.lanes * shape.step_bits} bits"

    def component(self):
        return AutomatonWithRuns(self.shape)

    def code(self, layers):
        values = flatten(layers)
        # The index of a zero is 0, which runs stand for.
        others = [value for value in np.unique(values) if value]
        index = np.zeros(256, np.int64)
        index[np.array(others, np.int8).view(np.uint8)] = np.arange(1, len(others) + 1)
        codec = HuffmanCodec(self.shape)
        indices = index[values.view(np.uint8)]
        table = codec.fit([indices])
        coded = codec.encode(indices, table)
        zeros = sum(run << 8 * place for place, run in enumerate(
            (*table.runs, *[0] * MAX_RUNS)[:MAX_RUNS]))
        return Coded(
            indices, 8 * (len(pack_code(table)) + len(coded)), entropy(values) / values.size,
            {"runs": table.first_run | zeros << 8, "run": 1},
            [("table", [address | row << self.shape.address_bits
                        for address, row in enumerate(table.rows)])],
            [("i", words_of(coded, 4))])

    @staticmethod
    def values_of(transfer):
        return list(transfer.indices)[:transfer.count]


class RawCore:
    """Bytes, uncoded."""

    name = "raw"
    lanes = GROUP

    @staticmethod
    def component():
        return RawUnpacker()

    @staticmethod
    def code(layers):
        values = flatten(layers)
        return Coded(values.view(np.uint8), 8 * values.size, entropy(values) / values.size,
                     {"symbol_bits": 8}, [], [("i", words_of(values.tobytes(), 4))])

    @staticmethod
    def values_of(transfer):
        return list(transfer)


class TextbookCore:
    """The baseline."""

    name = "textbook"
    lanes = 1

    @staticmethod
    def component():
        return TextbookHuffman()

    @staticmethod
    def code(layers):
        signed = flatten(layers)
        values = signed.view(np.uint8)
        counts = np.bincount(values, minlength=256)
        lengths = code_lengths(counts.tolist(), 1, LONGEST)
        words = encode(values.tolist(), lengths)
        bounds, symbols = decoder_tables(lengths)
        table_bits = LENGTH_BITS * (int(signed.max()) - int(signed.min()) + 1)
        return Coded(
            values, int(counts @ lengths) + table_bits, entropy(values) / values.size, {},
            [("bounds", [bound["length"] | bound["beyond"] << 4
                         | bound["difference"] << 5 + LONGEST for bound in bounds]),
             ("symbols", [entry["place"] | entry["symbol"] << 8 for entry in symbols])],
            [("i", words)])

    @staticmethod
    def values_of(transfer):
        return [transfer]


CORES = (
    TextbookCore(), RawCore(),
    AutomatonCore(AutomatonShape(5, 4, 4)), AutomatonCore(AutomatonShape(5, 5, 4)),
    *(TansCore(TansLanes(TansShape(8, states), lanes=lanes))
      for lanes, states in ((1, 8), (1, 64), (2, 64), (4, 64), (8, 64), (8, 128))),
)


def simulate(core, coded, count):
    """Return the cycles that a core takes for ``count`` weights, and those without a transfer.

    Words come and weights leave without a gap. Cycles are those from the first transfer on.

    Raises
    ------
    ValueError
        If a weight isn't what was coded.
    """
    dut = core.component()
    values, cycles = [], []

    async def testbench(ctx):
        for name, entries in coded.tables:
            port = getattr(dut, name)
            ctx.set(port.valid, 1)
            for entry in entries:
                ctx.set(Value.cast(port.payload), entry)
                await ctx.tick()
            ctx.set(port.valid, 0)
        for name, value in coded.constants.items():
            ctx.set(Value.cast(getattr(dut, name)), value)
        await ctx.tick()
        ctx.set(dut.o.ready, 1)
        # Behind the coded data zeros go on coming; behind the last of the others, nothing.
        (name, words), *others = coded.streams
        ports = [(getattr(dut, name), chain(words, repeat(0)))]
        ports += [(getattr(dut, name), iter(payloads)) for name, payloads in others]
        taken = [True] * len(ports)
        while len(values) < count:
            for number, (port, payloads) in enumerate(ports):
                if taken[number]:
                    payload = next(payloads, None)
                    ctx.set(port.valid, payload is not None)
                    ctx.set(Value.cast(port.payload), payload or 0)
            valid = ctx.get(dut.o.valid)
            if valid:
                values.extend(core.values_of(ctx.get(dut.o.payload)))
            if values:
                cycles.append(valid)
            _, _, *taken = await ctx.tick().sample(*(port.ready for port, _ in ports))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    if values[:count] != coded.values[:count].tolist():
        raise ValueError(f"{core.name}: weights must be those that were coded")
    return len(values), len(cycles), cycles.count(0)


class Shell(wiring.Component):
    """Two pins for a core: its inputs come from a shift register, its outputs go through another.

    Parameters
    ----------
    core : wiring.Component
        The core.
    """

    i: In(1)
    o: Out(1)

    def __init__(self, core):
        self.core = core
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        m.submodules.core = self.core
        inputs, outputs = [], []
        for _, member, value in self.core.signature.flatten(self.core):
            value = Value.cast(value)
            if not isinstance(value, Const):
                (inputs if member.flow == In else outputs).append(value)

        shifted = Signal(sum(map(len, inputs)), reset_less=True)
        m.d.comb += Cat(inputs).eq(shifted)
        m.d.sync += shifted.eq(Cat(self.i, shifted))

        taken = Signal(sum(map(len, outputs)), reset_less=True)
        left = Signal(range(len(taken) + 1))
        m.d.sync += [
            left.eq(left - 1),
            taken.eq(Mux(left == 0, Cat(outputs), taken >> 1)),
            self.o.eq(taken[0]),
        ]

        return m
