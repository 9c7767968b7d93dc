"""Datapath: from activations and weights to the next layer's activations."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.engine.records import has_weights
from hw.engine.sequencer import BEAT
from hw.mac.array import MacArray
from hw.mac.outputs import CHANNEL_WRITE, POSITION, OutputStage
from hw.mac.requantise import LAYER
from hw.mac.tiles import TileStore, write_layout
from hw.memory.activations import READ, ActivationMemory
from hw.pipeline import delay
from sw.format.schedule import Dataflow


__all__ = ["BYTE_WRITE", "Datapath"]


#: A byte for the activation memory.
BYTE_WRITE = data.StructLayout({"address": 16, "data": 8})


class Datapath(wiring.Component):
    """Joins activation memory, tile store, MAC array and output stage.

    Takes a beat a cycle and never stalls; the outputs of a window are in the activation memory
    ``latency`` cycles after its last beat. The host reads and writes bytes while there are no
    beats: a write a cycle, and one read at a time.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.

    Members
    -------
    beats : In(stream.Signature(BEAT, always_ready=True))
        What to do each cycle.
    layer : In(LAYER)
        Range and zero point of the outputs; stable until they are written.
    adds, prepare, base, prepared
        As in `OutputStage`.
    tile_writes : In(stream.Signature(write_layout(target), always_ready=True))
        Weights for the tile store.
    channels : In(stream.Signature(CHANNEL_WRITE, always_ready=True))
        Fields of channel records.
    host_writes : In(stream.Signature(BYTE_WRITE, always_ready=True))
        Bytes for the activation memory.
    host_reads : In(stream.Signature(16))
        Addresses of bytes of the activation memory.
    host_bytes : Out(stream.Signature(8))
        The bytes read.
    """

    def __init__(self, target):
        self.target = target
        self.activations = ActivationMemory(target)
        self.tiles = TileStore(target)
        self.array = MacArray(target, POSITION)
        self.outputs = OutputStage(target)
        self.memory_latency = (max(self.activations.latency, self.tiles.latency)
                               + target.spread)
        self.latency = (self.memory_latency + self.array.latency + self.outputs.latency
                        + target.spread + 1)
        super().__init__({
            "beats": In(stream.Signature(BEAT, always_ready=True)),
            "layer": In(LAYER),
            "adds": In(1),
            "prepare": In(1),
            "base": In(16),
            "prepared": Out(1),
            "tile_writes": In(stream.Signature(write_layout(target), always_ready=True)),
            "channels": In(stream.Signature(CHANNEL_WRITE, always_ready=True)),
            "host_writes": In(stream.Signature(BYTE_WRITE, always_ready=True)),
            "host_reads": In(stream.Signature(16)),
            "host_bytes": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.activations = activations = self.activations
        m.submodules.tiles = tiles = self.tiles
        m.submodules.array = array = self.array
        m.submodules.outputs = outputs = self.outputs

        beat = self.beats.payload
        connect(m, flipped(self.tile_writes), tiles.writes)
        tile_delay = self.memory_latency - tiles.latency
        # Pooling has no tile of its own: the one at this address may be being filled.
        tile_read = self.beats.valid & has_weights(beat.dataflow)
        m.d.comb += [
            tiles.reads.valid.eq(delay(m, tile_read, tile_delay, reset_less=False)),
            tiles.reads.payload.eq(delay(m, beat.weight, tile_delay)),
        ]

        reading = Signal()
        host_read = self.host_reads.valid & self.host_reads.ready
        activation_delay = self.memory_latency - activations.latency
        read = Signal(READ)
        m.d.comb += [
            read.address.eq(beat.place.address),
            read.offset.eq(beat.place.offset),
            read.row_bytes.eq(beat.row_bytes),
            read.inside.eq(beat.place.inside),
            read.fill.eq(beat.fill),
        ]
        with m.If(beat.dataflow == Dataflow.ADD):
            # Two tensors, none of which has padding.
            m.d.comb += [read.offset.eq(0), read.row_bytes.eq(self.target.read_bytes)]
        with m.If(host_read):
            # The byte at the address, as the only one of its row.
            m.d.comb += [
                read.address.eq(self.host_reads.payload),
                read.offset.eq(0),
                read.row_bytes.eq(1),
                read.inside.eq(1),
            ]
        m.d.comb += [
            self.host_reads.ready.eq(~reading & ~self.host_bytes.valid),
            activations.reads.valid.eq(
                delay(m, self.beats.valid | host_read, activation_delay, reset_less=False)),
            activations.reads.payload.eq(delay(m, read, activation_delay)),
        ]
        with m.If(host_read):
            m.d.sync += reading.eq(1)
        with m.If(reading & activations.activations.valid):
            m.d.sync += [
                reading.eq(0),
                self.host_bytes.valid.eq(1),
                self.host_bytes.payload.eq(activations.activations.payload[0]),
            ]
        with m.If(self.host_bytes.valid & self.host_bytes.ready):
            m.d.sync += self.host_bytes.valid.eq(0)

        control = Cat(beat.dataflow, beat.place.first, beat.place.last, beat.position)
        array_beat = array.beats.payload
        m.d.comb += [
            array.beats.valid.eq(
                delay(m, self.beats.valid, self.memory_latency, reset_less=False)),
            Cat(array_beat.dataflow, array_beat.first, array_beat.last, array_beat.tag).eq(
                delay(m, control, self.memory_latency)),
            array_beat.activations.eq(activations.activations.payload),
            array_beat.weights.eq(tiles.weights.payload),
        ]

        connect(m, array.sums, outputs.sums)
        connect(m, flipped(self.channels), outputs.channels)
        m.d.comb += [
            outputs.layer.eq(self.layer),
            outputs.adds.eq(self.adds),
            outputs.prepare.eq(self.prepare),
            outputs.base.eq(self.base),
            self.prepared.eq(outputs.prepared),
        ]

        # What the host writes comes straight from a block RAM, which is slow.
        host_write = delay(m, self.host_writes.payload, 1)
        write = Signal.like(outputs.writes.payload)
        write_valid = Signal()
        m.d.comb += [
            write_valid.eq(outputs.writes.valid),
            write.eq(outputs.writes.payload),
        ]
        with m.If(delay(m, self.host_writes.valid, 1, reset_less=False)):
            m.d.comb += [
                write_valid.eq(1),
                write.address.eq(host_write.address),
                write.data[0].eq(host_write.data),
                write.count.eq(1),
            ]
        m.d.comb += [
            activations.writes.valid.eq(
                delay(m, write_valid, int(self.target.spread), reset_less=False)),
            activations.writes.payload.eq(delay(m, write, int(self.target.spread))),
        ]

        return m

