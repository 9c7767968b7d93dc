"""Client of the host link: docs/link.md, one method a request."""

import contextlib
import errno
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import serial
from cobs import cobs

from sw.format.link import (
    BAUD,
    DELIMITER,
    MAX_BODY,
    MAX_COUNTERS,
    MAX_IMAGE_WORDS,
    MAX_INPUT_BYTES,
    MAX_OUTPUT_BYTES,
    PROTOCOL_VERSION,
    RESPONSE,
    FrameError,
    Identification,
    Request,
    Result,
    pack_frame,
    pack_read,
    pack_write,
    unpack_frame,
    unpack_status,
)
from sw.format.status import Error, State


__all__ = ["ByteStream", "FailedError", "Link", "LinkError", "MalformedError", "NoResponseError",
           "ProtocolVersionError", "RefusedError", "open_port"]


#: Requests that may wait for their responses while an image is written. A response to a write is
#: shorter than the next write, so the accelerator keeps up however many there are.
WINDOW = 32

#: Bytes without a response among them that mean that none will come.
NOISE = 16 * (MAX_BODY + 2)

REASONS = {
    Result.UNKNOWN_TYPE: "it doesn't know the request; it is older than this Headrace",
    Result.BAD_LENGTH: "the request has a wrong length",
    Result.BUSY: "it is loading an image or running",
    Result.NOT_READY: "no image is loaded; write one",
    Result.BAD_ADDRESS: "an address is out of range",
    Result.READ_ONLY: "its image is in flash; python -m hw.load --image FILE writes another",
}


FAILURES = {
    Error.NONE: "it doesn't say why",
    Error.NO_IMAGE: "there is no image in its memory; write one",
    Error.VERSION: "its image is of another format version; compress the network anew",
    Error.HEADER_CRC: "its image is damaged; write it again",
    Error.TARGET: "its image has a schedule for another target; write it again, which remakes that",
    Error.LENGTH: "its image has a section that the accelerator can't take",
    Error.SECTION_CRC: "its image is damaged; write it again",
    Error.CODE_TABLE: "its image isn't coded for the accelerator's decoder",
    Error.CODED_DATA: "its image has too few coded data; compress the network anew",
    Error.SCHEDULE: "its image has a schedule that makes no sense; compress the network anew",
    Error.NO_FLASH: "its flash doesn't answer; is it the board that the bitstream is for?",
    Error.FLASH_ID: "its flash is of a kind that it doesn't know",
    Error.FLASH_QUAD: "its flash can't be read four bits at a time: QE stays 0",
    Error.FLASH_ERASED: "there is no image in its flash; python -m hw.load --image FILE writes one",
    Error.TRUNCATED: "the image in its flash ends early; python -m hw.load --image FILE writes it",
    Error.CODED_CRC: "the weights that it read were damaged, so there is no result; if it happens "
                     "again, write the image again",
}

PORT_TROUBLE = {
    errno.ENOENT: "there is no such port; is the cable plugged in, or the virtual board running?",
    errno.EACCES: "you may not use it; docs/60-headrace.rules says how to be allowed",
    errno.EAGAIN: "another program uses it",
    errno.EBUSY: "another program uses it",
    errno.EIO: "nothing is at its other end; is the virtual board running?",
}


def describe(request: Request) -> str:
    return f"'{request.name.lower().replace('_', ' ')}'"


class LinkError(Exception):
    """The accelerator could not be reached, or did not do what it was asked for."""


class NoResponseError(LinkError):
    """No response came, however often the request was sent."""


class ProtocolVersionError(LinkError):
    """The accelerator speaks another version of the protocol."""


class MalformedError(LinkError):
    """A response doesn't hold what its request asks for."""


class RefusedError(LinkError):
    """The accelerator refuses a request; ``result`` says why."""

    def __init__(self, request: Request, result: Result) -> None:
        super().__init__(f"the accelerator refuses {describe(request)}: {REASONS[result]}")
        self.result = result


class FailedError(LinkError):
    """An image can't be loaded, or a run gave up; ``error`` says why."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"the accelerator reports error {error.value}, {error.name}: "
                         f"{FAILURES[error]}")
        self.error = error


class ByteStream(Protocol):
    """What a `Link` needs of its line; a `serial.Serial` with a timeout has it."""

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, or fewer when the line has been quiet for a timeout."""

    def write(self, data: bytes) -> int | None:
        """Send ``data``."""


def open_port(port: str, baud: int = BAUD, timeout: float = 1.0) -> serial.Serial:
    """Open a serial port, by its name or as a pySerial URL, for a `Link` and nobody else.

    Raises
    ------
    LinkError
        If there is no such port or it can't be used.
    """
    try:
        stream = serial.serial_for_url(port, baudrate=baud, timeout=timeout, exclusive=True)
    except (ValueError, OverflowError, OSError) as error:
        trouble = PORT_TROUBLE.get(getattr(error, "errno", None) or 0, str(error))
        raise LinkError(f"serial port {port} can't be opened: {trouble}") from error
    # Some USB chips keep a short response for 16 ms otherwise; most other ports can't be told.
    with contextlib.suppress(AttributeError, ValueError):
        stream.set_low_latency_mode(True)
    return stream


class Link:
    """An accelerator at the end of a line.

    A request is sent again when the line falls quiet without its response; all are such that this
    does no harm. Call `identify` first: it refuses an accelerator that speaks another protocol.
    Every method raises a `LinkError` when it can't do what it says.

    Parameters
    ----------
    stream : ByteStream
        The line.
    retries : int
        How often a request is sent again.
    """

    def __init__(self, stream: ByteStream, *, retries: int = 3) -> None:
        self.stream = stream
        self.retries = retries
        self._sequence = 0

    def identify(self) -> Identification:
        """Return what the accelerator says of itself."""
        data = self._ask(Request.IDENTIFY)
        if data[:1] != bytes([PROTOCOL_VERSION]):
            spoken = str(data[0]) if data else "none"
            raise ProtocolVersionError(f"the accelerator speaks version {spoken} of the link "
                                       f"protocol, this Headrace version {PROTOCOL_VERSION}: "
                                       "program the board with a bitstream of the same Headrace")
        try:
            return Identification.unpack(data)
        except FrameError as error:
            raise MalformedError(f"response to 'identify': {error}") from error

    def status(self) -> tuple[State, Error]:
        """Return the accelerator's state and why its last load or run failed."""
        try:
            return unpack_status(self._ask(Request.STATUS))
        except FrameError as error:
            raise MalformedError(f"response to 'status': {error}") from error

    def counters(self, first: int, number: int) -> list[int]:
        """Return the values of ``number`` counters, from index ``first`` on."""
        data = b"".join(self._read(Request.READ_COUNTERS, first, number, MAX_COUNTERS, 4))
        return list(struct.unpack(f"<{number}I", data))

    def write_image(self, image: bytes, *, progress: Callable[[int], None] | None = None) -> None:
        """Write an image into the weight memory, from its first word on; `load` must follow.

        Parameters
        ----------
        image : bytes
            Words of four bytes.
        progress : callable, optional
            Called with the number of bytes that the accelerator has taken so far.

        Raises
        ------
        ValueError
            If ``image`` doesn't end with a word.
        """
        if len(image) % 4:
            raise ValueError(f"Image must have a multiple of 4 bytes, not {len(image)}")
        payloads = [pack_write(start // 4, image[start:start + 4 * MAX_IMAGE_WORDS])
                    for start in range(0, len(image), 4 * MAX_IMAGE_WORDS)]
        done = 0
        for index, _ in self._exchange(Request.WRITE_IMAGE, payloads, window=WINDOW):
            done += len(payloads[index]) - 2
            if progress:
                progress(done)

    def read_image(self, address: int, number: int) -> bytes:
        """Return ``number`` words of the weight memory, from word ``address`` on."""
        return b"".join(self._read(Request.READ_IMAGE, address, number, MAX_IMAGE_WORDS, 4))

    def load(self) -> None:
        """Begin to load the image that is in the weight memory; `wait` tells how it ends.

        A run that is going on ends.
        """
        self._ask(Request.LOAD)

    def write_input(self, address: int, data: bytes) -> None:
        """Write bytes into the activation memory, from ``address`` on."""
        payloads = [pack_write(address + start, data[start:start + MAX_INPUT_BYTES])
                    for start in range(0, len(data), MAX_INPUT_BYTES)]
        for _ in self._exchange(Request.WRITE_INPUT, payloads, window=WINDOW):
            pass

    def run(self) -> None:
        """Begin to run the network; `wait` tells how it ends."""
        self._ask(Request.RUN)

    def read_output(self, address: int, number: int) -> bytes:
        """Return ``number`` bytes of the activation memory, from ``address`` on."""
        return b"".join(self._read(Request.READ_OUTPUT, address, number, MAX_OUTPUT_BYTES, 1))

    def wait(self, seconds: float = 10.0) -> None:
        """Return when the accelerator is ready.

        Raises
        ------
        FailedError
            If it failed to load or to run.
        LinkError
            If it isn't ready after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while True:
            state, error = self.status()
            if state is State.READY:
                return
            if state is State.FAILED:
                raise FailedError(error)
            if time.monotonic() > deadline:
                raise LinkError(f"the accelerator is still {state.name} after {seconds} s")

    def _ask(self, request: Request) -> bytes:
        [(_, data)] = self._exchange(request, [b""])
        return data

    def _read(self, request: Request, first: int, number: int, most: int,
              size: int) -> Iterator[bytes]:
        """Yield the data of ``number`` items of ``size`` bytes, ``most`` to a response."""
        numbers = [min(most, number - start) for start in range(0, number, most)]
        payloads = [pack_read(first + most * index, count) for index, count in enumerate(numbers)]
        for (_, data), count in zip(self._exchange(request, payloads), numbers, strict=True):
            if len(data) != size * count:
                raise MalformedError(f"response to {describe(request)} must have {size * count} "
                                     f"bytes, not {len(data)}")
            yield data

    def _exchange(self, request: Request, payloads: Iterable[bytes], *,
                  window: int = 1) -> Iterator[tuple[int, bytes]]:
        """Yield the index and the data of each response as it comes.

        With a ``window`` of 1 they come in order.
        """
        unsent = enumerate(payloads)
        pending: dict[int, tuple[int, bytes]] = {}
        attempts = 0
        while True:
            while len(pending) < window and (item := next(unsent, None)):
                index, payload = item
                self._sequence = (self._sequence + 1) % 256
                frame = cobs.encode(pack_frame(request, self._sequence, payload))
                # The delimiter before it parts the frame from noise.
                pending[self._sequence] = index, DELIMITER + frame + DELIMITER
                self._send(pending[self._sequence][1])
            if not pending:
                return
            response = self._receive(request, pending)
            if response is not None:
                sequence, result, data = response
                if result is not Result.OK:
                    raise RefusedError(request, result)
                attempts = 0
                yield pending.pop(sequence)[0], data
            elif attempts < self.retries:
                attempts += 1
                for _, frame in pending.values():
                    self._send(frame)
            else:
                raise NoResponseError(f"the accelerator doesn't respond to {describe(request)}, "
                                      f"sent {self.retries + 1} times")

    def _send(self, frame: bytes) -> None:
        try:
            self.stream.write(frame)
        except OSError as error:
            raise LinkError(f"the line can't be written, was the board unplugged? ({error})"
                            ) from error

    def _receive(self, request: Request, pending: dict[int, tuple[int, bytes]]
                 ) -> tuple[int, Result, bytes] | None:
        """Return sequence, result and data of the next response to any of ``pending``.

        All else is discarded. None if the line falls quiet before.
        """
        coded = bytearray()
        for _ in range(NOISE):
            try:
                byte = self.stream.read(1)
            except OSError as error:
                raise LinkError(f"the line can't be read, was the board unplugged? ({error})"
                                ) from error
            if not byte:
                return None
            if byte != DELIMITER:
                coded += byte
                continue
            try:
                kind, sequence, payload = unpack_frame(cobs.decode(bytes(coded)))
                if kind == request | RESPONSE and sequence in pending and payload:
                    return sequence, Result(payload[0]), payload[1:]
            except (cobs.DecodeError, ValueError):
                pass
            coded.clear()
        return None
