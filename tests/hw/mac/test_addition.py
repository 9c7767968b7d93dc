import random

import pytest

from hw.mac.addition import AdditionTable, TableFiller
from sw.format.timing import TABLE_CYCLES, TABLE_RECORD_CYCLES

from .tflite import rescale


RECORDS = [
    ({"bias": -17, "multiplier": 1699529983, "shift": 2},
     {"bias": 4, "multiplier": 1 << 30, "shift": 0}),
    ({"bias": -128, "multiplier": (1 << 31) - 1, "shift": 0},
     {"bias": 127, "multiplier": (1 << 30) + 1, "shift": 31}),
    ({"bias": 0, "multiplier": 0x5a82799a, "shift": 1},
     {"bias": -1, "multiplier": 0x5a82799a, "shift": 7}),
]


@pytest.mark.parametrize("delay", [0, TABLE_RECORD_CYCLES - 2])
@pytest.mark.parametrize("records", RECORDS)
def test_tables_hold_all_values(simulate, records, delay):
    dut = TableFiller()
    entries = {}

    async def engine(ctx):
        for _ in range(2):
            entries.clear()
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            cycles = 1
            while not ctx.get(dut.done):
                await ctx.tick()
                cycles += 1
            assert cycles == TABLE_CYCLES
            await ctx.tick()
            assert len(entries) == 512
            for (second, value), found in entries.items():
                assert found == rescale(value, **records[second]), (second, value)

    async def memory(ctx):
        """Give the record that is asked for, some cycles late."""
        past = [0] * (delay + 1)
        while True:
            ctx.set(dut.record, records[past[0]])
            _, _, second = await ctx.tick().sample(dut.second)
            past = [*past[1:], second] if delay else [ctx.get(dut.second)]

    async def watch(ctx):
        while True:
            _, _, valid, entry = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                key = entry.second, entry.input - (entry.input >> 7 << 8)
                assert key not in entries
                entries[key] = entry.value

    simulate(dut, engine, background=[memory, watch])


def test_table_gives_both_values_in_time(simulate):
    dut = AdditionTable()
    rng = random.Random(1)

    async def testbench(ctx):
        tables = [[rng.randrange(-1 << 31, 1 << 31) for _ in range(256)] for _ in range(2)]
        ctx.set(dut.entries.valid, 1)
        for second, table in enumerate(tables):
            for value, entry in enumerate(table):
                ctx.set(dut.entries.payload, {"second": second, "input": value, "value": entry})
                await ctx.tick()
        ctx.set(dut.entries.valid, 0)
        asked = []
        for cycle in range(100):
            pair = rng.randrange(256), rng.randrange(256)
            asked.append(pair)
            for port, value in enumerate(pair):
                ctx.set(dut.inputs[port], value)
            await ctx.tick()
            if cycle >= dut.latency - 1:
                one, two = asked[cycle - dut.latency + 1]
                assert (ctx.get(dut.values[0]), ctx.get(dut.values[1])) == (
                    tables[0][one], tables[1][two])

    simulate(dut, testbench)
