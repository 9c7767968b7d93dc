"""Weight memory in SDRAM: streams words of it at close to its peak, and is filled word by word."""

from math import ceil, floor

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hw.memory.contract import source_members


__all__ = ["PAD_CYCLES", "SDRAM_PINS", "WORDS", "SdramMemory", "write_layout"]


SDRAM_PINS = wiring.Signature({
    "ras_n": Out(1, init=1),
    "cas_n": Out(1, init=1),
    "we_n": Out(1, init=1),
    "ba": Out(2),
    "a": Out(13),
    "o": Out(16),
    "oe": Out(1),
    "i": In(16),
})

#: 4 banks of 8192 rows of 512 columns of 16 bits.
COLUMN_BITS, BANK_BITS, ROW_BITS = 8, 2, 13
WORDS = 1 << COLUMN_BITS + BANK_BITS + ROW_BITS

#: Commands, as RAS#, CAS# and WE#.
MODE, REFRESH, PRECHARGE, ACTIVATE, WRITE, READ, NOTHING = 0, 1, 2, 3, 4, 5, 7

#: CAS latency 2, bursts of two halfwords in order.
MODE_REGISTER = 2 << 4 | 1

#: Intervals in seconds; of MT48LC16M16A2-75, W9825G6KH-6, IS42S16160G-7 and AS4C16M16SA-7 the
#: longest of each.
POWER_UP, RCD, RP, RAS, RC, RFC, WR = 200e-6, 21e-9, 21e-9, 45e-9, 67e-9, 70e-9, 15e-9
REFRESH_INTERVAL = 64e-3 / 8192

#: Registers at the pads: one on the way out, one on the way in.
PAD_CYCLES = 2

#: Words that are on their way or wait for the consumer.
DEPTH = 16


def write_layout(address_bits):
    """Return the layout of a word for the memory, and where it belongs."""
    return data.StructLayout({"address": address_bits, "data": 32})


class SdramMemory(wiring.Component):
    """Streams regions of an SDRAM of 32 MB, a word in 2 cycles but for refreshes.

    A word is two halfwords, the lower one first. Consecutive rows lie in consecutive banks: the
    next row is opened while this one is read. Refreshes are made while the consumer stalls or
    nothing is asked for; where neither happens, one takes some 15 cycles every 7.8 us. A write
    takes 12 cycles or so. The SDRAM's clock is the inverse of domain ``sync``'s.

    Parameters
    ----------
    address_bits : int
        Of words.
    clock_hz : int
        Frequency of domain ``sync``, up to 100 MHz.

    Members
    -------
    regions, o, stop
        As in `source_members`.
    writes : In(stream.Signature(write_layout(address_bits)))
        Words to keep, while no region is fetched.
    pins : Out(SDRAM_PINS)
        The SDRAM, behind a register each way; chip select and byte masks are low, clock enable
        high.
    """

    def __init__(self, *, address_bits, clock_hz):
        if not 20_000_000 <= clock_hz <= 100_000_000:
            raise ValueError(f"Clock of an SDRAM memory must be 20 to 100 MHz, not "
                             f"{clock_hz / 1e6:g} MHz")
        if not 1 <= address_bits <= COLUMN_BITS + BANK_BITS + ROW_BITS:
            raise ValueError(f"Address bits must be 1 to {COLUMN_BITS + BANK_BITS + ROW_BITS}, "
                             f"not {address_bits}")
        self.address_bits = address_bits
        self.clock_hz = clock_hz
        super().__init__(source_members(address_bits) | {
            "writes": In(stream.Signature(write_layout(address_bits))),
            "pins": Out(SDRAM_PINS),
        })

    def cycles(self, seconds):
        return max(1, ceil(seconds * self.clock_hz))

    def elaborate(self, platform):
        m = Module()
        rcd, rp, rfc, wr = map(self.cycles, (RCD, RP, RFC, WR))
        # A row stays open so long that tRC holds as well.
        ras = max(self.cycles(RAS), self.cycles(RC) - rp)
        # Some cycles less than allowed: what is going on ends before a refresh.
        refresh_interval = floor(REFRESH_INTERVAL * self.clock_hz) - 32

        fifo = SyncFIFO(width=32, depth=DEPTH)
        m.submodules.fifo = ResetInserter(self.stop)(fifo)
        m.d.comb += [
            self.o.valid.eq(fifo.r_rdy),
            self.o.payload.eq(fifo.r_data),
            fifo.r_en.eq(self.o.ready),
        ]

        pins = self.pins

        def command(code, *, ba=0, a=0):
            m.d.sync += [Cat(pins.we_n, pins.cas_n, pins.ras_n).eq(code), pins.ba.eq(ba),
                         pins.a.eq(a)]

        command(NOTHING)
        m.d.sync += pins.oe.eq(0)

        # From a read's decision to the halfwords in `sampled`: command register, latency 2 less
        # the half cycle that the SDRAM's clock is late, the way over the board, and the pads.
        sampled = Signal(data.ArrayLayout(16, 2))
        read = Signal()
        on_the_way = Signal(5 + PAD_CYCLES)
        m.d.sync += [
            sampled[1].eq(pins.i),
            sampled[0].eq(sampled[1]),
            on_the_way.eq(Mux(self.stop, 0, Cat(read, on_the_way[:-1]))),
        ]
        m.d.comb += [fifo.w_en.eq(on_the_way[-1]), fifo.w_data.eq(sampled)]

        pending = Signal(range(DEPTH + 1))
        taken = self.o.valid & self.o.ready
        m.d.sync += pending.eq(Mux(self.stop, 0, pending + read - taken))

        left = Signal(self.address_bits)
        address = Signal(COLUMN_BITS + BANK_BITS + ROW_BITS)
        following = Signal(BANK_BITS + ROW_BITS)
        column, bank, row = address[:8], address[8:10], address[10:]
        m.d.comb += [
            following.eq(address[COLUMN_BITS:] + 1),
            self.regions.ready.eq((left == 0) & ~self.stop),
        ]
        with m.If(self.regions.valid & self.regions.ready):
            m.d.sync += [
                left.eq(self.regions.payload.words),
                address.eq(self.regions.payload.address),
            ]
        with m.Elif(read):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
        with m.If(self.stop):
            m.d.sync += left.eq(0)

        since_refresh = Signal(range(2 * refresh_interval))
        m.d.sync += since_refresh.eq(since_refresh + 1)
        due = Signal()
        early = Signal()
        m.d.sync += [
            due.eq(since_refresh >= refresh_interval),
            early.eq(since_refresh >= refresh_interval // 2),
        ]

        def wait(cycles, state):
            """Go to ``state``, whose command follows this cycle's after ``cycles``."""
            m.d.sync += pause.eq(cycles - 1)
            m.next = state if cycles == 1 else f"Before {state}"

        def awaited(state):
            with m.State(f"Before {state}"):
                m.d.sync += pause.eq(pause - 1)
                with m.If(pause == 1):
                    m.next = state

        power_up = self.cycles(POWER_UP)
        pause = Signal(range(power_up + 1), init=power_up)
        refreshes = Signal(range(9), init=8)
        # Cycles since a row was opened, up to what a row needs. The row behind this one is open; so
        # many cycles it can't be read yet. The one before this one is still open.
        age = Signal(range(ras + 1))
        next_open = Signal()
        next_age = Signal(range(rcd + 1))
        last_open = Signal()
        slot = Signal()
        stored = Signal(write_layout(COLUMN_BITS + BANK_BITS + ROW_BITS))
        with m.If(age != ras):
            m.d.sync += age.eq(age + 1)
        with m.If(next_age != 0):
            m.d.sync += next_age.eq(next_age - 1)

        with m.FSM(init="Before Precharge"):
            awaited("Precharge")
            with m.State("Precharge"):
                command(PRECHARGE, a=1 << 10)
                wait(rp, "First refreshes")
            awaited("First refreshes")
            with m.State("First refreshes"):
                command(REFRESH)
                m.d.sync += refreshes.eq(refreshes - 1)
                wait(rfc, "First refreshes")
                with m.If(refreshes == 1):
                    wait(rfc, "Mode")
            awaited("Mode")
            with m.State("Mode"):
                command(MODE, a=MODE_REGISTER)
                m.d.sync += since_refresh.eq(0)
                wait(2, "Idle")

            awaited("Idle")
            with m.State("Idle"):
                idle = (left == 0) | (pending == DEPTH)
                m.d.sync += [next_open.eq(0), last_open.eq(0), slot.eq(0)]
                with m.If(due | (idle & early & ~self.writes.valid)):
                    command(REFRESH)
                    m.d.sync += [since_refresh.eq(0), due.eq(0), early.eq(0)]
                    wait(rfc, "Idle")
                with m.Elif(left != 0):
                    with m.If(pending != DEPTH):
                        command(ACTIVATE, ba=bank, a=row)
                        m.d.sync += age.eq(0)
                        wait(rcd, "Stream")
                with m.Elif(self.writes.valid):
                    m.d.comb += self.writes.ready.eq(1)
                    m.d.sync += [
                        stored.address.eq(self.writes.payload.address),
                        stored.data.eq(self.writes.payload.data),
                    ]
                    m.next = "Open for write"

            awaited("Stream")
            with m.State("Stream"):
                m.d.sync += slot.eq(~slot)
                ended = due | (left == 0) | ((pending == DEPTH) & early)
                with m.If(~slot):
                    with m.If(ended):
                        m.next = "Close"
                    with m.Elif((pending != DEPTH) & (next_open | (next_age == 0))):
                        m.d.comb += read.eq(1)
                        command(READ, ba=bank, a=column << 1)
                        with m.If(column.all()):
                            # On in the next row, if it is open in time.
                            m.d.sync += [next_open.eq(0), last_open.eq(1)]
                            with m.If(~next_open):
                                m.next = "Close"
                with m.Elif(last_open & (column != 0)):
                    command(PRECHARGE, ba=bank - 1)
                    m.d.sync += last_open.eq(0)
                with m.Elif(~next_open & ~last_open & (left > (1 << COLUMN_BITS) - column)):
                    command(ACTIVATE, ba=following[:BANK_BITS], a=following[BANK_BITS:])
                    m.d.sync += [next_open.eq(1), next_age.eq(rcd - 1), age.eq(0)]

            # A burst must end before its row is closed.
            with m.State("Close"):
                with m.If(age == ras):
                    m.next = "Close all"
            with m.State("Close all"):
                command(PRECHARGE, a=1 << 10)
                wait(rp, "Idle")

            with m.State("Open for write"):
                command(ACTIVATE, ba=stored.address[8:10], a=stored.address[10:])
                m.d.sync += age.eq(0)
                wait(rcd, "Write")
            awaited("Write")
            with m.State("Write"):
                command(WRITE, ba=stored.address[8:10], a=stored.address[:8] << 1)
                m.d.sync += [pins.oe.eq(1), pins.o.eq(stored.data[:16])]
                m.next = "Write on"
            with m.State("Write on"):
                m.d.sync += [pins.oe.eq(1), pins.o.eq(stored.data[16:])]
                wait(wr + 1, "Close")
            awaited("Close")

        return m
