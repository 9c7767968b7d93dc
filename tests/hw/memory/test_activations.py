# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.memory.activations import ActivationMemory
from sw.format.target import Target


SIZES = [Target(rows=4, columns=4, requantisers=1, activation_bytes=1024),
         Target(rows=8, columns=4, requantisers=2, activation_bytes=1024),
         Target(rows=8, columns=8, requantisers=4, activation_bytes=2048),
         Target(rows=16, columns=8, requantisers=4, activation_bytes=2048)]


def as_int8(byte):
    return byte - (byte >> 7 << 8)


class Image:
    """What the memory should hold, and what a read should give."""

    def __init__(self, target):
        self.target = target
        self.bytes = [0] * target.activation_bytes

    def write(self, write):
        for index in range(write["count"]):
            self.bytes[(write["address"] + index) % len(self.bytes)] = write["data"][index]

    def read(self, read):
        return [
            as_int8(self.bytes[(read["address"] + byte) % len(self.bytes)])
            if read["inside"] and 0 <= read["offset"] + byte < read["row_bytes"] else read["fill"]
            for byte in range(self.target.read_bytes)
        ]


async def fill(ctx, dut, image, rng):
    """Write random bytes everywhere, by writes of random sizes, some of them of no byte."""
    address = 0
    while address < len(image.bytes):
        write = {
            "address": address,
            "data": [rng.randrange(256) for _ in range(dut.target.requantisers)],
            "count": rng.randint(0, dut.target.requantisers),
        }
        ctx.set(dut.writes.payload, write)
        ctx.set(dut.writes.valid, 1)
        await ctx.tick()
        image.write(write)
        address += write["count"]
    ctx.set(dut.writes.valid, 0)


async def check_reads(ctx, dut, image, reads, gap=lambda: 0):
    """Read, a cycle after the other but for gaps, and check values and latency."""
    cycles = []
    for read in reads:
        cycles += [None] * gap() + [read]
    cycles += [None] * dut.latency
    for cycle, read in enumerate(cycles):
        ctx.set(dut.reads.valid, read is not None)
        if read is not None:
            ctx.set(dut.reads.payload, read)
        if cycle >= dut.latency:
            past = cycles[cycle - dut.latency]
            assert ctx.get(dut.activations.valid) == (past is not None)
            if past is not None:
                activations = ctx.get(dut.activations.payload)
                assert [activations[i] for i in range(dut.target.read_bytes)] == image.read(past)
        await ctx.tick()


def plain(address, fill=0):
    return {"address": address, "offset": 0, "row_bytes": 0xffff, "inside": 1, "fill": fill}


@pytest.mark.parametrize("longest_gap", [0, 3])
@pytest.mark.parametrize("target", SIZES)
def test_reads_at_any_address(simulate, target, longest_gap):
    dut = ActivationMemory(target)
    rng = random.Random(1)

    async def testbench(ctx):
        image = Image(target)
        await fill(ctx, dut, image, rng)
        reads = [plain(rng.randrange(0x10000)) for _ in range(200)]
        reads += [plain(len(image.bytes) - byte) for byte in range(target.read_bytes + 1)]
        await check_reads(ctx, dut, image, reads, lambda: rng.randint(0, longest_gap))

    simulate(dut, testbench)


@pytest.mark.parametrize("target", SIZES)
def test_padding_reads_as_fill(simulate, target):
    dut = ActivationMemory(target)
    rng = random.Random(2)

    async def testbench(ctx):
        image = Image(target)
        await fill(ctx, dut, image, rng)
        reads = []
        for row_bytes in (1, 2, 3, 7, 8, 9, 40, 0xffff):
            offsets = {*range(-target.read_bytes - 1, 2), -0x10000, -0x8000, 0x8000, 0xffff,
                       *range(row_bytes - target.read_bytes - 1, min(row_bytes + 2, 0x10000))}
            for offset in sorted(offsets):
                reads += [{"address": rng.randrange(0x10000), "offset": offset,
                           "row_bytes": row_bytes, "inside": inside,
                           "fill": rng.randint(-128, 127)} for inside in (1, 0)]
        await check_reads(ctx, dut, image, reads)

    simulate(dut, testbench)


@pytest.mark.parametrize("target", SIZES)
def test_writes_leave_neighbours_alone(simulate, target):
    dut = ActivationMemory(target)
    rng = random.Random(3)

    async def testbench(ctx):
        image = Image(target)
        await fill(ctx, dut, image, rng)
        for start in range(target.read_bytes):
            for count in range(target.requantisers + 1):
                write = {
                    "address": len(image.bytes) - target.read_bytes + start, "count": count,
                    "data": [rng.randrange(256) for _ in range(target.requantisers)],
                }
                ctx.set(dut.writes.payload, write)
                ctx.set(dut.writes.valid, 1)
                await ctx.tick()
                ctx.set(dut.writes.valid, 0)
                image.write(write)
                await check_reads(ctx, dut, image, [
                    plain(len(image.bytes) - target.read_bytes), plain(0)])

    simulate(dut, testbench)


def test_read_follows_write_and_precedes_next(simulate):
    dut = ActivationMemory(SIZES[1])

    async def testbench(ctx):
        seen = []
        for cycle in range(20 + dut.latency):
            ctx.set(dut.writes.payload, {"address": 5, "data": [cycle, cycle], "count": cycle % 2})
            ctx.set(dut.writes.valid, 1)
            ctx.set(dut.reads.payload, plain(5))
            ctx.set(dut.reads.valid, cycle % 2 == 0)
            if ctx.get(dut.activations.valid):
                seen.append(ctx.get(dut.activations.payload)[0])
            await ctx.tick()
        assert seen == [0, *range(1, 19, 2)]

    simulate(dut, testbench)
