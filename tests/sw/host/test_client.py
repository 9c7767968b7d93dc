import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.format.link import PROTOCOL_VERSION, Identification, Request, Result
from sw.format.status import Error, State
from sw.host import (
    FailedError,
    Link,
    LinkError,
    MalformedError,
    NoResponseError,
    ProtocolVersionError,
    RefusedError,
    open_port,
)

from .accelerator import TARGET, Accelerator


IMAGE = random.Random(0).randbytes(4 * 3000)


def test_identification():
    assert Link(Accelerator()).identify() == Identification.of(TARGET, 80_000_000)


def test_image_is_written_and_progress_told():
    accelerator = Accelerator()
    progress = []
    Link(accelerator).write_image(IMAGE, progress=progress.append)
    assert accelerator.image[:len(IMAGE)] == IMAGE
    assert progress == sorted(progress)
    assert progress[-1] == len(IMAGE)


def test_image_keeps_the_line_busy(monkeypatch):
    accelerator = Accelerator()
    write, read = accelerator.write, accelerator.read
    sent, sent_at_first_read = [], []

    def record_write(data):
        sent.append(len(data))
        return write(data)

    def record_read(size):
        sent_at_first_read[:] = sent_at_first_read or [sum(sent)]
        return read(size)

    monkeypatch.setattr(accelerator, "write", record_write)
    monkeypatch.setattr(accelerator, "read", record_read)
    Link(accelerator).write_image(IMAGE)
    assert sum(sent) < 1.05 * len(IMAGE)
    # 16 ms, for which a USB chip may keep a response, at 3 Mbaud.
    assert sent_at_first_read[0] > 0.016 * 3_000_000 / 10


def test_image_is_read():
    accelerator = Accelerator()
    accelerator.image[:len(IMAGE)] = IMAGE
    assert Link(accelerator).read_image(7, 100) == IMAGE[28:428]


def test_inputs_come_back_as_outputs():
    data = random.Random(1).randbytes(1000)
    link = Link(Accelerator())
    link.write_input(77, data)
    assert link.read_output(77, 1000) == data
    assert link.read_output(100, 3) == data[23:26]
    assert link.read_output(0, 0) == b""


def test_counters_come_in_order():
    assert Link(Accelerator()).counters(7, 130) == list(range(1007, 1137))


@pytest.mark.parametrize("start", [Link.load, Link.run])
def test_wait_until_ready(start):
    accelerator = Accelerator()
    link = Link(accelerator)
    start(link)
    assert accelerator.state is not State.READY
    link.wait()
    assert link.status() == (State.READY, Error.NONE)


def test_failed_load_is_named():
    accelerator = Accelerator()
    accelerator.ends_with = State.FAILED, Error.SECTION_CRC
    link = Link(accelerator)
    link.load()
    with pytest.raises(FailedError, match="error 6, SECTION_CRC: its image is damaged; "
                                           "write it again") as info:
        link.wait()
    assert info.value.error is Error.SECTION_CRC


def test_endless_run_is_given_up():
    accelerator = Accelerator()
    accelerator.ends_with = State.RUNNING, Error.NONE
    link = Link(accelerator)
    link.run()
    with pytest.raises(LinkError, match="the accelerator is still RUNNING after 0 s"):
        link.wait(0)


def test_sequence_wraps():
    accelerator = Accelerator()
    link = Link(accelerator)
    for _ in range(300):
        link.status()
    assert [sequence for _, sequence in accelerator.requests] == [
        index % 256 for index in range(1, 301)]


@pytest.mark.parametrize("spoil", [
    lambda coded: b"", lambda coded: coded[:-1], lambda coded: b"x" + coded,
    lambda coded: coded[:-2] + b"\xff\0", lambda coded: bytes(3)])
def test_lost_responses_are_asked_for_again(spoil):
    accelerator = Accelerator(lambda number, coded: coded if number % 3 == 2 else spoil(coded))
    link = Link(accelerator)
    link.write_input(5, b"input")
    link.run()
    link.wait()
    assert accelerator.runs == 1
    assert link.read_output(5, 5) == b"input"


@pytest.mark.parametrize("seed", range(5))
def test_image_gets_through_a_bad_line(seed):
    rng = random.Random(seed)
    accelerator = Accelerator(
        lambda number, coded: coded if rng.random() < 0.7 else rng.randbytes(rng.randint(0, 9)))
    Link(accelerator, retries=20).write_image(IMAGE)
    assert accelerator.image[:len(IMAGE)] == IMAGE


def test_stale_responses_are_discarded():
    late = []

    def spoil(number, coded):
        late.append(coded)
        return b"" if number == 0 else b"".join(late)

    accelerator = Accelerator(spoil)
    link = Link(accelerator)
    link.write_input(0, b"first")
    assert link.read_output(0, 5) == b"first"
    link.write_input(0, b"later")
    assert link.read_output(0, 5) == b"later"


def test_silent_accelerator():
    accelerator = Accelerator(lambda number, coded: b"")
    with pytest.raises(NoResponseError, match="the accelerator doesn't respond to 'identify', "
                                              "sent 3 times"):
        Link(accelerator, retries=2).identify()
    assert accelerator.answers == 3


def test_endless_noise_is_no_response():
    class Noise:
        def read(self, size):
            return b"\x55"

        def write(self, data):
            return len(data)

    with pytest.raises(NoResponseError):
        Link(Noise()).status()


@given(st.binary(max_size=300))
def test_no_noise_confuses_the_client(noise):
    accelerator = Accelerator()
    accelerator.to_host += noise
    assert Link(accelerator).status() == (State.READY, Error.NONE)


def test_refusal_is_named():
    with pytest.raises(RefusedError, match="the accelerator refuses 'write image': an address is "
                                           "out of range") as info:
        Link(Accelerator()).write_image(bytes(4 * TARGET.memory_words + 4))
    assert info.value.result is Result.BAD_ADDRESS

    link = Link(Accelerator())
    link.run()
    with pytest.raises(RefusedError, match="refuses 'run': it is loading an image or running"):
        link.run()


@pytest.mark.parametrize("data, complaint", [
    (bytes([PROTOCOL_VERSION + 1, 9, 9]), "speaks version 2 of the link protocol, this .* 1"),
    (b"", "speaks version none of the link protocol")])
def test_other_protocol_refused(data, complaint):
    accelerator = Accelerator()
    accelerator.identification = data
    with pytest.raises(ProtocolVersionError, match=complaint):
        Link(accelerator).identify()


def test_malformed_responses_refused(monkeypatch):
    accelerator = Accelerator()
    link = Link(accelerator)
    accelerator.identification += b"?"
    with pytest.raises(MalformedError, match="response to 'identify': identification must have 23 "
                                             "bytes, not 24"):
        link.identify()
    monkeypatch.setattr(accelerator, "answer", lambda *request: bytes([Result.OK, 9, 9]))
    with pytest.raises(MalformedError, match="response to 'status': status: 9 is not"):
        link.status()
    with pytest.raises(MalformedError, match="response to 'read output' must have 3 bytes, not 2"):
        link.read_output(0, 3)


def test_bad_image_length_refused():
    with pytest.raises(ValueError, match="Image must have a multiple of 4 bytes, not 5"):
        Link(Accelerator()).write_image(b"12345")


def test_missing_port():
    with pytest.raises(LinkError, match="serial port /dev/nothing can't be opened: there is no "
                                        "such port; is the cable plugged in"):
        open_port("/dev/nothing")


def test_echo_is_no_response():
    with pytest.raises(NoResponseError):
        Link(open_port("loop://", timeout=0.01)).identify()


@pytest.mark.parametrize("method, complaint", [
    ("read", r"the line can't be read, was the board unplugged\? \(EIO"),
    ("write", r"the line can't be written, was the board unplugged\? \(EIO")])
def test_broken_line(monkeypatch, method, complaint):
    def unplugged(*arguments):
        raise OSError("EIO")

    accelerator = Accelerator()
    monkeypatch.setattr(accelerator, method, unplugged)
    with pytest.raises(LinkError, match=complaint):
        Link(accelerator).status()


def test_every_request_is_made():
    accelerator = Accelerator()
    link = Link(accelerator)
    link.identify()
    link.write_image(bytes(4))
    link.read_image(0, 1)
    link.load()
    link.wait()
    link.write_input(0, bytes(1))
    link.run()
    link.wait()
    link.read_output(0, 1)
    link.counters(0, 1)
    assert {kind for kind, _ in accelerator.requests} == set(Request)
