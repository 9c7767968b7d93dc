"""Sequential reads of the weight memory, as a stream."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hw.memory.contract import region_layout


__all__ = ["REGION", "Fetcher"]


#: Consecutive words of the weight memory.
REGION = region_layout(16)


class Fetcher(wiring.Component):
    """Fetches regions of the weight memory, one word a cycle.

    The first word follows its region after ``memory_latency + 2`` cycles. While the consumer
    stalls, words that are on their way wait in a FIFO. A region of no words yields nothing.

    Parameters
    ----------
    memory_latency : int
        Cycles from a read to its word.

    Members
    -------
    regions : In(stream.Signature(REGION))
        What to fetch; the next region is taken once the last word of one has been asked for.
    reads : Out(stream.Signature(16, always_ready=True))
        Addresses for the memory.
    fetched : In(stream.Signature(32, always_ready=True))
        Words from the memory.
    o : Out(stream.Signature(32))
        The words in order.
    """

    regions: In(stream.Signature(REGION))
    reads: Out(stream.Signature(16, always_ready=True))
    fetched: In(stream.Signature(32, always_ready=True))
    o: Out(stream.Signature(32))

    def __init__(self, *, memory_latency):
        if memory_latency < 1:
            raise ValueError(f"Memory latency must be at least 1 cycle, not {memory_latency}")
        self.memory_latency = memory_latency
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        # One word more than are on their way, lest a consumer of one word a cycle wait.
        depth = self.memory_latency + 2
        m.submodules.fifo = fifo = SyncFIFO(width=32, depth=depth)
        m.d.comb += [
            fifo.w_en.eq(self.fetched.valid),
            fifo.w_data.eq(self.fetched.payload),
            self.o.valid.eq(fifo.r_rdy),
            self.o.payload.eq(fifo.r_data),
            fifo.r_en.eq(self.o.ready),
        ]

        # Words asked for and not yet taken by the consumer: each has its place in the FIFO.
        pending = Signal(range(depth + 1))
        taken = self.o.valid & self.o.ready
        m.d.sync += pending.eq(pending + self.reads.valid - taken)

        address = Signal(16)
        left = Signal(16)
        m.d.comb += [
            self.regions.ready.eq(left == 0),
            self.reads.payload.eq(address),
            self.reads.valid.eq((left != 0) & (pending != depth)),
        ]
        with m.If(self.regions.ready & self.regions.valid):
            m.d.sync += [
                address.eq(self.regions.payload.address),
                left.eq(self.regions.payload.words),
            ]
        with m.Elif(self.reads.valid):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1)]

        return m
