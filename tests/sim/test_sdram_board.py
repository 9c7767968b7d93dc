"""A virtual board that runs from its SDRAM, through the real client; good and bad memories."""

from functools import partial

import numpy as np
import pytest

from boards import find_board
from hw.site import Site
from sim.virtual import Build
from sw import golden
from sw.compression import compress
from sw.format.sections import Section, unpack_header
from sw.format.status import Counter, Error
from sw.format.target import PRESETS, Memory
from sw.host.client import FailedError, RefusedError
from sw.image import read_image
from sw.plan import Plan


pytestmark = pytest.mark.slow

BAUD = 2_000_000

TARGET = PRESETS["ulx3s", "85F"].with_memory(Memory.SDRAM)

BUILD = Build(Site(find_board("ulx3s"), "85F", 80_000_000, BAUD), TARGET,
              plan=Plan(codec="huffman"))

X = np.load("sw/zoo/digits_data.npz")["x"][:2]


@pytest.fixture(scope="module")
def images():
    return [compress("digits", quantiser="step", bits=bits, codec="huffman", target=TARGET).data
            for bits in (2.25, 3.5)]


@pytest.fixture
def connect(enter):
    """Return an accelerator, by its virtual board's flash."""
    return partial(enter, BUILD)


def assert_runs(accelerator, image):
    network = read_image(image, target=TARGET).network
    expected = golden.run(network, network.quantise_input(X))[-1].reshape(2, -1)
    assert (accelerator(X, progress=False) == expected).all()
    words, = accelerator.link.counters(Counter.CODED_WORDS, 1)
    assert words == unpack_header(image)[1][Section.CODED_DATA]


def test_runs_what_is_in_flash_and_then_what_the_host_writes(connect, images):
    accelerator = connect(images[0])
    assert_runs(accelerator, images[0])
    accelerator.write_image(images[1])
    assert_runs(accelerator, images[1])


def test_image_is_written_where_the_flash_has_none(connect, images):
    accelerator = connect(b"")
    with pytest.raises(FailedError) as refusal:
        accelerator.link.wait()
    assert refusal.value.error is Error.FLASH_ERASED
    accelerator.write_image(images[0])
    assert_runs(accelerator, images[0])


def flipped(image, place):
    return image[:place] + bytes([image[place] ^ 16]) + image[place + 1:]


@pytest.mark.parametrize("spoil, faults, error", [
    (lambda image: image, ("+flash_absent",), Error.NO_FLASH),
    (lambda image: image[:3000], (), Error.TRUNCATED),
    (lambda image: flipped(image, 500), (), Error.SECTION_CRC),
    # What a run would read is looked at, too.
    (lambda image: flipped(image, len(image) - 2000), (), Error.SECTION_CRC),
])
def test_bad_flashes(connect, images, spoil, faults, error):
    accelerator = connect(spoil(images[0]), *faults)
    with pytest.raises(FailedError) as refusal:
        accelerator.link.wait()
    assert refusal.value.error is error


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_bit_that_flips_in_the_sdram_gives_no_result(connect, images, where):
    words = len(images[0]) // 4
    word = words - 1 - unpack_header(images[0])[1][Section.CODED_DATA] if where == "first" else (
        words - 2)
    # A row has 256 words; consecutive rows lie in consecutive banks.
    bank, row, column = word >> 8 & 3, word >> 10, 2 * (word & 255)
    accelerator = connect(images[0], f"+sdram_flip={bank << 22 | row << 9 | column:x}")
    for _ in range(2):
        with pytest.raises(FailedError, match="the weights that it read were damaged"):
            accelerator(X)
        with pytest.raises(RefusedError):
            accelerator.link.read_output(0, 1)
        accelerator.link.load()
        accelerator.link.wait()


def test_without_sdram_there_is_no_result(connect, images):
    accelerator = connect(images[0], "+sdram_absent")
    accelerator.link.wait()
    accelerator.link.write_input(0, bytes(64))
    accelerator.link.run()
    with pytest.raises(FailedError) as refusal:
        accelerator.link.wait()
    assert refusal.value.error is Error.CODED_CRC
