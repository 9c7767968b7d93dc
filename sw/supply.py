"""Supply: when a weight memory that streams has the words of the coded data for the decoder."""

import numpy as np
from numpy.typing import NDArray

from .codecs import rice, runlength
from .codecs.huffman import HuffmanCodec
from .codecs.tans import TansCodec
from .format.lanes import TansLanes
from .format.tables import GROUP, PrefixTable, RawTable, RiceCode, TansCode
from .format.timing import WORD_BITS, MemoryTiming
from .image import Image


__all__ = ["Supply", "words_needed"]


class Supply:
    """The words of a memory, in order: each read when there is room for it, each then taken.

    Parameters
    ----------
    timing : MemoryTiming
        Of the memory.
    """

    def __init__(self, timing: MemoryTiming) -> None:
        self.timing = timing
        self.last = float(timing.first) - timing.word_cycles
        #: When each word so far was taken; the first are always there.
        self.taken: list[float] = []

    def take(self, words: int, wanted: float) -> float:
        """Return when so many words, counted from the first one, are there; they are taken then.

        ``wanted`` is the cycle in which all of them would be, if they were there in time.
        """
        timing = self.timing
        while len(self.taken) < words:
            number = len(self.taken) - timing.queue
            room = self.taken[number] + timing.resume if number >= 0 else 0.0
            self.last = max(self.last, room) + timing.word_cycles
            self.taken.append(max(self.last, wanted))
        return self.last


def words_needed(image: Image, lanes: TansLanes | None = None) -> NDArray[np.int64]:
    """Return how many words of coded data the decoder must have for each group that it decodes.

    Groups are those of `sw.cycles.Decoder`. Parameters are its, too.
    """
    table = image.table
    counts: NDArray[np.int64]
    symbols = np.concatenate([np.zeros(0, np.int64), *(s.ravel() for s in image.symbols)])
    if isinstance(table, PrefixTable):
        turns = np.maximum.accumulate(HuffmanCodec(table.shape).trace(symbols, table).finish)
        counts = (turns + 1) * table.shape.step_bits // WORD_BITS + 1
        return counts
    if isinstance(table, TansCode) and lanes is not None:
        widths = TansCodec(lanes).widths(symbols, table)
        padded = np.pad(widths, (0, -len(widths) % lanes.lanes)).reshape(-1, lanes.lanes)
        ends = lanes.code.states * lanes.code.table_bits + np.cumsum(
            padded.sum(axis=1, dtype=np.int64))
        begins = ends - padded.sum(axis=1, dtype=np.int64)
        # The word that a step's bits begin in and two behind it, or all that there are.
        words = (begins // lanes.word_bits + 3) * (lanes.word_bits // WORD_BITS)
        counts = np.minimum(words, -(-ends[-1:] // WORD_BITS))
        return counts
    if isinstance(table, RawTable):
        groups = np.arange(1, -(-len(symbols) // GROUP) + 1)
        counts = -(-groups * GROUP * table.symbol_bits // WORD_BITS)
        return counts
    fields = rice.fields_of if isinstance(table, RiceCode) else runlength.fields_of
    _, widths = fields(symbols.astype(np.uint8))
    counts = np.cumsum(widths, dtype=np.int64) // WORD_BITS + 1
    return counts
