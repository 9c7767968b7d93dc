# amaranth: UnusedElaboratable=no

import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.decode.codebook import CodebookLookup
from hw.decode.gearbox import Gearbox
from hw.decode.queue import Queue
from hw.decode.raw import RawUnpacker
from hw.decode.skid import SkidBuffer
from hw.decode.stream_register import StreamRegister

from .bench import Bench
from .harness import run


def buffer(cls):
    bench = Bench(dut := cls(3))
    came = bench.in_order(bench.source(dut.i), dut.i.payload, bench.sink(dut.o), dut.o.payload)
    bench.within(1, dut.o.valid, while_=dut.i.valid)
    bench.within(2, dut.i.ready, while_=dut.o.ready | ~dut.o.valid)
    bench.reaches(came == 4)
    return bench


def test_skid_buffer(prove):
    prove(buffer, SkidBuffer, depth=12,
          bug=("Mux(kept_valid, kept, self.i.payload)", "self.i.payload"))


def test_stream_register(prove):
    prove(buffer, StreamRegister, depth=12,
          bug=("~self.o.valid | self.o.ready", "~self.o.valid | self.o.ready | self.i.valid"))


def test_queue(prove):
    def bench(cls):
        bench = Bench(dut := cls(3, 4))
        taken, given = bench.source(dut.i), bench.sink(dut.o)
        bench.assume(~dut.i.valid | (dut.level < dut.depth))
        came = bench.in_order(taken, dut.i.payload, given, dut.o.payload)
        went = bench.count(taken, 63)
        bench.always(dut.level == went - came)
        bench.always(dut.o.valid == (dut.level != 0))
        bench.reaches((came == 3) & (dut.level == dut.depth))
        return bench

    prove(bench, Queue, depth=12, bug=("leaving & (self.level == 1)", "leaving"))


@pytest.mark.parametrize("wide, narrow", [(6, 4), (5, 3)])
def test_gearbox(prove, wide, narrow):
    def bench(cls):
        bench = Bench(dut := cls(wide, narrow))
        came = bench.bits_in_order(bench.source(dut.i), dut.i.payload,
                                   bench.sink(dut.o), dut.o.payload, narrow)
        bench.within(2, dut.o.valid, while_=dut.i.valid)
        bench.within(4, dut.i.ready, while_=dut.o.ready | ~dut.o.valid)
        bench.reaches(came == 5 * narrow)
        return bench

    prove(bench, Gearbox, depth=14, bug=("with m.If(~leaving):", "with m.If(self.i.valid):"),
          what=f" of {wide} to {narrow} bits")


def test_raw_unpacker(prove):
    def bench(cls):
        bench = Bench(dut := cls())
        width = Signal(4)
        bench.m.d.comb += [
            width.eq(1 << bench.constant(2)),
            dut.symbol_bits.eq(width),
        ]
        given = bench.sink(dut.o)
        packed = Signal(32)
        with bench.m.Switch(width):
            for bits in (1, 2, 4, 8):
                with bench.m.Case(bits):
                    bench.m.d.comb += packed.eq(Cat(lane[:bits] for lane in dut.o.payload))
                    bench.always(~Cat(lane[bits:] for lane in dut.o.payload).any())
        came = bench.bits_in_order(bench.source(dut.i), dut.i.payload, given, packed, 4 * width)
        bench.within(1, dut.o.valid, while_=dut.i.valid)
        bench.within(8, dut.i.ready, while_=dut.o.ready | ~dut.o.valid)
        bench.reaches((came == 36) & (width == 1))
        bench.reaches((came == 96) & (width == 8))
        return bench

    prove(bench, RawUnpacker, depth=14,
          bug=("self.o.ready & (left == 0)", "self.o.ready & (left <= 1)"))


def test_codebook_lookup(prove):
    def bench(cls):
        bench = Bench(dut := cls(8, index_bits=2, codebooks=2))
        m = bench.m
        taken, given = bench.source(dut.i), bench.sink(dut.o)
        written = bench.source(dut.codebook)
        m.d.comb += dut.direct.eq(bench.constant())
        # One place of the codebooks, which may be any one, and what has been written there.
        place, weight, known = bench.constant(3), Signal(8), Signal()
        word = dut.codebook.payload
        with m.If(written & (word.address == place[2:])):
            m.d.sync += [
                weight.eq(word.data.word_select(place[:2], 8)),
                known.eq(1),
            ]
        transfer = dut.i.payload
        # Of sound coded data; and no codebook changes while it is in use.
        bench.assume(~taken | (transfer.codebook < 2) & (transfer.count <= 4))
        bench.assume(~(taken & written))
        number = bench.constant(2)
        went, came = bench.count(taken, 7), bench.count(given, 7)
        for lane in range(4):
            index = transfer.indices[lane]
            meant = Cat(index[:2], transfer.codebook[0]) == place
            there = lane < transfer.count
            expected, cares = Signal(8), Signal()
            with m.If(taken & (went == number)):
                m.d.sync += [
                    expected.eq(Mux(there, Mux(dut.direct, index, weight), 0)),
                    cares.eq(~there | dut.direct | known & meant),
                ]
            bench.always(~(given & (came == number) & cares)
                         | (dut.o.payload.weights[lane] == expected.as_signed()))
            bench.reaches(given & (came == number) & cares & ~dut.direct & (expected == 77))
        last = Signal()
        with m.If(taken & (went == number)):
            m.d.sync += last.eq(transfer.last)
        bench.always(~(given & (came == number)) | (dut.o.payload.last == last))
        bench.always(~given | (came < went))
        bench.within(1, dut.o.valid, while_=dut.i.valid)
        return bench

    prove(bench, CodebookLookup, depth=6,
          bug=("Mux(lane < self.i.payload.count, weight, 0)", "weight"))


class Waiting(wiring.Component):
    """Isn't valid before it is asked."""

    i: In(stream.Signature(3))
    o: Out(stream.Signature(3))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & self.o.ready),
            self.i.ready.eq(self.o.ready),
        ]
        return m


def test_valid_that_follows_ready_is_found(tools, tmp_path):
    bench = Bench(dut := Waiting())
    bench.source(dut.i)
    bench.sink(dut.o)
    with pytest.raises(RuntimeError, match="selection is not empty"):
        run(bench, tools=tools, folder=tmp_path / "proof", mode="bmc", depth=2)
