# amaranth: UnusedElaboratable=no

import random
from itertools import chain, repeat

import numpy as np
import pytest

from hw.decode.tans import TansDecoder
from sw.codecs.tans import TansCodec, normalise
from sw.format.lanes import TansLanes
from sw.format.tables import LayerCode, RawShape, TansCode, TansShape, TansTable

from ..streams import NEVER, receive, send
from .reference import gaps


SHAPE = TansShape(8, 64)


def random_table(seed, symbols=23, *, table_bits=8, **parameters):
    counts = normalise(np.random.default_rng(seed).exponential(1, symbols) ** 3, table_bits)
    return TansTable(**{"first": -11, "raw_bits": 0, "tuple_size": 1, "buckets": symbols,
                        "exact": (), "tail_bits": 0} | parameters, counts=counts)


def random_values(table, seed, count):
    """Return values as often as the table expects them."""
    rng = np.random.default_rng(seed)
    counts = np.array(table.counts)
    symbols = rng.choice(len(counts), count, p=counts / counts.sum())
    if table.tuple_size > 1:
        digits = symbols[:, None] // table.buckets ** np.arange(table.tuple_size) % table.buckets
        return (table.first + digits).ravel()[:count].astype(np.int8)
    raw = [rng.integers(1 << width) for width in np.array(table.raw_widths)[symbols]]
    return (np.array(table.meanings)[symbols] + raw).astype(np.int8)


class Job:
    """Values of layers of one table each, their code and coded data."""

    def __init__(self, lanes, tables, runs, seed=0):
        parts = [random_values(tables[table], (seed, number), count)
                 for number, (table, count) in enumerate(runs)]
        self.lanes = lanes
        self.runs = [(table, -(-count // tables[table].tuple_size)) for table, count in runs]
        self.values = np.concatenate(parts)
        self.symbols = sum(count for _, count in self.runs)
        self.code = TansCode(lanes.code, tuple(tables), tuple(
            LayerCode(1, count, 0, (table,)) for table, count in runs))
        self.rows = [lanes.rows(table) for table in tables]
        self.encode()

    def encode(self):
        coded = TansCodec(self.lanes.code).encode(self.values, self.code)
        size = self.lanes.word_bits // 8
        coded += bytes(-len(coded) % size)
        self.words = [int.from_bytes(coded[at:at + size], "little")
                      for at in range(0, len(coded), size)]


async def write_tables(ctx, dut, tables):
    ctx.set(dut.rows.valid, 1)
    for number, rows in enumerate(tables):
        for state, row in enumerate(rows):
            ctx.set(dut.rows.payload.address, number * len(rows) + state)
            ctx.set(dut.rows.payload.data.as_value(), row)
            await ctx.tick()
    ctx.set(dut.rows.valid, 0)
    await ctx.tick()


def decode(simulate, job, *, idle=NEVER, stall=NEVER, words=None, cycles=10_000,
           decoder=TansDecoder):
    """Return the values that come out, and whether it ended without an error."""
    dut = decoder(job.lanes)
    transfers = -(-job.symbols // job.lanes.lanes)
    values = []
    errors = []

    async def feed_runs(ctx):
        await write_tables(ctx, dut, job.rows)
        ctx.set(dut.run, 1)
        last = len(job.runs) - 1
        await send(ctx, dut.runs, [{"table": table, "count": count, "last": number == last}
                                   for number, (table, count) in enumerate(job.runs)])

    async def producer(ctx):
        await ctx.tick().until(dut.run)
        for word in chain(job.words if words is None else words, repeat(0)):
            for _ in range(next(idle)):
                await ctx.tick()
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            ready = False
            while not ready:
                if errors:
                    return
                *_, ready = await ctx.tick().sample(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def consumer(ctx):
        for transfer in await receive(ctx, dut.o, transfers, stall=stall):
            values.extend(transfer)
        ctx.set(dut.o.ready, 1)
        while not ctx.get(dut.done):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        errors.append(ctx.get(dut.error))

    simulate(dut, feed_runs, producer, consumer, watch=[dut.o], max_cycles=cycles)
    return values[:job.symbols * job.lanes.tuple_size], not errors[0]


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 9])
@pytest.mark.parametrize("lanes", [
    TansLanes(TansShape(8, 8), lanes=1, tables=1), TansLanes(SHAPE, lanes=1, tables=1),
    TansLanes(SHAPE, lanes=2, tables=1), TansLanes(SHAPE, lanes=4, tables=1),
    TansLanes(TansShape(8, 32), lanes=4, tables=1), TansLanes(SHAPE, lanes=8, tables=1),
    TansLanes(TansShape(8, 128), lanes=8, tables=1),
    TansLanes(TansShape(10, 16), lanes=1, tables=1),
    TansLanes(TansShape(10, 64), lanes=8, tables=1),
], ids=str)
def test_values_in_order(simulate, lanes, longest_idle, longest_stall):
    job = Job(lanes, [random_table(1, table_bits=lanes.code.table_bits)], [(0, 601)])
    values, whole = decode(simulate, job, idle=gaps(3, longest_idle),
                           stall=gaps(4, longest_stall))
    assert values == job.values.tolist()
    assert whole


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
@pytest.mark.parametrize("lanes", [
    TansLanes(SHAPE, lanes=1), TansLanes(SHAPE, lanes=2), TansLanes(SHAPE, lanes=4),
    TansLanes(SHAPE, lanes=8), TansLanes(TansShape(10, 64), lanes=2, tables=2),
    TansLanes(SHAPE, lanes=4, tables=8),
], ids=str)
def test_tables_of_runs(simulate, lanes, longest_idle, longest_stall):
    tables = [random_table(number, 5 + 3 * number, table_bits=lanes.code.table_bits)
              for number in range(lanes.tables)]
    rng = random.Random(5)
    runs = [(rng.randrange(lanes.tables), rng.choice((1, 2, 3, 9, 16, 27, 64)))
            for _ in range(40)]
    job = Job(lanes, tables, runs)
    values, whole = decode(simulate, job, idle=gaps(6, longest_idle),
                           stall=gaps(7, longest_stall))
    assert values == job.values.tolist()
    assert whole


@pytest.mark.parametrize("lanes", [
    TansLanes(SHAPE, lanes=1, raw_bits=7), TansLanes(SHAPE, lanes=2, raw_bits=7),
    TansLanes(SHAPE, lanes=4, raw_bits=4), TansLanes(SHAPE, lanes=8, raw_bits=7),
    TansLanes(TansShape(10, 32), lanes=1, raw_bits=7),
], ids=str)
def test_raw_bits_exact_values_and_tails(simulate, lanes):
    table_bits = lanes.code.table_bits
    most = lanes.raw_bits
    tables = [
        random_table(1, 20, table_bits=table_bits, first=-128, raw_bits=4, buckets=16,
                     exact=(-1, 3, 0, 100)),
        random_table(2, 9, table_bits=table_bits, first=-5, raw_bits=1, buckets=6, exact=(0,),
                     tail_bits=most),
        random_table(3, 7, table_bits=table_bits, first=-3, buckets=5, tail_bits=3),
        random_table(4, 30, table_bits=table_bits, buckets=30)]
    job = Job(lanes, tables, [(0, 200), (1, 300), (2, 100), (3, 50), (1, 150)])
    values, whole = decode(simulate, job, stall=gaps(8, 1))
    assert values == job.values.tolist()
    assert whole


@pytest.mark.parametrize("lanes, tuple_size, first, buckets", [
    (TansLanes(SHAPE, lanes=8, tuple_size=4), 4, -1, 3),
    (TansLanes(SHAPE, lanes=8, tuple_size=4), 4, -1, 2),
    (TansLanes(SHAPE, lanes=8, tuple_size=3), 3, -2, 4),
    (TansLanes(SHAPE, lanes=2, tuple_size=2), 2, -5, 11),
    (TansLanes(TansShape(10, 64), lanes=4, tuple_size=4), 4, -1, 3),
    (TansLanes(SHAPE, lanes=4, tuple_size=4), 3, -2, 4),
], ids=str)
def test_tuples(simulate, lanes, tuple_size, first, buckets):
    table = random_table(9, buckets ** tuple_size, table_bits=lanes.code.table_bits, first=first,
                         buckets=buckets, tuple_size=tuple_size)
    job = Job(lanes, [table], [(0, 600)])
    values, whole = decode(simulate, job)
    places = [values[place::lanes.tuple_size] for place in range(lanes.tuple_size)]
    assert np.transpose(places[:tuple_size]).ravel().tolist() == job.values.tolist()
    assert not any(value for place in places[tuple_size:] for value in place)
    assert whole


async def transfers_of(ctx, dut, job, *, cycles):
    """Yield the transfer of each cycle, or None, from the first word on, without any gap."""
    await write_tables(ctx, dut, job.rows)
    ctx.set(dut.run, 1)
    ctx.set(dut.o.ready, 1)
    last = len(job.runs) - 1
    streams = [(dut.i, chain(job.words, repeat(0))),
               (dut.runs, chain(({"table": table, "count": count, "last": number == last}
                                 for number, (table, count) in enumerate(job.runs)), [None]))]
    taken = [True, True]
    for _ in range(cycles):
        for number, (port, payloads) in enumerate(streams):
            if taken[number]:
                payload = next(payloads)
                ctx.set(port.valid, payload is not None)
                if payload is not None:
                    ctx.set(port.payload, payload)
        yield list(ctx.get(dut.o.payload)) if ctx.get(dut.o.valid) else None
        *_, first, second = await ctx.tick().sample(dut.i.ready, dut.runs.ready)
        taken = [first, second and ctx.get(dut.runs.valid)]


@pytest.mark.parametrize("lanes", [
    TansLanes(SHAPE, lanes=1), TansLanes(SHAPE, lanes=2), TansLanes(SHAPE, lanes=4),
    TansLanes(SHAPE, lanes=8), TansLanes(TansShape(8, 8), lanes=1),
    TansLanes(SHAPE, lanes=8, raw_bits=4),
], ids=str)
@pytest.mark.parametrize("rest", [0, 3])
def test_latency_and_a_transfer_per_cycle(simulate, rest, lanes):
    # All symbols of the second table take the most bits that there may be.
    tables = [random_table(1), TansTable(-128, 0, 1, 128, (), 0, (*[1] * 127, 129))]
    job = Job(lanes, tables, [(0, 100), (1, 19), (0, 9), (1, 8), (0, 100 + rest)])
    job.values[100:119] = random.Random(1).choices(range(-128, -1), k=19)
    job.encode()
    dut = TansDecoder(lanes)
    transfers = -(-job.symbols // lanes.lanes)
    async def testbench(ctx):
        cycle, values = 0, []
        async for transfer in transfers_of(ctx, dut, job, cycles=dut.latency + transfers + 10):
            assert (transfer is not None) == (0 <= cycle - dut.latency < transfers), cycle
            values += transfer or []
            cycle += 1
        assert values[:job.symbols] == job.values.tolist()

    simulate(dut, testbench)


@pytest.mark.parametrize("lanes", [
    TansLanes(SHAPE, lanes=1), TansLanes(SHAPE, lanes=8), TansLanes(SHAPE, lanes=4, raw_bits=4)],
    ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_garbage_ends_with_an_error(simulate, seed, lanes):
    job = Job(lanes, [random_table(1), random_table(2)], [(0, 600), (1, 250)])
    job.words = [random.Random(seed).getrandbits(lanes.word_bits) for _ in job.words]
    values, whole = decode(simulate, job, stall=gaps(9, 1))
    assert len(values) == 850
    assert not whole


@pytest.mark.parametrize("lanes", [1, 4, 8])
@pytest.mark.parametrize("symbol", [579, 600, 639, 640, 642])
def test_a_wrong_bit_of_any_last_state_is_found(simulate, symbol, lanes):
    # Each symbol takes 7 bits. Those of the last 64 are their states' last ones.
    job = Job(TansLanes(SHAPE, lanes=lanes, tables=1),
              [TansTable(0, 0, 1, 128, (), 0, (2,) * 128)], [(0, 643)])
    at = 64 * 8 + 7 * symbol
    job.words[at // job.lanes.word_bits] ^= 1 << at % job.lanes.word_bits
    values, whole = decode(simulate, job)
    assert values == job.values.tolist()
    assert not whole


@pytest.mark.parametrize("lanes", [
    TansLanes(SHAPE, lanes=2, tables=1), TansLanes(SHAPE, lanes=8, tables=1),
    TansLanes(TansShape(8, 4), lanes=1, tables=1, raw_bits=3)], ids=str)
def test_it_begins_anew(simulate, lanes):
    jobs = [Job(lanes, [random_table(1)], [(0, count)], seed) for seed, count in ((1, 90), (2, 50))]
    dut = TansDecoder(lanes)

    async def testbench(ctx):
        await write_tables(ctx, dut, jobs[0].rows)
        ctx.set(dut.o.ready, 1)
        for job in (jobs[0], jobs[1], jobs[0]):
            values = []
            ctx.set(dut.run, 0)
            await ctx.tick()
            assert not ctx.get(dut.i.ready | dut.runs.ready | dut.done | dut.error)
            ctx.set(dut.run, 1)
            ctx.set(dut.runs.payload, {"table": 0, "count": job.symbols, "last": 1})
            ctx.set(dut.runs.valid, 1)
            ctx.set(dut.i.valid, 1)
            words = chain(job.words, repeat(0))
            taken = True
            while len(values) < job.symbols:
                if taken:
                    ctx.set(dut.i.payload, next(words))
                if ctx.get(dut.o.valid):
                    values += list(ctx.get(dut.o.payload))
                *_, taken = await ctx.tick().sample(dut.i.ready)
                ctx.set(dut.runs.valid, 0)
            assert values[:job.symbols] == job.values.tolist()

    simulate(dut, testbench)


def test_values_offered_before_they_are_wanted(simulate):
    job = Job(TansLanes(SHAPE, lanes=4, tables=1), [random_table(1)], [(0, 100)])
    dut = TansDecoder(job.lanes)

    async def testbench(ctx):
        await write_tables(ctx, dut, job.rows)
        ctx.set(dut.run, 1)
        await send(ctx, dut.runs, [{"table": 0, "count": 100, "last": 1}])
        await send(ctx, dut.i, job.words[:16])
        ctx.set(dut.i.valid, 1)
        for word in job.words[16:]:
            ctx.set(dut.i.payload, word)
            await ctx.tick()
        await ctx.tick().repeat(20)
        assert ctx.get(dut.o.valid)
        assert list(ctx.get(dut.o.payload)) == job.values[:4].tolist()

    simulate(dut, testbench)


@pytest.mark.parametrize("shape, complaint", [
    (RawShape(), r"must have TansLanes, not RawShape\(\)"),
    (TansLanes(TansShape(8, 2), lanes=1), "States must be 4 or more for 1 lanes, not 2"),
    (TansLanes(TansShape(8, 32), lanes=8), "States must be 64 or more for 8 lanes, not 32"),
])
def test_shapes_refused(shape, complaint):
    with pytest.raises(ValueError, match=complaint):
        TansDecoder(shape)
