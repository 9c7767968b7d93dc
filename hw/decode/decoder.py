"""The decoder between the weight memory and the tile store."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.lanes import TansLanes
from sw.format.timing import decoder_latency

from . import DECODERS
from .codebook import CodebookLookup
from .expander import RowSplitter
from .codebook_places import CodebookPlaces
from .layouts import CODEBOOK_WORD, CODE_WORD, FILTERS, JOB, delivery_layout


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
    layers : In(stream.Signature(FILTERS, always_ready=True))
        Layers that have weights, in order; before section CODE.
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
    weights : Out(stream.Signature(delivery_layout(target.transfer_weights)))
        Weights of a kernel row.
    settled : Out(1)
        Once all weights have come, or a little later: ``failed`` is known.
    failed : Out(1)
        The coded data don't end as they must. Falls with ``run``.

    Attributes
    ----------
    latency : int
        Cycles from the transfer of a word to weights of a group that ends in the word's first
        pieces, if words follow without a gap and nothing is waiting.
    """

    def __init__(self, target):
        self.target = target
        self.latency = decoder_latency(target.decoder)
        super().__init__({
            "layers": In(stream.Signature(FILTERS, always_ready=True)),
            "code": In(stream.Signature(CODE_WORD)),
            "code_busy": Out(1),
            "code_error": Out(1),
            "codebook": In(stream.Signature(CODEBOOK_WORD, always_ready=True)),
            "run": In(1),
            "words": In(stream.Signature(32)),
            "jobs": In(stream.Signature(JOB)),
            "weights": Out(stream.Signature(delivery_layout(target.transfer_weights))),
            "settled": Out(1),
            "failed": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        restart = ResetInserter(~self.run)

        shape, sizes = self.target.decoder, {}
        if isinstance(shape, TansLanes):
            sizes = {"layers": self.target.layers, "channels": self.target.channels}
        m.submodules.core = core = DECODERS[type(shape)](shape, **sizes)
        wiring.connect(m, wiring.flipped(self.code), core.code)
        m.d.comb += [
            self.code_busy.eq(core.busy),
            self.code_error.eq(core.error),
            core.run.eq(self.run),
        ]
        # Codes that don't know how many weights there are don't know their end.
        m.d.comb += self.settled.eq(1)
        if hasattr(core, "settled"):
            wiring.connect(m, wiring.flipped(self.layers), core.layers)
            m.d.comb += [
                self.settled.eq(core.settled),
                self.failed.eq(core.failed),
            ]

        most = self.target.transfer_weights
        splitter = RowSplitter(core.symbol_bits, most)
        m.submodules.splitter = restart(splitter)
        wiring.connect(m, core.o, splitter.i)

        lookup = CodebookLookup(core.symbol_bits, index_bits=core.index_bits,
                                codebooks=self.target.codebooks, most=most)
        m.submodules.lookup = restart(lookup)
        wiring.connect(m, splitter.o, lookup.i)
        wiring.connect(m, lookup.o, wiring.flipped(self.weights))
        if hasattr(core, "entries"):
            m.submodules.places = places = CodebookPlaces(core.index_bits)
            wiring.connect(m, wiring.flipped(self.codebook), places.i)
            wiring.connect(m, places.o, lookup.codebook)
            m.d.comb += places.words.eq(core.entries)
        else:
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
