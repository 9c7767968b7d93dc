# amaranth: UnusedElaboratable=no

import random
from itertools import accumulate

import pytest

from hw.decode.expander import RowCounter, RowSplitter, RunExpander
from sw.format.tables import GROUP

from ..streams import receive, send
from .reference import gaps


FIRST_RUN = 5
RUNS = (2, 12, 255)


def random_groups(seed, count):
    rng = random.Random(seed)
    return [rng.choices(range(FIRST_RUN + len(RUNS)), k=GROUP) for _ in range(count)]


def expected_chunks(groups):
    """Return the chunks of ``groups`` as the rule of `RunExpander` says."""
    chunks = []
    for group in groups:
        literals = []
        for symbol in group:
            if symbol < FIRST_RUN:
                literals.append(symbol)
                continue
            run = RUNS[symbol - FIRST_RUN]
            chunks += [literals] if literals else []
            chunks += [[0] * min(GROUP, run - start) for start in range(0, run, GROUP)]
            literals = []
        chunks += [literals] if literals else []
    return chunks


def expected_transfers(jobs, chunks):
    """Return indices, end mark and codebook of each transfer, and the cycles they take."""
    chunks = iter(chunks)
    held, transfers, cycles = [], [], 0
    for kernel_rows, length, codebook in jobs:
        for left in [*range(length, 0, -GROUP)] * kernel_rows:
            wanted = min(left, GROUP)
            cycles += len(held) >= wanted
            while len(held) < wanted:
                held += next(chunks)
                cycles += 1
            transfers.append((held[:wanted], left <= GROUP, codebook))
            del held[:wanted]
    return transfers, cycles


def set_runs(ctx, dut):
    ctx.set(dut.runs, {"first": FIRST_RUN, "zeros": RUNS})


def indices_of(chunk):
    return list(chunk.indices)[:chunk.count]


def chunk_of(indices):
    return {"indices": [*indices, *[0] * (GROUP - len(indices))], "count": len(indices)}


def job_of(kernel_rows, length, codebook):
    return {"kernel_rows": kernel_rows, "length": length, "codebook": codebook}


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_runs_become_zeros(simulate, longest_idle, longest_stall):
    dut = RunExpander(3)
    groups = random_groups(0, 40)
    expected = expected_chunks(groups)

    async def producer(ctx):
        set_runs(ctx, dut)
        await send(ctx, dut.i, groups, idle=gaps(1, longest_idle))

    async def consumer(ctx):
        chunks = await receive(ctx, dut.o, len(expected), stall=gaps(2, longest_stall))
        assert [indices_of(chunk) for chunk in chunks] == expected
        assert all(not any(list(chunk.indices)[chunk.count:]) for chunk in chunks)

    simulate(dut, producer, consumer, watch=[dut.o])


def test_a_chunk_per_cycle(simulate):
    dut = RunExpander(3)
    groups = random_groups(3, 40)
    expected = expected_chunks(groups)

    async def producer(ctx):
        set_runs(ctx, dut)
        await send(ctx, dut.i, groups)

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.i.valid)
        for _ in range(dut.latency - 1):
            await ctx.tick()
        for indices in expected:
            assert ctx.get(dut.o.valid)
            assert indices_of(ctx.get(dut.o.payload)) == indices
            await ctx.tick()
        assert not ctx.get(dut.o.valid)

    simulate(dut, producer, consumer)


def test_runs_of_no_zeros_are_survived(simulate):
    dut = RunExpander(3)

    async def producer(ctx):
        ctx.set(dut.runs, {"first": 0, "zeros": [0, 0, 0]})
        await send(ctx, dut.i, random_groups(4, 10))

    async def consumer(ctx):
        chunks = await receive(ctx, dut.o, 40)
        assert not any(chunk.count for chunk in chunks)

    simulate(dut, producer, consumer)


#: Kernel rows, their length, codebook.
JOBS = [(3, 7, 1), (1, 1, 2), (5, 1, 3), (2, 4, 0), (1, 16, 1), (4, 6, 9), (1, 2, 1), (2, 19, 15)]


def rows_of_chunks(seed, dense):
    """Return the chunks that `JOBS` take."""
    groups = random_groups(seed, 60)
    needed = sum(kernel_rows * length for kernel_rows, length, _ in JOBS)
    chunks = groups if dense else expected_chunks(groups)
    ends = accumulate(map(len, chunks))
    return chunks[:1 + next(number for number, end in enumerate(ends) if end >= needed)]


def test_rows_are_counted(simulate):
    dut = RowCounter()
    expected = [(min(left, GROUP), left <= GROUP, codebook)
                for kernel_rows, length, codebook in JOBS
                for left in [*range(length, 0, -GROUP)] * kernel_rows]

    async def producer(ctx):
        await send(ctx, dut.jobs, [job_of(*job) for job in JOBS])

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.o.valid)
        for count, last, codebook in expected[1:]:
            assert ctx.get(dut.o.valid)
            payload = ctx.get(dut.o.payload)
            assert (payload.count, payload.last, payload.codebook) == (count, last, codebook)
            await ctx.tick()
        assert not ctx.get(dut.o.valid)

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_rows_are_never_straddled(simulate, longest_idle, longest_stall, dense):
    dut = RowSplitter(3)
    chunks = rows_of_chunks(5, dense)
    expected, _ = expected_transfers(JOBS, chunks)

    async def producer(ctx):
        await send(ctx, dut.i, map(chunk_of, chunks), idle=gaps(7, longest_idle))

    async def jobs(ctx):
        await send(ctx, dut.jobs, [job_of(*job) for job in JOBS], idle=gaps(8, 10 * longest_idle))

    async def consumer(ctx):
        transfers = await receive(ctx, dut.o, len(expected), stall=gaps(9, longest_stall))
        assert [(indices_of(transfer), transfer.last, transfer.codebook)
                for transfer in transfers] == expected

    simulate(dut, producer, jobs, consumer, watch=[dut.o])


@pytest.mark.parametrize("dense", [False, True])
def test_cycles_of_transfers(simulate, dense):
    dut = RowSplitter(3)
    chunks = rows_of_chunks(10, dense)
    transfers, cycles = expected_transfers(JOBS, chunks)
    if dense:
        assert cycles == len(transfers)

    async def producer(ctx):
        await send(ctx, dut.jobs, [job_of(*JOBS[0])])
        ctx.set(dut.i.valid, 1)
        for chunk in chunks:
            ctx.set(dut.i.payload, chunk_of(chunk))
            await ctx.tick().until(dut.i.ready)

    async def jobs(ctx):
        await ctx.tick()
        await send(ctx, dut.jobs, [job_of(*job) for job in JOBS[1:]])

    async def consumer(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.i.valid & dut.i.ready)
        passed = left = 0
        while left < len(transfers):
            passed += 1
            left += ctx.get(dut.o.valid)
            await ctx.tick()
        assert passed == cycles + dut.latency - 1

    simulate(dut, producer, jobs, consumer)
