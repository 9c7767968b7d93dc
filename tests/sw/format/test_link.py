import re
from pathlib import Path

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from sw.format.link import (
    MAX_BODY,
    MAX_COUNTERS,
    MAX_IMAGE_WORDS,
    MAX_INPUT_BYTES,
    MAX_OUTPUT_BYTES,
    MAX_PAYLOAD,
    PROTOCOL_VERSION,
    RESPONSE,
    FrameError,
    Identification,
    Request,
    Result,
    pack_frame,
    pack_read,
    pack_status,
    pack_write,
    unpack_frame,
    unpack_status,
)
from sw.format.status import Error, State
from sw.format.target import Target


BYTE = st.integers(0, 255)
DOCUMENT = (Path(__file__).parents[3] / "docs/link.md").read_text()


@given(BYTE, BYTE, st.binary(max_size=MAX_PAYLOAD))
def test_frame_round_trip(kind, sequence, payload):
    body = pack_frame(kind, sequence, payload)
    assert len(body) <= MAX_BODY
    assert unpack_frame(body) == (kind, sequence, payload)


@given(st.binary(max_size=20), st.data())
def test_flipped_bit_is_refused(payload, data):
    body = bytearray(pack_frame(1, 2, payload))
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError, match="frame's CRC must be"):
        unpack_frame(bytes(body))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_are_a_frame(body):
    try:
        frame = unpack_frame(body)
    except FrameError:
        return
    assert pack_frame(*frame) == body


def test_lengths_refused():
    with pytest.raises(ValueError, match="payload must have at most 247 bytes, not 248"):
        pack_frame(1, 2, bytes(MAX_PAYLOAD + 1))
    with pytest.raises(FrameError, match="frame must have 6 to 253 bytes, not 5"):
        unpack_frame(bytes(5))
    with pytest.raises(FrameError, match="frame must have 6 to 253 bytes, not 254"):
        unpack_frame(bytes(254))


def test_largest_payloads_fit():
    assert len(pack_write(0, bytes(4 * MAX_IMAGE_WORDS))) <= MAX_PAYLOAD
    assert len(pack_write(0, bytes(MAX_INPUT_BYTES))) == MAX_PAYLOAD
    assert 1 + MAX_OUTPUT_BYTES == MAX_PAYLOAD
    assert 1 + 4 * MAX_COUNTERS <= MAX_PAYLOAD


def test_payloads_are_little_endian():
    assert pack_write(0x1234, b"data") == b"\x34\x12data"
    assert pack_read(0x1234, 0x56) == b"\x34\x12\x56"


def test_identification_round_trip():
    identification = Identification.of(Target(), 80_000_000)
    assert identification.target_hash == Target().hash
    assert Identification.unpack(identification.pack()) == identification


@pytest.mark.parametrize("data, complaint", [
    (bytes([PROTOCOL_VERSION + 1]), "protocol version must be 1, not 2"),
    (b"", "protocol version must be 1, not missing"),
    (bytes([PROTOCOL_VERSION, 0]), "identification must have 23 bytes, not 2"),
])
def test_bad_identification_refused(data, complaint):
    with pytest.raises(FrameError, match=complaint):
        Identification.unpack(data)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("error", Error)
def test_status_round_trip(state, error):
    assert unpack_status(pack_status(state, error)) == (state, error)


@pytest.mark.parametrize("data, complaint", [
    (b"\0", "status must have 2 bytes, not 1"),
    (b"\x09\0", "status: 9 is not a valid State"),
    (b"\0\x63", "status: 99 is not a valid Error"),
])
def test_bad_status_refused(data, complaint):
    with pytest.raises(FrameError, match=complaint):
        unpack_status(data)


def test_worked_example_of_the_document():
    examples = [bytes.fromhex(line) for line in re.findall(r"^    ([0-9a-f ]+)$", DOCUMENT, re.M)]
    frames = [
        pack_frame(Request.STATUS, 5),
        pack_frame(Request.STATUS | RESPONSE, 5,
                   bytes([Result.OK]) + pack_status(State.READY, Error.NONE)),
        pack_frame(Request.WRITE_INPUT, 6, pack_write(256, bytes([1, 0, 255]))),
    ]
    assert examples[::2] == frames
    assert [example.strip(b"\0") for example in examples[1::2]] == list(map(cobs.encode, frames))


@pytest.mark.parametrize("numbers", [Request, Result, State, Error])
def test_document_names_every_number(numbers):
    named = re.findall(r"\| (\d+) \| `(\w+)`", DOCUMENT)
    for number in numbers:
        assert (str(number.value), number.name) in named


def test_limits_of_the_document():
    for phrase in (f"at most {MAX_BODY} bytes long", f"0 to {MAX_PAYLOAD}",
                   f"1 to {MAX_IMAGE_WORDS} words", f"1 to {MAX_INPUT_BYTES} bytes",
                   f"`READ_OUTPUT` | byte address `u16`, number `u8` (1 to {MAX_OUTPUT_BYTES})",
                   f"`READ_COUNTERS` | first index `u16`, number `u8` (1 to {MAX_COUNTERS})",
                   f"`READ_IMAGE` | word address `u16`, number `u8` (1 to {MAX_IMAGE_WORDS})",
                   f"{len(Identification.of(Target(), 1).pack())} bytes, section 5",
                   f"protocol version: {PROTOCOL_VERSION}"):
        assert phrase in DOCUMENT
