import random

import pytest

from hw.engine.filler import Filler
from sw.format.schedule import Dataflow
from sw.format.target import Target
from sw.schedule import schedule
from tests.hw.engine.networks import NETWORKS, schedule_memory
from tests.hw.streams import send


def kernel_rows_of(record):
    """Return kernel rows of a filter, and their weights: of depthwise ones each is a row."""
    if record.dataflow is Dataflow.DEPTHWISE:
        return record.kernel_row, 1
    return record.kernel_rows, record.kernel_row


@pytest.mark.parametrize("longest_idle", [0, 4])
@pytest.mark.parametrize("columns", [4, 8])
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_weights_find_their_place(simulate, layers, columns, longest_idle):
    target = Target(columns=columns)
    records = schedule(layers, target)
    dense = [record for record in records if record.dataflow.has_weights]
    dut = Filler(target)
    rng = random.Random(3)

    # Kernel rows of every filter of every layer, as the decoder delivers them.
    transfers = []
    tiles = []
    for record in dense:
        kernel_rows, length = kernel_rows_of(record)
        words = -(-length // columns)
        for tile in range(record.tiles):
            outputs = record.outputs_last if tile == record.tiles - 1 else record.outputs
            content = {}
            for row in range(outputs):
                for kernel_row in range(kernel_rows):
                    weights = [rng.randrange(-128, 128) for _ in range(length)]
                    weights += [0] * (-length % columns)
                    first = kernel_row * words
                    for word in range(words):
                        content[row, first + word] = weights[word * columns:(word + 1) * columns]
                    fours = -(-length // 4)
                    transfers += [
                        {"weights": weights[i * 4:i * 4 + 4], "last": int(i == fours - 1)}
                        for i in range(fours)]
            tiles.append(content)
    jobs = [(*kernel_rows_of(record), record.codebook)
            for record in dense for _ in range(record.out_stride)]

    store = {}
    seen_jobs = []
    used = [0]

    async def decoder(ctx):
        await send(ctx, dut.weights, transfers, idle=iter(lambda: rng.randint(0, longest_idle), -1))

    async def watch_jobs(ctx):
        ctx.set(dut.jobs.ready, 1)
        while True:
            _, _, valid, job = await ctx.tick().sample(dut.jobs.valid, dut.jobs.payload)
            if valid:
                seen_jobs.append((job.kernel_rows, job.length, job.codebook))

    async def array(ctx):
        ctx.set(dut.layers, len(records))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for number, content in enumerate(tiles):
            while used[0] == 0:
                await ctx.tick()
            # Sometimes long enough for a filler that wouldn't wait.
            await ctx.tick().repeat(rng.choice([1, 3, 200]))
            base = number % 2 * target.tile_words
            for (row, place), weights in content.items():
                assert store[row, base + place] == weights
            ctx.set(dut.freed, 1)
            await ctx.tick()
            ctx.set(dut.freed, 0)
            used[0] -= 1

    async def tile_store(ctx):
        while True:
            _, _, valid, write, filled = await ctx.tick().sample(
                dut.writes.valid, dut.writes.payload, dut.filled)
            if valid:
                word = store.setdefault((write.row, write.address), [None] * columns)
                if write.half:
                    word[4:] = write.weights
                else:
                    word[:] = [*write.weights, *[0] * (columns - 4)]
            used[0] += filled
            assert used[0] <= 2

    async def memory(ctx):
        await schedule_memory(ctx, dut, records)

    simulate(dut, decoder, array, background=[memory, tile_store, watch_jobs], max_cycles=50_000)
    assert seen_jobs == jobs
