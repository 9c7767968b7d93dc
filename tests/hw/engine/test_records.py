# amaranth: UnusedElaboratable=no

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.engine.records import RECORD, WRITE, RecordReader, ScheduleMemory
from sw.format.schedule import HALFWORDS, RECORD_WORDS, Dataflow, ScheduleRecord


RECORDS = [
    ScheduleRecord(Dataflow.ADD, 1, 9, -7, -120, 119, -2, 1, 301, 302, 303, 304, 305, 306, 307,
                   308, 309, 0xfff0, 311, 312, -313, 314, -315, 316, 317, 318, 319, 320, 321),
    ScheduleRecord(Dataflow.DENSE, 0, 0, 127, -128, 127, 0, 0, *[1] * 21),
]


class ReaderWithMemory(wiring.Component):
    writes: In(stream.Signature(WRITE, always_ready=True))
    start: In(1)
    base: In(16)
    record: Out(RECORD)
    valid: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = ScheduleMemory(len(RECORDS))
        m.submodules.reader = reader = RecordReader()
        connect(m, flipped(self.writes), memory.writes)
        m.d.comb += [
            memory.addresses[1].eq(reader.address), reader.word.eq(memory.words[1]),
            reader.start.eq(self.start), reader.base.eq(self.base),
            self.record.eq(reader.record), self.valid.eq(reader.valid),
        ]
        return m


def test_records_arrive_whole_and_in_time(simulate):
    dut = ReaderWithMemory()

    async def testbench(ctx):
        image = b"".join(record.pack() for record in RECORDS)
        ctx.set(dut.writes.valid, 1)
        for address in range(len(image) // 4):
            word = int.from_bytes(image[address * 4:address * 4 + 4], "little")
            ctx.set(dut.writes.payload, {"address": address, "data": word})
            await ctx.tick()
        ctx.set(dut.writes.valid, 0)

        for number in (1, 0, 1):
            ctx.set(dut.base, number * RECORD_WORDS)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for cycle in range(1, RecordReader.latency):
                assert not ctx.get(dut.valid), cycle
                await ctx.tick()
            assert ctx.get(dut.valid)
            check(ctx.get(dut.record), RECORDS[number])

    simulate(dut, testbench)


def check(record, expected):
    assert record.flags.dataflow == expected.dataflow
    assert record.flags.shared == expected.shared
    assert record.flags.codebook == expected.codebook
    assert record.flags.fill == expected.fill
    assert record.activation.minimum == expected.activation_min
    assert record.activation.maximum == expected.activation_max
    assert record.output_zero_point.value == expected.output_zero_point
    assert record.output_zero_point.once == expected.once
    for name in HALFWORDS[3:]:
        assert getattr(record, name) == getattr(expected, name), name


def test_memory_for_no_layer_rejected():
    with pytest.raises(ValueError, match="1 layer or more, not 0"):
        ScheduleMemory(0)
