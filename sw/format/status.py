"""What the accelerator says of itself: its state and why an image or a run failed."""

from enum import IntEnum


__all__ = ["Error", "State"]


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
    #: The code table isn't a complete code that this decoder can read.
    CODE_TABLE = 7
    #: The coded data ended before the last weight.
    CODED_DATA = 8
