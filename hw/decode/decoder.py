"""The decoder between the weight memory and the tile store."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from . import DECODERS
from .codebook import CodebookLookup
from .expander import RowSplitter
from .layouts import CODEBOOK_WORD, CODE_WORD, JOB, WEIGHTS


__all__ = ["Decoder"]


class Decoder(wiring.Component):
    """Decodes the weights of a network, kernel row by kernel row, for the jobs it is given.

    Symbols run on from row to row and from job to job. Takes words at the pace of the target's
    decoder and gives up to one transfer per cycle; weights that wait stall the words. Any words
    whatever keep weights flowing, zeros behind the coded data among them; the last groups of an
    automaton need some to come out at all.

    Parameters
    ----------
    target : Target
        The accelerator.

    Members
    -------
    code : In(stream.Signature(CODE_WORD))
        Words of section CODE, while ``run`` is low.
    code_busy : Out(1)
        From the first word of the section until its table is ready or refused.
    code_error : Out(1)
        The section was refused. Falls with the next first word.
    codebook : In(stream.Signature(CODEBOOK_WORD, always_ready=True))
        Section CODEBOOK.
    run : In(1)
        Low holds the decoder at the beginning of the coded data, without weights or jobs, from the
        next cycle on.
    words : In(stream.Signature(32))
        Coded data.
    jobs : In(stream.Signature(JOB))
        Kernel rows to be delivered. No number in them is 0.
    weights : Out(stream.Signature(WEIGHTS))
        Weights, up to four of a kernel row a transfer.

    Attributes
    ----------
    latency : int
        Cycles from the transfer of a word to weights of a group that ends in the word's first
        pieces, if words follow without a gap and nothing is waiting.
    """

    code: In(stream.Signature(CODE_WORD))
    code_busy: Out(1)
    code_error: Out(1)
    codebook: In(stream.Signature(CODEBOOK_WORD, always_ready=True))
    run: In(1)
    words: In(stream.Signature(32))
    jobs: In(stream.Signature(JOB))
    weights: Out(stream.Signature(WEIGHTS))

    def __init__(self, target):
        self.target = target
        self.latency = (DECODERS[type(target.decoder)].latency + RowSplitter.latency
                        + CodebookLookup.latency)
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        restart = ResetInserter(~self.run)

        m.submodules.core = core = DECODERS[type(self.target.decoder)](self.target.decoder)
        wiring.connect(m, wiring.flipped(self.code), core.code)
        m.d.comb += [
            self.code_busy.eq(core.busy),
            self.code_error.eq(core.error),
            core.run.eq(self.run),
        ]

        splitter = RowSplitter(core.symbol_bits)
        m.submodules.splitter = restart(splitter)
        wiring.connect(m, core.o, splitter.i)

        lookup = CodebookLookup(core.symbol_bits, index_bits=core.index_bits,
                                codebooks=self.target.codebooks)
        m.submodules.lookup = restart(lookup)
        wiring.connect(m, splitter.o, lookup.i)
        wiring.connect(m, lookup.o, wiring.flipped(self.weights))
        wiring.connect(m, wiring.flipped(self.codebook), lookup.codebook)
        m.d.comb += lookup.direct.eq(core.direct)

        # What is in reset must not seem to take anything.
        for source, sink in ((self.words, core.i), (self.jobs, splitter.jobs)):
            m.d.comb += [
                sink.payload.eq(source.payload),
                sink.valid.eq(source.valid & self.run),
                source.ready.eq(sink.ready & self.run),
            ]

        return m
