import json

import pytest

from sw.compression import compress
from sw.format.sections import HEADER_WORDS, crc32
from sw.format.target import Target, find_targets
from sw.files import write_file
from sw.inspect import main

from ..shared_data import shared_file


@pytest.fixture(scope="module")
def contents():
    return {codec: compress("digits", codec=codec).data for codec in ("huffman", "raw")}


@pytest.fixture
def path(tmp_path, contents):
    path = tmp_path / "digits.hri"
    write_file(path, contents["huffman"])
    return path


def test_shows_an_image(path, capsys):
    main([str(path)])
    printed = capsys.readouterr().out
    assert "ulx3s:85F with automaton decoder" in printed
    assert "fully_connected_4" in printed
    assert printed.splitlines()[-1] == (
        f"{path}: {path.stat().st_size} bytes, 33536 weights decoded, every CRC right")


def test_shows_raw_symbols(path, contents, capsys):
    write_file(path, contents["raw"])
    main([str(path), "--verify"])
    printed = capsys.readouterr().out
    assert "raw symbols of 8 bits" in printed
    assert printed.endswith("every CRC right, schedule as its target needs it\n")


def test_prints_json(path, capsys):
    main([str(path), "--verify", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["verified"]
    assert found["bytes_image"] == path.stat().st_size
    assert sum(layer["weights"] for layer in found["layers"]) == 33536
    assert len(found["schedule"]) == len(found["layers"])
    assert found["codec"] == "huffman"


@pytest.mark.parametrize("place", [3, 40, 300, -1, -2000])
def test_flipped_bit_is_refused(path, place):
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(SystemExit) as refusal:
        main([str(path), "--verify"])
    assert str(refusal.value).startswith(f"error: {path}: ")
    assert len(str(refusal.value).splitlines()) == 1


def test_only_verification_sees_a_wrong_schedule(path):
    contents = bytearray(path.read_bytes())
    length, first = (4 * int.from_bytes(contents[word:word + 4], "little") for word in (12, 16))
    start = 4 * HEADER_WORDS + length + 4
    contents[start + 10] ^= 1
    contents[start + first:start + first + 4] = crc32(
        contents[start:start + first]).to_bytes(4, "little")
    path.write_bytes(contents)
    main([str(path)])
    with pytest.raises(SystemExit, match="schedule: record 0 doesn't fit its layer"):
        main([str(path), "--verify"])


@pytest.mark.parametrize("data, complaint", [
    (b"", "not a ROM image: it begins with b'', not b'HRI'"),
    (b"PK\3\4", "not a ROM image"),
    (b"HRI\1", "image truncated in its header, at byte 4"),
    (b"HRI\2" + bytes(60), "image of format version 2; this Headrace reads 1"),
    (bytes((64 << 20) + 4), "image must have at most 67108864 bytes"),
])
def test_other_files_are_refused(path, data, complaint):
    path.write_bytes(data)
    with pytest.raises(SystemExit, match=complaint):
        main([str(path)])


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no such image"):
        main([str(tmp_path / "none.hri")])


@pytest.mark.parametrize("sizes", [
    {"columns": 8}, {"rows": 32, "requantisers": 4}, {"rows": 5, "requantisers": 1}])
@pytest.mark.parametrize("codec", ["huffman", "raw"])
def test_verifies_whatever_is_built(path, capsys, sizes, codec):
    compression = compress("digits", codec=codec, target=Target(**sizes))
    write_file(path, compression.data)
    main([str(path), "--verify"])
    target = compression.target
    assert (f"{target.rows} x {target.columns} array, {target.requantisers} requantisers with "
            f"{target.decoder.name} decoder") in capsys.readouterr().out
    assert list(find_targets(target.hash).values()) == [target]


def test_unknown_target_is_no_proof(path, contents, monkeypatch, capsys):
    monkeypatch.setattr("sw.format.target.PRESETS", {})
    main([str(path)])
    assert "unknown" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"its target [0-9a-f]{8} isn't known"):
        main([str(path), "--verify"])


def test_tans_image_shows_its_tables(path, capsys):
    compression = compress(shared_file("models/ad01_int8.tflite"), quantiser="uniform",
                           codec="tans", target=None)
    write_file(path, compression.data)
    main([str(path), "--verify"])
    shown = capsys.readouterr().out
    assert "tANS, 1024 states in a table, 8 in turn" in shown
    assert "differences over fully_connected_0 1, fully_connected_9 128 weights" in shown
    main([str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["codec"], len(found["table"]["tables"])) == ("tans", 16)
    assert found["bits_per_weight"] == pytest.approx(compression.size.bits_per_weight)


@pytest.mark.parametrize("codec, shown", [
    ("rice", "Golomb-Rice"), ("runlength", "run lengths, in blocks of 128 weights")])
@pytest.mark.parametrize("quantiser, entries", [("uniform", 0), ("codebook", 16)])
def test_images_without_a_table(path, capsys, codec, shown, quantiser, entries):
    write_file(path, compress("digits", quantiser=quantiser, codec=codec, target=None).data)
    main([str(path), "--verify"])
    assert shown in capsys.readouterr().out
    main([str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["codec"], found["table"]) == (codec, {"entries": entries})


@pytest.mark.parametrize("quantiser", ["uniform", "step", "codebook"])
def test_damaged_tans_image_is_refused(path, quantiser):
    compression = compress("digits", quantiser=quantiser, codec="tans", target=None)
    contents = bytearray(compression.data)
    contents[len(contents) // 2] ^= 16
    path.write_bytes(contents)
    with pytest.raises(SystemExit, match=r"^error: .*section CODED_DATA: CRC is"):
        main([str(path)])
