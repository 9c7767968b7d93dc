"""Counters of what the engine does."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sw.format.status import Counter


__all__ = ["EVENTS", "Counters"]


#: What is counted in a cycle: one bit for each counter.
EVENTS = data.StructLayout({
    counter.name.lower(): 1 for counter in Counter
    if counter not in (Counter.LAYER, Counter.LAYER_WAITING)
})

#: What is kept of a layer: both since the run's start.
LAYER_END = data.StructLayout({"cycles": 32, "waiting": 32})


class Counters(wiring.Component):
    """Counts cycles with events, and keeps two of the counts at the end of each layer.

    ``count`` follows ``index`` after a cycle, or two if a layer ends meanwhile.

    Parameters
    ----------
    layers : int
        Layers that are kept; a power of two, up to 64.

    Members
    -------
    run_starts, load_starts : In(1)
        Clears the counters of a run, or of a load.
    events : In(EVENTS)
        What happens in this cycle.
    layer_done : In(1)
        A layer ends in this cycle.
    index : In(8)
        Of a `Counter`.
    count : Out(32)
        Its value.
    """

    def __init__(self, layers):
        if not 2 <= layers <= 64 or layers.bit_count() != 1:
            raise ValueError(f"Layers must be 2, 4, ... 64, not {layers}")
        self.layers = layers
        super().__init__({
            "run_starts": In(1),
            "load_starts": In(1),
            "events": In(EVENTS),
            "layer_done": In(1),
            "index": In(8),
            "count": Out(32),
        })

    def elaborate(self, platform):
        m = Module()

        counts = {}
        for name, event in ((name, self.events[name]) for name, _ in EVENTS):
            counts[name] = count = Signal(32, name=f"{name}_count")
            with m.If(self.load_starts if name == "load_cycles" else self.run_starts):
                m.d.sync += count.eq(0)
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)

        m.submodules.ends = ends = Memory(shape=LAYER_END, depth=self.layers, init=[])
        layer = Signal(range(self.layers))
        with m.If(self.run_starts):
            m.d.sync += layer.eq(0)
        with m.Elif(self.layer_done):
            m.d.sync += layer.eq(layer + 1)
        write_port = ends.write_port()
        read_port = ends.read_port()
        m.d.comb += [
            write_port.addr.eq(layer),
            write_port.data.cycles.eq(counts["cycles"]),
            write_port.data.waiting.eq(counts["waiting"]),
            write_port.en.eq(self.layer_done),
            read_port.addr.eq(self.index),
            # Never in the cycle of a write: it might be the same layer's.
            read_port.en.eq(~self.layer_done),
        ]

        chosen = Signal(8)
        m.d.sync += chosen.eq(self.index)
        with m.Switch(chosen):
            for name, count in counts.items():
                with m.Case(Counter[name.upper()]):
                    m.d.comb += self.count.eq(count)
            with m.Default():
                m.d.comb += self.count.eq(Mux(chosen >= Counter.LAYER_WAITING,
                                              read_port.data.waiting, read_port.data.cycles))

        return m
