"""Consistent overhead byte stuffing (Cheshire and Baker, 1997), for frames of one block.

A frame of at most 253 bytes takes one more byte than it has, then a zero that ends it.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sw.format.link import MAX_BODY


__all__ = ["BYTE", "STUFFED", "CobsDecoder", "CobsEncoder"]


#: A byte of a frame.
BYTE = data.StructLayout({"data": 8, "last": 1})

#: A byte of a frame, or (``end``) that a frame ended, and whether its stuffing was ``intact``.
STUFFED = data.StructLayout({"data": 8, "end": 1, "intact": 1})


class CobsDecoder(wiring.Component):
    """Takes byte stuffing away.

    Accepts a byte each cycle; what it stands for is transferred in the same cycle: for a zero the
    end of a frame, for all others but the first of a frame a byte. A frame that ends within a block
    is not intact. Whatever comes, the next zero makes a new beginning.

    Members
    -------
    i : In(stream.Signature(8, always_ready=True))
        Bytes from the wire.
    o : Out(stream.Signature(STUFFED, always_ready=True))
        Bytes of frames, and their ends. Several ends may follow one another.
    """

    i: In(stream.Signature(8, always_ready=True))
    o: Out(stream.Signature(STUFFED, always_ready=True))

    def elaborate(self, platform):
        m = Module()

        first = Signal(init=1)
        left = Signal(8)
        code = Signal()
        end = Signal()

        m.d.comb += [
            end.eq(self.i.payload == 0),
            code.eq(left == 0),
            self.o.valid.eq(self.i.valid & (end | ~first)),
            self.o.payload.data.eq(Mux(code, 0, self.i.payload)),
            self.o.payload.end.eq(end),
            self.o.payload.intact.eq(code),
        ]
        with m.If(self.i.valid):
            m.d.sync += [
                first.eq(end),
                left.eq(Mux(code, self.i.payload, left) - 1),
            ]
            with m.If(end):
                m.d.sync += left.eq(0)

        return m


class CobsEncoder(wiring.Component):
    """Stuffs the bytes of a frame and ends it with a zero.

    Accepts a byte each cycle up to the last of a frame; 4 cycles later the first byte is offered,
    then one each cycle. No byte is accepted until all but one are taken. While the consumer stalls,
    the pending byte is kept in the output register of the memory.

    Members
    -------
    i : In(stream.Signature(BYTE))
        Frames of 1 to 253 bytes.
    o : Out(stream.Signature(8))
        Bytes for the wire: two more than the frame has.
    """

    i: In(stream.Signature(BYTE))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()

        m.submodules.buffer = buffer = Memory(shape=8, depth=256, init=[])
        write_port = buffer.write_port()
        read_port = buffer.read_port()

        # A code byte counts the bytes to the next zero, so its place is kept and filled in later.
        # A zero takes no other write: its own byte is the next code's place.
        place = Signal(range(MAX_BODY + 1))
        end = Signal(range(MAX_BODY + 2), init=1)
        position = Signal.like(end, init=0)

        def patch():
            m.d.comb += [
                write_port.en.eq(1),
                write_port.addr.eq(place),
                write_port.data.eq(end - place),
            ]

        room = ~self.o.valid | self.o.ready
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM() as fsm:
            with m.State("Fill"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.comb += [
                        write_port.en.eq(1),
                        write_port.addr.eq(end),
                        write_port.data.eq(self.i.payload.data),
                    ]
                    with m.If(self.i.payload.data == 0):
                        patch()
                        m.d.sync += place.eq(end)
                    m.d.sync += end.eq(end + 1)
                    with m.If(self.i.payload.last):
                        m.next = "Patch"
            with m.State("Patch"):
                patch()
                m.next = "Terminate"
            with m.State("Terminate"):
                m.d.comb += [
                    write_port.en.eq(1),
                    write_port.addr.eq(end),
                    write_port.data.eq(0),
                ]
                m.next = "Send"
            with m.State("Send"):
                with m.If(room):
                    m.d.sync += [
                        self.o.valid.eq(1),
                        position.eq(position + 1),
                    ]
                    with m.If(position == end):
                        m.d.sync += [
                            place.eq(0),
                            end.eq(1),
                            position.eq(0),
                        ]
                        m.next = "Fill"

        m.d.comb += [
            read_port.addr.eq(position),
            read_port.en.eq(room & fsm.ongoing("Send")),
            self.o.payload.eq(read_port.data),
        ]

        return m
