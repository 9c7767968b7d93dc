"""The decoder alone against a whole image, in Verilator."""

import json

import numpy as np

from hw.decode.decoder import Decoder
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.compression import compress
from sw.cycles import Decoder as Model
from sw.cycles import kernel_rows
from sw.format.sections import HEADER_WORDS, Section
from sw.format.target import Target


def sections(data, image):
    """Return the words of each section of an image."""
    words = np.frombuffer(data, "<u4").tolist()
    start = HEADER_WORDS
    found = {}
    for section, length in image.words.items():
        found[section] = words[start:start + length]
        start += length + 1
    return found


def test_all_weights_of_digits(verilog_of, tmp_path):
    target = Target()
    compression = compress("digits", codec="huffman", target=target)
    image = compression.image
    found = sections(compression.data, image)
    dense = [(layer, record) for layer, record in
             zip(image.network.layers, image.schedule, strict=True) if layer.weights is not None]
    job = {
        "clock_hz": 80_000_000,
        "code": found[Section.CODE],
        "codebook": found[Section.CODEBOOK],
        "words": found[Section.CODED_DATA],
        "orders": [(record.out_stride * record.kernel_rows, record.kernel_row, record.codebook)
                   for _, record in dense],
        "results": str(tmp_path / "results.npz"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    folder = compile_for_cocotb(verilog_of(Decoder(target), "decoder"), top="decoder")
    run_cocotb(folder, top="decoder", bench="sim.benches.decoder", testcase="decode_image",
               environment={"HEADRACE_JOB": str(tmp_path / "job.json")},
               log=tmp_path / "decoder.log")

    results = np.load(tmp_path / "results.npz")
    expected = [np.pad(layer.weights.reshape(-1, record.kernel_row),
                       ((0, 0), (0, -record.kernel_row % 4))).ravel() for layer, record in dense]
    assert np.array_equal(results["weights"], np.concatenate(expected))

    # The model that the schedule is predicted with: no cycle beyond it.
    model = Model(image)
    cycles = 0
    for _, record in dense:
        cycles = model.fill(cycles + 1, *kernel_rows(record, record.out_stride))
    assert abs(results["cycles"] - cycles) < 16
