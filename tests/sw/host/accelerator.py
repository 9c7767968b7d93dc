"""An accelerator's end of the link as bytes, for tests of the client: slow to run, apt to fail."""

from math import prod

import numpy as np
from cobs import cobs

from sw import golden
from sw.format.link import (
    RESPONSE,
    FrameError,
    Identification,
    Request,
    Result,
    pack_frame,
    pack_status,
    unpack_frame,
)
from sw.format.status import Error, State
from sw.format.target import Target
from sw.image import read_image
from sw.schedule import place_activations


TARGET = Target()


class Accelerator:
    """Answers requests as docs/link.md says.

    ``spoil`` is called with the number of each response and its coded bytes; what it returns goes
    over the line. A load or a run is over after two requests for the status.
    """

    def __init__(self, spoil=lambda number, coded: coded):
        self.spoil = spoil
        self.image = bytearray(4 * TARGET.memory_words)
        self.activations = bytearray(TARGET.activation_bytes)
        self.state, self.error = State.READY, Error.NONE
        self.ends_with = State.READY, Error.NONE
        self.identification = Identification.of(TARGET, 80_000_000).pack()
        self.requests = []
        self.runs = 0
        self.polls = 0
        self.answers = 0
        self.started = None
        self.closed = False
        self.to_host = bytearray()
        self.from_host = bytearray()

    def read(self, size):
        data = bytes(self.to_host[:size])
        del self.to_host[:size]
        return data

    def close(self):
        self.closed = True

    def write(self, data):
        self.from_host += data
        *frames, self.from_host = self.from_host.split(b"\0")
        for coded in frames:
            try:
                kind, sequence, payload = unpack_frame(cobs.decode(bytes(coded)))
            except (cobs.DecodeError, FrameError):
                continue
            answer = self.answer(kind, sequence, payload)
            coded = cobs.encode(pack_frame(kind | RESPONSE, sequence, answer)) + b"\0"
            self.to_host += self.spoil(self.answers, coded)
            self.answers += 1
        return len(data)

    def answer(self, kind, sequence, payload):
        self.requests.append((Request(kind), sequence))
        address = int.from_bytes(payload[:2], "little")
        repeated, self.started = self.started == (kind, sequence), None
        match kind:
            case Request.IDENTIFY:
                return bytes([Result.OK]) + self.identification
            case Request.STATUS:
                self.polls += 1
                if self.polls == 2 and self.state in (State.LOADING, State.RUNNING):
                    self.state, self.error = self.ends_with
                return bytes([Result.OK]) + pack_status(self.state, self.error)
            case Request.READ_COUNTERS:
                values = [1000 + address + index for index in range(payload[2])]
                return bytes([Result.OK]) + b"".join(v.to_bytes(4, "little") for v in values)
            case Request.WRITE_IMAGE:
                if address + len(payload[2:]) // 4 > TARGET.memory_words:
                    return bytes([Result.BAD_ADDRESS])
                self.image[4 * address:4 * address + len(payload) - 2] = payload[2:]
            case Request.READ_IMAGE:
                return bytes([Result.OK]) + self.image[4 * address:4 * (address + payload[2])]
            case Request.WRITE_INPUT:
                self.activations[address:address + len(payload) - 2] = payload[2:]
            case Request.READ_OUTPUT:
                return bytes([Result.OK]) + self.activations[address:address + payload[2]]
            case Request.LOAD | Request.RUN:
                self.started = kind, sequence
                busy = (State.LOADING,) if kind == Request.LOAD else (State.LOADING, State.RUNNING)
                if not repeated and self.state in busy:
                    return bytes([Result.BUSY])
                if not repeated:
                    self.runs += kind == Request.RUN
                    self.polls = 0
                    self.state = State.RUNNING if kind == Request.RUN else State.LOADING
        return bytes([Result.OK])


class NetworkAccelerator(Accelerator):
    """Runs the network of the image in its memory, as the golden model does."""

    def __init__(self, image):
        super().__init__()
        self.image[:len(image)] = image

    def answer(self, kind, sequence, payload):
        before = self.state
        answer = super().answer(kind, sequence, payload)
        if before is State.RUNNING and self.state is State.READY:
            self.compute()
        return answer

    def compute(self):
        length = 4 * int.from_bytes(self.image[4:8], "little")
        network = read_image(bytes(self.image[:length])).network
        addresses = place_activations([layer.descriptor for layer in network.layers], TARGET)
        size = prod(network.input_shape)
        x = np.frombuffer(self.activations, np.int8)[addresses[0]:addresses[0] + size]
        outputs = golden.run(network, x)[-1].tobytes()
        self.activations[addresses[-1]:addresses[-1] + len(outputs)] = outputs
