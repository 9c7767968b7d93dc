"""UART: bytes to and from a serial line, 8 data bits, no parity, 1 stop bit."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


__all__ = ["UartReceiver", "UartTransmitter", "bit_cycles"]


def bit_cycles(clock_hz, baud):
    """Return the cycles of a bit.

    Raises
    ------
    ValueError
        If there are fewer than 8, or no whole number within 2 % of them.
    """
    if baud < 1:
        raise ValueError(f"Baud rate must be positive, not {baud}")
    cycles = round(clock_hz / baud)
    if cycles < 8:
        raise ValueError(f"Clock must be at least 8 times the {baud} baud, not {clock_hz} Hz")
    if abs(cycles * baud / clock_hz - 1) > 0.02:
        raise ValueError(f"Clock must be a multiple of the {baud} baud within 2 %, "
                         f"not {clock_hz} Hz")
    return cycles


class UartReceiver(wiring.Component):
    """Receives bytes.

    Each bit is judged in its middle, by the majority of three samples; a pulse shorter than two
    cycles is not seen, one shorter than half a bit begins no byte. A byte without a stop bit is
    dropped, and nothing more is received until the line was high: a break of any length is no byte.

    A byte is transferred :py:`latency` cycles after the falling edge of its start bit. The next
    start bit may follow half a bit early, so the sender's clock may differ by 4 %.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 8.

    Members
    -------
    rx : In(1)
        The line, of any clock.
    o : Out(stream.Signature(8, always_ready=True))
        Bytes.
    """

    rx: In(1, init=1)
    o: Out(stream.Signature(8, always_ready=True))

    def __init__(self, divisor):
        if divisor < 8:
            raise ValueError(f"Divisor must be at least 8, not {divisor}")
        self.divisor = divisor
        self.latency = 9 * divisor + divisor // 2 + 4
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        samples = Signal(3, init=0b111)
        m.submodules.synchroniser = FFSynchronizer(self.rx, samples[0], init=1)
        m.d.sync += samples[1:].eq(samples)
        level = Signal()
        m.d.comb += level.eq((samples[0] & samples[1]) | (samples[1] & samples[2])
                             | (samples[2] & samples[0]))

        timer = Signal(range(self.divisor))
        middle = Signal()
        m.d.comb += middle.eq(timer == 0)
        m.d.sync += timer.eq(Mux(middle, self.divisor - 1, timer - 1))

        # The bit set at the start is the ninth to leave: then all data bits are in.
        bits = Signal(9)
        m.d.comb += self.o.payload.eq(bits[1:])
        m.d.sync += self.o.valid.eq(0)

        with m.FSM():
            with m.State("Idle"):
                with m.If(~level):
                    m.d.sync += timer.eq(self.divisor // 2 - 1)
                    m.next = "Start"
            with m.State("Start"):
                with m.If(middle):
                    m.d.sync += bits.eq(1 << 8)
                    m.next = "Data"
                    with m.If(level):
                        m.next = "Idle"
            with m.State("Data"):
                with m.If(middle):
                    m.d.sync += bits.eq(Cat(bits[1:], level))
                    with m.If(bits[1]):
                        m.next = "Stop"
            with m.State("Stop"):
                with m.If(middle):
                    m.d.sync += self.o.valid.eq(level)
                    m.next = "Idle"
                    with m.If(~level):
                        m.next = "Break"
            with m.State("Break"):
                with m.If(level):
                    m.next = "Idle"

        return m


class UartTransmitter(wiring.Component):
    """Transmits bytes.

    A byte takes 10 bits of time; its start bit begins in the cycle after its transfer. Bytes that
    wait follow one another without a gap.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 2.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes.
    tx : Out(1)
        The line, from a register.
    """

    i: In(stream.Signature(8))
    tx: Out(1, init=1)

    def __init__(self, divisor):
        if divisor < 2:
            raise ValueError(f"Divisor must be at least 2, not {divisor}")
        self.divisor = divisor
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        timer = Signal(range(self.divisor))
        left = Signal(range(11))
        bits = Signal(9, init=0x1ff)
        bit_ends = Signal()

        m.d.comb += self.i.ready.eq((left == 0) | ((left == 1) & bit_ends))
        m.d.sync += [
            timer.eq(Mux(bit_ends, self.divisor - 1, timer - 1)),
            bit_ends.eq(timer == 1),
        ]

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                timer.eq(self.divisor - 1),
                bit_ends.eq(0),
                left.eq(10),
                Cat(self.tx, bits).eq(Cat(C(0, 1), self.i.payload, C(1, 1))),
            ]
        with m.Elif((left != 0) & bit_ends):
            m.d.sync += [
                left.eq(left - 1),
                Cat(self.tx, bits).eq(Cat(bits, C(1, 1))),
            ]

        return m
