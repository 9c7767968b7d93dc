"""Engine: runs the network that the ROM image in the weight memory describes."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.decode.decoder import Decoder
from hw.engine.datapath import BYTE_WRITE, Datapath
from hw.engine.fetcher import Fetcher
from hw.engine.filler import Filler
from hw.engine.loader import Loader
from hw.engine.records import ScheduleMemory
from hw.engine.sequencer import Sequencer
from hw.memory.weights import WRITE as WEIGHT_WRITE
from hw.memory.weights import WeightMemory
from sw.format.status import Counter, Error, State
from sw.format.timing import drain_cycles


__all__ = ["Engine"]


#: Cycles that everything needs to come to rest after a load or a run.
REST = 16

#: Words after the coded data that a decoder may read ahead; more, and the data are broken.
READ_AHEAD = 256


class Engine(wiring.Component):
    """Loads the image at power-on and on request, and runs its network on request.

    Requests that its state doesn't allow are ignored: ``load`` while loading or running, ``run``
    unless ready. A run ends even if the coded data are broken: in ``State.FAILED`` then.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.
    image : bytes
        The image in the weight memory at power-on; may be empty.

    Members
    -------
    image : In(stream.Signature(WRITE))
        Words for the weight memory; wait while it is in use.
    inputs : In(stream.Signature(BYTE_WRITE))
        Bytes for the activation memory; wait while it is in use.
    output_reads : In(stream.Signature(16)), outputs : Out(stream.Signature(8))
        Addresses of bytes in the activation memory, and the bytes; wait likewise.
    image_reads : In(stream.Signature(16)), image_words : Out(stream.Signature(32))
        Addresses of words in the weight memory, and the words; wait likewise. The last word must be
        taken before the next request.
    load, run : In(1)
        Requests, a cycle each.
    state : Out(State), error : Out(Error)
        What it does, and what failed last.
    counter : In(8), count : Out(32)
        Index of a `Counter`, and its value a cycle later.
    """

    def __init__(self, target, image=b""):
        if len(image) > target.memory_words * 4:
            raise ValueError(f"Image must have at most {target.memory_words * 4} bytes, "
                             f"not {len(image)}")
        self.target = target
        self.initial_image = bytes(image)
        self.datapath = Datapath(target)
        if self.datapath.latency > drain_cycles(target):
            raise ValueError(f"Outputs must be written {drain_cycles(target)} cycles after a "
                             f"layer's last beat, not {self.datapath.latency}")
        super().__init__({
            "image": In(stream.Signature(WEIGHT_WRITE)),
            "inputs": In(stream.Signature(BYTE_WRITE)),
            "output_reads": In(stream.Signature(16)),
            "outputs": Out(stream.Signature(8)),
            "image_reads": In(stream.Signature(16)),
            "image_words": Out(stream.Signature(32)),
            "load": In(1),
            "run": In(1),
            "state": Out(State),
            "error": Out(Error),
            "counter": In(8),
            "count": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        target = self.target

        words = [int.from_bytes(self.initial_image[i:i + 4], "little")
                 for i in range(0, len(self.initial_image), 4)]
        m.submodules.memory = memory = WeightMemory(target.memory_words, init=words)
        m.submodules.schedule = schedule = ScheduleMemory(target.layers)
        m.submodules.decoder = decoder = Decoder(target)
        m.submodules.datapath = datapath = self.datapath

        # Whatever a load or a run that failed left half done is forgotten while at rest.
        rest = Signal()
        fetcher = Fetcher(memory_latency=memory.latency)
        loader = Loader(target)
        filler = Filler(target)
        sequencer = Sequencer(target, drain=drain_cycles(target))
        m.submodules.fetcher = ResetInserter(rest)(fetcher)
        m.submodules.loader = loader
        m.submodules.filler = ResetInserter(rest)(filler)
        m.submodules.sequencer = ResetInserter(rest)(sequencer)

        loading = self.state == State.LOADING
        running = self.state == State.RUNNING
        idle = ~loading & ~running

        # Host.
        m.d.comb += [
            self.image.ready.eq(idle),
            memory.writes.valid.eq(idle & self.image.valid),
            memory.writes.payload.eq(self.image.payload),
            self.inputs.ready.eq(idle),
            datapath.host_writes.valid.eq(idle & self.inputs.valid),
            datapath.host_writes.payload.eq(self.inputs.payload),
            datapath.host_reads.valid.eq(idle & self.output_reads.valid),
            datapath.host_reads.payload.eq(self.output_reads.payload),
            self.output_reads.ready.eq(idle & datapath.host_reads.ready),
        ]
        connect(m, datapath.host_bytes, flipped(self.outputs))

        # Image.
        connect(m, fetcher.reads, memory.reads)
        connect(m, memory.o, fetcher.fetched)
        connect(m, loader.schedule, schedule.writes)
        connect(m, loader.channels, datapath.channels)
        connect(m, loader.code, decoder.code)
        connect(m, loader.codebook, decoder.codebook)
        m.d.comb += [
            loader.code_busy.eq(decoder.code_busy),
            loader.code_error.eq(decoder.code_error),
        ]

        # Words go to the loader, to the host, or to the decoder: behind the coded data there come
        # zeros.
        asked = Signal()
        words_left = Signal(16)
        read_ahead = Signal(range(READ_AHEAD + 1))
        ended = words_left == 0
        m.d.comb += [
            loader.words.valid.eq(loading & fetcher.o.valid),
            loader.words.payload.eq(fetcher.o.payload),
            decoder.words.valid.eq(running & asked & (ended | fetcher.o.valid)),
            decoder.words.payload.eq(Mux(ended, 0, fetcher.o.payload)),
            self.image_words.valid.eq(idle & fetcher.o.valid),
            self.image_words.payload.eq(fetcher.o.payload),
        ]
        coded_word = decoder.words.valid & decoder.words.ready
        with m.If(loading):
            connect(m, loader.regions, fetcher.regions)
            m.d.comb += fetcher.o.ready.eq(loader.words.ready)
        with m.Elif(idle):
            m.d.comb += [
                fetcher.regions.valid.eq(self.image_reads.valid),
                fetcher.regions.payload.address.eq(self.image_reads.payload),
                fetcher.regions.payload.words.eq(1),
                self.image_reads.ready.eq(fetcher.regions.ready),
                fetcher.o.ready.eq(self.image_words.ready),
            ]
        with m.Else():
            m.d.comb += [
                fetcher.regions.valid.eq(~asked & ~rest),
                fetcher.regions.payload.eq(loader.coded),
                fetcher.o.ready.eq(asked & ~ended & decoder.words.ready),
            ]
            with m.If(fetcher.regions.valid & fetcher.regions.ready):
                m.d.sync += asked.eq(1)
        with m.If(coded_word & ~ended):
            m.d.sync += words_left.eq(words_left - 1)
        with m.If(coded_word & ended):
            m.d.sync += read_ahead.eq(read_ahead + 1)

        # Weights and activations.
        connect(m, decoder.weights, filler.weights)
        connect(m, filler.jobs, decoder.jobs)
        connect(m, filler.writes, datapath.tile_writes)
        connect(m, sequencer.beats, datapath.beats)
        m.d.comb += [
            filler.layers.eq(loader.layers),
            filler.word.eq(schedule.words[0]),
            sequencer.layers.eq(loader.layers),
            sequencer.word.eq(schedule.words[1]),
            schedule.addresses[0].eq(filler.address),
            schedule.addresses[1].eq(sequencer.address),
            sequencer.filled.eq(filler.filled),
            filler.freed.eq(sequencer.freed),
            datapath.layer.zero_point.eq(sequencer.record.output_zero_point.value),
            datapath.layer.minimum.eq(sequencer.record.activation.minimum),
            datapath.layer.maximum.eq(sequencer.record.activation.maximum),
        ]

        rest_left = Signal(range(REST + 1), init=REST)
        load_next = Signal(init=1)
        run_next = Signal()
        run_cycle = Signal()
        with m.FSM():
            with m.State("Rest"):
                m.d.comb += rest.eq(1)
                m.d.sync += rest_left.eq(rest_left - 1)
                with m.If(rest_left == 1):
                    m.next = "Idle"
                    with m.If(load_next):
                        m.d.comb += loader.start.eq(1)
                        m.next = "Load"
                    with m.Elif(run_next):
                        m.d.sync += [
                            asked.eq(0), words_left.eq(loader.coded.words), read_ahead.eq(0),
                        ]
                        m.next = "Start"
                    with m.Elif(self.error != Error.NONE):
                        m.d.sync += self.state.eq(State.FAILED)
                    with m.Else():
                        m.d.sync += self.state.eq(State.READY)

            with m.State("Idle"):
                m.d.sync += [rest_left.eq(REST), load_next.eq(self.load)]
                with m.If(self.load):
                    m.d.sync += self.state.eq(State.LOADING)
                    m.next = "Rest"
                with m.Elif(self.run & (self.state == State.READY)):
                    m.d.sync += [self.state.eq(State.RUNNING), run_next.eq(1)]
                    m.next = "Rest"

            with m.State("Load"):
                m.d.sync += [rest_left.eq(REST), load_next.eq(0)]
                with m.If(loader.done):
                    m.d.sync += self.error.eq(loader.error)
                    m.next = "Rest"

            with m.State("Start"):
                m.d.comb += [filler.start.eq(1), sequencer.start.eq(1)]
                m.d.sync += [rest_left.eq(REST), run_next.eq(0)]
                m.next = "Run"

            with m.State("Run"):
                m.d.comb += [decoder.run.eq(1), run_cycle.eq(1)]
                with m.If(sequencer.done):
                    m.next = "Rest"
                with m.Elif(read_ahead == READ_AHEAD):
                    m.d.sync += self.error.eq(Error.CODED_DATA)
                    m.next = "Rest"

        # Counters of a run start at 0 with it.
        run_starts = sequencer.start
        values = {}
        for counter, event in (
            (Counter.CYCLES, run_cycle),
            (Counter.WAITING, sequencer.waiting),
            (Counter.BEATS, sequencer.beats.valid),
            (Counter.TRANSFERS, filler.writes.valid),
            (Counter.CODED_WORDS, coded_word & ~ended),
            (Counter.FILLING, filler.filling),
        ):
            values[counter] = count_events(m, counter, event, run_starts)
        values[Counter.LOAD_CYCLES] = count_events(
            m, Counter.LOAD_CYCLES, loading & ~rest, loader.start)

        m.submodules.layer_ends = layer_ends = Memory(shape=32, depth=target.layers, init=[])
        layer = Signal(range(target.layers))
        write_port = layer_ends.write_port()
        read_port = layer_ends.read_port()
        m.d.comb += [
            write_port.addr.eq(layer),
            write_port.data.eq(values[Counter.CYCLES]),
            write_port.en.eq(sequencer.layer_done),
            read_port.addr.eq(self.counter),
        ]
        with m.If(run_starts):
            m.d.sync += layer.eq(0)
        with m.Elif(sequencer.layer_done):
            m.d.sync += layer.eq(layer + 1)

        chosen = Signal(8)
        m.d.sync += chosen.eq(self.counter)
        with m.Switch(chosen):
            for counter, value in values.items():
                with m.Case(counter):
                    m.d.comb += self.count.eq(value)
            with m.Default():
                m.d.comb += self.count.eq(read_port.data)

        return m


def count_events(m, counter, event, clear):
    """Return a 32-bit count of the cycles with ``event`` since ``clear``."""
    value = Signal(32, name=f"{counter.name.lower()}_count")
    with m.If(clear):
        m.d.sync += value.eq(0)
    with m.Elif(event):
        m.d.sync += value.eq(value + 1)
    return value
