"""Order of the groups that several substreams complete."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sw.format.tables import GROUP, MAX_CODE_LENGTH

from .layouts import result_layout
from .queue import Queue
from .skid import SkidBuffer


__all__ = ["Reorder"]


#: Results that may still come after a queue has reached the level at which room ends.
MARGIN = 2


class Reorder(wiring.Component):
    """Delivers groups in the order in which the substreams have begun them.

    A group leaves ``latency`` cycles or more after its completion, one per cycle. ``room`` ends
    when a queue has ``MARGIN`` places left; by then the group whose turn it is must be complete,
    since no group takes more than ``GROUP * MAX_CODE_LENGTH`` bits.

    Parameters
    ----------
    shape : AutomatonShape
        The automaton.

    Members
    -------
    i : In(stream.Signature(result_layout(shape), always_ready=True)).array(shape.substreams // 2)
        What a step of each lane has done. All lanes step together, for half of the substreams by
        turns; a cycle's groups are begun in the order of the lanes.
    room : Out(1)
        Steps are allowed. At most two more results may come after it has ended.
    o : Out(stream.Signature(ArrayLayout(shape.symbol_bits, GROUP)))
        Groups in their order.

    Attributes
    ----------
    latency : int
        Cycles from the result that completes a group to the group, if none is before it.
    """

    latency = 2

    def __init__(self, shape):
        turns = 1 + -(-(GROUP * MAX_CODE_LENGTH - 1) // shape.step_bits)
        groups = turns * shape.step_bits // (GROUP * shape.min_code_length)

        self.shape = shape
        #: Steps that may be waiting while a group is incomplete are those between two of its turns.
        self.order_depth = 1 << ceil_log2(2 * (turns - 1) + 1 + MARGIN)
        #: The same for groups of another substream.
        self.group_depth = 1 << ceil_log2(groups + 1 + MARGIN)
        super().__init__({
            "i": In(stream.Signature(result_layout(shape), always_ready=True)).array(
                shape.substreams // 2),
            "room": Out(1),
            "o": Out(stream.Signature(data.ArrayLayout(shape.symbol_bits, GROUP))),
        })

    def elaborate(self, platform):
        m = Module()

        lanes = len(self.i)

        # Substream ``half * lanes + lane`` has its turn in every second step.
        half = Signal()
        with m.If(self.i[0].valid):
            m.d.sync += half.eq(~half)

        queues = []
        for substream in range(self.shape.substreams):
            queue = Queue(self.o.payload.shape(), self.group_depth)
            m.submodules[f"queue{substream}"] = queue
            queues.append(queue)
            result = self.i[substream % lanes]
            m.d.comb += [
                queue.i.payload.eq(result.payload.group),
                queue.i.valid.eq(result.valid & result.payload.complete
                                 & (half == substream // lanes)),
            ]

        turn_layout = data.StructLayout({"begun": lanes, "half": 1})
        m.submodules.order = order = Queue(turn_layout, self.order_depth)
        begun = Cat(lane.payload.begun for lane in self.i)
        m.d.comb += [
            order.i.payload.eq(Cat(begun, half)),
            order.i.valid.eq(self.i[0].valid & begun.any()),
        ]

        m.d.sync += self.room.eq(Cat(queue.level < queue.depth - MARGIN
                                     for queue in (*queues, order)).all())

        # The turn whose groups are being delivered: those of its lanes that are still to come.
        turn = Signal(turn_layout)
        others = Signal(lanes)
        owner = Signal(self.shape.substreams)
        leaving = Signal()
        m.d.comb += others.eq(turn.begun & (turn.begun - 1))
        for substream in range(self.shape.substreams):
            lane = substream % lanes
            first = turn.begun[lane] & ~turn.begun[:lane].any()
            m.d.comb += owner[substream].eq(first & (turn.half == substream // lanes))

        m.submodules.output = output = SkidBuffer(self.o.payload.shape())
        wiring.connect(m, output.o, wiring.flipped(self.o))
        m.d.comb += [
            output.i.valid.eq((owner & Cat(queue.o.valid for queue in queues)).any()),
            leaving.eq(output.i.valid & output.i.ready),
        ]
        with m.Switch(owner):
            for substream, queue in enumerate(queues):
                with m.Case(1 << substream):
                    m.d.comb += output.i.payload.eq(queue.o.payload)

        for substream, queue in enumerate(queues):
            m.d.comb += queue.o.ready.eq(owner[substream] & leaving)
        with m.If(leaving):
            m.d.sync += turn.begun.eq(others)
        with m.If(Mux(leaving, ~others.any(), ~turn.begun.any())):
            m.d.comb += order.o.ready.eq(1)
            m.d.sync += turn.eq(Mux(order.o.valid, order.o.payload, 0))

        return m
