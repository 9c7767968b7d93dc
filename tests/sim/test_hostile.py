"""Images with right CRCs whose content is wrong: nothing hangs, and the next image runs."""

import json
import struct

import numpy as np
import pytest

from hw.engine.engine import Engine
from sim.verilator import compile_for_cocotb, run_cocotb
from sw.format.schedule import HALFWORDS
from sw.format.sections import HEADER_WORDS, Section, crc32, pack_header, unpack_header
from sw.format.status import Error
from sw.format.target import Target, tans_lanes
from sw.image import build_image
from tests.sim.networks import random_network


TARGETS = {"automaton": Target(), "tANS": Target(decoder=tans_lanes(2))}


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return TARGETS[request.param]


@pytest.fixture(scope="module")
def image(target):
    rng = np.random.default_rng(11)
    while True:
        network, grids, symbols = random_network(rng, target, layers=3)
        # A first layer that can go on without weights, and so many of these that zeros behind the
        # coded data can't stand for them all.
        first = network.layers[0].descriptor.operation
        if not first.has_weights and 5000 < network.weights < 10_000:
            return build_image(network, grids, symbols, target)


@pytest.fixture(scope="module")
def engine(target, verilog_of):
    return compile_for_cocotb(verilog_of(Engine(target), "engine"), top="engine")


def forge(image, section, change):
    """Return ``image`` with another content of a section, all CRCs right."""
    target_hash, lengths = unpack_header(image)
    start = HEADER_WORDS * 4
    parts = {}
    for name, length in lengths.items():
        parts[name] = image[start:start + length * 4]
        start += length * 4 + 4
    parts[section] = change(parts[section])
    body = b"".join(part + struct.pack("<I", crc32(part)) for part in parts.values())
    return pack_header(target_hash, {name: len(part) // 4 for name, part in parts.items()}) + body


def with_fields(**values):
    """Return a change of the schedule's first record."""
    def change(schedule):
        fields = list(struct.unpack_from(f"<{len(HALFWORDS)}H", schedule))
        for name, value in values.items():
            fields[HALFWORDS.index(name)] = value
        return struct.pack(f"<{len(HALFWORDS)}H", *fields) + schedule[len(HALFWORDS) * 2:]
    return change


def noise(seed):
    def change(content):
        return np.random.default_rng(seed).bytes(len(content))
    return change


def run(engine, tmp_path, testcase, images, **names):
    """Run a test of the bench on ``images``, which ``names`` call by their index."""
    files = []
    for number, image in enumerate(images):
        files.append(str(tmp_path / f"{number}.hri"))
        (tmp_path / f"{number}.hri").write_bytes(image)
    job = {"clock_hz": 100_000_000, "results": str(tmp_path / "results.npz"), "images": files}
    job |= {name: files[number] for name, number in names.items()}
    (tmp_path / "job.json").write_text(json.dumps(job))
    run_cocotb(engine, top="engine", bench="sim.benches.engine", testcase=testcase,
               environment={"HEADRACE_JOB": str(tmp_path / "job.json")},
               log=tmp_path / f"{testcase}.log")
    return dict(np.load(job["results"]))


def test_wrong_content_ends_with_its_error(engine, image, tmp_path):
    cases = [
        (forge(image, Section.SCHEDULE, with_fields(outputs=16)), Error.SCHEDULE),
        (forge(image, Section.SCHEDULE, with_fields(beats=0)), Error.SCHEDULE),
        (forge(image, Section.CODED_DATA, lambda data: data[:8]), Error.CODED_DATA),
        (forge(image, Section.CODED_DATA, lambda data: b""), Error.CODED_DATA),
        (forge(image, Section.CODE, lambda code: code[:8] + bytes(len(code) - 8)),
         Error.CODE_TABLE),
        (forge(image, Section.CODE, lambda code: bytes(4)), Error.CODE_TABLE),
        *((forge(image, Section.CODED_DATA, noise(seed)), None) for seed in range(20)),
        *((forge(image, Section.CODE, noise(seed)), Error.CODE_TABLE) for seed in range(20)),
        (image, Error.NONE),
    ]
    errors = run(engine, tmp_path, "try_images", [case for case, _ in cases])["errors"]
    for (_, expected), error in zip(cases, errors, strict=True):
        # Noise may hold all weights, or too few.
        allowed = (Error.NONE, Error.CODED_DATA) if expected is None else (expected,)
        assert error in allowed


def test_load_ends_a_run(engine, image, tmp_path):
    endless = forge(image, Section.SCHEDULE, with_fields(
        out_height=0xffff, out_width=0xffff, kernel_rows=0xffff, tiles=0xffff))
    run(engine, tmp_path, "end_run", [endless, image], endless=0, image=1)
