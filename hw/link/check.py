"""Which of the host's requests are executed, and which are refused."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw.format.link import (COUNTERS, MAX_COUNTERS, MAX_IMAGE_WORDS, MAX_OUTPUT_BYTES, MAX_PAYLOAD,
                            Request, Result)
from sw.format.status import State
from sw.format.target import Memory


__all__ = ["RequestCheck"]


class RequestCheck(wiring.Component):
    """Judges a request.

    The verdict holds from 2 cycles after the last change of an input. Where several things are
    wrong, the first of type, length, state of the accelerator, and address counts.

    Parameters
    ----------
    target : Target
        Bounds of addresses.

    Members
    -------
    kind, length, address, number : In
        Type, length of the payload, and what the payload begins with.
    state : In(State)
        State of the accelerator.
    altered : In(1)
        The image in the weight memory isn't the one that was loaded.
    verdict : Out(Result)
        OK, or why the request is refused.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "kind": In(8),
            "length": In(8),
            "address": In(16),
            "number": In(8),
            "state": In(State),
            "altered": In(1),
            "verdict": Out(Result),
        })

    def elaborate(self, platform):
        m = Module()

        known = Signal(init=1)
        fits = Signal()
        waits = Signal()
        needs_image = Signal()
        read_only = Signal()
        number = Signal(8)
        most = Signal(8)
        limit = Signal(17)

        with m.Switch(self.kind):
            with m.Case(Request.IDENTIFY, Request.STATUS):
                m.d.comb += fits.eq(self.length == 0)
            with m.Case(Request.LOAD):
                # It may end a run.
                m.d.comb += [
                    fits.eq(self.length == 0),
                    waits.eq(self.state == State.LOADING),
                ]
            with m.Case(Request.RUN):
                m.d.comb += [
                    fits.eq(self.length == 0),
                    needs_image.eq(1),
                ]
            with m.Case(Request.READ_COUNTERS):
                m.d.comb += [
                    fits.eq(self.length == 3),
                    number.eq(self.number),
                    most.eq(MAX_COUNTERS),
                    limit.eq(COUNTERS),
                ]
            with m.Case(Request.READ_OUTPUT):
                m.d.comb += [
                    fits.eq(self.length == 3),
                    needs_image.eq(1),
                    number.eq(self.number),
                    most.eq(MAX_OUTPUT_BYTES),
                    limit.eq(self.target.activation_bytes),
                ]
            with m.Case(Request.READ_IMAGE):
                m.d.comb += [
                    fits.eq(self.length == 3),
                    waits.eq(1),
                    number.eq(self.number),
                    most.eq(MAX_IMAGE_WORDS),
                    limit.eq(min(self.target.memory_words, 1 << 16)),
                ]
            with m.Case(Request.WRITE_IMAGE):
                m.d.comb += [
                    fits.eq((self.length > 2) & (self.length[:2] == 2)),
                    waits.eq(1),
                    number.eq(self.length[2:]),
                    most.eq(MAX_PAYLOAD),
                    limit.eq(min(self.target.memory_words, 1 << 16)),
                    read_only.eq(self.target.memory is Memory.FLASH),
                ]
            with m.Case(Request.WRITE_INPUT):
                m.d.comb += [
                    fits.eq(self.length > 2),
                    needs_image.eq(1),
                    number.eq(self.length - 2),
                    most.eq(MAX_PAYLOAD),
                    limit.eq(self.target.activation_bytes),
                ]
            with m.Default():
                m.d.comb += known.eq(0)

        early = Signal(Result)
        countable = Signal()
        end = Signal(17)
        busy = (self.state == State.LOADING) | (self.state == State.RUNNING)

        m.d.sync += [
            countable.eq((number != 0) & (number <= most)),
            end.eq(self.address + number),
        ]
        with m.If(~known):
            m.d.sync += early.eq(Result.UNKNOWN_TYPE)
        with m.Elif(~fits):
            m.d.sync += early.eq(Result.BAD_LENGTH)
        with m.Elif((waits | needs_image) & busy):
            m.d.sync += early.eq(Result.BUSY)
        with m.Elif(needs_image & ((self.state == State.FAILED) | self.altered)):
            m.d.sync += early.eq(Result.NOT_READY)
        with m.Else():
            m.d.sync += early.eq(Result.OK)

        m.d.sync += self.verdict.eq(early)
        with m.If((early == Result.OK) & (most != 0) & (~countable | (end > limit))):
            m.d.sync += self.verdict.eq(Result.BAD_ADDRESS)
        with m.Elif((early == Result.OK) & read_only):
            m.d.sync += self.verdict.eq(Result.READ_ONLY)

        return m
