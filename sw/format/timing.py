"""Cycles that the gateware takes: it is built to them, the schedule predicts with them."""

from dataclasses import dataclass

from .lanes import TansLanes
from .schedule import RECORD_WORDS
from .tables import GROUP, MAX_CODE_LENGTH, AutomatonShape, RawShape, RiceShape, RunLengthShape
from .target import DecoderShape, Memory, Target


__all__ = ["BANK_WORDS", "FETCH_CYCLES", "JOB_CYCLES", "LANE_WORDS", "QUEUE_WORDS", "RECORD_CYCLES",
           "TABLE_CYCLES", "TABLE_ENTRIES", "TABLE_RECORD_CYCLES", "WORD_BITS", "MemoryTiming",
           "decoder_latency", "drain_cycles", "fetch_cycles", "groups_ahead", "memory_latency",
           "memory_timing", "output_cycles"]


#: Bits of a word of the weight memory, one of which comes each cycle.
WORD_BITS = 32

@dataclass(frozen=True)
class MemoryTiming:
    """When a weight memory has words of a sequence.

    Parameters
    ----------
    first : int
        From the start of a run until the first word is there, in cycles.
    word_cycles : float
        From a word to the next, in the mean.
    peak_cycles : int
        What a word takes at the memory's peak.
    queue : int
        Words that are there before they are wanted.
    resume : int
        From one's being taken out of a full queue until the next one is begun.
    """

    first: int
    word_cycles: float
    peak_cycles: int
    queue: int
    resume: int = 0


#: Of memories in block RAM, that of a word a cycle is never waited for.
MEMORY_TIMINGS = {
    Memory.BLOCK_RAM: MemoryTiming(first=3, word_cycles=1, peak_cycles=1, queue=4),
    # A nibble each clock of the flash, which is half the accelerator's.
    Memory.FLASH: MemoryTiming(first=61, word_cycles=16, peak_cycles=16, queue=8),
    # An access, which goes before all others, and the way to it and back.
    Memory.SPRAM: MemoryTiming(first=5, word_cycles=3, peak_cycles=3, queue=1),
    # Two halfwords; refreshes take 2 % and more, the slower the clock (2.4 % at 80 MHz).
    Memory.SDRAM: MemoryTiming(first=16, word_cycles=2.04, peak_cycles=2, queue=16, resume=8),
}


def memory_timing(memory: Memory) -> MemoryTiming:
    """Return when a weight memory has words."""
    return MEMORY_TIMINGS[memory]


#: The most words of the weight memory that lie in one bank.
BANK_WORDS = 1 << 14

#: From the start of a run until the decoder takes the first word of the coded data, from a weight
#: memory of one bank.
FETCH_CYCLES = 3

#: Words as wide as lanes of tANS take them that are there from the one that a step begins in on:
#: three that it needs, one in the register in front of them, one being joined.
LANE_WORDS = 5

#: Words of block RAM that wait in the fetcher's queue, or are on their way to it.
QUEUE_WORDS = 4

#: From a tile's first order to the decoder until weights that have been decoded come.
JOB_CYCLES = 6

#: From asking for a schedule record until it is there.
RECORD_CYCLES = RECORD_WORDS + 2

#: Entries of the table of an addition's input; cycles until the record that it is made from is
#: there; cycles from a layer's record until both tables are ready.
TABLE_ENTRIES = 256
TABLE_RECORD_CYCLES = 6
TABLE_CYCLES = 2 * (TABLE_RECORD_CYCLES + 1 + 2 * TABLE_ENTRIES) + TABLE_RECORD_CYCLES + 1


def memory_latency(words: int) -> int:
    """Return the cycles from a read of a weight memory in block RAM to its word."""
    return 2 if words <= BANK_WORDS else 4


def fetch_cycles(target: Target) -> int:
    """Return the cycles from a run's start until the decoder takes the first word of coded data.

    What they are more from flash isn't counted.
    """
    if target.memory is not Memory.BLOCK_RAM:
        return FETCH_CYCLES
    return FETCH_CYCLES + memory_latency(target.memory_words) - memory_latency(BANK_WORDS)


def drain_cycles(target: Target) -> int:
    """Return the cycles from a layer's last beat until its outputs are in the activation memory.

    They pass the memories, the multipliers, an adder tree over the columns, and the requantisers,
    one after the other in each of these. Where the target is ``spread``, six registers more are on
    their way.
    """
    adders = target.columns.bit_length() - 1
    return 27 + 6 * target.spread + adders + target.rows // target.requantisers


def output_cycles(target: Target, outputs: int) -> int:
    """Return the cycles in which the requantisers take a window's ``outputs`` from the array."""
    return -(-outputs // target.requantisers)


def decoder_latency(shape: DecoderShape) -> int:
    """Return the cycles from a word of coded data until weights that end in it come.

    An automaton's are those of a group that ends in the word's first pieces; those of tANS count
    from the last word that must be there for the first states to be read.
    """
    if isinstance(shape, RawShape):
        return 4
    if isinstance(shape, RiceShape | RunLengthShape):
        return 7
    if isinstance(shape, TansLanes):
        # Where few lanes take few bits, words are shifted in parts, for a step more.
        in_parts = 2 * shape.lanes * shape.symbol_bits <= shape.word_bits
        return 3 + shape.word_bits // WORD_BITS + 6 + in_parts + shape.turns + raw_steps(shape)
    return 11


def raw_steps(shape: TansLanes) -> int:
    """Return the steps from a row of tANS to its value with the raw bits added, 0 without any.

    Fields are cut out of words in a tree of shifters, a step a level, behind sums of the widths.
    """
    if not shape.raw_bits:
        return 0
    levels = shape.lanes.bit_length() - 1
    least = 1 if shape.lanes < 4 else 2
    spare = shape.turns - (2 + least + 1 + levels)
    sums = least + (spare > 1) + (spare > 2 and levels > least)
    return sums + 1 + levels + 2


def groups_ahead(shape: DecoderShape) -> int:
    """Return how many groups a decoder begins while one waits to be taken.

    An automaton's queue holds the steps of the longest group: two for each of its turns. What tANS
    has begun stays where it is; two transfers wait in its last buffer.
    """
    if isinstance(shape, RawShape):
        return 1
    if isinstance(shape, TansLanes | RiceShape | RunLengthShape):
        return 2
    assert isinstance(shape, AutomatonShape)
    turns = -(-(GROUP * MAX_CODE_LENGTH - 1) // shape.step_bits)
    return 1 << (2 * turns + 2).bit_length()
