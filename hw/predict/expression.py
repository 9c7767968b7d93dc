"""Weights from an expression that is built into gates: a pipeline of adders and look-ups."""

from dataclasses import dataclass
from math import prod

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.decode.skid import SkidBuffer
from hw.pipeline import delay
from sw.format.predictor_records import expression_digest
from sw.format.predictors import Operator


__all__ = ["ExpressionCore"]


#: What numbers of 16 bits can be; those out of range wrap around.
LEAST, MOST = -1 << 15, (1 << 15) - 1

#: What a weight and a cell of the memory can be.
LEAST_CELL, MOST_CELL = -128, 127

#: Cycles of a look-up: the memory's and a register's, as a block RAM is slow.
LOOK_UP = 2


@dataclass(frozen=True)
class Number:
    """A number of the pipeline.

    Parameters
    ----------
    value : Value
        Signed, no wider than its range needs.
    least, most : int
        Its range.
    time : int
        Cycles after the weight's position at which it is there; a constant always is.
    """

    value: Value
    least: int
    most: int
    time: int

    @property
    def constant(self):
        """Whether it is always the same."""
        return self.least == self.most


class ExpressionCore(wiring.Component):
    """Generates the weights of one expression, one a cycle.

    Cells of the next filter are taken, one a cycle, while the weights of one leave; between filters
    there is no bubble if they are there in time. The first weight leaves ``latency`` cycles or more
    after a filter's last cell has come. A stall keeps weights. Each different address that the
    program looks up takes a copy of the memory.

    Parameters
    ----------
    expression : Expression
        Its program and spacing are built in, and how many cells its memory has.
    shape : tuple of int
        Cout, KH, KW, Cin of the layer; Cout doesn't matter.

    Members
    -------
    digest : Out(32)
        `sw.format.predictor_records.expression_digest` of what is built in.
    i : In(stream.Signature(signed(8)))
        Cells, filter by filter. ``ready`` doesn't follow ``o.ready`` combinationally.
    o : Out(stream.Signature(signed(8)))
        Weights, likewise.

    Attributes
    ----------
    latency : int
        Known once it is elaborated.
    """

    def __init__(self, expression, shape):
        self.expression = expression
        self.shape = shape
        self.cells = expression.memory.shape[1]
        super().__init__({
            "digest": Out(32),
            "i": In(stream.Signature(signed(8))),
            "o": Out(stream.Signature(signed(8))),
        })

    def elaborate(self, platform):
        m = Module()

        m.d.comb += self.digest.eq(expression_digest(self.expression, self.shape))
        m.submodules.output = output = SkidBuffer(signed(8))
        wiring.connect(m, output.o, wiring.flipped(self.o))
        room = output.i.ready
        full, freed, reading = Signal(2), Signal(2), Signal()
        fill, bank = self.take(m, full, freed)

        position = self.position(m, room & full.bit_select(reading, 1))
        with m.If(position.advance & position.last):
            m.d.sync += reading.eq(~reading)

        pipeline = Pipeline(m, room=room, fill=fill, bank=bank, reading=reading, cells=self.cells)
        sources = {Operator.ROW: (position.row, self.shape[1]),
                   Operator.COLUMN: (position.column, self.shape[2]),
                   Operator.CHANNEL: (position.channel, self.shape[3]),
                   Operator.PLACE: (position.place, self.cells)}
        numbers = {operator: Number(value, 0, count - 1, 0) if count <= MOST + 1
                   else Number(value.as_signed(), LEAST, MOST, 0)
                   for operator, (value, count) in sources.items()}
        stored = pipeline.look_up(numbers[Operator.PLACE])
        made = pipeline.clip(pipeline.run(self.expression.program, numbers), LEAST_CELL, MOST_CELL)
        time = max(stored.time, made.time)
        early, late = pipeline.at(stored, time), pipeline.at(made, time)
        chosen, valid = Signal(signed(8)), Signal()
        with m.If(room):
            held = delay(m, position.stored, time)
            there = delay(m, position.advance, time, reset_less=False)
            # What is under way still looks up.
            done = delay(m, Cat(position.advance & position.last, reading), time,
                         reset_less=False)
            m.d.sync += [chosen.eq(Mux(held, early, late)), valid.eq(there)]
            m.d.comb += freed.eq(Mux(done[0], Mux(done[1], 2, 1), 0))
        m.d.comb += [output.i.payload.eq(chosen), output.i.valid.eq(valid)]
        # A bank that is full is read from the next cycle on, and the buffer adds one.
        self.latency = time + 3
        return m

    def take(self, m, full, freed):
        """Take cells into the bank that isn't full; return the payload to write, and the bank."""
        bank, cell = Signal(), Signal(range(self.cells))
        m.d.comb += self.i.ready.eq(~full.bit_select(bank, 1))
        filled = Signal(2)
        fill = Signal(data.StructLayout({
            "valid": 1, "cell": range(self.cells), "value": signed(8)}))
        m.d.comb += [fill.valid.eq(self.i.valid & self.i.ready), fill.cell.eq(cell),
                     fill.value.eq(self.i.payload)]
        with m.If(fill.valid):
            m.d.sync += cell.eq(cell + 1)
            with m.If(cell == self.cells - 1):
                m.d.sync += [cell.eq(0), bank.eq(~bank)]
                m.d.comb += filled.eq(Mux(bank, 2, 1))
        m.d.sync += full.eq(full & ~freed | filled)
        return fill, bank

    def position(self, m, advance):
        """Return a weight's place in its filter, which is the next one's after ``advance``."""
        _, height, width, channels = self.shape
        ranges = {"row": height, "column": width, "channel": channels, "place": self.cells,
                  "phase": self.expression.spacing, "number": prod(self.shape[1:])}
        found = Signal(data.StructLayout(
            {name: range(max(2, count)) for name, count in ranges.items()}
            | {"stored": 1, "last": 1, "advance": 1}))
        kept = {name: Signal(range(max(2, count)), name=name) for name, count in ranges.items()}
        ends = {name: kept[name] == count - 1 for name, count in ranges.items()}
        m.d.comb += [found[name].eq(value) for name, value in kept.items()]
        m.d.comb += [found.stored.eq(kept["phase"] == 0), found.last.eq(ends["number"]),
                     found.advance.eq(advance)]
        with m.If(advance):
            for name in ("channel", "phase", "number"):
                m.d.sync += kept[name].eq(Mux(ends[name], 0, kept[name] + 1))
            with m.If(ends["phase"]):
                m.d.sync += kept["place"].eq(kept["place"] + 1)
            with m.If(ends["channel"]):
                m.d.sync += kept["column"].eq(Mux(ends["column"], 0, kept["column"] + 1))
                with m.If(ends["column"]):
                    m.d.sync += kept["row"].eq(kept["row"] + 1)
            with m.If(ends["number"]):
                m.d.sync += [kept[name].eq(0) for name in ("row", "place", "phase")]
        return found


class Pipeline:
    """What becomes of a program: a register behind each operation, none that is needed twice.

    Parameters
    ----------
    m : Module
        Where it is built.
    room : Value
        Registers keep their values while it is low.
    fill, bank, reading : Value
        A cell that is written, and the banks that are written and read.
    cells : int
        Cells of a filter.
    """

    def __init__(self, m, *, room, fill, bank, reading, cells):
        self.m = m
        self.room = room
        self.fill = fill
        self.bank = bank
        self.reading = Number(reading, 0, 1, 0)
        self.cells = cells
        self.known = {}
        self.delayed = {}

    def run(self, program, sources):
        """Return what a program leaves; operations on the same numbers are built once."""
        stack = []
        for instruction in program:
            operator = instruction.operator
            taken = [stack.pop() for _ in range(operator.taken)][::-1]
            if operator in sources:
                stack.append(sources[operator])
            elif operator is Operator.CONSTANT:
                stack.append(Number(C(instruction.value, signed(8)), instruction.value,
                                    instruction.value, 0))
            elif operator is Operator.LOOK_UP:
                stack.append(self.look_up(taken[0]))
            else:
                key = (operator, *map(self.key, taken))
                if key not in self.known:
                    self.known[key] = self.operate(operator, taken)
                stack.append(self.known[key])
        return stack.pop()

    def key(self, number):
        """Return what tells whether numbers are the same."""
        return (number.least,) if number.constant else id(number)

    def at(self, number, time):
        """Return a number's value ``time`` cycles after the weight's position."""
        if number.constant or number.time == time:
            return number.value
        key = (id(number), time)
        if key not in self.delayed:
            before = self.at(number, time - 1)
            later = Signal(before.shape(), name="later", reset_less=True)
            with self.m.If(self.room):
                self.m.d.sync += later.eq(before)
            # The number is kept, too: its id must stay its own.
            self.delayed[key] = number, later
        return self.delayed[key][1]

    def registered(self, value, least, most, time):
        """Return a value after a register, wrapped around where it needs more than 16 bits."""
        if least < LEAST or most > MOST:
            least, most = LEAST, MOST
        if least == most:
            return Number(C(least, signed(16)), least, most, 0)
        bits = max((least if least >= 0 else ~least).bit_length(),
                   (most if most >= 0 else ~most).bit_length()) + 1
        found = Signal(signed(bits), name="number", reset_less=True)
        with self.m.If(self.room):
            self.m.d.sync += found.eq(value)
        return Number(found, least, most, time + 1)

    def operate(self, operator, taken):
        time = max(number.time for number in taken)
        values = [self.at(number, time) for number in taken]
        a, *others = taken
        x, *rest = values
        b = others[0] if others else None
        match operator:
            case Operator.ADD:
                return self.registered(x + rest[0], a.least + b.least, a.most + b.most, time)
            case Operator.SUBTRACT:
                return self.registered(x - rest[0], a.least - b.most, a.most - b.least, time)
            case Operator.HALVE:
                return self.registered(x >> 1, a.least >> 1, a.most >> 1, time)
            case Operator.NEGATE:
                return self.registered(-x, -a.most, -a.least, time)
            case Operator.MINIMUM:
                return self.registered(Mux(x < rest[0], x, rest[0]), min(a.least, b.least),
                                       min(a.most, b.most), time)
            case Operator.MAXIMUM:
                return self.registered(Mux(x > rest[0], x, rest[0]), max(a.least, b.least),
                                       max(a.most, b.most), time)
            case Operator.EXCLUSIVE_OR:
                bits = max(self.bits(a), self.bits(b))
                return self.registered(x ^ rest[0], -1 << bits, (1 << bits) - 1, time)
            case _:
                second, third = others
                return self.registered(Mux(x < 0, *rest), min(second.least, third.least),
                                       max(second.most, third.most), time)

    def bits(self, number):
        """Return how many bits a number has, its sign not counted."""
        return max((end if end >= 0 else ~end).bit_length() for end in (number.least, number.most))

    def clip(self, number, least, most):
        """Return a number in a range, registered if it can be out of it."""
        if least <= number.least and number.most <= most:
            return number
        value = number.value
        return self.registered(
            Mux(value < least, least, Mux(value > most, most, value)),
            min(max(number.least, least), most), max(min(number.most, most), least), number.time)

    def look_up(self, address):
        """Return the cell of an address, or of the nearest one that there is."""
        key = (Operator.LOOK_UP, self.key(address))
        if key in self.known:
            return self.known[key]
        clipped = self.clip(address, 0, self.cells - 1)
        m = self.m
        place = Signal(range(self.cells))
        memory = Memory(shape=signed(8), depth=2 << len(place), init=[])
        m.submodules[f"cells{len(self.known)}"] = memory
        write, read = memory.write_port(), memory.read_port()
        found = Signal(signed(8), name="cell", reset_less=True)
        m.d.comb += [
            write.en.eq(self.fill.valid), write.data.eq(self.fill.value),
            write.addr.eq(Cat(self.fill.cell, self.bank)),
            place.eq(clipped.value),
            read.en.eq(self.room), read.addr.eq(Cat(place, self.at(self.reading, clipped.time))),
        ]
        with m.If(self.room):
            m.d.sync += found.eq(read.data)
        self.known[key] = Number(found, LEAST_CELL, MOST_CELL, clipped.time + LOOK_UP)
        return self.known[key]
