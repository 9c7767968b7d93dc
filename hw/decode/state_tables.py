"""Tables of tANS states, read by all lanes at once."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.pipeline import delay
from hw.primitives.dp16kd import DP16KD
from sw.format.lanes import NARROW

from .layouts import lane_row_layout, lane_table_layout


__all__ = ["StateTables"]


# Words of a block RAM.
DEPTH = 1024


class StateTables(wiring.Component):
    """Rows of tables, looked up for all lanes at once.

    A block RAM port serves a lane. A row comes two steps after its state. Rows are written while
    there are no steps and no states: then ``states`` and ``choices`` must be 0.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder.

    Members
    -------
    rows : In(stream.Signature(lane_table_layout(lanes), always_ready=True))
        Rows to be written. They are a cycle later.
    step : In(1)
        There is a step.
    states : In(ArrayLayout(lanes.code.table_bits, lanes.lanes))
        States of the lanes.
    choices : In(ArrayLayout(range(lanes.tables), lanes.lanes))
        Tables in which to look them up.
    o : Out(ArrayLayout(lane_row_layout(lanes), lanes.lanes))
        Rows.

    Attributes
    ----------
    latency : int
        Steps from states to rows.
    """

    latency = 2

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__({
            "rows": In(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "step": In(1),
            "states": In(data.ArrayLayout(lanes.code.table_bits, lanes.lanes)),
            "choices": In(data.ArrayLayout(range(lanes.tables), lanes.lanes)),
            "o": Out(data.ArrayLayout(lane_row_layout(lanes), lanes.lanes)),
        })

    def elaborate(self, platform):
        m = Module()

        shape = self.lanes
        rows = shape.tables << shape.code.table_bits
        banks = -(-rows // DEPTH)

        writes = Signal(banks, reset_less=True)
        # 0 but for a write, so that it can be joined with a state.
        address = Signal(range(rows), reset_less=True)
        row = Signal(shape.row_bits, reset_less=True)
        m.d.sync += [
            writes.eq(0),
            address.eq(0),
            row.eq(self.rows.payload.data),
        ]
        with m.If(self.rows.valid):
            m.d.sync += [
                writes.eq(1 << (self.rows.payload.address >> ceil_log2(DEPTH))),
                address.eq(self.rows.payload.address),
            ]

        lookups = [Cat(self.states[lane], self.choices[lane]) for lane in range(shape.lanes)]
        with m.If(self.step):
            selected = [delay(m, lookup[ceil_log2(DEPTH):], self.latency) for lookup in lookups]
        # A lone lane leaves the port that writes to the rows.
        ports = [(lookups[lane], lookups[lane + 1]) for lane in range(0, shape.lanes, 2)
                 ] if shape.lanes > 1 else [(Const(0), lookups[0])]
        found = [[] for _ in range(2 * len(ports))]
        for pair, (lower, upper) in enumerate(ports):
            for bank in range(banks):
                words = ([], [])
                for part in range(shape.row_bits // NARROW):
                    memory = DP16KD()
                    m.submodules[f"memory{pair}_{bank}_{part}"] = memory
                    m.d.comb += [
                        memory.a.enable.eq(self.step | writes[bank]),
                        memory.a.write.eq(writes[bank]),
                        memory.a.address.eq(lower | address),
                        memory.a.write_data.eq(row.word_select(part, NARROW)),
                        memory.b.enable.eq(self.step),
                        memory.b.address.eq(upper),
                    ]
                    words[0].append(memory.a.data)
                    words[1].append(memory.b.data)
                for port in range(2):
                    found[2 * pair + port].append(Cat(words[port]))
        for lane, choices in enumerate(found[-shape.lanes:]):
            m.d.comb += self.o[lane].eq(
                Array(choices)[selected[lane]] if banks > 1 else choices[0])

        return m
