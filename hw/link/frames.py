"""Frames of the host link: checked whole before they are passed on, and completed by a CRC-32."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sw.format.link import MAX_BODY, MAX_PAYLOAD

from .cobs import BYTE, STUFFED
from .crc import FrameCrc


__all__ = ["REQUEST", "FrameReceiver", "FrameSender"]


#: A byte of a good frame, and the length of that frame's payload.
REQUEST = data.StructLayout({"data": 8, "last": 1, "length": range(MAX_PAYLOAD + 1)})


class FrameReceiver(wiring.Component):
    """Passes on the frames whose CRC-32 is right, without it; all others leave no trace.

    Accepts a byte every 9 cycles. Two frames find room: one may be received while another is being
    taken. A frame that begins while there is no room is dropped, as are frames that are too short,
    too long, or not intact. A good frame's type is offered 2 cycles after its end, then a byte each
    cycle; while the consumer stalls, the pending byte is kept in the output register of the memory.

    Members
    -------
    i : In(stream.Signature(STUFFED, always_ready=True))
        Bytes of frames, and their ends.
    o : Out(stream.Signature(REQUEST))
        Good frames: type, sequence, payload.
    """

    i: In(stream.Signature(STUFFED, always_ready=True))
    o: Out(stream.Signature(REQUEST))

    def elaborate(self, platform):
        m = Module()

        m.submodules.buffer = buffer = Memory(shape=8, depth=512, init=[])
        m.submodules.crc = crc = FrameCrc()
        # Each slot: whether it holds a frame, and where that frame's last byte before the CRC is.
        full = Array(Signal(name=f"full{slot}") for slot in range(2))
        finals = Array(Signal(range(MAX_BODY), name=f"final{slot}") for slot in range(2))

        # Receiving.
        write_port = buffer.write_port()
        filling = Signal()
        count = Signal(range(MAX_BODY + 1))
        bad = Signal()
        arrives = Signal()

        m.d.comb += [
            arrives.eq(self.i.valid & ~self.i.payload.end),
            write_port.addr.eq(Cat(count, filling)),
            write_port.data.eq(self.i.payload.data),
            write_port.en.eq(arrives & ~full[filling]),
            crc.i.payload.eq(self.i.payload.data),
            crc.i.valid.eq(arrives),
        ]
        with m.If(arrives):
            m.d.sync += count.eq(count + 1)
            with m.If((count == MAX_BODY) | full[filling]):
                m.d.sync += bad.eq(1)
        with m.Elif(self.i.valid):
            m.d.comb += crc.start.eq(1)
            m.d.sync += [
                count.eq(0),
                bad.eq(0),
            ]
            with m.If(self.i.payload.intact & crc.match & ~bad
                      & (count >= MAX_BODY - MAX_PAYLOAD)):
                m.d.sync += [
                    full[filling].eq(1),
                    finals[filling].eq(count - 5),
                    filling.eq(~filling),
                ]

        # Passing on.
        read_port = buffer.read_port()
        taking = Signal()
        position = Signal.like(count)
        room = ~self.o.valid | self.o.ready
        is_last = position == finals[taking]

        m.d.comb += [
            read_port.addr.eq(Cat(position, taking)),
            read_port.en.eq(room & full[taking]),
            self.o.payload.data.eq(read_port.data),
        ]
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(full[taking]),
                self.o.payload.last.eq(is_last),
                self.o.payload.length.eq(finals[taking] - 1),
            ]
            with m.If(full[taking]):
                m.d.sync += position.eq(position + 1)
                with m.If(is_last):
                    m.d.sync += [
                        position.eq(0),
                        full[taking].eq(0),
                        taking.eq(~taking),
                    ]

        return m


class FrameSender(wiring.Component):
    """Appends the CRC-32 to each frame.

    Accepts a byte every 9 cycles and offers it in the next cycle, from a register; 9 cycles after
    the last byte of a frame follow the four of its CRC, lowest first, a cycle each. A stall of the
    consumer is the producer's.

    Members
    -------
    i : In(stream.Signature(BYTE))
        Frames of at least a byte.
    o : Out(stream.Signature(BYTE))
        The same, and their CRCs.
    """

    i: In(stream.Signature(BYTE))
    o: Out(stream.Signature(BYTE))

    def elaborate(self, platform):
        m = Module()

        m.submodules.crc = crc = FrameCrc()
        index = Signal(2)
        room = ~self.o.valid | self.o.ready

        m.d.comb += [
            crc.i.payload.eq(self.i.payload.data),
            crc.i.valid.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM():
            with m.State("Content"):
                m.d.comb += self.i.ready.eq(room & crc.i.ready)
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.payload.data.eq(self.i.payload.data),
                        self.o.payload.last.eq(0),
                    ]
                    with m.If(self.i.payload.last):
                        m.next = "CRC"
            with m.State("CRC"):
                with m.If(room & crc.i.ready):
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.payload.data.eq(crc.crc.word_select(index, 8)),
                        self.o.payload.last.eq(index == 3),
                        index.eq(index + 1),
                    ]
                    with m.If(index == 3):
                        m.d.comb += crc.start.eq(1)
                        m.next = "Content"

        return m
