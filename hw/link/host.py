"""The accelerator's end of the host link."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sw.format.status import Error, State

from .cobs import CobsDecoder, CobsEncoder
from .frames import FrameReceiver, FrameSender
from .requests import RequestHandler
from .uart import UartReceiver, UartTransmitter, bit_cycles


__all__ = ["HostLink"]


class HostLink(wiring.Component):
    """Executes what a host asks for over a serial line, as docs/link.md specifies.

    One request is executed or answered while the next two are received. Any stream may stall for
    as long as it likes.

    Parameters
    ----------
    target : Target
        Bounds of addresses, and what an identification says.
    clock_hz : int
        Frequency of the clock.
    baud : int
        Bits a second on the line; at least 8 cycles a bit, and a whole number within 2 %.

    Members
    -------
    rx, tx
        The line, as those of `UartReceiver` and `UartTransmitter`.
    image, image_reads, image_words, load, run, inputs, output_reads, outputs
        As those of `RequestHandler`.
    state, error, counter, count
        Likewise.
    """

    def __init__(self, target, *, clock_hz, baud):
        self.target = target
        self.clock_hz = clock_hz
        self.baud = baud
        self.divisor = bit_cycles(clock_hz, baud)
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
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

        m.submodules.uart_receiver = uart_receiver = UartReceiver(self.divisor)
        m.d.comb += uart_receiver.rx.eq(self.rx)

        m.submodules.decoder = decoder = CobsDecoder()
        connect(m, uart_receiver.o, decoder.i)

        m.submodules.frame_receiver = frame_receiver = FrameReceiver()
        connect(m, decoder.o, frame_receiver.i)

        m.submodules.handler = handler = RequestHandler(self.target, clock_hz=self.clock_hz)
        connect(m, frame_receiver.o, handler.requests)
        connect(m, handler.image, flipped(self.image))
        connect(m, handler.inputs, flipped(self.inputs))
        connect(m, handler.output_reads, flipped(self.output_reads))
        connect(m, flipped(self.outputs), handler.outputs)
        connect(m, handler.image_reads, flipped(self.image_reads))
        connect(m, flipped(self.image_words), handler.image_words)
        m.d.comb += [
            self.load.eq(handler.load),
            self.run.eq(handler.run),
            handler.state.eq(self.state),
            handler.error.eq(self.error),
            self.counter.eq(handler.counter),
            handler.count.eq(self.count),
        ]

        m.submodules.frame_sender = frame_sender = FrameSender()
        connect(m, handler.responses, frame_sender.i)

        m.submodules.encoder = encoder = CobsEncoder()
        connect(m, frame_sender.o, encoder.i)

        m.submodules.uart_transmitter = uart_transmitter = UartTransmitter(self.divisor)
        connect(m, encoder.o, uart_transmitter.i)
        m.d.comb += self.tx.eq(uart_transmitter.tx)

        return m
