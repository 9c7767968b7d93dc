import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sw.format.arrays import (MAX_ARRAYS, MAX_AXES, MAX_NAME, ArrayDescriptor, holds_arrays,
                              pack_arrays, unpack_arrays)
from sw.format.sections import MAX_WEIGHTS, FormatError


BIAS = ArrayDescriptor("b", (3,))
DENSE = ArrayDescriptor("dense.weight", (3, 2), (0.5,))
SLICED = ArrayDescriptor("größe", (2, 1, 5), (0.25, 1e-40))


def test_docs_state_the_limits():
    text = " ".join((Path(__file__).parents[3] / "docs" / "format.md").read_text().split())
    for statement in (f"| number of arrays | 1 to {MAX_ARRAYS} |", f"| axes | 0 to {MAX_AXES} |",
                      f"| bytes of the name | 1 to {MAX_NAME} |", f"at most {MAX_WEIGHTS:,} |",
                      "form | 0 plain, 1 coded, 2 coded with a scale for each slice |"):
        assert statement in text, statement


def test_golden_bytes():
    data = pack_arrays([DENSE, BIAS])
    assert data == (b"\x02" + bytes(31)
                    + b"\x01\x02\x0c\x00dense.weight" + struct.pack("<2Id", 3, 2, 0.5)
                    + b"\x00\x01\x01\x00b\x03\x00\x00\x00" + bytes(3))
    assert holds_arrays(data)


def names():
    return st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)


@st.composite
def descriptors(draw):
    found = []
    for name in draw(st.lists(names(), min_size=1, max_size=6, unique=True)):
        shape = tuple(draw(st.lists(st.integers(1, 5), max_size=6)))
        counts = [1, shape[0]] if len(shape) > 1 else [0]
        count = draw(st.sampled_from(counts if found else [*counts, 0]))
        positive = st.floats(0, exclude_min=True, allow_infinity=False)
        found.append(ArrayDescriptor(name, shape, tuple(
            draw(st.lists(positive, min_size=count, max_size=count)))))
    return [*found, SLICED] if "größe" not in {array.name for array in found} else [SLICED]


@given(descriptors())
def test_round_trip(arrays):
    data = pack_arrays(arrays)
    assert len(data) % 4 == 0
    assert unpack_arrays(data) == tuple(arrays)


@settings(max_examples=1000)
@given(st.data())
def test_damaged_sections_are_refused_or_canonical(data):
    section = bytearray(pack_arrays([BIAS, SLICED, DENSE]))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(section) - 1))
        section[place] = data.draw(st.integers(0, 255))
    damaged = bytes(section[:data.draw(st.integers(0, len(section)))]
                    if data.draw(st.booleans()) else section)
    complaint = None
    try:
        assert pack_arrays(unpack_arrays(damaged)) == damaged
    except FormatError as error:
        complaint = str(error)
    assert complaint is None or re.fullmatch("network: .{1,300}", complaint)


@given(st.binary(max_size=200))
def test_noise_is_refused_in_one_line(noise):
    with pytest.raises(FormatError, match=r"\Anetwork: .*\Z"):
        unpack_arrays(noise)


def record(form=1, axes=2, length=None, name=b"w", shape=(3, 2), scales=(1.0,)):
    return (struct.pack("<BBH", form, axes, len(name) if length is None else length) + name
            + struct.pack(f"<{len(shape)}I{len(scales)}d", *shape, *scales))


@pytest.mark.parametrize("records, complaint", [
    ([], "1 to 1024 arrays, not 0 and 0"),
    ([record(form=3)], "3 is not a valid Form"),
    ([record(axes=9)], "at most 8 axes and 256 bytes of name, not 9 and 1"),
    ([record(length=257)], "at most 8 axes and 256 bytes of name, not 2 and 257"),
    ([record(length=0, name=b"")], "name of 1 to 256 bytes, not 0"),
    ([record(name=b"\xff")], "can't decode byte"),
    ([record(name=b"a\nb")], r"'a\\nb' must have a name without control characters"),
    ([record(name=b"a\xc2\x9b")], r"'a\\x9b' must have a name without control characters"),
    ([record(shape=(1 << 31, 1 << 31))], "at most 16777216 values, not 2147483648 x 2147483648"),
    ([record(shape=(0, 1 << 31), form=0, scales=())], "at most 16777216 values"),
    ([record(shape=(0, 2))], "must be plain, since it has no values of two axes"),
    ([record(axes=1, shape=(2,))], "must be plain, since it has no values of two axes"),
    ([record(form=0, scales=())], "1 to 16777216 weights together, not 0"),
    ([record(shape=(1 << 23, 2)), record(name=b"v", shape=(1, 1))],
     "1 to 16777216 weights together, not 16777217"),
    ([record(), record(name=b"p", form=0, shape=(1 << 24, 1), scales=()),
      record(name=b"q", form=0, shape=(1, 1), scales=())],
     "0 to 16777216 plain values together, not 16777217"),
    ([record(form=2, shape=(1, 2))], "must have several slices"),
    ([record(form=2, axes=0, shape=(), scales=())], "must have several slices"),
    ([record(form=2, shape=(1 << 20, 2))], "1048576 scales don't fit"),
    ([record(form=2, scales=(1.0, 2.0))], "3 scales don't fit"),
    ([record(scales=(0.0,))], "scales that are positive and finite"),
    ([record(scales=(float("nan"),))], "scales that are positive and finite"),
    ([record(scales=(float("inf"),))], "scales that are positive and finite"),
    ([record(), record()], "different names, not 'w' twice"),
    ([record(), bytes(4)], "nothing may follow"),
    ([record()[:-1]], "1 scales don't fit"),
    ([record()[:9]], "end beyond its"),
])
def test_refusals(records, complaint):
    count = max(0, len([part for part in records if part.strip(b"\0")]))
    data = struct.pack("<I", count) + bytes(28) + b"".join(records)
    data += bytes(-len(data) % 4) if records and len(records[-1]) > 16 else b""
    with pytest.raises(FormatError, match=complaint):
        unpack_arrays(data)


@pytest.mark.parametrize("place", [4, 30, 31])
def test_reserved_bytes_are_refused(place):
    data = bytearray(pack_arrays([DENSE]))
    data[place] = 1
    with pytest.raises(FormatError, match=r"must be zero|0 layers"):
        unpack_arrays(bytes(data))


@pytest.mark.parametrize("array, complaint", [
    (("", (2, 2)), "name of 1 to 256 bytes, not 0"),
    (("a" * (MAX_NAME + 1), (2, 2)), "name of 1 to 256 bytes, not 257"),
    (("ü" * 129, (2, 2)), "name of 1 to 256 bytes, not 258"),
    (("\ud800", (2, 2)), "a name that is Unicode"),
    (("w", (2,) * 9), "at most 8 axes, not 9"),
    (("w", (MAX_WEIGHTS, 2)), "at most 16777216 values, not 16777216 x 2"),
    (("w", (2, 2), (1.0,) * 3), "1 or 2 scales, not 3"),
])
def test_descriptors_refuse(array, complaint):
    with pytest.raises(ValueError, match=complaint):
        ArrayDescriptor(*array)


def test_as_many_arrays_as_there_may_be():
    arrays = [ArrayDescriptor(f"w{number}", (1, 1), (1.0,)) for number in range(MAX_ARRAYS)]
    assert unpack_arrays(pack_arrays(arrays)) == tuple(arrays)
    with pytest.raises(ValueError, match="1 to 1024 arrays, not 1025"):
        pack_arrays([*arrays, BIAS])
