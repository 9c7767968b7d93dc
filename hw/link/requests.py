"""Execution of the host's requests."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sw.format.link import RESPONSE, Request, Result
from sw.format.status import Error, State

from .check import RequestCheck
from .cobs import BYTE
from .frames import REQUEST
from .reader import DataReader
from .words import WordPacker


__all__ = ["RequestHandler"]


class RequestHandler(wiring.Component):
    """Executes requests and answers them, one after another, as docs/link.md specifies.

    A response begins 5 cycles after the last byte of a request that writes nothing. Bytes of a
    write are accepted each cycle into ``inputs``, four in 5 cycles into ``image``; the response
    follows when all are taken. Any stream may stall for as long as it likes; the request waits.

    Parameters
    ----------
    target : Target
        Bounds of addresses, and what an identification says.
    clock_hz : int
        Clock, for the identification.

    Members
    -------
    requests : In(stream.Signature(REQUEST))
        Good frames. One whose type is that of a response is ignored.
    responses : Out(stream.Signature(BYTE))
        A frame for each request, without CRC.
    image : Out(stream.Signature(StructLayout({"address": 16, "data": 32})))
        Words for the weight memory.
    load, run : Out(1)
        Strobes: load the image; run the network.
    inputs : Out(stream.Signature(StructLayout({"address": 16, "data": 8})))
        Bytes for the activation memory.
    output_reads, outputs, image_reads, image_words, counter, count
        As those of `DataReader`.
    state : In(State)
        State of the accelerator. Within 4 cycles of a strobe it is LOADING or RUNNING.
    error : In(Error)
        Why the last load or run failed.
    """

    def __init__(self, target, *, clock_hz):
        self.target = target
        self.clock_hz = clock_hz
        super().__init__({
            "requests": In(stream.Signature(REQUEST)),
            "responses": Out(stream.Signature(BYTE)),
            "image": Out(stream.Signature(data.StructLayout({"address": 16, "data": 32}))),
            "load": Out(1),
            "run": Out(1),
            "inputs": Out(stream.Signature(data.StructLayout({"address": 16, "data": 8}))),
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

        kind = Signal(8)
        sequence = Signal(8)
        length = Signal(8)
        address = Signal(16)
        number = Signal(8)
        result = Signal(Result)
        # Bytes of the frame wait to be taken.
        more = Signal()
        # After WRITE_IMAGE the weight memory isn't what was loaded, until LOAD makes it so.
        altered = Signal()
        # The last LOAD or RUN, until another request comes: the same once more repeats it.
        started = Signal(16)
        repeatable = Signal()

        m.submodules.check = check = RequestCheck(self.target)
        m.d.comb += [
            check.kind.eq(kind),
            check.length.eq(length),
            check.address.eq(address),
            check.number.eq(number),
            check.state.eq(self.state),
            check.altered.eq(altered),
        ]

        m.submodules.words = words = WordPacker()
        m.d.comb += [
            words.i.payload.data.eq(self.requests.payload.data),
            words.i.payload.last.eq(self.requests.payload.last),
            self.image.payload.address.eq(address),
            self.image.payload.data.eq(words.o.payload.data),
            self.inputs.payload.address.eq(address),
            self.inputs.payload.data.eq(self.requests.payload.data),
        ]

        m.submodules.reader = reader = DataReader(self.target, clock_hz=self.clock_hz)
        connect(m, reader.output_reads, flipped(self.output_reads))
        connect(m, flipped(self.outputs), reader.outputs)
        connect(m, reader.image_reads, flipped(self.image_reads))
        connect(m, flipped(self.image_words), reader.image_words)
        m.d.comb += [
            reader.queries.payload.kind.eq(kind),
            reader.queries.payload.first.eq(address),
            reader.queries.payload.number.eq(number),
            reader.state.eq(self.state),
            reader.error.eq(self.error),
            self.counter.eq(reader.counter),
            reader.count.eq(self.count),
        ]

        is_read = kind.matches(Request.READ_OUTPUT, Request.READ_IMAGE, Request.READ_COUNTERS)
        has_data = is_read | (kind == Request.IDENTIFY) | (kind == Request.STATUS)
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += more.eq(~self.requests.payload.last)

        def take(register, successor):
            m.d.comb += self.requests.ready.eq(1)
            with m.If(self.requests.valid):
                m.d.sync += register.eq(self.requests.payload.data)
                m.next = successor
                with m.If(self.requests.payload.last):
                    m.next = "Examine"

        def respond(byte, successor, *, last=0):
            m.d.comb += [
                self.responses.valid.eq(1),
                self.responses.payload.data.eq(byte),
                self.responses.payload.last.eq(last),
            ]
            with m.If(self.responses.ready):
                m.next = successor

        def receive_header():
            with m.State("Type"):
                m.d.sync += length.eq(self.requests.payload.length)
                take(kind, "Sequence")
            with m.State("Sequence"):
                take(sequence, "Address low")
            with m.State("Address low"):
                take(address[:8], "Address high")
            with m.State("Address high"):
                take(address[8:], "Examine")
                with m.If(self.requests.valid & ~self.requests.payload.last & is_read):
                    m.next = "Number"
            with m.State("Number"):
                take(number, "Examine")

        def judge():
            with m.State("Examine"):
                # The check takes 2 cycles.
                m.next = "Examine more"
            with m.State("Examine more"):
                m.next = "Judge"
            with m.State("Judge"):
                repeats = repeatable & (started == Cat(kind, sequence))
                m.d.sync += [
                    result.eq(check.verdict),
                    repeatable.eq(repeats),
                ]
                m.next = "Drain"
                with m.If(repeats & (length == 0)):
                    m.d.sync += result.eq(Result.OK)
                with m.Elif(check.verdict == Result.OK):
                    m.next = "Execute"
            with m.State("Drain"):
                m.d.comb += self.requests.ready.eq(more)
                with m.If(~more):
                    m.next = "Respond"
                    with m.If(kind & RESPONSE):
                        m.next = "Type"

        def execute():
            with m.State("Execute"):
                m.next = "Respond"
                with m.Switch(kind):
                    with m.Case(Request.WRITE_IMAGE):
                        m.d.sync += altered.eq(1)
                        m.next = "Write image"
                    with m.Case(Request.WRITE_INPUT):
                        m.next = "Write input"
                    with m.Case(Request.LOAD, Request.RUN):
                        m.d.comb += [
                            self.load.eq(kind == Request.LOAD),
                            self.run.eq(kind == Request.RUN),
                        ]
                        m.d.sync += [
                            altered.eq(0),
                            started.eq(Cat(kind, sequence)),
                            repeatable.eq(1),
                        ]
            with m.State("Write image"):
                m.d.comb += [
                    words.i.valid.eq(self.requests.valid & more),
                    self.requests.ready.eq(words.i.ready & more),
                    self.image.valid.eq(words.o.valid),
                    words.o.ready.eq(self.image.ready),
                ]
                with m.If(words.o.valid & self.image.ready):
                    m.d.sync += address.eq(address + 1)
                    with m.If(words.o.payload.last):
                        m.next = "Respond"
            with m.State("Write input"):
                m.d.comb += [
                    self.inputs.valid.eq(self.requests.valid),
                    self.requests.ready.eq(self.inputs.ready),
                ]
                with m.If(self.requests.valid & self.inputs.ready):
                    m.d.sync += address.eq(address + 1)
                    with m.If(self.requests.payload.last):
                        m.next = "Respond"

        def send_response():
            with m.State("Respond"):
                respond(kind | RESPONSE, "Respond sequence")
            with m.State("Respond sequence"):
                respond(sequence, "Respond result")
            with m.State("Respond result"):
                answers = has_data & (result == Result.OK)
                respond(result, "Type", last=~answers)
                with m.If(self.responses.ready & answers):
                    m.next = "Query"
            with m.State("Query"):
                m.d.comb += reader.queries.valid.eq(1)
                with m.If(reader.queries.ready):
                    m.next = "Respond data"
            with m.State("Respond data"):
                connect(m, reader.data, flipped(self.responses))
                with m.If(reader.data.valid & reader.data.ready & reader.data.payload.last):
                    m.next = "Type"

        with m.FSM():
            receive_header()
            judge()
            execute()
            send_response()

        return m
