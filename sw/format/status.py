"""What the accelerator says of itself: its state and why an image or a run failed."""

from enum import IntEnum


__all__ = ["Counter", "Error", "State"]


class State(IntEnum):
    """State of the accelerator."""

    LOADING = 0
    #: An image is loaded; inputs can be written and the network run.
    READY = 1
    RUNNING = 2
    #: The last load or run failed; `Error` says why. Only a new load helps.
    FAILED = 3


class Error(IntEnum):
    """Why the accelerator refuses its image or gave up a run."""

    NONE = 0
    #: The weight memory doesn't begin with the magic of a ROM image.
    NO_IMAGE = 1
    #: The image is of a format version that this gateware doesn't read.
    VERSION = 2
    #: The header's CRC is wrong.
    HEADER_CRC = 3
    #: The schedule is for another target.
    TARGET = 4
    #: A section has a length that the gateware can't take.
    LENGTH = 5
    #: A section's CRC is wrong.
    SECTION_CRC = 6
    #: The code table isn't a complete code, or aren't tables, that this decoder can read.
    CODE_TABLE = 7
    #: A run took more than 64 zero words behind the coded data: they end too early; or the states
    #: of tANS don't end at 0.
    CODED_DATA = 8
    #: A schedule or channel record holds a number that no layer can have.
    SCHEDULE = 9
    #: The flash doesn't answer.
    NO_FLASH = 10
    #: The flash is of a kind that this gateware doesn't know.
    FLASH_ID = 11
    #: The flash doesn't let its QE bit be set, without which there are no quad reads.
    FLASH_QUAD = 12
    #: There is nothing where the flash should have the image.
    FLASH_ERASED = 13
    #: The image in flash ends before its last word.
    TRUNCATED = 14
    #: The CRC of the coded data was found wrong when a run had read them; it gives no result.
    CODED_CRC = 15


class Counter(IntEnum):
    """Counters of the last run, and of the last load. Each has 32 bits."""

    #: Cycles from the run's start until its last output was written.
    CYCLES = 0
    #: Cycles in which the MAC array waited for weights.
    WAITING = 1
    #: Cycles in which the MAC array was given activations.
    BEATS = 2
    #: Transfers of weights from the decoder to the tile store: up to four, or as many as its lanes.
    TRANSFERS = 3
    #: Words of coded data that the decoder took.
    CODED_WORDS = 4
    #: Cycles in which a tile was being filled: the decoder's time for all weights.
    FILLING = 5
    #: Cycles that the last load took.
    LOAD_CYCLES = 6
    #: Value of CYCLES at the end of layer n, in counter LAYER + n.
    LAYER = 64
    #: Value of WAITING at the end of layer n, in counter LAYER_WAITING + n.
    LAYER_WAITING = 128
