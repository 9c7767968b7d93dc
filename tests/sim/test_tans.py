"""The lanes of tANS against the codec, on whole networks, in Verilator."""

import json

import numpy as np
import pytest

from hw.decode.tans import TansDecoder
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.codecs.tans import TansCodec
from sw.compression import compress
from sw.format.lanes import TansLanes
from sw.format.tables import TansShape
from sw.importers.tflite import load

from ..shared_data import shared_file


def decode(verilog_of, tmp_path, shape, layers):
    """Return the values that the decoder gives, and its error."""
    code = TansCodec(shape, deltas=False).fit(layers)
    values = np.concatenate([layer.ravel() for layer in layers]).astype(np.int64)
    coded = TansCodec(shape).encode(values, code)
    size = shape.word_bits // 8
    coded += bytes(-len(coded) % size)
    used = [(table, layer.size * layer.filters // len(layer.tables))
            for layer in code.layers for table in layer.tables]
    runs = [(table, min(count - start, 60_000)) for table, count in used
            for start in range(0, count, 60_000)]
    table_bits = (shape.tables - 1).bit_length()
    rows = [row for table in code.tables for row in shape.rows(table)]
    job = {
        "clock_hz": 80_000_000,
        "rows": [address | row << table_bits + shape.code.table_bits
                 for address, row in enumerate(rows)],
        "runs": [table | count << table_bits | (number == len(runs) - 1) << table_bits + 16
                 for number, (table, count) in enumerate(runs)],
        "words": [int.from_bytes(coded[start:start + size], "little")
                  for start in range(0, len(coded), size)],
        "stall": 7,
        "results": str(tmp_path / "results.npz"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    folder = compile_for_cocotb(verilog_of(TansDecoder(shape), "tans"), top="tans")
    run_cocotb(folder, top="tans", bench="sim.benches.tans", testcase="decode_lanes",
               environment={"HEADRACE_JOB": str(tmp_path / "job.json")}, log=tmp_path / "tans.log")
    return np.load(tmp_path / "results.npz")


def test_all_weights_of_digits(verilog_of, tmp_path):
    image = compress("digits", quantiser="step", bits=3, codec="tans", target=None).image
    layers = [layer.weights for layer in image.network.weighted]
    shape = TansLanes(TansShape(8, 64), lanes=8)
    results = decode(verilog_of, tmp_path, shape, layers)
    expected = np.concatenate([layer.ravel() for layer in layers])
    assert np.array_equal(results["values"][:expected.size], expected)
    assert not results["error"]
    assert results["cycles"] < 7 / 6 * expected.size / 8 + 60


@pytest.mark.slow
@pytest.mark.parametrize("shape", [
    TansLanes(TansShape(8, 64), lanes=2, raw_bits=7), TansLanes(TansShape(10, 64), raw_bits=7),
], ids=str)
def test_all_int8_weights_of_keyword_spotting(verilog_of, tmp_path, shape):
    network = load(shared_file("models/kws_ref_model.tflite"))
    layers = [layer.weights for layer in network.weighted]
    results = decode(verilog_of, tmp_path, shape, layers)
    expected = np.concatenate([layer.ravel() for layer in layers])
    assert np.array_equal(results["values"][:expected.size], expected)
    assert not results["error"]
