"""Tables of tANS states, read by all lanes at once."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.pipeline import delay
from hw.primitives.dp16kd import DP16KD
from sw.format.lanes import NARROW

from .layouts import lane_row_layout, lane_table_layout


__all__ = ["LOOKUP", "StateTables"]


# Words of a block RAM, and steps that a look-up takes.
DEPTH = 1024
LOOKUP = 2


class StateTables(wiring.Component):
    """Rows of tables, looked up for all lanes at once.

    A block RAM port serves a lane. Rows are written while
    there are no steps and no states: then ``states`` and ``choices`` must be 0.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder.
    latency : int
        Steps from states to rows: two, or three to have them in registers of the fabric.

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
    nonzero : Out(lanes.lanes)
        Which of the states aren't 0.
    o : Out(ArrayLayout(lane_row_layout(lanes), lanes.lanes))
        Rows.
    """

    def __init__(self, lanes, *, latency):
        self.lanes = lanes
        self.latency = latency
        super().__init__({
            "rows": In(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "step": In(1),
            "states": In(data.ArrayLayout(lanes.code.table_bits, lanes.lanes)),
            "choices": In(data.ArrayLayout(range(lanes.tables), lanes.lanes)),
            "nonzero": Out(lanes.lanes),
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
            selected = [delay(m, lookup[ceil_log2(DEPTH):], LOOKUP) for lookup in lookups]
        # A lone lane leaves the port that writes to the rows.
        ports = [Const(0), *lookups] if shape.lanes == 1 else lookups
        found = []
        for lane in range(0, len(ports), 2):
            # States are joined with the address of a write before they are checked: so a LUT that
            # makes a state has room for it.
            ports[lane] |= address
            for bank in range(banks):
                parts = []
                for part in range(shape.row_bits // NARROW):
                    memory = DP16KD()
                    m.submodules[f"memory{lane}_{bank}_{part}"] = memory
                    m.d.comb += [
                        memory.a.enable.eq(self.step | writes[bank]),
                        memory.a.write.eq(writes[bank]),
                        memory.a.address.eq(ports[lane]),
                        memory.a.write_data.eq(row.word_select(part, NARROW)),
                        memory.b.enable.eq(self.step),
                        memory.b.address.eq(ports[lane + 1]),
                    ]
                    parts.append(memory)
                found.append([Cat(memory.a.data for memory in parts),
                              Cat(memory.b.data for memory in parts)])
        for lane, lookup in enumerate(ports[-shape.lanes:]):
            port = lane if shape.lanes > 1 else 1
            choices = [words[port % 2] for words in found[port // 2 * banks:][:banks]]
            row = Array(choices)[selected[lane]] if banks > 1 else choices[0]
            with m.If(self.step):
                row = delay(m, row, self.latency - LOOKUP)
            m.d.comb += [
                self.nonzero[lane].eq(lookup[:shape.code.table_bits].any()),
                self.o[lane].eq(row),
            ]

        return m
