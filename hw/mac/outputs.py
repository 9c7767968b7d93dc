"""Output stage: from the array's sums to bytes for the activation memory."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.mac.requantise import LAYER, RECORD, Requantiser
from hw.pipeline import delay
from hw.primitives.pdpw16kd import PDPW16KD


__all__ = ["CHANNEL_WRITE", "POSITION", "ChannelField", "ChannelMemory", "OutputStage"]


#: Where the sums of a position go: the first output's address and channel record, the number of
#: outputs (1 to rows), and whether the first record serves them all.
POSITION = data.StructLayout({"address": 16, "channel": 16, "count": 6, "shared": 1})


class ChannelField(enum.Enum, shape=2):
    """Fields of a channel record, as the image holds them."""

    #: int32.
    BIAS = 0
    #: int32, not negative.
    MULTIPLIER = 1
    #: int8, -31 to 0.
    SHIFT = 2


#: A field of a channel record.
CHANNEL_WRITE = data.StructLayout({"channel": 16, "field": ChannelField, "data": 32})


class ChannelMemory(wiring.Component):
    """Keeps up to 512 channel records, written field by field.

    Accepts a write and a read a cycle. ``record`` is what was read ``latency`` cycles before. A
    record must not be read in the cycle in which it is written.

    Members
    -------
    writes : In(stream)
        Fields of records.
    reads : In(stream)
        Numbers of records.
    record : Out(RECORD)
        What was read.
    """

    latency = PDPW16KD.latency

    writes: In(stream.Signature(CHANNEL_WRITE, always_ready=True))
    reads: In(stream.Signature(9, always_ready=True))
    record: Out(RECORD)

    def elaborate(self, platform):
        m = Module()

        write = self.writes.payload
        for field, value, stored in (
            (ChannelField.BIAS, write.data, self.record.bias),
            (ChannelField.MULTIPLIER, write.data, self.record.multiplier),
            (ChannelField.SHIFT, -write.data[:5], self.record.shift),
        ):
            m.submodules[field.name.lower()] = block = PDPW16KD()
            m.d.comb += [
                block.writes.valid.eq(self.writes.valid & (write.field == field)),
                block.writes.payload.address.eq(write.channel),
                block.writes.payload.data.eq(value),
                block.reads.valid.eq(self.reads.valid),
                block.reads.payload.eq(self.reads.payload),
                stored.eq(block.data),
            ]

        return m


class OutputStage(wiring.Component):
    """Requantises the array's sums and writes the outputs, ``requantisers`` a cycle.

    Takes sums every ``rows / requantisers`` cycles at most: the caller leaves that many cycles
    from one position to the next. Outputs beyond the position's number are dropped. The writes of
    a position are a cycle apart; the last of ``rows`` outputs follows its sums after ``latency``
    cycles. No channel record may be written meanwhile.

    Parameters
    ----------
    target : Target
        Sizes of the array and number of requantisers.

    Members
    -------
    sums : In(stream)
        Sums of all rows, and as tag the position that they belong to.
    layer : In(LAYER)
        Stable while there are sums of the layer on their way.
    channels : In(stream)
        Fields of channel records.
    writes : Out(stream)
        The first ``count`` bytes of ``data`` for consecutive addresses from ``address`` on.
    busy : Out(1)
        Whether sums that were taken have writes to come.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "sums": In(stream.Signature(data.StructLayout({
                "sums": data.ArrayLayout(signed(32), target.rows),
                "tag": POSITION,
            }), always_ready=True)),
            "layer": In(LAYER),
            "channels": In(stream.Signature(CHANNEL_WRITE, always_ready=True)),
            "writes": Out(stream.Signature(data.StructLayout({
                "address": 16,
                "data": data.ArrayLayout(8, target.requantisers),
                "count": range(target.requantisers + 1),
            }), always_ready=True)),
            "busy": Out(1),
        })

    @property
    def latency(self):
        return self.step_latency + self.target.rows // self.target.requantisers

    @property
    def step_latency(self):
        """Cycles from the step that takes sums to their write."""
        return ChannelMemory.latency + Requantiser.latency

    def elaborate(self, platform):
        m = Module()

        requantisers = self.target.requantisers
        # Sums wait here, those of the next step first.
        sums = Signal.like(self.sums.payload.sums, reset_less=True)
        position = Signal(POSITION)
        step = position.count != 0
        more = position.count > requantisers
        with m.If(self.sums.valid):
            m.d.sync += [
                sums.eq(self.sums.payload.sums),
                position.eq(self.sums.payload.tag),
            ]
        with m.Elif(step):
            m.d.sync += [
                sums.eq(sums.as_value() >> (32 * requantisers)),
                position.address.eq(position.address + requantisers),
                position.channel.eq(position.channel + Mux(position.shared, 0, requantisers)),
                position.count.eq(Mux(more, position.count - requantisers, 0)),
            ]

        written = delay(m, self.channels.payload, 1)
        written_valid = delay(m, self.channels.valid, 1, reset_less=False)
        for index in range(requantisers):
            m.submodules[f"channels{index}"] = channels = ChannelMemory()
            m.submodules[f"requantiser{index}"] = requantiser = Requantiser()
            m.d.comb += [
                channels.writes.payload.eq(written),
                channels.writes.valid.eq(written_valid),
                channels.reads.payload.eq(position.channel + Mux(position.shared, 0, index)),
                channels.reads.valid.eq(step),
                requantiser.i.payload.sum.eq(delay(m, sums[index], channels.latency)),
                requantiser.i.payload.record.eq(channels.record),
                requantiser.layer.eq(self.layer),
                self.writes.payload.data[index].eq(requantiser.o.payload),
            ]

        m.d.comb += [
            self.writes.payload.address.eq(delay(m, position.address, self.step_latency)),
            self.writes.payload.count.eq(
                delay(m, Mux(more, requantisers, position.count), self.step_latency)),
            self.writes.valid.eq(delay(m, step, self.step_latency, reset_less=False)),
        ]

        steps_behind = Signal(range(self.step_latency + 1))
        with m.If(step):
            m.d.sync += steps_behind.eq(self.step_latency)
        with m.Elif(steps_behind != 0):
            m.d.sync += steps_behind.eq(steps_behind - 1)
        m.d.comb += self.busy.eq(step | (steps_behind != 0))

        return m
