"""Engine: runs the network that the ROM image in the weight memory describes."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.decode.decoder import Decoder
from hw.engine.counters import Counters
from hw.engine.datapath import BYTE_WRITE, Datapath
from hw.engine.feed import Feed
from hw.engine.fetcher import Fetcher
from hw.engine.filler import Filler
from hw.engine.loader import Loader
from hw.engine.records import ScheduleMemory
from hw.engine.sequencer import Sequencer
from hw.memory.filled_sdram import FilledSdram
from hw.memory.flash import FLASH_PINS, FlashMemory
from hw.memory.sdram import SDRAM_PINS
from hw.memory.weights import WRITE as WEIGHT_WRITE
from hw.memory.weights import WeightMemory
from sw.format.schedule import Dataflow
from sw.format.status import Error, State
from sw.format.target import FLASH_OFFSET, Memory, Target
from sw.format.timing import drain_cycles


__all__ = ["Engine", "memory_pins"]


#: Cycles that everything needs to come to rest after a load or a run.
REST = 16


def memory_pins(target: Target):
    """Return the ports for the chips that an accelerator's memory is in, none for block RAM."""
    return (({"flash": Out(FLASH_PINS)} if target.memory.has_flash else {})
            | ({"sdram": Out(SDRAM_PINS)} if target.memory is Memory.SDRAM else {}))


class Engine(wiring.Component):
    """Loads the image at power-on and on request, and runs its network on request.

    Requests that its state doesn't allow are ignored: ``load`` while loading, ``run`` unless ready.
    A run whose coded data end too early, or not as they must, ends in ``State.FAILED``; a load ends
    any run.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.
    image : bytes
        The image in the weight memory at power-on; may be empty, and must be where that isn't
        block RAM.
    clock_hz : int
        Frequency of domain ``sync``, for what is outside of the chip.

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
    flash, sdram
        The chips, as in `memory_pins`.
    """

    def __init__(self, target, image=b"", *, clock_hz=80_000_000):
        if target.memory is Memory.SPRAM:
            raise ValueError("Memory of this engine must be bram, flash or sdram, not spram")
        if image and target.memory is not Memory.BLOCK_RAM:
            raise ValueError(f"Image must be empty with memory {target.memory}, "
                             f"not of {len(image)} bytes")
        if len(image) > target.memory_words * 4:
            raise ValueError(f"Image must have at most {target.memory_words * 4} bytes, "
                             f"not {len(image)}")
        self.target = target
        self.clock_hz = clock_hz
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
        } | memory_pins(target))

    def weight_memory(self, m, rest, idle, loader):
        """Add the weight memory; return its regions, its words, what is wrong, and if it's busy."""
        sizes = {"address_bits": self.target.address_bits, "clock_hz": self.clock_hz}
        quiet = Const(0)
        if self.target.memory is Memory.FLASH:
            m.submodules.memory = memory = FlashMemory(**sizes, offset=FLASH_OFFSET)
            connect(m, memory.pins, flipped(self.flash))
            m.d.comb += [memory.stop.eq(rest), memory.identify.eq(loader.start)]
            return memory.regions, memory.o, memory.fault, quiet

        if self.target.memory is Memory.SDRAM:
            m.submodules.memory = memory = FilledSdram(**sizes, offset=FLASH_OFFSET)
            connect(m, memory.flash, flipped(self.flash))
            connect(m, memory.sdram, flipped(self.sdram))
            m.d.comb += [
                memory.stop.eq(rest),
                memory.identify.eq(loader.start),
                memory.loading.eq(self.state == State.LOADING),
                self.image.ready.eq(idle & memory.writes.ready),
                memory.writes.valid.eq(idle & self.image.valid),
                memory.writes.payload.address.eq(self.image.payload.address),
                memory.writes.payload.data.eq(self.image.payload.data),
            ]
            return memory.regions, memory.o, memory.fault, memory.busy

        words = [int.from_bytes(self.initial_image[i:i + 4], "little")
                 for i in range(0, len(self.initial_image), 4)]
        m.submodules.memory = memory = WeightMemory(self.target.memory_words, init=words)
        fetcher = Fetcher(memory_latency=memory.latency)
        m.submodules.fetcher = ResetInserter(rest)(fetcher)
        connect(m, fetcher.reads, memory.reads)
        connect(m, memory.o, fetcher.fetched)
        m.d.comb += [
            self.image.ready.eq(idle),
            memory.writes.valid.eq(idle & self.image.valid),
            memory.writes.payload.eq(self.image.payload),
        ]
        return fetcher.regions, fetcher.o, Const(Error.NONE, Error), quiet

    def elaborate(self, platform):
        m = Module()
        target = self.target

        m.submodules.schedule = schedule = ScheduleMemory(target.layers)
        m.submodules.decoder = decoder = Decoder(target)
        m.submodules.datapath = datapath = self.datapath

        # Whatever a load or a run that failed left half done is forgotten while at rest, from its
        # second cycle on: a register says so, as it goes far.
        rest = Signal()
        forgets = Signal()
        loader = Loader(target)
        filler = Filler(target)
        sequencer = Sequencer(target, drain=drain_cycles(target))
        feed = Feed(target.address_bits, checks=target.memory is not Memory.BLOCK_RAM)
        m.submodules.feed = ResetInserter(forgets)(feed)
        # A memory that fails gives it no more words.
        fails = Signal()
        m.submodules.loader = ResetInserter(fails)(loader)
        m.submodules.filler = ResetInserter(forgets)(filler)
        m.submodules.sequencer = ResetInserter(forgets)(sequencer)

        loading = self.state == State.LOADING
        running = self.state == State.RUNNING
        idle = ~loading & ~running

        regions, words, fault, busy = self.weight_memory(m, rest, idle, loader)

        # Host.
        m.d.comb += [
            self.inputs.ready.eq(idle),
            datapath.host_writes.valid.eq(idle & self.inputs.valid),
            datapath.host_writes.payload.eq(self.inputs.payload),
            datapath.host_reads.valid.eq(idle & self.output_reads.valid),
            datapath.host_reads.payload.eq(self.output_reads.payload),
            self.output_reads.ready.eq(idle & datapath.host_reads.ready),
        ]
        connect(m, datapath.host_bytes, flipped(self.outputs))

        # Image.
        connect(m, loader.schedule, schedule.writes)
        connect(m, loader.channels, datapath.channels)
        connect(m, loader.code, decoder.code)
        connect(m, loader.codebook, decoder.codebook)
        connect(m, loader.filters, decoder.layers)
        m.d.comb += [
            loader.code_busy.eq(decoder.code_busy),
            loader.code_error.eq(decoder.code_error),
        ]

        # Words go to the loader, to the host, or to the decoder.
        with m.If(loading):
            connect(m, loader.regions, regions)
            connect(m, words, loader.words)
        with m.Elif(idle):
            m.d.comb += [
                regions.valid.eq(self.image_reads.valid),
                regions.payload.address.eq(self.image_reads.payload),
                regions.payload.words.eq(1),
                self.image_reads.ready.eq(regions.ready),
            ]
            connect(m, words, flipped(self.image_words))
        with m.Else():
            connect(m, feed.regions, regions)
            connect(m, words, feed.i)
        m.d.comb += feed.region.eq(loader.coded)
        connect(m, feed.o, decoder.words)

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
            datapath.layer.once.eq(sequencer.record.output_zero_point.once),
            datapath.adds.eq(sequencer.record.flags.dataflow == Dataflow.ADD),
            datapath.base.eq(sequencer.record.channel_base),
            datapath.prepare.eq(sequencer.prepare),
            sequencer.prepared.eq(datapath.prepared),
        ]

        rest_left = Signal(range(REST + 1), init=REST)
        load_next = Signal(init=1)
        run_next = Signal()
        run_cycle = Signal()
        # What takes longest in the end may be the check of how the coded data end.
        kept_done = Signal()
        ended = sequencer.done | kept_done
        m.d.sync += kept_done.eq(ended & decoder.run)
        with m.FSM():
            with m.State("Rest"):
                m.d.comb += rest.eq(1)
                m.d.sync += forgets.eq(1)
                with m.If(~busy):
                    m.d.sync += rest_left.eq(rest_left - 1)
                with m.If(~busy & (rest_left == 1)):
                    m.d.sync += forgets.eq(0)
                    m.next = "Idle"
                    with m.If(load_next):
                        m.d.comb += loader.start.eq(1)
                        m.next = "Load"
                    with m.Elif(run_next):
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
                with m.Elif(fault != Error.NONE):
                    m.d.comb += fails.eq(1)
                    m.d.sync += self.error.eq(fault)
                    m.next = "Rest"

            with m.State("Start"):
                m.d.comb += [filler.start.eq(1), sequencer.start.eq(1)]
                m.d.sync += [rest_left.eq(REST), run_next.eq(0), decoder.run.eq(1)]
                m.next = "Run"

            with m.State("Run"):
                m.d.comb += run_cycle.eq(1)
                with m.If(self.load):
                    m.d.sync += [self.state.eq(State.LOADING), load_next.eq(1),
                                 decoder.run.eq(0)]
                    m.next = "Rest"
                with m.Elif(ended & decoder.settled & ~decoder.failed):
                    m.d.sync += decoder.run.eq(0)
                    m.next = "Check"
                with m.Elif(feed.exceeded | decoder.failed):
                    m.d.sync += [self.error.eq(Error.CODED_DATA), decoder.run.eq(0)]
                    m.next = "Check"

            # Data that end too early may just be damaged.
            with m.State("Check"):
                m.d.comb += [feed.finish.eq(1), run_cycle.eq(int(feed.checks))]
                with m.If(self.load):
                    m.d.sync += [self.state.eq(State.LOADING), load_next.eq(1)]
                    m.next = "Rest"
                with m.Elif(feed.checked):
                    m.next = "Rest"
                    with m.If(feed.damaged):
                        m.d.sync += self.error.eq(Error.CODED_CRC)

        m.submodules.counters = counters = Counters(target.layers)
        m.d.comb += [
            counters.run_starts.eq(sequencer.start),
            counters.load_starts.eq(loader.start),
            counters.layer_done.eq(sequencer.layer_done),
            counters.events.cycles.eq(run_cycle),
            counters.events.waiting.eq(sequencer.waiting),
            counters.events.beats.eq(sequencer.beats.valid),
            counters.events.transfers.eq(filler.writes.valid),
            counters.events.coded_words.eq(feed.coded),
            counters.events.filling.eq(filler.filling),
            counters.events.load_cycles.eq(loading & ~rest),
            counters.index.eq(self.counter),
            self.count.eq(counters.count),
        ]

        return m
