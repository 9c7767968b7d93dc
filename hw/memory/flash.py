"""Weight memory in a quad SPI flash: streams words of it, a nibble each clock of the flash."""

from math import ceil

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hw.memory.contract import source_members
from sw.format.status import Error


__all__ = ["CHIPS", "FLASH_PINS", "FlashMemory"]


FLASH_PINS = wiring.Signature({
    "clk": Out(1),
    "cs_n": Out(1, init=1),
    "o": Out(4),
    "oe": Out(4),
    "i": In(4),
})

#: Known chips: JEDEC identification, and where they keep QE, which lets quad reads pass:
#: instruction to read its register, to enable a write, to write it, and the bit. Winbond's forget
#: it without power.
CHIPS = {
    "W25Q128JV": (0xef4018, 0x35, 0x50, 0x31, 1),
    "W25Q128JV-M": (0xef7018, 0x35, 0x50, 0x31, 1),
    "IS25LP128": (0x9d6018, 0x05, 0x06, 0x01, 6),
}

READ_STATUS = 0x05
IDENTIFY = 0x9f
ENABLE_RESET = 0x66
RESET = 0x99
QUAD_READ = 0xeb

#: Pins of single-bit instructions: data out on 0, in on 1; write protect and hold are high.
SINGLE = 0b1101
HIGH = 0b1100

#: Clocks between the mode byte and the first data of a quad read.
DUMMY_CLOCKS = 4

#: Words that wait for the consumer.
DEPTH = 8


class FlashMemory(wiring.Component):
    """Streams regions of a flash, a word in 16 cycles: half a byte each clock of the flash.

    The flash's clock has half the frequency of domain ``sync``; data are sampled a whole period of
    it after the edge that makes the flash show them. The first word follows its region after
    ``latency`` cycles, then there is no gap, whatever the length of the region. Once ``identify``
    is high, and before anything else, the flash is reset and identified, and QE set if it isn't.

    Parameters
    ----------
    address_bits : int
        Of words.
    clock_hz : int
        Frequency of domain ``sync``.
    offset : int
        Address in the flash, in bytes, of word 0.

    Members
    -------
    regions, o, stop
        As in `source_members`.
    identify : In(1)
        Begins the identification. Not while it is going on, nor while words are fetched.
    fault : Out(Error)
        What is wrong with the flash, until the next identification: NO_FLASH, FLASH_ID or
        FLASH_QUAD. There are no words then.
    pins : Out(FLASH_PINS)
        The flash.
    """

    #: Cycles from a region to its first word: select, instruction, address, mode and dummy clocks,
    #: the word itself, and two registers.
    latency = 2 + 2 * (8 + 6 + 2 + DUMMY_CLOCKS + 8) + 2

    #: Cycles that a word takes.
    word_cycles = 16

    def __init__(self, *, address_bits, clock_hz, offset=0):
        if not 1_000_000 <= clock_hz <= 150_000_000:
            raise ValueError(f"Clock of a flash memory must be 1 to 150 MHz, not "
                             f"{clock_hz / 1e6:g} MHz")
        if offset % 4 or not 0 <= offset < 1 << 24:
            raise ValueError(f"Offset must be a multiple of 4 below {1 << 24}, not {offset}")
        self.address_bits = address_bits
        self.clock_hz = clock_hz
        self.offset = offset
        super().__init__(source_members(address_bits) | {
            "identify": In(1),
            "fault": Out(Error),
            "pins": Out(FLASH_PINS),
        })

    def cycles(self, seconds):
        return ceil(seconds * self.clock_hz)

    def elaborate(self, platform):
        m = Module()

        m.submodules.fifo = fifo = ResetInserter(self.stop)(SyncFIFO(width=32, depth=DEPTH))
        m.d.comb += [
            self.o.valid.eq(fifo.r_rdy),
            self.o.payload.eq(fifo.r_data),
            fifo.r_en.eq(self.o.ready),
        ]

        # What is sent, from the top; single-bit instructions use its bit 31 alone.
        shift = Signal(32)
        clocks = Signal(range(33))
        quad = Signal()
        pins = self.pins
        m.d.comb += pins.o.eq(Mux(quad, shift[28:], Cat(shift[31], Const(0, 1), Const(3, 2))))

        # A clock of the flash: low, then high. What it showed meanwhile is sampled at the end.
        clk_next = Signal()
        ends = Signal()
        sampled = Signal(4)
        sampling = Signal()
        m.d.comb += ends.eq(pins.clk)
        m.d.sync += [pins.clk.eq(clk_next), sampled.eq(pins.i), sampling.eq(0)]

        def clock():
            m.d.comb += clk_next.eq(~pins.clk)
            with m.If(ends):
                m.d.sync += [
                    shift.eq(Mux(quad, shift << 4, shift << 1)),
                    clocks.eq(clocks - 1),
                    sampling.eq(1),
                ]

        received = Signal(32)
        nibble = Signal(3)
        wide = Signal()
        filling = Signal()
        m.d.sync += filling.eq(0)
        with m.If(sampling):
            m.d.sync += [
                received.eq(Mux(wide, Cat(sampled, received[:28]), Cat(sampled[1], received[:31]))),
                nibble.eq(nibble + wide),
                filling.eq(wide & (nibble == 7)),
            ]
        m.d.comb += [
            fifo.w_en.eq(filling & ~self.stop),
            fifo.w_data.eq(Cat(received.word_select(3 - i, 8) for i in range(4))),
        ]

        # Instructions of one byte, perhaps with another behind it, and bytes that come back.
        deselect = self.cycles(60e-9)
        reset_time = self.cycles(50e-6)
        patience = self.cycles(50e-3)
        wait = Signal(range(reset_time + 1))
        polls = Signal(range(patience + 1))
        name = Signal(24)
        status = received[:8]
        known = {chip: name == jedec for chip, (jedec, *_) in CHIPS.items()}
        read_quad, enable_write, write_quad, quad_bit = (
            Signal(8, name=part) for part in
            ("read_quad", "enable_write", "write_quad", "quad_bit"))
        for chip, (_, read, enable, write, bit) in CHIPS.items():
            with m.If(known[chip]):
                m.d.comb += [read_quad.eq(read), enable_write.eq(enable), write_quad.eq(write),
                             quad_bit.eq(1 << bit)]

        def select(content, count):
            m.d.sync += [pins.cs_n.eq(0), pins.oe.eq(SINGLE), quad.eq(0), wide.eq(0),
                         shift.eq(Cat(Const(0, 32 - len(content)), content)), clocks.eq(count)]

        def instruction(state, content, after, *, receive=0, pause=deselect):
            """Add states that send ``content``, and a pause behind them."""
            content = Value.cast(content)
            with m.State(state):
                select(content, len(content) + receive)
                m.next = f"{state}: clock"
            with m.State(f"{state}: clock"):
                clock()
                with m.If(ends & (clocks == 1)):
                    m.next = f"{state}: end"
            with m.State(f"{state}: end"):
                m.d.sync += [pins.cs_n.eq(1), wait.eq(pause)]
                m.next = f"{state}: pause"
            with m.State(f"{state}: pause"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 1):
                    after()

        def then(state):
            def go():
                m.next = state
            return go

        def fail(error):
            m.d.sync += self.fault.eq(error)
            m.next = "Down"

        def identified():
            m.d.sync += name.eq(received)
            m.next = "Judge"

        def has_quad():
            m.next = "Enable write"
            with m.If((status & quad_bit).any()):
                m.next = "Ready"

        def polled():
            m.d.sync += polls.eq(polls - 1)
            m.next = "Poll"
            with m.If(~status[0]):
                m.next = "Check quad"

        def checked():
            with m.If((status & quad_bit).any()):
                m.next = "Ready"
            with m.Else():
                fail(Error.FLASH_QUAD)

        m.d.comb += self.regions.ready.eq(0)
        left = Signal(self.address_bits)
        address = Signal(24)
        m.d.comb += address.eq((self.regions.payload.address << 2) + self.offset)
        with m.FSM():
            with m.State("Down"):
                m.d.sync += pins.cs_n.eq(1)
                with m.If(self.identify):
                    m.d.sync += self.fault.eq(Error.NONE)
                    m.next = "Enable reset"

            instruction("Enable reset", Const(ENABLE_RESET, 8), then("Reset"))
            instruction("Reset", Const(RESET, 8), then("Identify"), pause=reset_time)
            instruction("Identify", Const(IDENTIFY, 8), identified, receive=24)
            with m.State("Judge"):
                m.d.sync += polls.eq(patience // (self.cycles(60e-9) + 34))
                with m.If((name == 0) | name.all()):
                    fail(Error.NO_FLASH)
                with m.Elif(~Cat(known.values()).any()):
                    fail(Error.FLASH_ID)
                with m.Else():
                    m.next = "Read quad"
            instruction("Read quad", read_quad, has_quad, receive=8)
            instruction("Enable write", enable_write, then("Write quad"))
            instruction("Write quad", Cat(status | quad_bit, write_quad), then("Poll"))
            instruction("Poll", Const(READ_STATUS, 8), polled, receive=8)
            instruction("Check quad", read_quad, checked, receive=8)

            with m.State("Ready"):
                m.d.comb += self.regions.ready.eq(~self.stop)
                m.d.sync += [nibble.eq(0), left.eq(self.regions.payload.words)]
                with m.If(self.identify):
                    m.d.sync += self.fault.eq(Error.NONE)
                    m.next = "Enable reset"
                with m.Elif(self.regions.valid & self.regions.ready
                            & (self.regions.payload.words != 0)):
                    select(Const(QUAD_READ, 8), 8)
                    m.d.sync += name.eq(address)
                    m.next = "Instruction"
            with m.State("Instruction"):
                clock()
                with m.If(ends & (clocks == 1)):
                    m.d.sync += [shift.eq(Cat(Const(0, 8), name)), quad.eq(1), pins.oe.eq(0b1111),
                                 clocks.eq(8)]
                    m.next = "Address"
                with m.If(self.stop):
                    m.next = "Deselect"
            with m.State("Address"):
                clock()
                with m.If(ends & (clocks == 1)):
                    m.d.sync += [pins.oe.eq(0), clocks.eq(DUMMY_CLOCKS)]
                    m.next = "Dummy"
                with m.If(self.stop):
                    m.next = "Deselect"
            with m.State("Dummy"):
                clock()
                with m.If(ends & (clocks == 1)):
                    m.d.sync += [clocks.eq(8), nibble.eq(0)]
                    m.next = "Word"
                with m.If(self.stop):
                    m.next = "Deselect"
            with m.State("Word"):
                # The word before this one may still be on its way into the queue.
                with m.If(pins.clk | (clocks != 8) | (fifo.level <= DEPTH - 2)):
                    clock()
                m.d.sync += wide.eq(1)
                with m.If(ends & (clocks == 1)):
                    m.d.sync += [clocks.eq(8), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "Deselect"
                with m.If(self.stop):
                    m.next = "Deselect"
            with m.State("Deselect"):
                # Two cycles, in which the last word is sampled.
                m.d.sync += [pins.cs_n.eq(1), wait.eq(deselect)]
                m.next = "Rest"
            with m.State("Rest"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 1):
                    m.next = "Ready"

        return m
