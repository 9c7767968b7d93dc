import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sw.codecs import CODECS
from sw.compress import main as compress_command
from sw.compression import compress
from sw.decompress import main as decompress_command
from sw.export import main as export_command
from sw.exporters.weights import safetensors
from sw.files import write_file
from sw.format.arrays import ArrayDescriptor, pack_arrays
from sw.format.sections import FormatError, Section, crc32, pack_header
from sw.format.tables import RawTable
from sw.format.target import PRESETS
from sw.image import NO_TARGET, load_image, read_image, retarget
from sw.importers.npz import ModelError, WeightsAlone
from sw.inspect import main as inspect_command
from sw.network import FloatNetwork
from sw.quantize import Grid
from sw.quantize.grid import zigzag
from sw.weights import compress_weights
from sw.weights_image import build_weights_image, load_any_image, read_weights_image
from sw.zoo import holds_weights_alone, load_model
from tests.shared_data import shared_file

from .importers.fuzz import MOST_BYTES, mutations
from .test_image import sections_of


WAYS = [("step", 2.5), ("step", 3), ("uniform", 1), ("uniform", 1.58), ("uniform", 3),
        ("uniform", 5), ("uniform", 8), ("codebook", 2), ("codebook", 4), ("codebook", np.log2(12)),
        ("codebook", 6)]


def some_arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "emb[0].weight": rng.normal(0, 2, (9, 40)).astype(np.float32),
        "norm": np.array([-0.0, 1e-40, 3e38, np.pi], np.float32),
        "conv/größe": rng.laplace(0, 1e-3, (6, 5, 3, 3)).astype(np.float32),
        "scale": np.array(0.1, np.float32),
        "nothing": np.zeros((3, 0), np.float32),
        "one row": rng.normal(0, 1, (1, 70)).astype(np.float32)}


@pytest.fixture(scope="module")
def weights():
    return WeightsAlone("some", some_arrays())


@pytest.fixture(scope="module")
def compression(weights):
    return compress_weights(weights)


def same_bits(one, other):
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def with_section(image, section, data):
    """Return ``image`` with another section, all CRCs right."""
    old = sections_of(image)
    parts = {name: data if name is section else image[old[name]] for name in Section}
    header = pack_header(NO_TARGET, {name: len(part) // 4 for name, part in parts.items()})
    return header + b"".join(part + crc32(part).to_bytes(4, "little") for part in parts.values())


def section_of(image, section):
    return image[sections_of(image)[section]]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("quantiser, bits", WAYS)
def test_round_trip(weights, quantiser, bits, codec):
    if (quantiser, bits, codec) == ("uniform", 8, "huffman") or (
            codec == "huffman" and 2 ** bits > 32):
        with pytest.raises(ValueError, match=r"32 symbols|0 to 31"):
            compress_weights(weights, quantiser=quantiser, bits=bits, codec=codec)
        return
    result = compress_weights(weights, quantiser=quantiser, bits=bits, codec=codec)
    image = read_weights_image(result.data)
    assert list(image.arrays) == list(weights.arrays)
    for array, (name, original) in zip(image.descriptors, weights.arrays.items(), strict=True):
        restored = image.arrays[name]
        assert array.coded == (original.ndim > 1 and original.size > 0)
        assert restored.dtype == np.float32
        assert restored.shape == original.shape
        if not array.coded:
            assert same_bits(restored, original)
    for array, symbols in zip(image.coded, image.symbols, strict=True):
        integers = image.arrays[array.name].reshape(len(symbols), -1) / np.array(
            array.scales).reshape(-1, 1)
        assert integers == pytest.approx(np.rint(integers), abs=1e-4)
        assert np.abs(integers).max() <= 128
    assert sum(array.weights for array in result.arrays) == image.weights == 360 + 270 + 70
    assert result.size.bytes_image == len(result.data)


def test_symbols_and_codes_say_the_same(weights):
    ways = [compress_weights(weights, quantiser="uniform", bits=4, codec=codec) for codec in CODECS]
    for way in ways[1:]:
        for name, array in ways[0].image.arrays.items():
            assert same_bits(way.image.arrays[name], array)


def test_figures_are_those_of_the_arrays(weights, compression):
    figures = compression.arrays[1]
    original = weights.arrays["conv/größe"].astype(float)
    errors = compression.image.arrays["conv/größe"] - original
    assert figures.name == "conv/größe"
    assert figures.weights == 270
    assert figures.distortion.mse == pytest.approx(np.square(errors).mean())
    assert figures.distortion.max_abs_error == pytest.approx(np.abs(errors).max())
    counts = np.unique(compression.image.symbols[1], return_counts=True)[1] / 270
    assert figures.layer_entropy == pytest.approx(-(counts * np.log2(counts)).sum())
    assert compression.size.biases == 4 + 1
    assert compression.size.bytes_float32 == 4 * (700 + 5)
    assert compression.size.ratio == len(compression.data) / 2820


def test_error_counts_relative_to_each_array(weights):
    # Else the small weights of the convolution would all be zeros.
    for quantiser, bits in (("step", 3), ("codebook", 4)):
        result = compress_weights(weights, quantiser=quantiser, bits=bits)
        assert all(array.distortion.sqnr_db > 10 for array in result.arrays)


def test_a_step_keeps_to_an_error(weights):
    result = compress_weights(weights, error=1e-2)
    assert 0.9e-2 < result.distortion.mse <= 1e-2


def test_a_scale_for_each_slice(weights):
    image = compress_weights(weights, quantiser="uniform", bits=4).image
    assert [len(array.scales) for array in image.coded] == [9, 6, 1]
    image = compress_weights(weights, quantiser="uniform", bits=4, granularity="tensor").image
    assert [len(array.scales) for array in image.coded] == [1, 1, 1]


def test_16_bits(weights):
    result = compress_weights(weights, quantiser="uniform", bits=16)
    assert result.image.table == RawTable(16)
    assert result.size.bytes_weights == 4 + 2 * 700
    for array, scales in zip(result.arrays, (9, 6, 1), strict=True):
        descriptor = next(found for found in result.image.coded if found.name == array.name)
        assert len(descriptor.scales) == scales
        original = weights.arrays[array.name].reshape(len(weights.arrays[array.name]), -1)
        integers = result.image.arrays[array.name].reshape(original.shape) / np.array(
            descriptor.scales).reshape(-1, 1)
        greatest = np.abs(integers).max(axis=1)
        assert greatest == pytest.approx(32767, abs=0.01)
        assert np.abs(integers - np.rint(integers)).max() < 0.01
        assert array.distortion.max_abs_error <= 0.501 * max(descriptor.scales)
    for name, array in weights.arrays.items():
        if name in ("norm", "scale", "nothing"):
            assert same_bits(result.image.arrays[name], array)
    with pytest.raises(ValueError, match="Weights of 16 bits must be coded raw"):
        compress_weights(weights, quantiser="uniform", bits=16, codec="tans")


def test_least_integer_of_16_bits(weights):
    image = compress_weights(weights, quantiser="uniform", bits=16).data
    coded = bytes.fromhex("0080 ff7f") + bytes(2 * 698)
    read = read_weights_image(with_section(image, Section.CODED_DATA, coded))
    scale = read.coded[0].scales[0]
    assert read.arrays["emb[0].weight"][0, :2] == pytest.approx([-32768 * scale, 32767 * scale])


def test_no_network_has_16_bits():
    image = compress("digits", quantiser="uniform", target=None).data
    with pytest.raises(FormatError, match="code: a network must have no raw symbols of 16 bits"):
        read_image(with_section(image, Section.CODE, bytes([0, 16, 0, 0])))


def test_arrays_of_zeros():
    arrays = {"zeros": np.zeros((20, 30), np.float32), "w": np.eye(40, dtype=np.float32)}
    for quantiser, bits in (("step", 3), ("uniform", 8), ("codebook", 1)):
        result = compress_weights(WeightsAlone("a", arrays), quantiser=quantiser, bits=bits)
        assert not result.image.arrays["zeros"].any()


GRID = Grid(zigzag(5), np.array([0.5]))
SMALL = {"w": np.ones((2, 3), np.float32), "b": np.ones(2, np.float32)}
SYMBOLS = np.array([[0, 3, 2], [1, 4, 4]])


def small_image():
    return build_weights_image(SMALL, [GRID], [SYMBOLS])


def test_golden_values():
    image = read_weights_image(small_image(), name="small")
    assert image.name == "small"
    assert image.arrays["w"].tolist() == [[0.0, -1.0, 0.5], [-0.5, 1.0, 1.0]]
    assert section_of(small_image(), Section.BIAS) == bytes.fromhex("0000803f 0000803f")
    assert image.words[Section.SCHEDULE] == image.words[Section.SHIFT] == 0


def test_every_flipped_bit_is_refused():
    contents = small_image()
    for bit in range(len(contents) * 8):
        flipped = bytearray(contents)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            read_weights_image(bytes(flipped))


def test_every_truncation_is_refused():
    contents = small_image()
    for size in range(len(contents)):
        with pytest.raises(FormatError):
            read_weights_image(contents[:size])


def refuse_or_write_again(contents):
    """Return the complaint about an image, in one line and without much memory, or None."""
    complaint = None
    tracemalloc.start()
    try:
        image = read_weights_image(contents)
    except FormatError as error:
        complaint = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak <= len(contents) * MOST_BYTES[0] + MOST_BYTES[1]
    if complaint is None:
        assert section_of(contents, Section.NETWORK) == pack_arrays(image.descriptors)
        assert all(np.isfinite(array).all() for array in image.arrays.values())
    else:
        assert "\n" not in complaint
        assert 0 < len(complaint) < 400
    return complaint


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("section", Section)
def test_hostile_sections(weights, codec, section):
    contents = compress_weights(weights, quantiser="uniform", bits=3, codec=codec).data
    old = section_of(contents, section) or bytes(8)
    complaints = [refuse_or_write_again(with_section(contents, section, copy[:len(copy) // 4 * 4]))
                  for copy in mutations(old, 60, seed=section)]
    assert any(complaints)


@settings(max_examples=300)
@given(st.data())
def test_hostile_descriptions(data):
    name = data.draw(st.text(max_size=4))
    shape = tuple(data.draw(st.lists(st.integers(0, 1 << 24), max_size=9)))
    scales = tuple(data.draw(st.lists(st.floats(), max_size=3)))
    complaint = None
    try:
        described = pack_arrays([ArrayDescriptor(name, shape, scales)])
    except ValueError as error:
        complaint = str(error)
    if complaint is not None:
        assert "\n" not in complaint
        return
    contents = with_section(small_image(), Section.NETWORK, described)
    assert (refuse_or_write_again(contents) is None) == (shape in ((2, 3), (3, 2), (1, 6), (6, 1)))


def described(*arrays):
    return pack_arrays(arrays)


@pytest.mark.parametrize("section, data, complaint", [
    (Section.SCHEDULE, bytes(48), "section SCHEDULE: weights alone must have none, not 48 bytes"),
    (Section.MULTIPLIER, bytes(4), "section MULTIPLIER: weights alone must have none, not 4"),
    (Section.SHIFT, bytes(4), "section SHIFT: weights alone must have none, not 4"),
    (Section.BIAS, bytes(4), "section BIAS: 2 plain values take 8 bytes, not 4"),
    (Section.BIAS, bytes.fromhex("0000803f 0000807f"), "plain values must be finite"),
    (Section.BIAS, bytes.fromhex("0000803f 0100c07f"), "plain values must be finite"),
    (Section.CODE, bytes(4), "Raw symbols must have"),
    (Section.CODEBOOK, bytes(64), "codebook: weights alone must share one, not 2"),
    (Section.CODED_DATA, bytes(8), "coded data"),
    (Section.NETWORK, described(ArrayDescriptor("w", (2, 3), (3e36,)), ArrayDescriptor("b", (2,))),
     None),
    (Section.NETWORK, described(ArrayDescriptor("w", (2, 3), (2e38,)), ArrayDescriptor("b", (2,))),
     "scales of array 'w' must keep within float32"),
    (Section.NETWORK, described(ArrayDescriptor("w", (2, 9), (1.0,)), ArrayDescriptor("b", (2,))),
     "coded data"),
    (Section.NETWORK, described(ArrayDescriptor("w", (2, 3), (1.0,)), ArrayDescriptor("b", (3,))),
     "section BIAS: 3 plain values take 12 bytes, not 8"),
])
def test_what_breaks_the_format(section, data, complaint):
    contents = with_section(small_image(), section, data)
    if complaint is None:
        assert read_weights_image(contents).arrays["w"].max() == np.float32(6e36)
        return
    with pytest.raises(FormatError, match=complaint):
        read_weights_image(contents)


def test_a_target_is_refused():
    image = small_image()
    parts = {name: section_of(image, name) for name in Section}
    header = pack_header(1, {name: len(part) // 4 for name, part in parts.items()})
    image = header + b"".join(part + crc32(part).to_bytes(4, "little") for part in parts.values())
    with pytest.raises(FormatError, match="weights alone must have no target, not 00000001"):
        read_weights_image(image)


def test_a_symbol_without_an_entry_is_refused(weights):
    image = compress_weights(weights, quantiser="codebook", bits=3, codec="tans").data
    assert read_weights_image(image).table.entries == 8
    code = bytearray(section_of(image, Section.CODE))
    code[3] = 1
    image = with_section(image, Section.CODE, bytes(code))
    image = with_section(image, Section.CODEBOOK, bytes(4))
    with pytest.raises(FormatError, match="coded data: index 7 must be one of 4"):
        read_weights_image(image)


def test_networks_and_weights_alone_are_told_apart(tmp_path, compression):
    write_file(tmp_path / "weights.hri", compression.data)
    write_file(tmp_path / "digits.hri", (digits := compress("digits", target=None)).data)
    assert load_any_image(tmp_path / "weights.hri").arrays.keys() == some_arrays().keys()
    assert len(load_any_image(tmp_path / "digits.hri").network.layers) == 5
    with pytest.raises(FormatError, match="image must hold weights alone, not a network"):
        read_weights_image(digits.data)
    for read in (read_image, lambda data: retarget(data, PRESETS["ulx3s", "85F"])):
        with pytest.raises(FormatError, match="network: image holds weights alone, without a netw"):
            read(compression.data)
    with pytest.raises(FormatError, match="holds weights alone"):
        load_image(tmp_path / "weights.hri")


@pytest.mark.parametrize("arrays, options, complaint", [
    ({"b": np.ones(3, np.float32)}, {}, "a: must have weights, arrays of two axes or more"),
    ({}, {}, "a: must have weights"),
    (SMALL, {"quantiser": "best"},
     "Quantiser must be one of step, uniform, codebook, compensated, not best"),
    (SMALL, {"quantiser": "compensated"},
     "Quantiser of weights alone must be one of step, uniform, codebook, not compensated"),
    (SMALL, {"prune": 0.5}, "Weights alone must not be pruned"),
    (SMALL, {"codec": "zip"},
     "Codec must be one of auto, raw, huffman, tans, rice, runlength, not zip"),
    (SMALL, {"quantiser": "uniform", "error": 1}, "Only the step quantiser keeps to an error"),
    (SMALL, {"granularity": "channel"}, "Granularity must be tensor for the step quantiser"),
    ({"": SMALL["w"]}, {}, "Array '' must have a name of 1 to 256 bytes, not 0"),
    ({"w": np.ones((2,) * 9, np.float32)}, {}, "at most 8 axes, not 9"),
    ({"w": np.zeros((1 << 12, 1 << 13), np.float32)}, {},
     "at most 16777216 values, not 4096 x 8192"),
])
def test_refusals(arrays, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        compress_weights(WeightsAlone("a", arrays), **options)


def test_a_network_is_no_weights_alone():
    with pytest.raises(ModelError, match="digits: must hold weights alone, not a network"):
        compress_weights("digits")
    assert not holds_weights_alone("digits")


@pytest.fixture
def file(tmp_path, weights):
    path = tmp_path / "some.safetensors"
    arrays = {name.replace(" ", "_").replace("ö", "oe").replace("ß", "ss"): array
              for name, array in weights.arrays.items()}
    path.write_bytes(safetensors(arrays))
    return path


def test_commands(file, tmp_path, capsys):
    image, restored = tmp_path / "a.hri", tmp_path / "b.safetensors"
    compress_command([str(file), "-o", str(image)])
    printed = capsys.readouterr().out.splitlines()
    assert any("emb[0].weight" in line and " 360 " in line for line in printed)
    assert printed[-1].startswith(f"{image}: 2.")
    assert printed[-1].endswith("3 arrays coded and 3 plain")

    inspect_command([str(image), "--verify"])
    printed = capsys.readouterr().out
    assert "6 x 5 x 3 x 3" in printed
    assert "none, and no schedule" in printed
    assert printed.endswith(f"{image.stat().st_size} bytes, 700 weights decoded, every CRC right\n")
    inspect_command([str(image), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [array["coded"] for array in found["arrays"]] == [True, False, True, False, False, True]
    assert found["arrays"][2] | {"shape": [6, 5, 3, 3], "values": 270} == found["arrays"][2]

    decompress_command([str(image), "-o", str(restored)])
    assert capsys.readouterr().out == f"{restored}: 705 values of 6 arrays\n"
    read, original = load_model(restored), load_model(file)
    assert list(read.arrays) == list(original.arrays)
    contents = load_any_image(image)
    for name, array in read.arrays.items():
        assert same_bits(array, contents.arrays[name])


def test_json_of_a_compression(file, tmp_path, capsys):
    compress_command([str(file), "-o", str(tmp_path / "a.hri"), "--json", "--quantiser", "uniform",
                      "--bits", "8", "--target", "none"])
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == {"name": "some", "weights": 700, "plain_values": 5}
    assert len(found["arrays"]) == 3
    assert found["compression"]["bytes_image"] == (tmp_path / "a.hri").stat().st_size


def test_npz_to_npz(tmp_path):
    # NumPy's own arguments are names like any other.
    arrays = {"file": some_arrays()["conv/größe"], "allow_pickle": SMALL["b"]}
    np.savez(tmp_path / "one.npz", **{"one.weight": arrays["file"], "b": arrays["allow_pickle"]})
    assert holds_weights_alone(tmp_path / "one.npz")
    compress_command([str(tmp_path / "one.npz"), "-o", str(tmp_path / "a.hri")])
    decompress_command([str(tmp_path / "a.hri"), "-o", str(tmp_path / "two.npz")])
    assert load_model(tmp_path / "two.npz").arrays.keys() == {"one.weight", "b"}

    write_file(tmp_path / "b.hri", compress_weights(WeightsAlone("b", arrays)).data)
    decompress_command([str(tmp_path / "b.hri"), "-o", str(tmp_path / "three.npz")])
    assert load_model(tmp_path / "three.npz").arrays.keys() == arrays.keys()


@pytest.mark.parametrize("options, complaint", [
    (["--target", "ulx3s:85F"], "Target of weights alone must be none, not ulx3s:85F"),
    (["--calibrate", "x.npz"], "compressed without --calibrate, which needs a network"),
    (["--data", "x.npz"], "compressed without --data, which needs a network"),
    (["--compare"], "compressed without --compare, which needs a network"),
    (["--rows", "8"], "compressed without --rows, which needs a network"),
    (["--bits", "0.1"], "Step quantiser must have"),
])
def test_compress_refuses_in_one_line(file, options, complaint):
    with pytest.raises(SystemExit, match=rf"\Aerror: .*{complaint}.*\Z"):
        compress_command([str(file), *options])


def test_commands_that_need_a_network_refuse(tmp_path, compression):
    path = tmp_path / "a.hri"
    write_file(path, compression.data)
    with pytest.raises(SystemExit, match=r"error: .*a\.hri: network: image holds weights alone"):
        export_command([str(path)])


@pytest.mark.parametrize("name, suffix, complaint", [
    ("a/b", ".npz", "npz files must have arrays of 1 to 64 of A-Z"),
    ("network", ".npz", "npz files must have arrays .* other than network, not 'network'"),
    ("__metadata__", ".safetensors", "safetensors files must have no array __metadata__"),
])
def test_decompress_refuses_names_that_a_file_cannot_hold(tmp_path, name, suffix, complaint):
    write_file(tmp_path / "a.hri",
                compress_weights(WeightsAlone("a", {name: SMALL["w"]}), quantiser="uniform").data)
    with pytest.raises(SystemExit, match=complaint):
        decompress_command([str(tmp_path / "a.hri"), "-o", str(tmp_path / f"b{suffix}")])
    assert not (tmp_path / f"b{suffix}").exists()


@pytest.mark.parametrize("quantiser, codec, bits, most", [
    ("step", "huffman", 2.25, 9500), ("step", "tans", 4, 14300), ("codebook", "tans", 4, 15000),
    ("step", "rice", 4, 15000), ("step", "runlength", 2.25, 12500),
    ("uniform", "raw", 8, 31000),
    ("uniform", "raw", 16, 53000)])
def test_keyword_spotting(tmp_path, quantiser, codec, bits, most):
    network = load_model(shared_file("models/kws_ref_model_float32.tflite"))
    assert isinstance(network, FloatNetwork)
    arrays = {f"{layer.name}.{part}": getattr(layer, part)
              for layer in network.weighted for part in ("weights", "bias")}
    path = tmp_path / "kws.safetensors"
    path.write_bytes(safetensors(arrays))
    compress_command([str(path), "-o", str(tmp_path / "a.hri"), "--quantiser", quantiser,
                      "--codec", codec, "--bits", str(bits)])
    decompress_command([str(tmp_path / "a.hri"), "-o", str(tmp_path / "b.safetensors")])
    restored = load_model(tmp_path / "b.safetensors").arrays
    assert list(restored) == list(arrays)
    for name, array in arrays.items():
        if array.ndim == 1:
            assert same_bits(restored[name], array)
        else:
            error = np.square(restored[name] - array, dtype=float).mean()
            assert error < 0.08 * np.square(array, dtype=float).mean()
    assert (tmp_path / "a.hri").stat().st_size <= most
