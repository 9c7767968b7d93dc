"""Cores of decoders: what codes their data, a simulation of them, a shell to place them in."""

from dataclasses import dataclass, replace
from itertools import chain, repeat

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.decode.automaton import Automaton
from hw.decode.decoder import Decoder
from hw.decode.expander import RunExpander
from hw.decode.layouts import RUNS, chunk_layout, table_layout
from hw.decode.raw import RawUnpacker
from hw.decode.table_builder import TableBuilder
from hw.decode.tans_small import SmallTansDecoder
from hw.export.cores import Huffman, Raw, Rice, RunLength, Sample, Tans, flatten
from sw.codecs.huffman import HuffmanCodec, code_lengths
from sw.format.lanes import SMALL, TansLanes
from sw.format.tables import MAX_RUNS, AutomatonShape, RawTable, TansShape
from sw.format.target import Target

from .textbook import LONGEST, TextbookHuffman, decoder_tables, encode


__all__ = ["CORES", "LOADERS", "SMALL_CORES", "RawCore", "Shell", "Whole", "entropy", "simulate"]


#: Bits of a count in the tables of the textbook's decoder, for each symbol.
LENGTH_BITS = 4


def entropy(values):
    """Return the bits of all ``values``, whose table isn't counted."""
    _, counts = np.unique(values, return_counts=True)
    return float(counts @ np.log2(counts.sum() / counts))


class TansCore(Tans):
    """Lanes of tANS, with the runs that choose tables and the check at the end."""

    @property
    def name(self):
        """What the rows call it."""
        size = self.shape.tuple_size
        return f"tans, {self.shape.code.states} states" + (f", {size} a symbol" if size > 1 else "")

    @property
    def weights(self):
        """How the weights that it decodes are quantised."""
        return "uniform, 2 bits" if self.shape.tuple_size > 1 else "step, 3 bits"

    @property
    def lanes(self):
        """Symbols that are looked up in a cycle."""
        return self.shape.lanes

    def entropy(self, layers):
        """Return the bits of all weights, those that share a table taken together."""
        code = self.fit(layers)
        used = np.concatenate([np.repeat(part.tables, part.size * part.filters // len(part.tables))
                               for part in code.layers])
        values = flatten(layers)
        return sum(entropy(values[used == table]) for table in np.unique(used))


class SmallTansCore(TansCore):
    """One lane of tANS in an iCE40's block RAM."""

    def component(self):
        return SmallTansDecoder(self.shape)


class OneTable:
    """Is a core all of whose weights share a table."""

    weights = "step, 3 bits"

    def entropy(self, layers):
        """Return the bits of all weights."""
        return entropy(flatten(layers))


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


class AutomatonCore(OneTable, Huffman):
    """Automaton of a prefix code; it gives indices of values."""

    @property
    def weights(self):
        """How the weights that it decodes are quantised."""
        return "uniform, 4 bits" if self.shape.symbols == 16 else OneTable.weights

    @property
    def lanes(self):
        """Ports of the table."""
        return self.shape.substreams // 2

    @property
    def name(self):
        """What the rows call it."""
        return f"automaton, {self.shape.symbols} symbols, {self.lanes * self.shape.step_bits} bits"

    def component(self):
        return AutomatonWithRuns(self.shape)

    def sample(self, symbols):
        """Return ``symbols`` of all layers, coded, and the table that was built of the code."""
        table = HuffmanCodec(self.shape).fit([flatten(symbols)])
        zeros = sum(run << 8 * place for place, run in enumerate(
            (*table.runs, *[0] * MAX_RUNS)[:MAX_RUNS]))
        return replace(
            super().sample(symbols, table),
            tables={"table": [address | row << self.shape.address_bits
                              for address, row in enumerate(table.rows)]},
            constants={"runs": table.first_run | zeros << 8, "run": 1})


class RawCore(OneTable, Raw):
    """Bytes, uncoded."""

    name = "raw"
    lanes = Raw.places

    def component(self):
        return RawUnpacker()

    def sample(self, symbols):
        """Return ``symbols`` of all layers as bytes."""
        return replace(super().sample(symbols, RawTable(8)), tables={},
                       constants={"symbol_bits": 8})


class RiceRow(OneTable, Rice):
    """Golomb-Rice codes."""

    name = "rice"
    lanes = 1


class RunLengthRow(OneTable, RunLength):
    """Run lengths."""

    name = "runlength"
    lanes = 1


@dataclass(frozen=True)
class TextbookCore(OneTable):
    """The baseline."""

    name = "textbook"
    lanes = places = 1
    symbol_bits = 8
    symbols = staticmethod(Raw.symbols)

    def component(self):
        return TextbookHuffman()

    def sample(self, symbols):
        """Return ``symbols`` of all layers, coded."""
        values = flatten(symbols)
        counts = np.bincount(values, minlength=256)
        lengths = code_lengths(counts.tolist(), 1, LONGEST)
        bounds, order = decoder_tables(lengths)
        table_bits = LENGTH_BITS * int(np.ptp(values.view(np.int8).astype(int)) + 1)
        return Sample(
            values, int(counts @ lengths) + table_bits, encode(values.tolist(), lengths),
            tables={"bounds": [bound["length"] | bound["beyond"] << 4
                               | bound["difference"] << 5 + LONGEST for bound in bounds],
                    "symbols": [entry["place"] | entry["symbol"] << 8 for entry in order]})


#: For an ECP5.
CORES = (
    TextbookCore(), RawCore(),
    RiceRow(), RunLengthRow(),
    *(AutomatonCore(AutomatonShape(*shape)) for shape in ((4, 6, 4), (5, 4, 4), (5, 5, 4))),
    *(TansCore(TansLanes(TansShape(8, states), lanes=lanes))
      for lanes, states in ((1, 8), (1, 64), (2, 64), (4, 64), (8, 64), (8, 128))),
    TansCore(TansLanes(TansShape(8, 128), lanes=8, tuple_size=4)),
)

#: For an iCE40, whose block RAM doesn't hold the table of an automaton.
SMALL_CORES = (
    TextbookCore(), RawCore(), RiceRow(), RunLengthRow(),
    SmallTansCore(TansLanes(TansShape(8, 4), lanes=1, tables=1, port_bits=SMALL)),
)


@dataclass(frozen=True)
class Loader:
    """What builds the table of an automaton from section CODE."""

    core: AutomatonCore
    lanes = None

    @property
    def weights(self):
        """How the weights are quantised whose table it builds."""
        return self.core.weights

    @property
    def name(self):
        """What the rows call it."""
        return f"loader of {self.core.name}"

    def component(self):
        return TableBuilder(self.core.shape)

    def cycles(self, layers):
        """Return the cycles from the first word of section CODE until the table is there."""
        section = Huffman.sample(self.core, self.core.symbols(layers)).tables["code"]
        dut = self.component()
        cycles = 0

        async def testbench(ctx):
            nonlocal cycles
            for word in section:
                ctx.set(dut.i.valid, 1)
                ctx.set(Value.cast(dut.i.payload), word)
                await ctx.tick()
                cycles += 1
            ctx.set(dut.i.valid, 0)
            while ctx.get(dut.busy):
                await ctx.tick()
                cycles += 1
            if ctx.get(dut.error):
                raise ValueError(f"{self.name}: the code must be one that it takes")

        run(dut, testbench)
        return cycles


LOADERS = tuple(Loader(core) for core in CORES if isinstance(core, AutomatonCore))


@dataclass(frozen=True)
class Whole:
    """The whole decoder of a target, whose estimate is checked."""

    target: Target
    weights = None

    @property
    def lanes(self):
        """Lanes of tANS, None for others."""
        return getattr(self.target.decoder, "lanes", None)

    @property
    def name(self):
        """What the rows call it."""
        shape = self.target.decoder
        sizes = (f", {shape.symbols} symbols, {shape.step_bits} bits"
                 if isinstance(shape, AutomatonShape) else "")
        return f"accelerator's decoder: {shape.name}{sizes}"

    def component(self):
        return Decoder(self.target)


def simulate(core, sample, count):
    """Return the cycles that a core takes for ``count`` symbols, and those without a transfer.

    Words come and symbols leave without a gap. Cycles are those from the first transfer on.

    Raises
    ------
    ValueError
        If a symbol isn't what was coded.
    """
    dut = core.component()
    symbols, cycles = [], []
    mask = (1 << core.symbol_bits) - 1
    count_at = core.places * core.symbol_bits
    counts = len(Value.cast(dut.o.payload)) > count_at

    async def testbench(ctx):
        for name, entries in sample.tables.items():
            port = getattr(dut, name)
            ctx.set(port.valid, 1)
            for entry in entries:
                ctx.set(Value.cast(port.payload), entry)
                await ctx.tick()
            ctx.set(port.valid, 0)
        for name, value in sample.constants.items():
            ctx.set(Value.cast(getattr(dut, name)), value)
        await ctx.tick()
        ctx.set(dut.o.ready, 1)
        # Behind the coded data zeros go on coming; behind the last of the others, nothing.
        ports = [(dut.i, chain(sample.words, repeat(0)))]
        ports += [(getattr(dut, name), iter(words)) for name, words in sample.streams.items()]
        taken = [True] * len(ports)
        while len(symbols) < count:
            for number, (port, payloads) in enumerate(ports):
                if taken[number]:
                    payload = next(payloads, None)
                    ctx.set(port.valid, payload is not None)
                    ctx.set(Value.cast(port.payload), payload or 0)
            valid = ctx.get(dut.o.valid)
            if valid:
                payload = ctx.get(Value.cast(dut.o.payload))
                places = payload >> count_at if counts else core.places
                symbols.extend(payload >> place * core.symbol_bits & mask
                               for place in range(places))
            if symbols:
                cycles.append(valid)
            _, _, *taken = await ctx.tick().sample(*(port.ready for port, _ in ports))

    run(dut, testbench)
    if symbols[:count] != (sample.symbols[:count] & mask).tolist():
        raise ValueError(f"{core.name}: weights must be those that were coded")
    return len(symbols), len(cycles), cycles.count(0)


def run(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


class Shell(wiring.Component):
    """Two pins for a core: its inputs come from a shift register, its outputs are added to another.

    All ports have registers, which have no neighbours but each other: so the shell limits no clock.

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
        summed = Signal.like(taken)
        m.d.sync += [
            taken.eq(Cat(outputs)),
            summed.eq(taken ^ summed << 1),
            self.o.eq(summed[-1]),
        ]

        return m
