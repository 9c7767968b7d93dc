"""A virtual board that runs from its flash, through the real client; good and bad flashes."""

from functools import partial

import numpy as np
import pytest

from boards import find_board
from hw.site import Site
from sim.virtual import Build
from sw import golden
from sw.compression import compress
from sw.format.sections import Section, crc32, unpack_header
from sw.format.status import Counter, Error
from sw.format.target import PRESETS, Memory
from sw.host.client import FailedError, RefusedError
from sw.image import read_image
from sw.plan import Plan


pytestmark = pytest.mark.slow

BAUD = 2_000_000

SITE = Site(find_board("ulx3s"), "85F", 80_000_000, BAUD)

TARGET = PRESETS["ulx3s", "85F"].with_memory(Memory.FLASH)

BUILD = Build(SITE, TARGET, plan=Plan(codec="huffman"))


@pytest.fixture(scope="module")
def images():
    return [compress("digits", codec="huffman", bits=bits, target=TARGET).data
            for bits in (2.25, 3.5)]


@pytest.fixture
def connect(enter):
    """Return an accelerator, by its virtual board's flash."""
    return partial(enter, BUILD)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("chip", [(), ("+flash_winbond",)])
def test_runs_what_is_in_flash(connect, images, number, chip):
    accelerator = connect(images[number], *chip)
    network = read_image(images[number], target=TARGET).network
    x = np.load("sw/zoo/digits_data.npz")["x"][:2]
    outputs = accelerator(x, progress=False)
    expected = golden.run(network, network.quantise_input(x))[-1].reshape(2, -1)
    assert (outputs == expected).all()
    words, cycles = (accelerator.link.counters(counter, 1)[0]
                     for counter in (Counter.CODED_WORDS, Counter.CYCLES))
    assert words == unpack_header(images[number])[1][Section.CODED_DATA]
    assert cycles >= 16 * words


def test_image_is_not_written_over_the_link(connect, images):
    accelerator = connect(images[0])
    with pytest.raises(RefusedError, match=r"its image is in flash; python -m hw.load --image"):
        accelerator.write_image(images[1])


def with_header(image, place, data):
    header = bytearray(image[:44])
    header[place:place + len(data)] = data
    return bytes(header) + crc32(header).to_bytes(4, "little") + image[48:]


def flipped(image, place):
    return image[:place] + bytes([image[place] ^ 16]) + image[place + 1:]


@pytest.mark.parametrize("spoil, faults, error", [
    (lambda image: image, ("+flash_absent",), Error.NO_FLASH),
    (lambda image: image, ("+flash_jedec=c22018",), Error.FLASH_ID),
    (lambda image: b"", (), Error.FLASH_ERASED),
    (lambda image: b"\0" * 100, (), Error.NO_IMAGE),
    (lambda image: image[:-4], (), Error.TRUNCATED),
    (lambda image: image[:3000], (), Error.TRUNCATED),
    (lambda image: with_header(image, 3, b"\2"), (), Error.VERSION),
    (lambda image: with_header(image, 8, b"abcd"), (), Error.TARGET),
    (lambda image: flipped(image, 9), (), Error.HEADER_CRC),
    (lambda image: flipped(image, 500), (), Error.SECTION_CRC),
])
def test_bad_flashes(connect, images, spoil, faults, error):
    accelerator = connect(spoil(images[0]), *faults)
    with pytest.raises(FailedError) as refusal:
        accelerator.link.wait()
    assert refusal.value.error is error


@pytest.mark.parametrize("place", [-5, -2000, -4000])
def test_damaged_weights_give_no_result(connect, images, place):
    accelerator = connect(flipped(images[0], len(images[0]) + place))
    x = np.load("sw/zoo/digits_data.npz")["x"][:1]
    for _ in range(2):
        with pytest.raises(FailedError, match="the weights that it read were damaged"):
            accelerator(x)
        with pytest.raises(RefusedError):
            accelerator.link.read_output(0, 1)
        accelerator.link.load()
        accelerator.link.wait()
