"""Data of the responses to the host's requests."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.link import Identification, Request
from sw.format.status import Error, State

from .cobs import BYTE


__all__ = ["QUERY", "DataReader"]


#: What to read: IDENTIFY, STATUS, READ_COUNTERS, READ_IMAGE or READ_OUTPUT; the last three from
#: ``first`` on.
QUERY = data.StructLayout({"kind": Request, "first": 16, "number": 8})


class DataReader(wiring.Component):
    """Reads what a response tells.

    Accepts a query when idle. The first byte of an identification, a status or a counter is offered
    within 4 cycles, then one each cycle, with 3 cycles between counters. A byte of output and a
    word of the image take 2 cycles beside what their source takes. The last byte of a query is
    ``last``. While the consumer stalls, everything waits.

    Parameters
    ----------
    target : Target
        For the identification.
    clock_hz : int
        For the identification.

    Members
    -------
    queries : In(stream.Signature(QUERY))
        What to read; one byte, word or counter at least.
    data : Out(stream.Signature(BYTE))
        Its bytes.
    output_reads : Out(stream.Signature(16))
        Addresses of output bytes; the next one follows its predecessor's byte.
    outputs : In(stream.Signature(8))
        Their bytes, in order.
    image_reads : Out(stream.Signature(16))
        Addresses of words of the image; the next one follows its predecessor's word.
    image_words : In(stream.Signature(32))
        The words, in order.
    state : In(State)
        State of the accelerator.
    error : In(Error)
        Why the last load or run failed.
    counter : Out(8)
        Index of a counter.
    count : In(32)
        Its value, valid 2 cycles after ``counter`` changed.
    """

    def __init__(self, target, *, clock_hz):
        self.target = target
        self.clock_hz = clock_hz
        super().__init__({
            "queries": In(stream.Signature(QUERY)),
            "data": Out(stream.Signature(BYTE)),
            "output_reads": Out(stream.Signature(16)),
            "outputs": In(stream.Signature(8)),
            "image_reads": Out(stream.Signature(16)),
            "image_words": In(stream.Signature(32)),
            "state": In(State),
            "error": In(Error),
            "counter": Out(8),
            "count": In(32),
        })

    def elaborate(self, platform):
        m = Module()

        kind = Signal(Request)
        address = Signal(16)
        number = Signal(8)
        word = Signal(32)
        place = Signal(5)
        identity = Identification.of(self.target, self.clock_hz).pack()
        final = number == 1
        state_byte = Signal(8)

        m.d.comb += [
            state_byte.eq(self.state),
            self.output_reads.payload.eq(address),
            self.image_reads.payload.eq(address),
            self.counter.eq(address),
        ]

        def offer(byte, *, last):
            m.d.comb += [
                self.data.valid.eq(1),
                self.data.payload.data.eq(byte),
                self.data.payload.last.eq(last),
            ]

        def advance():
            m.d.sync += [
                address.eq(address + 1),
                number.eq(number - 1),
            ]

        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.queries.ready.eq(1)
                m.d.sync += [
                    kind.eq(self.queries.payload.kind),
                    address.eq(self.queries.payload.first),
                    number.eq(self.queries.payload.number),
                    place.eq(0),
                ]
                with m.If(self.queries.valid):
                    with m.Switch(self.queries.payload.kind):
                        with m.Case(Request.IDENTIFY):
                            m.next = "Identity"
                        with m.Case(Request.STATUS):
                            # Both at one moment: a run may end before the second byte is taken.
                            m.d.sync += [
                                word.eq(Cat(state_byte, self.error)),
                                number.eq(1),
                                place.eq(1),
                            ]
                            m.next = "Word"
                        with m.Case(Request.READ_COUNTERS):
                            m.next = "Settle"
                        with m.Case(Request.READ_IMAGE):
                            m.next = "Ask word"
                        with m.Default():
                            m.next = "Ask"

            with m.State("Identity"):
                last = place == len(identity) - 1
                offer(Const(int.from_bytes(identity, "little"), 8 * 32).word_select(place, 8),
                      last=last)
                with m.If(self.data.ready):
                    m.d.sync += place.eq(place + 1)
                    with m.If(last):
                        m.next = "Idle"

            with m.State("Settle"):
                m.d.sync += place.eq(place + 1)
                with m.If(place == 2):
                    m.d.sync += [
                        word.eq(self.count),
                        place.eq(3),
                    ]
                    m.next = "Word"
            with m.State("Ask word"):
                m.d.comb += self.image_reads.valid.eq(1)
                with m.If(self.image_reads.ready):
                    m.next = "Take word"
            with m.State("Take word"):
                m.d.comb += self.image_words.ready.eq(1)
                m.d.sync += [
                    word.eq(self.image_words.payload),
                    place.eq(3),
                ]
                with m.If(self.image_words.valid):
                    m.next = "Word"
            with m.State("Word"):
                offer(word[:8], last=(place == 0) & final)
                with m.If(self.data.ready):
                    m.d.sync += [
                        word.eq(word[8:]),
                        place.eq(place - 1),
                    ]
                    with m.If(place == 0):
                        advance()
                        m.d.sync += place.eq(0)
                        m.next = "Settle"
                        with m.If(kind == Request.READ_IMAGE):
                            m.next = "Ask word"
                        with m.If(final):
                            m.next = "Idle"

            with m.State("Ask"):
                m.d.comb += self.output_reads.valid.eq(1)
                with m.If(self.output_reads.ready):
                    m.next = "Output"
            with m.State("Output"):
                with m.If(self.outputs.valid):
                    offer(self.outputs.payload, last=final)
                m.d.comb += self.outputs.ready.eq(self.data.ready)
                with m.If(self.outputs.valid & self.data.ready):
                    advance()
                    m.next = "Ask"
                    with m.If(final):
                        m.next = "Idle"

        return m
