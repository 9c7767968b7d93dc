import pytest

from hw.link.reader import DataReader
from sw.format.link import Identification, Request, pack_status
from sw.format.status import Error, State

from ..streams import receive, send
from .models import TARGET, AcceleratorModel, counter_value, gaps


CLOCK_HZ = 80_000_000


def counters(first, number):
    return b"".join(counter_value(i).to_bytes(4, "little") for i in range(first, first + number))


@pytest.mark.parametrize("longest_stall", [0, 3])
@pytest.mark.parametrize("longest_idle", [0, 3])
def test_queries_are_answered_in_order(simulate, longest_idle, longest_stall):
    dut = DataReader(TARGET, clock_hz=CLOCK_HZ)
    model = AcceleratorModel(dut, longest=longest_stall)
    queries = [
        (Request.READ_OUTPUT, 100, 7, model.activations[100:107]),
        (Request.STATUS, 0, 0, pack_status(State.FAILED, Error.LENGTH)),
        (Request.READ_COUNTERS, 250, 6, counters(250, 6)),
        (Request.READ_IMAGE, 509, 3, model.words(509, 3)),
        (Request.IDENTIFY, 0, 0, Identification.of(TARGET, CLOCK_HZ).pack()),
        (Request.READ_COUNTERS, 0, 1, counters(0, 1)),
        (Request.READ_OUTPUT, 1023, 1, model.activations[1023:]),
    ]

    async def producer(ctx):
        ctx.set(dut.state, State.FAILED)
        ctx.set(dut.error, Error.LENGTH)
        await send(ctx, dut.queries, [{"kind": kind, "first": first, "number": number}
                                      for kind, first, number, _ in queries],
                   idle=gaps(5, longest_idle))

    async def consumer(ctx):
        stall = gaps(6, longest_stall)
        for _, _, _, expected in queries:
            payloads = await receive(ctx, dut.data, len(expected), stall=stall)
            assert bytes(payload.data for payload in payloads) == expected
            assert [payload.last for payload in payloads] == [0] * (len(expected) - 1) + [1]

    simulate(dut, producer, consumer, background=[
        model.give_outputs, model.give_words, model.count],
             watch=[dut.queries, dut.data, dut.output_reads, dut.image_reads])


@pytest.mark.parametrize("kind, number, cycles", [
    (Request.STATUS, 0, [1, 2]),
    (Request.IDENTIFY, 0, list(range(1, 24))),
    (Request.READ_COUNTERS, 2, [4, 5, 6, 7, 11, 12, 13, 14]),
])
def test_latency_and_throughput(simulate, kind, number, cycles):
    dut = DataReader(TARGET, clock_hz=CLOCK_HZ)

    async def testbench(ctx):
        ctx.set(dut.data.ready, 1)
        await send(ctx, dut.queries, [{"kind": kind, "first": 0, "number": number}])
        offered = []
        for cycle in range(1, 30):
            if ctx.get(dut.data.valid):
                offered.append(cycle)
            await ctx.tick()
        assert offered == cycles

    simulate(dut, testbench)
