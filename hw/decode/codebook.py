"""Weight sharing: from codebook indices back to weights."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sw.format.tables import GROUP

from .layouts import CODEBOOK_WORD, delivery_layout, transfer_layout


__all__ = ["CodebookLookup"]


#: Width of symbols that are weights themselves.
WEIGHT_BITS = 8


class CodebookLookup(wiring.Component):
    """Looks up the weights that the indices of a transfer stand for.

    Takes a transfer per cycle; its weights leave ``latency`` cycles later. A stall keeps them.
    Lanes without an index give 0.

    Parameters
    ----------
    symbol_bits : int
        Width of an index.
    index_bits : int
        Width of the indices of a codebook, which has a weight for each; at least 2.
    codebooks : int
        Number of codebooks, a power of two.
    most : int
        The most indices of a transfer.

    Members
    -------
    codebook : In(stream.Signature(CODEBOOK_WORD, always_ready=True))
        Four weights of a codebook, the first in the lowest bits. Writes beyond the last codebook
        are ignored. Must not come while indices of the same codebook do.
    direct : In(1)
        Indices of 8 bits are weights themselves.
    i : In(stream.Signature(transfer_layout(symbol_bits, most)))
        Indices. ``ready`` follows ``o.ready`` combinationally.
    o : Out(stream.Signature(delivery_layout(most)))
        Weights.

    Attributes
    ----------
    latency : int
        Cycles from indices to weights.
    """

    latency = 1

    def __init__(self, symbol_bits, *, index_bits, codebooks, most=GROUP):
        if not 2 <= index_bits <= symbol_bits:
            raise ValueError(f"Index must have 2 to {symbol_bits} bits, not {index_bits}")
        if not 1 <= codebooks <= 16 or codebooks.bit_count() != 1:
            raise ValueError(f"Codebooks must be 1, 2, 4, 8 or 16, not {codebooks}")

        self.symbol_bits = symbol_bits
        self.index_bits = index_bits
        self.codebooks = codebooks
        self.most = most
        super().__init__({
            "codebook": In(stream.Signature(CODEBOOK_WORD, always_ready=True)),
            "direct": In(1),
            "i": In(stream.Signature(transfer_layout(symbol_bits, most))),
            "o": Out(stream.Signature(delivery_layout(most))),
        })

    def elaborate(self, platform):
        m = Module()

        words = self.codebooks << self.index_bits - 2
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(signed(WEIGHT_BITS), 4), depth=words, init=[])
        write_port = memory.write_port()
        m.d.comb += [
            write_port.en.eq(self.codebook.valid & (self.codebook.payload.address < words)),
            write_port.addr.eq(self.codebook.payload.address),
            write_port.data.eq(self.codebook.payload.data),
        ]

        room = ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(room)
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.last.eq(self.i.payload.last),
            ]

        for lane in range(self.most):
            index = self.i.payload.indices[lane]
            read_port = memory.read_port(domain="comb")
            weight = Signal(signed(WEIGHT_BITS))
            m.d.comb += [
                read_port.addr.eq(Cat(index[2:self.index_bits], self.i.payload.codebook)),
                weight.eq(read_port.data[index[:2]]),
            ]
            with m.If(self.direct):
                m.d.comb += weight.eq(index)
            with m.If(room):
                m.d.sync += self.o.payload.weights[lane].eq(
                    Mux(lane < self.i.payload.count, weight, 0))

        return m
