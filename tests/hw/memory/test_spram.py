# amaranth: UnusedElaboratable=no

import random
import re

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards import find_board
from hw.memory.spram import BYTES, HOST, READ, READ_BYTES, SpramMemory, write_layout
from hw.rtl import generate
from tests.hw.netlist import synthesise_netlist
from tests.hw.streams import receive, send


#: Bytes of random words in front, and where activations begin that are read beyond the end.
FRONT = 256
ACTIVATIONS = range(BYTES - 200, BYTES - 3)


def as_int8(byte):
    return byte - (byte >> 7 << 8)


class Model:
    """What the memory should hold, and what a read should give."""

    def __init__(self):
        self.bytes = {}

    def write(self, address, values):
        for index, value in enumerate(values):
            self.bytes[(address + index) % BYTES] = value

    def read(self, read):
        """Return the bytes that count."""
        return [
            as_int8(self.bytes[(read["address"] + byte) % BYTES])
            if read["inside"] and 0 <= read["offset"] + byte < read["row_bytes"] else read["fill"]
            for byte in range(READ_BYTES - read["address"] % 2)
        ]

    def words(self, address, count):
        return [int.from_bytes(bytes(self.bytes[(4 * word + byte) % BYTES] for byte in range(4)),
                               "little") for word in range(address, address + count)]


def plain(address):
    return {"address": address, "offset": 0, "row_bytes": 0xffff, "inside": 1, "fill": 0}


def random_read(rng):
    row_bytes = rng.choice((1, 2, 7, 8, 9, 40, 0xffff))
    offset = rng.choice((*range(-10, 10), row_bytes - rng.randrange(12), -0x10000, 0xffff))
    return {"address": rng.choice(ACTIVATIONS), "offset": min(offset, 0xffff),
            "row_bytes": row_bytes, "inside": int(rng.random() < 0.9),
            "fill": rng.randrange(-128, 128)}


def random_write(rng, write_bytes):
    return {"address": rng.choice(ACTIVATIONS), "count": rng.randrange(write_bytes + 1),
            "data": [rng.randrange(256) for _ in range(write_bytes)]}


async def write_front(ctx, dut, model, rng):
    """Let the host write everything that is read later."""
    for address in (*range(FRONT), *range(BYTES - 208, BYTES)):
        value = rng.randrange(256)
        await send(ctx, dut.host, [{"write": 1, "address": address, "data": value}])
        model.write(address, [value])


class Monitor:
    """Follows all accesses in the order in which they are accepted; keeps what must come, and when.

    What is in a cycle it sees at its end.
    """

    def __init__(self, dut, model):
        self.dut = dut
        self.model = model
        self.expected = []
        self.host_expected = []
        self.counts = dict.fromkeys(("reads", "writes", "host", "waits"), 0)

    async def run(self, ctx):
        dut = self.dut
        names = ("reads", "writes", "host")
        cycle = 0
        signals = [signal for name in names for port in [getattr(dut, name)]
                   for signal in (port.valid, port.ready, port.payload)]
        while True:
            _, _, *values, valid, activations, host_valid, host_ready, host_byte = \
                await ctx.tick().sample(
                    *signals, dut.activations.valid, dut.activations.payload,
                    dut.host_bytes.valid, dut.host_bytes.ready, dut.host_bytes.payload)
            if valid:
                due, read, wanted = self.expected.pop(0)
                assert due == cycle
                assert [activations[byte] for byte in range(len(wanted))] == wanted, read
            assert all(due > cycle for due, *_ in self.expected)
            if host_valid and host_ready:
                assert host_byte == self.host_expected.pop(0)
            accepted = 0
            for name, valid, ready, payload in zip(names, *(values[i::3] for i in range(3)),
                                                   strict=True):
                self.counts["waits"] += valid and not ready
                if not (valid and ready):
                    continue
                accepted += 1
                self.counts[name] += 1
                if name == "reads":
                    read = {key: payload[key] for key in ("address", "offset", "row_bytes",
                                                          "inside", "fill")}
                    self.expected.append((cycle + dut.latency, read, self.model.read(read)))
                elif name == "writes":
                    values_written = [payload["data"][i] for i in range(payload["count"])]
                    self.model.write(payload["address"], values_written)
                elif payload["write"]:
                    self.model.write(payload["address"], [payload["data"]])
                else:
                    self.host_expected.append(self.model.bytes[payload["address"]])
            assert accepted <= 1
            cycle += 1


def pauses(rng, longest):
    while True:
        yield rng.randint(0, longest)


@pytest.mark.parametrize("write_bytes, longest_idle, longest_stall", [
    (1, 0, 0), (2, 6, 0), (4, 0, 9), (1, 6, 9)])
def test_nothing_is_lost_in_random_traffic(simulate, write_bytes, longest_idle, longest_stall):
    dut = SpramMemory(write_bytes=write_bytes)
    model, rng = Model(), random.Random(1)
    monitor = Monitor(dut, model)
    regions = [(address, min(count, FRONT // 4 - address)) for address, count in
               [(0, 3), (17, 0), (17, 1), (FRONT // 4 - 1, 1)]
               + [(rng.randrange(FRONT // 4), rng.randrange(60)) for _ in range(12)]]
    ready = Signal()

    async def host(ctx):
        await write_front(ctx, dut, model, rng)
        ctx.set(ready, 1)
        for _ in range(60):
            write = rng.randrange(2)
            await send(ctx, dut.host, [{"write": write, "address": rng.choice(ACTIVATIONS),
                                        "data": rng.randrange(256)}],
                       idle=pauses(rng, longest_idle))
            if not write:
                await receive(ctx, dut.host_bytes, 1, stall=pauses(rng, longest_stall))

    async def words(ctx):
        await ctx.tick().until(ready)
        wanted = [word for region in regions for word in model.words(*region)]
        assert await receive(ctx, dut.o, len(wanted), stall=pauses(rng, longest_stall)) == wanted

    async def ask(ctx):
        await ctx.tick().until(ready)
        await send(ctx, dut.regions, [{"address": address, "words": count}
                                      for address, count in regions])

    async def writes(ctx):
        await ctx.tick().until(ready)
        await send(ctx, dut.writes, [random_write(rng, write_bytes) for _ in range(300)],
                   idle=pauses(rng, 2 + longest_idle))

    async def reads(ctx):
        await ctx.tick().until(ready)
        await send(ctx, dut.reads, [random_read(rng) for _ in range(500)],
                   idle=pauses(rng, longest_idle))
        await ctx.tick().repeat(4)

    simulate(dut, host, words, ask, writes, reads, background=[monitor.run], max_cycles=40_000,
             watch=[dut.o, dut.host_bytes])
    assert not monitor.expected
    assert not monitor.host_expected
    assert monitor.counts["reads"] == 500
    assert monitor.counts["writes"] == 300
    assert monitor.counts["waits"] > 0


def test_reads_at_any_address_one_a_cycle(simulate):
    dut = SpramMemory()
    model, rng = Model(), random.Random(2)
    monitor = Monitor(dut, model)
    edges = [*range(16), *range(BYTES - 16, BYTES)]

    async def testbench(ctx):
        await write_front(ctx, dut, model, rng)
        await ctx.tick()
        await send(ctx, dut.reads, map(plain, edges))
        await ctx.tick().repeat(4)

    simulate(dut, testbench, background=[monitor.run])
    assert monitor.counts["reads"] == len(edges)
    assert monitor.counts["waits"] == 0


@pytest.mark.parametrize("address", [6, 7])
def test_words_come_after_their_latency_and_one_in_three_cycles(simulate, address):
    dut = SpramMemory()
    model, rng = Model(), random.Random(3)

    async def testbench(ctx):
        await write_front(ctx, dut, model, rng)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.regions.payload, {"address": address, "words": 5})
        ctx.set(dut.regions.valid, 1)
        cycles, words = [], []
        for cycle in range(40):
            if ctx.get(dut.o.valid):
                cycles.append(cycle)
                words.append(ctx.get(dut.o.payload))
            await ctx.tick()
            ctx.set(dut.regions.valid, 0)
        assert words == model.words(address, 5)
        assert cycles == [dut.word_latency + 3 * word for word in range(5)]

    simulate(dut, testbench)


def test_words_behind_the_last_are_the_first(simulate):
    dut = SpramMemory()
    model, rng = Model(), random.Random(4)

    async def testbench(ctx):
        await write_front(ctx, dut, model, rng)
        await send(ctx, dut.regions, [{"address": BYTES // 4 - 3, "words": 6}])
        words = await receive(ctx, dut.o, 6)
        assert words == model.words(BYTES // 4 - 3, 6)

    simulate(dut, testbench)


def test_region_is_stopped(simulate):
    dut = SpramMemory()
    model, rng = Model(), random.Random(5)

    async def testbench(ctx):
        await write_front(ctx, dut, model, rng)
        for moment in range(12):
            await send(ctx, dut.regions, [{"address": 5, "words": 99}])
            for _ in range(moment):
                await ctx.tick()
            if moment % 3 == 0:
                await receive(ctx, dut.o, 2)
            ctx.set(dut.stop, 1)
            await ctx.tick().repeat(16)
            ctx.set(dut.stop, 0)
            await send(ctx, dut.regions, [{"address": 40 + moment, "words": 3}])
            assert await receive(ctx, dut.o, 3) == model.words(40 + moment, 3)
            for _ in range(10):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()

    simulate(dut, testbench)


def test_who_waits_for_whom(simulate):
    dut = SpramMemory()

    async def testbench(ctx):
        ctx.set(dut.regions.payload, {"address": 0, "words": 1000})
        for port in (dut.o, dut.host_bytes):
            ctx.set(port.ready, 1)
        for port in (dut.regions, dut.writes, dut.reads, dut.host):
            ctx.set(port.valid, 1)

        async def accepted(cycles):
            ports = (dut.writes, dut.reads, dut.host)
            counts = [0] * len(ports)
            for _ in range(cycles):
                for number, port in enumerate(ports):
                    counts[number] += ctx.get(port.valid & port.ready)
                await ctx.tick()
            return counts

        await ctx.tick().repeat(dut.word_latency)
        assert await accepted(300) == [200, 0, 0]
        ctx.set(dut.writes.valid, 0)
        assert await accepted(300) == [0, 200, 0]
        ctx.set(dut.reads.valid, 0)
        # A word each third cycle, and a byte of the host's.
        assert await accepted(300) == [0, 0, 100]
        ctx.set(dut.host.payload, {"write": 1, "address": 0, "data": 1})
        ctx.set(dut.stop, 1)
        await ctx.tick().repeat(16)
        assert await accepted(100) == [0, 0, 100]

    simulate(dut, testbench)


def test_reads_wait_for_a_byte_that_the_host_has_not_taken(simulate):
    dut = SpramMemory()
    model, rng = Model(), random.Random(6)

    async def testbench(ctx):
        await write_front(ctx, dut, model, rng)
        await send(ctx, dut.host, [{"write": 0, "address": 77, "data": 0}])
        ctx.set(dut.reads.payload, plain(200))
        ctx.set(dut.reads.valid, 1)
        for _ in range(20):
            assert not ctx.get(dut.reads.ready)
            await ctx.tick()
        assert await receive(ctx, dut.host_bytes, 1) == [model.bytes[77]]
        assert ctx.get(dut.reads.ready)

    simulate(dut, testbench)


class Flat(wiring.Component):
    """The memory with one port in, one out: those of others, as arrays, yosys 0.70 trips over."""

    def __init__(self):
        self.memory = SpramMemory()
        super().__init__({
            "writes": In(write_layout(1).size + 1), "reads": In(READ.size + 1),
            "host": In(HOST.size + 1), "regions": In(31), "o": Out(32), "activations": Out(64)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = self.memory
        for name in ("writes", "reads", "host", "regions"):
            port = getattr(memory, name)
            m.d.comb += Cat(port.valid, port.payload).eq(getattr(self, name))
        m.d.comb += [
            memory.o.ready.eq(1),
            memory.host_bytes.ready.eq(1),
            self.o.eq(memory.o.payload),
            self.activations.eq(memory.activations.payload),
        ]
        return m


def test_netlist_has_four_blocks_and_no_other_memory(tmp_path):
    platform = find_board("icebreaker").platform("UP5K")
    netlist = synthesise_netlist(generate(Flat(), name="Flat", platform=platform), top="Flat",
                                 folder=tmp_path)
    cells = re.findall(r"^  (SB_\w+) ", netlist, re.MULTILINE)
    assert cells.count("SB_SPRAM256KA") == 4
    assert cells.count("SB_RAM40_4K") == 0


def test_bytes_of_a_write_refused():
    with pytest.raises(ValueError, match="Bytes of a write must be 1, 2 or 4, not 3"):
        SpramMemory(write_bytes=3)
