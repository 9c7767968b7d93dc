"""Output stage: from the array's sums to bytes for the activation memory."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.mac.addition import AdditionTable, TableFiller
from hw.mac.requantise import LAYER, RECORD, Requantiser
from hw.pipeline import copies, delay
from hw.primitives.pdpw16kd import PDPW16KD
from sw.format.layers import MOST_SHIFT, RECORDS


__all__ = ["CHANNEL_WRITE", "POSITION", "ChannelField", "ChannelMemory", "OutputStage"]


#: Where the sums of a position go: the first output's address and channel record, the number of
#: outputs (1 to rows), and whether the first records serve them all.
POSITION = data.StructLayout({"address": 16, "channel": 16, "count": 6, "shared": 1})


class ChannelField(enum.Enum, shape=2):
    """Fields of a channel record, as the image holds them."""

    #: int32.
    BIAS = 0
    #: int32, not negative.
    MULTIPLIER = 1
    #: int8, -31 to ``MOST_SHIFT``.
    SHIFT = 2


#: Channel records in a block RAM.
BLOCK_RECORDS = 512

#: A field of a channel record.
CHANNEL_WRITE = data.StructLayout({"channel": 16, "field": ChannelField, "data": 32})


class ChannelMemory(wiring.Component):
    """Keeps channel records, written field by field.

    Accepts a write and a read a cycle. ``record`` is what was read ``latency`` cycles before. A
    record must not be read in the cycle in which it is written.

    Parameters
    ----------
    depth : int
        Records that fit, at least.

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
    reads: In(stream.Signature(16, always_ready=True))
    record: Out(RECORD)

    def __init__(self, depth):
        self.depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        write = self.writes.payload
        blocks = range(-(-self.depth // BLOCK_RECORDS))
        block_bits = BLOCK_RECORDS.bit_length() - 1
        written = write.channel[block_bits:]
        read = delay(m, self.reads.payload[block_bits:], self.latency)
        # To the right and to the left.
        shifts = Mux(write.data[7], (-write.data[:5])[:5],
                     Cat(C(0, 5), write.data[:MOST_SHIFT.bit_length()]))
        for field, value, stored in (
            (ChannelField.BIAS, write.data, self.record.bias),
            (ChannelField.MULTIPLIER, write.data, self.record.multiplier),
            (ChannelField.SHIFT, shifts, Cat(self.record.shift, self.record.left)),
        ):
            with m.Switch(read[:max(1, (len(blocks) - 1).bit_length())]):
                for number in blocks:
                    block = PDPW16KD()
                    m.submodules[f"{field.name.lower()}{number}"] = block
                    m.d.comb += [
                        block.writes.valid.eq(self.writes.valid & (write.field == field)
                                              & ((written == number) | (len(blocks) == 1))),
                        block.writes.payload.address.eq(write.channel),
                        block.writes.payload.data.eq(value),
                        block.reads.valid.eq(self.reads.valid),
                        block.reads.payload.eq(self.reads.payload),
                    ]
                    with m.Case(number) if len(blocks) > 1 else m.Default():
                        m.d.comb += stored.eq(block.data)

        return m


class OutputStage(wiring.Component):
    """Requantises the array's sums and writes the outputs, ``requantisers`` a cycle.

    Takes sums as often as a position's outputs allow: the caller leaves a cycle for each
    ``requantisers`` of them. Outputs beyond the position's number are dropped. The writes of a
    position are a cycle apart; the last of ``rows`` outputs follows its sums after ``latency``
    cycles. No channel record may be written meanwhile.

    Each requantiser has a bank of the channel records, every ``requantisers``-th one: a position's
    first record lies in the first bank. Shared records must be there once for each bank.

    In additions sums are pairs of inputs (`hw.mac.array.MacArray`), which tables rescale;
    ``prepare`` fills them, from the record ``RECORDS`` behind ``base`` and from the next one.

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
    adds : In(1)
        Sums are pairs of inputs; stable likewise.
    prepare : In(1), base : In(16)
        Fills the tables for an addition whose first channel record is ``base``, while there are no
        sums.
    prepared : Out(1)
        High for a cycle when they are full, `sw.format.timing.TABLE_CYCLES` later.
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
            "adds": In(1),
            "prepare": In(1),
            "base": In(16),
            "prepared": Out(1),
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
        return (self.step_latency + self.target.rows // self.target.requantisers
                + self.target.spread)

    @property
    def step_latency(self):
        """Cycles from the step that takes sums to their write."""
        return self.target.spread + ChannelMemory.latency + Requantiser.latency

    def elaborate(self, platform):
        m = Module()

        target = self.target
        requantisers = target.requantisers
        bank_bits = exact_log2(requantisers)

        m.submodules.filler = filler = TableFiller()
        m.d.comb += [
            filler.start.eq(self.prepare),
            self.prepared.eq(filler.done),
        ]
        filling = Signal()
        with m.If(self.prepare | filler.done):
            m.d.sync += filling.eq(self.prepare)

        # Sums wait here, those of the next step first.
        sums = Signal.like(self.sums.payload.sums, reset_less=True)
        position = Signal(POSITION)
        step = position.count != 0
        more = position.count > requantisers
        offered = delay(m, self.sums.payload, int(target.spread))
        for index, load in enumerate(copies(m, self.sums.valid, target, "load")):
            own = range(index, target.rows, requantisers)
            with m.If(load):
                m.d.sync += [sums[row].eq(offered.sums[row]) for row in own]
            with m.Else():
                m.d.sync += [sums[row].eq(sums[row + requantisers]) for row in own[:-1]]
        takes = delay(m, self.sums.valid, int(target.spread), reset_less=False)
        with m.If(takes):
            m.d.sync += [
                position.eq(offered.tag),
                position.channel.eq(offered.tag.channel >> bank_bits),
            ]
        with m.Elif(step):
            m.d.sync += [
                position.address.eq(position.address + requantisers),
                position.channel.eq(position.channel + ~position.shared),
                position.count.eq(Mux(more, position.count - requantisers, 0)),
            ]

        written = copies(m, delay(m, self.channels.payload, 1), target, "written")
        written_valid = copies(m, delay(m, self.channels.valid, 1, reset_less=False), target,
                               "written_valid")
        # Of an addition's two inputs, records lie in the first bank and the next, if there is one.
        inputs_record = Signal(16)
        m.d.sync += inputs_record.eq(((self.base + RECORDS) >> bank_bits)
                                     + (filler.second if requantisers == 1 else 0))
        reads = copies(m, Mux(filling, inputs_record, position.channel), target, "read")
        reads_valid = copies(m, step | filling, target, "read_valid")
        entries = delay(m, filler.o.payload, int(target.spread))
        entries_valid = delay(m, filler.o.valid, int(target.spread), reset_less=False)
        layers = copies(m, self.layer, target, "layer")
        adds = copies(m, self.adds, target, "adds")
        records = []
        for index in range(requantisers):
            channels = ChannelMemory(self.target.channels // requantisers)
            m.submodules[f"channels{index}"] = channels
            m.submodules[f"table{index}"] = table = AdditionTable()
            m.submodules[f"requantiser{index}"] = requantiser = Requantiser()
            records.append(channels.record)
            # The second input is the sum's low byte, of which the first one's has borrowed.
            pair = delay(m, sums[index], int(target.spread))
            m.d.comb += [
                channels.writes.payload.eq(written[index]),
                channels.writes.payload.channel.eq(written[index].channel >> bank_bits),
                channels.writes.valid.eq(written_valid[index]
                                         & (written[index].channel[:bank_bits] == index)),
                channels.reads.payload.eq(reads[index]),
                channels.reads.valid.eq(reads_valid[index]),
                table.entries.payload.eq(entries),
                table.entries.valid.eq(entries_valid),
                table.inputs[0].eq(pair[8:16] + pair[7]),
                table.inputs[1].eq(pair[:8]),
                requantiser.i.payload.sum.eq(Mux(adds[index], table.values[0],
                                                 delay(m, pair, channels.latency))),
                requantiser.i.payload.record.eq(channels.record),
                requantiser.layer.eq(layers[index]),
                self.writes.payload.data[index].eq(requantiser.o.payload),
            ]
            with m.If(adds[index]):
                m.d.comb += requantiser.i.payload.record.bias.eq(table.values[1])
        m.d.comb += filler.record.eq(delay(
            m, Mux(filler.second, records[1 % requantisers], records[0]), int(target.spread)))

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
        m.d.comb += self.busy.eq(step | (steps_behind != 0) | (takes if target.spread else 0))

        return m
