# amaranth: UnusedElaboratable=no

import random

import pytest

from hw.link.uart import UartReceiver, UartTransmitter, bit_cycles

from ..streams import send


DATA = [0x00, 0xff, 0x55, 0xaa, *random.Random(0).randbytes(8)]


def levels_of(byte):
    return [0, *(byte >> bit & 1 for bit in range(8)), 1]


def wave(data, cycles, idle=0):
    """Return levels of the line and their cycles: bytes, each followed by an idle line."""
    return [(level, cycles) for byte in data for level in levels_of(byte)] + [(1, idle)]


def receive_wave(simulate, divisor, levels):
    """Return the bytes that a receiver transfers, each with the cycle, when the line is so."""
    dut = UartReceiver(divisor)
    received = []

    async def line(ctx):
        for level, cycles in levels:
            ctx.set(dut.rx, level)
            for _ in range(cycles):
                await ctx.tick()
        ctx.set(dut.rx, 1)

    async def collector(ctx):
        for cycle in range(sum(cycles for _, cycles in levels) + 11 * divisor):
            if ctx.get(dut.o.valid):
                received.append((cycle, ctx.get(dut.o.payload)))
            await ctx.tick()

    simulate(dut, line, collector, max_cycles=100_000)
    return received


def bytes_of(received):
    return [byte for _, byte in received]


@pytest.mark.parametrize("divisor", [8, 9, 80])
@pytest.mark.parametrize("idle", [0, 3])
def test_bytes_are_received(simulate, divisor, idle):
    levels = [level for byte in DATA for level in wave([byte], divisor, idle)]
    assert bytes_of(receive_wave(simulate, divisor, levels)) == DATA


@pytest.mark.parametrize("divisor", [8, 9, 80])
def test_receiver_latency(simulate, divisor):
    received = receive_wave(simulate, divisor, wave(DATA[:3], divisor))
    assert received == [(UartReceiver(divisor).latency + 10 * divisor * index, byte)
                        for index, byte in enumerate(DATA[:3])]


@pytest.mark.parametrize("cycles", [48, 52])
def test_baud_rate_may_be_off_by_four_percent(simulate, cycles):
    assert bytes_of(receive_wave(simulate, 50, wave(DATA, cycles))) == DATA


@pytest.mark.parametrize("glitch", [1, 2, 20, 38])
def test_glitch_begins_no_byte(simulate, glitch):
    levels = [(0, glitch), (1, 80), *wave([0x42], 80)]
    assert bytes_of(receive_wave(simulate, 80, levels)) == [0x42]


@pytest.mark.parametrize("offset", range(10))
def test_glitch_in_a_bit_is_outvoted(simulate, offset):
    before = offset + 3
    levels = [(0, 16), (0, before), (1, 1), (0, 8 * 16 - before - 1), (1, 16)]
    assert bytes_of(receive_wave(simulate, 16, levels)) == [0x00]


@pytest.mark.parametrize("bits", [10, 11, 15, 100])
def test_break_is_no_byte(simulate, bits):
    levels = [(0, bits * 16), (1, 16), *wave([0x42], 16)]
    assert bytes_of(receive_wave(simulate, 16, levels)) == [0x42]


@pytest.mark.parametrize("divisor", [2, 8, 80])
def test_bytes_are_transmitted_without_a_gap(simulate, divisor):
    dut = UartTransmitter(divisor)
    levels = []

    async def producer(ctx):
        await send(ctx, dut.i, DATA)

    async def line(ctx):
        assert ctx.get(dut.tx)
        await ctx.tick()
        for _ in range(len(DATA) * 10 * divisor):
            levels.append(ctx.get(dut.tx))
            await ctx.tick()
        assert ctx.get(dut.tx)

    simulate(dut, producer, line, watch=[dut.i])
    assert levels == [level for level, cycles in wave(DATA, divisor) for _ in range(cycles)]


def test_line_is_idle_between_bytes(simulate):
    dut = UartTransmitter(4)

    async def testbench(ctx):
        for byte in DATA:
            await send(ctx, dut.i, [byte])
            for level in levels_of(byte):
                for _ in range(4):
                    assert ctx.get(dut.tx) == level
                    await ctx.tick()
            for _ in range(5):
                assert ctx.get(dut.tx)
                assert ctx.get(dut.i.ready)
                await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("clock_hz, baud, cycles", [
    (80_000_000, 1_000_000, 80), (8_000_000, 1_000_000, 8), (25_000_000, 115_200, 217)])
def test_cycles_of_a_bit(clock_hz, baud, cycles):
    assert bit_cycles(clock_hz, baud) == cycles


@pytest.mark.parametrize("clock_hz, complaint", [
    (7_000_000, "Clock must be at least 8 times the 1000000 baud, not 7000000 Hz"),
    (8_400_000, "Clock must be a multiple of the 1000000 baud within 2 %, not 8400000 Hz"),
])
def test_bad_clock_refused(clock_hz, complaint):
    with pytest.raises(ValueError, match=complaint):
        bit_cycles(clock_hz, 1_000_000)


@pytest.mark.parametrize("component, divisor, complaint", [
    (UartReceiver, 7, "Divisor must be at least 8, not 7"),
    (UartTransmitter, 1, "Divisor must be at least 2, not 1")])
def test_bad_divisor_refused(component, divisor, complaint):
    with pytest.raises(ValueError, match=complaint):
        component(divisor)
