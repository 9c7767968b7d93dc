"""Frames of the host link: their types, layouts and limits. docs/link.md explains them."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from .sections import crc32
from .status import Error, State
from .target import Target


__all__ = ["BAUD", "COUNTERS", "DELIMITER", "GATEWARE_VERSION", "MAX_BODY", "MAX_COUNTERS",
           "MAX_IMAGE_WORDS", "MAX_INPUT_BYTES", "MAX_OUTPUT_BYTES", "MAX_PAYLOAD",
           "PROTOCOL_VERSION", "RESPONSE", "FrameError", "Identification", "Request", "Result",
           "pack_frame", "pack_read", "pack_status", "pack_write", "unpack_frame",
           "unpack_status"]


PROTOCOL_VERSION = 1
GATEWARE_VERSION = (0, 1, 0)

#: Bits a second, unless a build says otherwise.
BAUD = 1_000_000

#: Ends a frame on the wire; consistent overhead byte stuffing keeps it out of the frame's bytes.
DELIMITER = b"\0"

#: Set in the type of a response.
RESPONSE = 0x80

#: Bytes of a frame before byte stuffing, which then adds just one.
MAX_BODY = 253
#: Of these, what isn't type, sequence and CRC-32.
MAX_PAYLOAD = MAX_BODY - 6

#: What one request writes or reads: an address or a result precedes it.
MAX_IMAGE_WORDS = (MAX_PAYLOAD - 2) // 4
MAX_INPUT_BYTES = MAX_PAYLOAD - 2
MAX_OUTPUT_BYTES = MAX_PAYLOAD - 1
MAX_COUNTERS = (MAX_PAYLOAD - 1) // 4

#: Indices of counters.
COUNTERS = 256


class FrameError(ValueError):
    """Bytes that are no frame, or a payload that isn't what its type asks for."""


class Request(IntEnum):
    """Type of a request."""

    IDENTIFY = 1
    STATUS = 2
    READ_COUNTERS = 3
    WRITE_IMAGE = 4
    LOAD = 5
    WRITE_INPUT = 6
    RUN = 7
    READ_OUTPUT = 8
    READ_IMAGE = 9


class Result(IntEnum):
    """What became of a request: the first byte of a response's payload."""

    OK = 0
    #: No request has this type.
    UNKNOWN_TYPE = 1
    #: The payload hasn't the length that its type asks for.
    BAD_LENGTH = 2
    #: An image is being loaded, or the network runs.
    BUSY = 3
    #: No image is loaded: the last load or run failed, or the image was written since.
    NOT_READY = 4
    #: The address or the number lies outside of what there is, or of what a frame holds.
    BAD_ADDRESS = 5
    #: The weight memory can't be written over the link.
    READ_ONLY = 6


@dataclass(frozen=True)
class Identification:
    """What an accelerator says of itself in answer to ``IDENTIFY``.

    Parameters
    ----------
    protocol : int
        Protocol version. The first byte, in every version to come.
    version : tuple of three int
        Version of the gateware: major, minor, patch.
    target_hash : int
        `Target.hash`, which schedules must carry.
    memory_words, activation_bytes : int
        Sizes of the weight memory and the activation memory.
    clock_hz : int
        Clock of the accelerator.
    rows, columns, requantisers : int
        Sizes of the MAC array and its output stage.
    """

    protocol: int
    version: tuple[int, int, int]
    target_hash: int
    memory_words: int
    activation_bytes: int
    clock_hz: int
    rows: int
    columns: int
    requantisers: int

    LAYOUT = "<4B4I3B"

    @classmethod
    def of(cls, target: Target, clock_hz: int) -> "Identification":
        """Return what a gateware of today, built for ``target``, says."""
        return cls(PROTOCOL_VERSION, GATEWARE_VERSION, target.hash, target.memory_words,
                   target.activation_bytes, clock_hz, target.rows, target.columns,
                   target.requantisers)

    def pack(self) -> bytes:
        """Return the data of the response."""
        return struct.pack(self.LAYOUT, self.protocol, *self.version, self.target_hash,
                           self.memory_words, self.activation_bytes, self.clock_hz, self.rows,
                           self.columns, self.requantisers)

    @classmethod
    def unpack(cls, data: bytes) -> "Identification":
        """Return what the ``data`` of a response say.

        Raises
        ------
        FrameError
            If they are of another protocol version or length.
        """
        if data[:1] != bytes([PROTOCOL_VERSION]):
            raise FrameError(f"protocol version must be {PROTOCOL_VERSION}, "
                             f"not {data[0] if data else 'missing'}")
        if len(data) != struct.calcsize(cls.LAYOUT):
            raise FrameError(f"identification must have {struct.calcsize(cls.LAYOUT)} bytes, "
                             f"not {len(data)}")
        protocol, major, minor, patch, *sizes = struct.unpack(cls.LAYOUT, data)
        return cls(protocol, (major, minor, patch), *sizes)


def pack_frame(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """Return a frame before byte stuffing: type, sequence, payload, CRC-32.

    Raises
    ------
    ValueError
        If the payload is too long for a frame.
    """
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"payload must have at most {MAX_PAYLOAD} bytes, not {len(payload)}")
    content = bytes([kind, sequence]) + payload
    return content + struct.pack("<I", crc32(content))


def unpack_frame(body: bytes) -> tuple[int, int, bytes]:
    """Return type, sequence and payload of a frame after byte stuffing is undone.

    Raises
    ------
    FrameError
        If its length or its CRC is wrong.
    """
    if not MAX_BODY - MAX_PAYLOAD <= len(body) <= MAX_BODY:
        raise FrameError(f"frame must have {MAX_BODY - MAX_PAYLOAD} to {MAX_BODY} bytes, "
                         f"not {len(body)}")
    content, stored = body[:-4], int.from_bytes(body[-4:], "little")
    if stored != crc32(content):
        raise FrameError(f"frame's CRC must be {crc32(content):08x}, not {stored:08x}")
    return content[0], content[1], content[2:]


def pack_write(address: int, data: bytes) -> bytes:
    """Return the payload of ``WRITE_IMAGE`` (word address) or ``WRITE_INPUT`` (byte address)."""
    return struct.pack("<H", address) + data


def pack_read(first: int, number: int) -> bytes:
    """Return the payload of a read, from a byte, a word or a counter on."""
    return struct.pack("<HB", first, number)


def pack_status(state: State, error: Error) -> bytes:
    """Return the data of the response to ``STATUS``."""
    return bytes([state, error])


def unpack_status(data: bytes) -> tuple[State, Error]:
    """Return state and error from the response to ``STATUS``.

    Raises
    ------
    FrameError
        If ``data`` are no such thing.
    """
    if len(data) != 2:
        raise FrameError(f"status must have 2 bytes, not {len(data)}")
    try:
        return State(data[0]), Error(data[1])
    except ValueError as error:
        raise FrameError(f"status: {error}") from error
