"""Schedule records: from the schedule memory into registers."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.mac.outputs import CHANNEL_WRITE, ChannelField
from sw.format.layers import MOST_SHIFT
from sw.format.schedule import HALFWORDS, RECORD_WORDS, Dataflow
from sw.format.timing import RECORD_CYCLES


__all__ = ["RECORD", "RECORD_WORD", "WRITE", "ChannelCheck", "RecordCheck", "RecordReader",
           "ScheduleMemory", "has_weights"]


FLAGS = data.StructLayout({"dataflow": Dataflow, "shared": 1, "codebook": 4, "fill": signed(8)})

ACTIVATION = data.StructLayout({"minimum": signed(8), "maximum": signed(8)})

SHAPES = {
    "flags": FLAGS,
    "activation": ACTIVATION,
    "output_zero_point": data.StructLayout({"value": signed(8), "once": 1, "unused": 7}),
    "x_start": signed(16),
    "y_start": signed(16),
}

#: A layer's record: `sw.format.schedule.ScheduleRecord` as the image holds it.
RECORD = data.StructLayout({name: SHAPES.get(name, 16) for name in HALFWORDS})

#: A word of a record, and which one it is.
RECORD_WORD = data.StructLayout({"index": range(RECORD_WORDS), "data": 32})

#: A word for the schedule memory.
WRITE = data.StructLayout({"address": 16, "data": 32})


def has_weights(dataflow):
    """Return whether a `Dataflow` has weights, as a value."""
    return Cat(dataflow == one for one in Dataflow if one.has_weights).any()


class RecordReader(wiring.Component):
    """Copies one layer's record into registers, which keep it until the next start.

    Takes ``latency`` cycles from ``start`` to ``valid``.

    Members
    -------
    start : In(1)
        Reads the record whose first word is at ``base``; not while another is being read.
    base : In(16)
        Its address in the schedule memory, in words.
    address : Out(16)
        Address for the schedule memory.
    word : In(32)
        The word at the address of the cycle before.
    record : Out(RECORD)
        The record, once ``valid``.
    valid : Out(1)
        Low from the cycle after ``start`` until the record is whole.
    """

    latency = RECORD_CYCLES

    start: In(1)
    base: In(16)
    address: Out(16)
    word: In(32)
    record: Out(RECORD)
    valid: Out(1)

    def elaborate(self, platform):
        m = Module()

        words = Signal(data.ArrayLayout(32, RECORD_WORDS))
        index = Signal(range(RECORD_WORDS + 1))
        reading = Signal()
        m.d.comb += self.record.eq(words.as_value())

        with m.If(self.start):
            m.d.sync += [
                self.address.eq(self.base),
                self.valid.eq(0),
                reading.eq(1),
                index.eq(0),
            ]
        with m.Elif(reading):
            # The word of the first address is there one cycle after the address.
            m.d.sync += [self.address.eq(self.address + 1), index.eq(index + 1)]
            with m.Switch(index):
                for number in range(RECORD_WORDS):
                    with m.Case(number + 1):
                        m.d.sync += words[number].eq(self.word)
            with m.If(index == RECORD_WORDS):
                m.d.sync += [reading.eq(0), self.valid.eq(1)]

        return m


class RecordCheck(wiring.Component):
    """Finds records that would keep the filler or the sequencer at work for ever.

    Loops must have a pass, tiles no more outputs than the array has rows, and weights a dataflow.
    Records that pass may still be wrong: they make wrong outputs, and nothing worse.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.

    Members
    -------
    clear : In(1)
        Forgets what was found.
    words : In(stream.Signature(RECORD_WORD, always_ready=True))
        Words of records, in order.
    illegal : Out(1)
        One of them was illegal; from one cycle after the word until ``clear``.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "clear": In(1),
            "words": In(stream.Signature(RECORD_WORD, always_ready=True)),
            "illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        word = Signal(data.ArrayLayout(16, 2))
        m.d.comb += word.eq(self.words.payload.data)
        fields = {name: word[number % 2] for number, name in enumerate(HALFWORDS)}
        dataflow = Signal(Dataflow)

        outputs = ("outputs", "outputs_last")
        loops = ("tiles", "out_height", "out_width", "kernel_rows", "beats")
        rules = (
            ("flags", fields["flags"][:3] <= max(Dataflow)),
            *((name, fields[name] != 0) for name in (*loops, *outputs)),
            *((name, fields[name] <= self.target.rows) for name in outputs),
            ("kernel_row", (fields["kernel_row"] != 0) | ~has_weights(dataflow)),
        )
        broken = Cat((self.words.payload.index == HALFWORDS.index(name) // 2) & ~rule
                     for name, rule in rules).any()

        with m.If(self.clear):
            m.d.sync += self.illegal.eq(0)
        with m.Elif(self.words.valid):
            m.d.sync += self.illegal.eq(self.illegal | broken)
            with m.If(self.words.payload.index == 0):
                m.d.sync += dataflow.eq(fields["flags"])

        return m


class ChannelCheck(wiring.Component):
    """Finds channel records that no requantiser has: negative multipliers, shifts out of range.

    Members
    -------
    clear : In(1)
        Forgets what was found.
    channels : In(stream.Signature(CHANNEL_WRITE, always_ready=True))
        Fields of channel records; of a shift, the low byte counts.
    illegal : Out(1)
        One of them was illegal; from one cycle after the field until ``clear``.
    """

    clear: In(1)
    channels: In(stream.Signature(CHANNEL_WRITE, always_ready=True))
    illegal: Out(1)

    def elaborate(self, platform):
        m = Module()

        channel = self.channels.payload
        shift = channel.data[:8].as_signed()
        broken = Signal()
        with m.Switch(channel.field):
            with m.Case(ChannelField.MULTIPLIER):
                m.d.comb += broken.eq(channel.data[-1])
            with m.Case(ChannelField.SHIFT):
                m.d.comb += broken.eq((shift < -31) | (shift > MOST_SHIFT))

        with m.If(self.clear):
            m.d.sync += self.illegal.eq(0)
        with m.Elif(self.channels.valid & broken):
            m.d.sync += self.illegal.eq(1)

        return m


class ScheduleMemory(wiring.Component):
    """Keeps the schedule records of a network's layers, for two readers.

    A read's word follows a cycle later. Addresses beyond the memory wrap.

    Parameters
    ----------
    layers : int
        Records that fit.

    Members
    -------
    writes : In(stream.Signature(WRITE, always_ready=True))
        Words to keep; not while anybody reads.
    addresses : In(16)
        Address of each reader, in words.
    words : Out(32)
        Each reader's word.
    """

    def __init__(self, layers):
        if layers < 1:
            raise ValueError(f"Schedule memory must hold 1 layer or more, not {layers}")
        self.layers = layers
        super().__init__({
            "writes": In(stream.Signature(WRITE, always_ready=True)),
            "addresses": In(16).array(2),
            "words": Out(32).array(2),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = Memory(shape=32, depth=self.layers * RECORD_WORDS, init=[])
        write_port = memory.write_port()
        m.d.comb += [
            write_port.en.eq(self.writes.valid),
            write_port.addr.eq(self.writes.payload.address),
            write_port.data.eq(self.writes.payload.data),
        ]
        for address, word in zip(self.addresses, self.words, strict=True):
            read_port = memory.read_port()
            m.d.comb += [read_port.addr.eq(address), word.eq(read_port.data)]

        return m
