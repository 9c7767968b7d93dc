"""Baseline: the Huffman decoder of the textbooks, with comparators and a barrel shifter."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


__all__ = ["LONGEST", "TextbookHuffman", "decoder_tables", "encode"]


#: Longest codeword.
LONGEST = 12

#: The alphabet: int8 weights.
SYMBOLS = 256


class TextbookHuffman(wiring.Component):
    """Decodes a canonical Huffman code, a symbol a cycle.

    A codeword is compared with the first one beyond each length, and its place among the codewords
    is looked up, all in the cycle in which the next one is shifted into place.

    Members
    -------
    bounds : In(stream)
        For each length: the first codeword beyond, left-aligned, and the difference between
        codewords and places; to be written before the coded data.
    symbols : In(stream)
        Symbols by their place.
    i : In(stream.Signature(32))
        Coded data, the highest bit of a codeword first.
    o : Out(stream.Signature(8))
        Symbols.
    """

    bounds: In(stream.Signature(data.StructLayout(
        {"length": 4, "beyond": LONGEST + 1, "difference": 8}), always_ready=True))
    symbols: In(stream.Signature(data.StructLayout({"place": 8, "symbol": 8}), always_ready=True))
    i: In(stream.Signature(32))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()

        words = Signal(64)
        filled = Signal(range(3))
        position = Signal(5)
        bits = Signal(LONGEST)
        m.d.comb += bits.eq((words >> position)[:LONGEST][::-1])

        beyond = Array(Signal(LONGEST + 1, name=f"beyond{n}") for n in range(LONGEST + 1))
        difference = Array(Signal(8, name=f"difference{n}") for n in range(LONGEST + 1))
        with m.If(self.bounds.valid):
            bound = self.bounds.payload
            m.d.sync += [
                beyond[bound.length].eq(bound.beyond),
                difference[bound.length].eq(bound.difference),
            ]

        length = Signal(4)
        behind = Signal(4)      # Bits behind the codeword.
        m.d.comb += [
            length.eq(1 + sum(bits >= beyond[n] for n in range(1, LONGEST))),
            behind.eq(LONGEST - length),
        ]

        step = Signal()
        next_position = Signal(6)
        m.d.comb += [
            step.eq((filled == 2) & (~self.o.valid | self.o.ready)),
            next_position.eq(position + length),
            self.i.ready.eq((filled != 2) | step & next_position[5]),
        ]
        with m.If(step):
            m.d.sync += position.eq(next_position)
        with m.If(step & next_position[5] & ~self.i.valid):
            m.d.sync += filled.eq(1)
        with m.Elif((filled != 2) & self.i.valid):
            m.d.sync += filled.eq(filled + 1)
        with m.If(self.i.ready & (self.i.valid | step)):
            m.d.sync += words.eq(Cat(words[32:], self.i.payload))

        m.submodules.memory = memory = Memory(shape=8, depth=SYMBOLS, init=[])
        write_port, read_port = memory.write_port(), memory.read_port()
        m.d.comb += [
            write_port.en.eq(self.symbols.valid),
            write_port.addr.eq(self.symbols.payload.place),
            write_port.data.eq(self.symbols.payload.symbol),
            read_port.en.eq(step),
            read_port.addr.eq((bits >> behind) - difference[length]),
            self.o.payload.eq(read_port.data),
        ]
        with m.If(step):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        return m


def canonical(lengths):
    """Return symbols in the order of their codewords, and the codewords."""
    order = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    codewords, code, before = [], 0, 0
    for length, _ in order:
        code <<= length - before
        codewords.append(code)
        code, before = code + 1, length
    return [symbol for _, symbol in order], codewords


def decoder_tables(lengths):
    """Return what is written to ``bounds`` and ``symbols``, for the code lengths of all symbols."""
    order, codewords = canonical(lengths)
    bounds = []
    for length in range(1, LONGEST + 1):
        shorter = [place for place, symbol in enumerate(order) if lengths[symbol] <= length]
        beyond = 0
        if shorter:
            last = shorter[-1]
            beyond = codewords[last] + 1 << LONGEST - lengths[order[last]]
        own = [place for place in shorter if lengths[order[place]] == length]
        difference = codewords[own[0]] - own[0] & 0xff if own else 0
        bounds.append({"length": length, "beyond": beyond, "difference": difference})
    return bounds, [{"place": place, "symbol": symbol} for place, symbol in enumerate(order)]


def encode(symbols, lengths):
    """Return the words of the coded data of ``symbols``."""
    codes = {symbol: f"{code:0{lengths[symbol]}b}"
             for symbol, code in zip(*canonical(lengths), strict=True)}
    bits = "".join(codes[symbol] for symbol in symbols)
    bits += "0" * (-len(bits) % 32)
    return [int(bits[start:start + 32][::-1], 2) for start in range(0, len(bits), 32)]
