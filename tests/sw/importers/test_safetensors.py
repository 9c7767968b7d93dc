import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.exporters.weights import safetensors
from sw.importers.npz import ModelError, WeightsAlone
from sw.importers.safetensors import load, weights_of
from sw.zoo import load_model, load_network

from .fuzz import mutations, read_or_refuse


ARRAYS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}


def file_of(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_round_trip(tmp_path):
    path = tmp_path / "some.safetensors"
    path.write_bytes(safetensors(ARRAYS))
    read = load_model(path)
    assert isinstance(read, WeightsAlone)
    assert read.name == "some"
    assert list(read.arrays) == list(ARRAYS)
    for name, values in ARRAYS.items():
        assert np.array_equal(read.arrays[name], values)
    with pytest.raises(ModelError, match="holds weights alone"):
        load_network(path)


@pytest.mark.parametrize("dtype, data", [
    ("F64", np.array([1.5, -2.0])), ("F16", np.array([1.5, -2.0], np.float16)),
    ("BF16", np.array([0x3fc0, 0xc000], np.uint16))])
def test_other_floats_become_float32(dtype, data):
    read = weights_of(file_of({"x": entry(dtype, [2], [0, data.nbytes]),
                               "__metadata__": {"format": "pt"}}, data.tobytes()))
    assert read["x"].dtype == np.float32
    assert read["x"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("data, complaint", [
    (b"", "is not a safetensors file: a header of 0 bytes doesn't fit its 0"),
    (b"\xff" * 20, "a header of 18446744073709551615 bytes doesn't fit its 20"),
    (file_of(b"{"), "header is not JSON"), (file_of(b"[" * 100_000), "header is not JSON"),
    (file_of(b"\xff\xff"), "header is not JSON"), (file_of([]), "header must be an object"),
    (file_of({"a\n": entry()}), "array 'a\\n' must have a name of"),
    (file_of({"a": 3}), "array 'a' must have dtype, shape and data_offsets"),
    (file_of({"a": entry("I8")}), "array 'a' must be one of F64, F32, F16, BF16, not 'I8'"),
    (file_of({"a": entry(shape=[-1])}), "shape must be a few whole numbers, not [-1]"),
    (file_of({"a": entry(shape=[1] * 9)}), "shape must be a few whole numbers"),
    (file_of({"a": entry(shape=[10 ** 30])}), "shape must be a few whole numbers"),
    (file_of({"a": entry(offsets=[0])}), "array 'a' must have 4 bytes of data, not [0]"),
    (file_of({"a": entry(offsets=[0, 5])}), "array 'a' must have 4 bytes of data, not [0, 5]"),
    (file_of({"a": entry()}), "arrays must fill the 0 bytes of data one after another"),
    (file_of({"a": entry(), "b": entry()}, bytes(8)), "arrays must fill the 8 bytes of data"),
    (file_of({"a": entry()}, np.float32(np.nan).tobytes()), "array 'a' holds NaN or infinity"),
    (file_of({"a": entry("F64", [1], [0, 8])}, np.float64(1e300).tobytes()),
     "array 'a' must fit float32"),
])
def test_bad_files_refused(data, complaint):
    with pytest.raises(ModelError, match=re.escape(complaint)) as refusal:
        weights_of(data)
    assert len(str(refusal.value).splitlines()) == 1


def test_missing_file_refused(tmp_path):
    with pytest.raises(ModelError, match=r"a\.safetensors: can't be read: No such file"):
        load(tmp_path / "a.safetensors")


@given(st.data())
def test_changed_bytes_end_in_one_line(data):
    contents = bytearray(safetensors(ARRAYS))
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    try:
        weights_of(bytes(contents[:data.draw(st.integers(0, len(contents)))]))
    except ModelError as error:
        complaint = str(error)
        assert len(complaint.splitlines()) == 1


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutations_are_read_or_refused(count):
    data = safetensors(ARRAYS | {"c": np.zeros((4, 1, 5), np.float32)})
    read_or_refuse(weights_of, mutations(data, count, count), measured=50)
