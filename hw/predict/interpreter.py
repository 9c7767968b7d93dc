"""Weights from expressions: a machine that runs a program for each weight."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.decode.skid import SkidBuffer
from sw.format.predictors import MAX_DEPTH, MAX_PROGRAM, Operator


__all__ = ["Interpreter", "write_layout"]


#: Bits of the numbers on the stack.
BITS = 16


def instruction_layout():
    """Return how an instruction lies in the program's memory."""
    return data.StructLayout({"operator": 4, "value": signed(8)})


def write_layout():
    """Return what is written into the program: an instruction and its place."""
    return data.StructLayout({"place": range(MAX_PROGRAM), "instruction": instruction_layout()})


class Interpreter(wiring.Component):
    """Generates the weights of an expression, filter by filter.

    A filter's cells are taken first, one a cycle. Then a weight that the memory holds takes 3
    cycles, another 2 and one for each instruction, and one more for each that looks up. A stall
    keeps weights. An operation that is unknown does nothing; no program of an image that was
    checked takes numbers that aren't there.

    Parameters
    ----------
    cells : int
        The most cells of a filter, 2 or more.

    Members
    -------
    program : In(stream.Signature(write_layout(), always_ready=True))
        Instructions, while no filter is being generated.
    length : In(range(MAX_PROGRAM + 1))
        Instructions of the program, 1 or more. It and the others below hold throughout a layer.
    height, width, channels : In(8), In(8), In(16)
        Kernel height and width, and input channels.
    spacing : In(8)
        Weights to a cell.
    size : In(range(cells + 1))
        Cells of a filter.
    i : In(stream.Signature(signed(8)))
        Cells, filter by filter.
    o : Out(stream.Signature(signed(8)))
        Weights, likewise.

    Raises
    ------
    ValueError
        If there are too few cells.
    """

    def __init__(self, *, cells=256):
        if cells < 2:
            raise ValueError(f"Cells must be 2 or more, not {cells}")
        self.cells = cells
        super().__init__({
            "program": In(stream.Signature(write_layout(), always_ready=True)),
            "length": In(range(MAX_PROGRAM + 1)),
            "height": In(8), "width": In(8), "channels": In(16), "spacing": In(8),
            "size": In(range(cells + 1)),
            "i": In(stream.Signature(signed(8))),
            "o": Out(stream.Signature(signed(8))),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.instructions = instructions = Memory(
            shape=instruction_layout(), depth=MAX_PROGRAM + 1, init=[])
        m.submodules.memory = cells = Memory(shape=signed(8), depth=self.cells, init=[])
        fetch = instructions.read_port(domain="comb")
        change = instructions.write_port()
        look = cells.read_port()
        fill = cells.write_port()
        m.submodules.output = output = SkidBuffer(signed(8))
        wiring.connect(m, output.o, wiring.flipped(self.o))
        m.d.comb += [
            change.addr.eq(self.program.payload.place),
            change.data.eq(self.program.payload.instruction),
            change.en.eq(self.program.valid),
            fill.data.eq(self.i.payload),
        ]

        position = self.position(m)
        stack = Array(Signal(signed(BITS), name=f"stack_{place}") for place in range(MAX_DEPTH))
        loaded = Signal(range(self.cells + 1))
        counter = Signal(range(MAX_PROGRAM + 2))        # Instructions that were fetched.
        current = Signal(instruction_layout())
        address = Signal(range(self.cells))
        clipped = Signal(signed(8))
        limit = Signal(range(self.cells + 1))
        m.d.sync += limit.eq(self.size - 1)
        with m.If(stack[0] > 127):
            m.d.comb += clipped.eq(127)
        with m.Elif(stack[0] < -128):
            m.d.comb += clipped.eq(-128)
        with m.Else():
            m.d.comb += clipped.eq(stack[0][:8].as_signed())
        m.d.comb += [fetch.addr.eq(counter), look.addr.eq(address), output.i.payload.eq(clipped)]

        with m.FSM():
            with m.State("Load"):
                m.d.comb += [fill.addr.eq(loaded), fill.en.eq(self.i.valid), self.i.ready.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += loaded.eq(loaded + 1)
                    with m.If(loaded == limit):
                        m.d.sync += loaded.eq(0)
                        m.next = "Begin"
            with m.State("Begin"):
                m.d.comb += [address.eq(position.place), look.en.eq(position.stored)]
                m.d.sync += [current.eq(fetch.data), counter.eq(1)]
                with m.If(position.stored):
                    m.next = "Take"
                with m.Else():
                    m.next = "Run"
            with m.State("Run"):
                m.d.sync += [current.eq(fetch.data), counter.eq(counter + 1)]
                m.d.comb += look.en.eq(current.operator == Operator.LOOK_UP)
                with m.If(stack[0] < 0):
                    m.d.comb += address.eq(0)
                with m.Elif(stack[0] > limit):
                    m.d.comb += address.eq(limit)
                with m.Else():
                    m.d.comb += address.eq(stack[0][:len(address)])
                self.execute(m, current, stack, position)
                with m.If(current.operator == Operator.LOOK_UP):
                    m.next = "Take"
                with m.Elif(counter == self.length):
                    m.next = "Give"
            with m.State("Take"):
                m.d.sync += stack[0].eq(look.data)
                with m.If(position.stored | (counter > self.length)):
                    m.next = "Give"
                with m.Else():
                    m.next = "Run"
            with m.State("Give"):
                m.d.comb += output.i.valid.eq(1)
                with m.If(output.i.ready):
                    m.d.sync += counter.eq(0)
                    m.d.comb += position.advance.eq(1)
                    with m.If(position.last):
                        m.next = "Load"
                    with m.Else():
                        m.next = "Begin"

        return m

    def execute(self, m, current, stack, position):
        """Let the current instruction change the stack; looking up goes on in the next cycle."""
        pushed = Signal(signed(BITS))
        top, second, third = stack[0], stack[1], stack[2]

        def leave(value, taken):
            """Put a value in the place of those taken."""
            m.d.sync += stack[0].eq(value)
            if taken > 1:
                m.d.sync += [stack[place].eq(stack[place + taken - 1])
                             for place in range(1, MAX_DEPTH - taken + 1)]

        with m.Switch(current.operator):
            for operator, value in (
                    (Operator.CONSTANT, current.value), (Operator.ROW, position.row),
                    (Operator.COLUMN, position.column), (Operator.CHANNEL, position.channel),
                    (Operator.PLACE, position.place)):
                with m.Case(operator):
                    m.d.comb += pushed.eq(value)
                    m.d.sync += stack[0].eq(pushed)
                    m.d.sync += [stack[place + 1].eq(stack[place])
                                 for place in range(MAX_DEPTH - 1)]
            for operator, value, taken in (
                    (Operator.ADD, second + top, 2), (Operator.SUBTRACT, second - top, 2),
                    (Operator.HALVE, top >> 1, 1), (Operator.NEGATE, -top, 1),
                    (Operator.MINIMUM, Mux(second < top, second, top), 2),
                    (Operator.MAXIMUM, Mux(second > top, second, top), 2),
                    (Operator.EXCLUSIVE_OR, second ^ top, 2),
                    (Operator.SELECT, Mux(third < 0, second, top), 3)):
                with m.Case(operator):
                    leave(value, taken)

    def position(self, m):
        """Return a weight's place in its filter, which ``advance`` changes to the next one's."""
        place = Signal(data.StructLayout({
            "row": 8, "column": 8, "channel": 16, "place": range(self.cells), "phase": 8,
            "stored": 1, "last": 1, "advance": 1}))
        kept = {name: Signal(place.shape()[name].shape, name=name)
                for name in ("row", "column", "channel", "place", "phase")}
        m.d.comb += [place[name].eq(value) for name, value in kept.items()]
        ends = {name: Signal(name=f"{name}_ends") for name in ("row", "column", "channel")}
        m.d.comb += [
            ends["channel"].eq(kept["channel"] + 1 == self.channels),
            ends["column"].eq(kept["column"] + 1 == self.width),
            ends["row"].eq(kept["row"] + 1 == self.height),
            place.stored.eq(kept["phase"] == 0),
            place.last.eq(Cat(ends.values()).all()),
        ]
        with m.If(place.advance):
            m.d.sync += kept["channel"].eq(Mux(ends["channel"], 0, kept["channel"] + 1))
            with m.If(ends["channel"]):
                m.d.sync += kept["column"].eq(Mux(ends["column"], 0, kept["column"] + 1))
                with m.If(ends["column"]):
                    m.d.sync += kept["row"].eq(Mux(ends["row"], 0, kept["row"] + 1))
            m.d.sync += kept["phase"].eq(kept["phase"] + 1)
            with m.If(kept["phase"] + 1 == self.spacing):
                m.d.sync += [kept["phase"].eq(0), kept["place"].eq(kept["place"] + 1)]
            with m.If(place.last):
                m.d.sync += [kept["phase"].eq(0), kept["place"].eq(0)]
        return place
