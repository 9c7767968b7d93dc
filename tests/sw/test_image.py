import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw import golden
from sw.format.layers import InputDescription, LayerDescriptor, Operation
from sw.format.schedule import RECORD_WORDS
from sw.format.sections import (HEADER_WORDS, MAX_WEIGHTS, MAX_WORDS, SECTIONS, FormatError,
                                Section, crc32, pack_code, pack_header, pack_network,
                                unpack_header, unpack_network)
from sw.format.tables import (AutomatonShape, RawShape, RawTable, RiceShape, RunLengthShape,
                              TansShape)
from sw.format.target import Memory, Target
from sw.image import build_image, read_image, retarget
from sw.network import Layer, Network
from sw.quantize import Grid
from sw.schedule import ScheduleError, check_shared

from .networks import graph


SMALL = AutomatonShape(symbol_bits=2, step_bits=2, substreams=2)
TARGET = Target(decoder=SMALL)
INPUT = InputDescription(1 / 16, -3, 0.0, 16.0)
CENTROIDS = (0, -1, 1, 5)


def convolution(symbols, *, shift=-8, grid=CENTROIDS):
    descriptor = LayerDescriptor(Operation.CONV2D, (4, 4, 2), (4, 4, 4), (3, 3), (1, 1), (1, 1),
                                 -3, -128, -128, 127, 1 / 16, 0.25)
    channels = np.arange(4, dtype=np.int32)
    multiplier = (1 << 30) + channels * 1000
    scale = np.ldexp(multiplier * (0.25 / (1 / 16)), shift - 31)
    return Layer("first", descriptor, np.array(grid, np.int8)[symbols], scale, channels * 100 - 7,
                 multiplier.astype(np.int32), np.full(4, shift, np.int8))


def pooling():
    return Layer.without_arrays("pool", LayerDescriptor(
        Operation.AVERAGE_POOL, (4, 4, 4), (2, 2, 4), (2, 2), (2, 2), (0, 0), -128, -128, -128, 127,
        0.25, 0.25))


def dense(symbols):
    descriptor = LayerDescriptor(
        Operation.FULLY_CONNECTED, (1, 1, 16), (1, 1, 3), (1, 1), (1, 1), (0, 0), -128, 5, -128,
        127, 0.25, 0.5)
    return Layer("dense", descriptor, np.array(CENTROIDS, np.int8)[symbols],
                 np.ldexp(np.full(3, 1 << 30) * 2.0, -31), np.array([1, -2, 3], np.int32),
                 np.full(3, 1 << 30, np.int32), np.zeros(3, np.int8))


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    symbols = [rng.choice(4, shape, p=[0.7, 0.1, 0.15, 0.05])
               for shape in ((4, 3, 3, 2), (3, 1, 1, 16))]
    network = Network("small", INPUT, (convolution(symbols[0]), pooling(), dense(symbols[1])))
    return network, [Grid(CENTROIDS, np.ones(1))] * 2, symbols


def sections_of(image):
    words = np.frombuffer(image, "<u4")
    starts = {}
    start = HEADER_WORDS
    for section, length in zip(Section, words[3:3 + SECTIONS].tolist(), strict=True):
        starts[section] = slice(start * 4, (start + length) * 4)
        start += length + 1
    return starts


def with_section(image, section, data, *, target_hash=TARGET.hash):
    """Return ``image`` with another section, all CRCs right."""
    old = sections_of(image)
    parts = {name: data if name is section else image[old[name]] for name in Section}
    image = pack_header(target_hash, {name: len(part) // 4 for name, part in parts.items()})
    return image + b"".join(part + crc32(part).to_bytes(4, "little") for part in parts.values())


@pytest.mark.parametrize("decoder", [SMALL, AutomatonShape(), AutomatonShape(4, 6), RawShape()],
                         ids=repr)
def test_round_trip(parts, decoder):
    network, grids, symbols = parts
    target = TARGET.with_decoder(decoder)
    image = read_image(build_image(network, grids, symbols, target), target=target)
    assert image.network.input == network.input
    for read, layer in zip(image.network.layers, network.layers, strict=True):
        assert read.descriptor == layer.descriptor
        for name in ("weights", "bias", "multiplier", "shift"):
            assert np.array_equal(getattr(read, name), getattr(layer, name)), name
        assert read.weight_scale == pytest.approx(layer.weight_scale, rel=1e-12)
    for read, chosen in zip(image.symbols, symbols, strict=True):
        assert np.array_equal(read, chosen)
    x = np.random.default_rng(1).integers(-128, 128, (5, 4, 4, 2)).astype(np.int8)
    assert np.array_equal(golden.run(image.network, x)[-1], golden.run(network, x)[-1])


def test_int8_weights_are_their_own_symbols(parts):
    network, _, symbols = parts
    wide = Grid(tuple(range(-15, 12)), np.ones(1))
    symbols = [wide.quantise(layer.weights.astype(float)) for layer in network.weighted]
    target = TARGET.with_decoder(RawShape())
    image = read_image(build_image(network, [wide] * 2, symbols, target))
    assert image.table == RawTable(8)
    assert image.codebooks == ()
    for read, layer in zip(image.network.weighted, network.weighted, strict=True):
        assert np.array_equal(read.weights, layer.weights)


def test_codebook_of_each_layer(parts):
    network, _, symbols = parts
    other = (0, -9, 9, 12)
    network = Network("small", INPUT, (convolution(symbols[0], grid=other), *network.layers[1:]))
    grids = [Grid(other, np.ones(1), codebook=1), Grid(CENTROIDS, np.ones(1), codebook=0)]
    image = read_image(build_image(network, grids, symbols, TARGET), target=TARGET)
    assert image.codebooks == (CENTROIDS, other)
    assert [record.codebook for record in image.schedule] == [1, 0, 0]
    assert np.array_equal(image.network.layers[0].weights, network.layers[0].weights)


def test_biases_are_folded(parts):
    network, grids, symbols = parts
    image = build_image(network, grids, symbols, TARGET)
    stored = np.frombuffer(image[sections_of(image)[Section.BIAS]], "<i4")
    sums = network.layers[0].weights.sum(axis=(1, 2, 3), dtype=int)
    assert stored[:4].tolist() == (network.layers[0].bias + 3 * sums).tolist()
    assert stored[4:8].tolist() == [0] * 4
    assert len(stored) == 4 + 4 + 4
    assert stored[11] == stored[10]


def test_sizes(parts):
    network, grids, symbols = parts
    contents = build_image(network, grids, symbols, TARGET)
    image = read_image(contents)
    assert image.bytes_image == len(contents)
    assert image.bytes_weights == 4 * sum(image.words[section] for section in (
        Section.CODE, Section.CODEBOOK, Section.CODED_DATA))
    assert image.bytes_network + image.bytes_weights == len(contents)
    assert image.words[Section.NETWORK] * 4 == 32 + 3 * 28
    assert image.words[Section.SCHEDULE] == 3 * RECORD_WORDS


def test_every_flipped_bit_is_refused(parts):
    contents = build_image(*parts, TARGET)
    for bit in range(len(contents) * 8):
        flipped = bytearray(contents)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            read_image(bytes(flipped))


def test_every_truncation_is_refused(parts):
    contents = build_image(*parts, TARGET)
    for size in range(len(contents)):
        with pytest.raises(FormatError):
            read_image(contents[:size])


@given(st.data())
def test_wrong_sections_with_right_crcs(parts, data):
    contents = build_image(*parts, TARGET)
    section = data.draw(st.sampled_from(Section))
    old = bytearray(contents[sections_of(contents)[section]])
    for _ in range(data.draw(st.integers(0, 3))):
        if old:
            old[data.draw(st.integers(0, len(old) - 1))] = data.draw(st.integers(0, 255))
    old = old[:data.draw(st.integers(0, len(old) // 4)) * 4] if data.draw(st.booleans()) else old
    try:
        image = read_image(with_section(contents, section, bytes(old)))
    except FormatError:
        return
    assert len(image.network.layers) == len(image.schedule)


@pytest.mark.parametrize("section, data, complaint", [
    (Section.NETWORK, bytes(28), "network: an input takes 32 bytes, not 28"),
    (Section.NETWORK, bytes(32), "network: image holds weights alone, without a network"),
    (Section.SCHEDULE, bytes(8), "schedule: 3 layers take 144 bytes, not 8"),
    (Section.MULTIPLIER, bytes(4), "section MULTIPLIER: 12 channel records take 48 bytes, not 4"),
    (Section.MULTIPLIER, bytes(48), "multipliers must be 1 to 2.*not 0"),
    (Section.SHIFT, b"\10" * 12, "shifts must be -31 to 7, not 8 to 8"),
    (Section.CODE, b"", "code: "),
    (Section.CODE, b"\0\4\0\1", "code: what isn't used must be zero, and nothing may follow"),
    (Section.CODEBOOK, b"", "codebook: it must have a multiple of 4 bytes, not 0"),
    (Section.CODED_DATA, bytes(4 << 22), "header: image must have at most 4194303 words, not 4194"),
    (Section.CODED_DATA, b"", "coded data: they end after 0 of 120 weights"),
])
def test_bad_section_rejected(parts, section, data, complaint):
    contents = build_image(*parts, TARGET)
    with pytest.raises(FormatError, match=complaint):
        read_image(with_section(contents, section, data))


def test_bias_in_pooling_rejected(parts):
    contents = build_image(*parts, TARGET)
    old = bytearray(contents[sections_of(contents)[Section.BIAS]])
    old[16] = 1
    with pytest.raises(FormatError, match=r"layer 1: \w+_pool must have the channel record \(0, "):
        read_image(with_section(contents, Section.BIAS, bytes(old)))


def test_records_that_fill_up_must_be_copies(parts):
    contents = build_image(*parts, TARGET)
    old = bytearray(contents[sections_of(contents)[Section.BIAS]])
    old[-1] ^= 1
    with pytest.raises(FormatError, match="layer 2: its last channel record must fill up its oth"):
        read_image(with_section(contents, Section.BIAS, bytes(old)))


@pytest.mark.parametrize("decoder", [SMALL, RawShape()], ids=repr)
def test_unknown_codebook_rejected(parts, decoder):
    network, _, _ = parts
    wide = Grid(tuple(range(-15, 12)), np.ones(1))
    symbols = [wide.quantise(layer.weights.astype(float)) for layer in network.weighted]
    contents = (build_image(*parts, TARGET) if decoder == SMALL else
                build_image(network, [wide] * 2, symbols, TARGET.with_decoder(decoder)))
    old = bytearray(contents[sections_of(contents)[Section.NETWORK]])
    old[32 + 27] = 2
    with pytest.raises(FormatError, match="network: layer 0: there is no codebook 2"):
        read_image(with_section(contents, Section.NETWORK, bytes(old)))


@pytest.mark.parametrize("layer", [0, 1], ids=["convolution", "pooling"])
def test_schedule_names_the_layers_codebooks(parts, layer):
    contents = build_image(*parts, TARGET)
    old = bytearray(contents[sections_of(contents)[Section.SCHEDULE]])
    old[layer * RECORD_WORDS * 4] |= 0x20
    with pytest.raises(FormatError, match=f"schedule: layer {layer} must have codebook 0, not 2"):
        read_image(with_section(contents, Section.SCHEDULE, bytes(old)))


def test_layers_have_codebooks_without_a_schedule(parts):
    network, _, symbols = parts
    others = [(0, -9, 9, 12), (3, -3, 1, 0)]
    network = replace(network, layers=(
        convolution(symbols[0], grid=others[0]), network.layers[1],
        replace(network.layers[2], weights=np.array(others[1], np.int8)[symbols[1]])))
    grids = [Grid(centroids, np.ones(1), codebook=number)
             for number, centroids in enumerate(others)]
    for decoder in (SMALL, RawShape(), TansShape(), RiceShape(), RunLengthShape()):
        image = read_image(build_image(network, grids, symbols, None, decoder))
        for read, layer in zip(image.network.layers, network.layers, strict=True):
            assert np.array_equal(read.weights, layer.weights)
        assert [layer.descriptor.codebook for layer in image.network.layers] == [0, 0, 1]


def test_reserved_bit_in_the_schedule_rejected(parts):
    contents = build_image(*parts, TARGET)
    old = bytearray(contents[sections_of(contents)[Section.SCHEDULE]])
    old[5] |= 2
    with pytest.raises(FormatError, match="schedule: bits that aren't used must be zero"):
        read_image(with_section(contents, Section.SCHEDULE, bytes(old)))


def test_schedule_of_another_network_rejected(parts):
    contents = build_image(*parts, TARGET)
    old = bytearray(contents[sections_of(contents)[Section.SCHEDULE]])
    old[10] ^= 1
    contents = with_section(contents, Section.SCHEDULE, bytes(old))
    with pytest.raises(FormatError, match="schedule: record 0 doesn't fit its layer"):
        read_image(contents, target=TARGET)


def test_other_target_rejected(parts):
    other = Target(rows=4, requantisers=1, decoder=SMALL)
    with pytest.raises(FormatError, match=f"is for target {TARGET.hash:08x}, not {other.hash:08x}"):
        read_image(build_image(*parts, TARGET), target=other)


def test_image_beyond_the_weight_memory_rejected(parts):
    with pytest.raises(ScheduleError, match=r"image has \d+ bytes, \d+ more than .* memory's 1024"):
        build_image(*enlarged(parts), Target(decoder=SMALL, memory_words=256))


def test_image_that_reaches_into_activations_rejected(parts, monkeypatch):
    target = Target(decoder=SMALL, memory=Memory.SPRAM, memory_words=32768, activation_bytes=65536)
    image = build_image(*parts, target)
    read_image(image, target=target)

    def check(layers, target, image_bytes):
        check_shared(layers, target, 131_072 - 128 + image_bytes - len(image) + 1)

    monkeypatch.setattr("sw.image.check_shared", check)
    with pytest.raises(ScheduleError, match="1 more than the memory's 131072"):
        build_image(*parts, target)
    with pytest.raises(FormatError, match=r"schedule: .*, 1 more than the memory's 131072"):
        read_image(image, target=target)


def enlarged(parts):
    _, grids, symbols = parts
    middle = convolution(symbols[0]).descriptor
    layers = [convolution(symbols[0])]
    for _ in range(20):
        layers.append(Layer.without_arrays("pool", LayerDescriptor(
            Operation.MAX_POOL, middle.output_shape, middle.output_shape, (1, 1), (1, 1), (0, 0),
            -128, -128, -128, 127, 0.25, 0.25)))
    return Network("deep", INPUT, tuple(layers)), grids[:1], symbols[:1]


def test_too_many_codebooks_rejected(parts):
    network, _, symbols = parts
    grids = [Grid(CENTROIDS, np.ones(1), codebook=1), Grid(CENTROIDS, np.ones(1))]
    with pytest.raises(ScheduleError, match="2 codebooks, 1 more than the target's 1"):
        build_image(network, grids, symbols, Target(decoder=SMALL, codebooks=1))


@pytest.mark.parametrize("grids, complaint", [
    ([Grid(CENTROIDS, np.ones(1)), Grid((0, -1, 1, 6), np.ones(1))],
     r"Codebook 0 must have the same centroids in all its layers, not \(0, .* 5\) and \(0, .* 6\)"),
    ([Grid(CENTROIDS, np.ones(1)), Grid(CENTROIDS, np.ones(1), codebook=2)],
     "Codebook 1 must be some layer's, as 2 is"),
])
def test_codebooks_that_do_not_fit_rejected(parts, grids, complaint):
    network, _, symbols = parts
    with pytest.raises(ValueError, match=complaint):
        build_image(network, grids, symbols, TARGET)


def test_longest_image_fits_what_gateware_counts(parts, monkeypatch):
    contents = build_image(*parts, TARGET)
    assert replace(TARGET, memory_words=1 << 16).image_words == 0xffff
    monkeypatch.setattr(type(TARGET), "image_words", len(contents) // 4)
    assert len(build_image(*parts, TARGET)) == len(contents)
    monkeypatch.setattr(type(TARGET), "image_words", len(contents) // 4 - 1)
    with pytest.raises(ScheduleError, match="4 more than the weight memory's"):
        build_image(*parts, TARGET)


def test_longest_header():
    lengths = dict.fromkeys(Section, 0)
    lengths[Section.CODED_DATA] = MAX_WORDS - HEADER_WORDS - SECTIONS
    assert unpack_header(pack_header(0, lengths), whole=False) == (0, lengths)


def test_network_without_weights_rejected(parts):
    _, pool, _ = parts[0].layers
    complaint = "Layers must have 1 to 16777216 weights together, not 0"
    source = replace(INPUT, zero_point=-128, scale=0.25)
    with pytest.raises(ValueError, match=complaint):
        build_image(Network("pool", source, (pool,)), [], [], TARGET)
    both = pack_network(INPUT, tuple(layer.descriptor for layer in parts[0].layers[:2]))
    image = with_section(build_image(*parts, TARGET), Section.NETWORK,
                         both[:24] + bytes([4, 0, 4, 0, 4, 0, 128, 1]) + both[-28:])
    image = with_section(image, Section.SCHEDULE, bytes(4) + bytes(44))
    with pytest.raises(FormatError, match=f"network: {complaint}"):
        read_image(image)


def test_weights_are_counted_before_they_are_decoded():
    layer = LayerDescriptor(Operation.FULLY_CONNECTED, (1, 1, 4096), (1, 1, 4096), (1, 1), (1, 1),
                            (0, 0), -3, 0, -128, 127, 1 / 16, 1.0)
    assert layer.weights == MAX_WEIGHTS
    section = bytearray(pack_network(INPUT, (layer,)))
    assert unpack_network(bytes(section)) == (INPUT, (layer,))
    with pytest.raises(ValueError, match="Layers must have 1 to 16777216 weights together"):
        pack_network(INPUT, (replace(layer, input_shape=(1, 1, 4097)),))
    section[28] += 1
    with pytest.raises(FormatError, match=r"network: Layers must have .* not 16781312"):
        unpack_network(bytes(section))


def test_great_shift_rejected(parts):
    network, grids, symbols = parts
    network = Network("wild", INPUT, (convolution(symbols[0], shift=8), *network.layers[1:]))
    with pytest.raises(ValueError, match="first: shifts must be -31 to 7, not 8 to 8"):
        build_image(network, grids, symbols, TARGET)


def test_factors_above_one(parts):
    network, grids, symbols = parts
    network = Network("wild", INPUT, (convolution(symbols[0], shift=7), *network.layers[1:]))
    image = read_image(build_image(network, grids, symbols, TARGET), target=TARGET)
    assert image.network.layers[0].shift.tolist() == [7, 7, 7, 7]


def test_section_network_needs_what_fits(parts):
    first, pool, _ = (layer.descriptor for layer in parts[0].layers)
    with pytest.raises(ValueError, match="layer 1: input must be"):
        pack_network(INPUT, (first, first))
    with pytest.raises(ValueError, match="inputs must be made 1 to 2 layers back, not \\(3,\\)"):
        pack_network(INPUT, (first, replace(pool, inputs=(3,))))
    assert unpack_network(pack_network(INPUT, (first, pool))) == (INPUT, (first, pool))


def test_section_network_holds_graphs():
    descriptors = tuple(layer.descriptor for layer in graph(1).layers)
    source, read = unpack_network(pack_network(INPUT, descriptors))
    assert (source, read) == (INPUT, descriptors)
    assert {layer.operation for layer in read} > {
        Operation.DEPTHWISE_CONV2D, Operation.ADD, Operation.SOFTMAX, Operation.RESHAPE}


@pytest.mark.parametrize("byte, value, complaint", [
    (24, 0, "layer 3: inputs must be made 1 to 4 layers back, not (0, 2)"),
    (25, 9, "inputs must be made 1 to 4 layers back, not (1, 9)"),
    (25, 4, "both inputs must have the shape (4, 4, 4), not (4, 4, 2)"),
    (25, 0, "add: inputs must be 2 of earlier layers, not (1,)"),
    (26, 2, "2 is not a valid Rounding"), (26, 1, "add: there is no product to be rounded once"),
    (27, 1, "add: codebook must be 0 to 255, and 0 without weights, not 1"),
])
def test_wrong_graph_refused(byte, value, complaint):
    data = bytearray(pack_network(INPUT, tuple(layer.descriptor for layer in graph(1).layers)))
    data[32 + 3 * 28 + byte] = value
    with pytest.raises(FormatError, match=re.escape(complaint)):
        unpack_network(bytes(data))


@pytest.mark.parametrize("decoder", [RawShape(), SMALL])
def test_image_without_a_schedule(decoder):
    network = graph(2)
    symbols = [np.random.default_rng(0).integers(0, 4, layer.weights.shape)
               for layer in network.weighted]
    remaining = iter(symbols)
    network = replace(network, layers=tuple(
        layer if layer.weights is None else replace(
            layer, weights=np.array(CENTROIDS, np.int8)[next(remaining)])
        for layer in network.layers))
    grids = [Grid(CENTROIDS, np.ones(1))] * len(symbols)
    contents = build_image(network, grids, symbols, None, decoder)
    image = read_image(contents)
    assert (image.target_hash, image.schedule) == (0, ())
    x = np.random.default_rng(1).integers(-128, 128, (5, 4, 4, 2), np.int8)
    for read, wanted in zip(golden.run(image.network, x), golden.run(network, x), strict=True):
        assert np.array_equal(read, wanted)
    with pytest.raises(FormatError, match="is for target 00000000, not"):
        read_image(contents, target=TARGET)
    with pytest.raises(FormatError, match="0 layers take 0 bytes, not 336"):
        read_image(with_section(contents, Section.SCHEDULE, bytes(7 * 48), target_hash=0))


def test_great_shift_only_without_a_schedule(parts):
    _, grids, symbols = parts
    network = Network("wild", INPUT, (convolution(symbols[0], shift=8), *parts[0].layers[1:]))
    contents = build_image(network, grids, symbols, None, SMALL)
    assert read_image(contents).network.layers[0].shift.tolist() == [8, 8, 8, 8]
    with pytest.raises(ScheduleError, match="shifts must be at most 7 for a target, not 8"):
        retarget(contents, TARGET)


def test_unscheduled_image_can_be_retargeted(parts):
    network, grids, symbols = parts
    unscheduled = build_image(network, grids, symbols, None, SMALL)
    assert retarget(unscheduled, TARGET) == build_image(network, grids, symbols, TARGET)


@pytest.mark.parametrize("bits, entries", [(3, 16), (5, 32), (6, 64)])
def test_narrow_raw_symbols_are_for_no_target(parts, bits, entries):
    network, grids, symbols = parts
    centroids = grids[0].centroids + tuple(range(9, 5 + (1 << bits)))
    grids = [Grid(centroids[:1 << bits], grid.scale) for grid in grids]
    symbols = [*symbols]
    symbols[0] = symbols[0].copy()
    symbols[0].flat[0] = (1 << bits) - 1
    weights = iter(zip(grids, symbols, strict=True))
    network = replace(network, layers=tuple(
        layer if layer.weights is None else replace(
            layer, weights=(pair := next(weights))[0].integers(pair[1]))
        for layer in network.layers))
    image = build_image(network, grids, symbols, None, RawShape())
    found = read_image(image)
    assert found.table == RawTable(bits)
    assert [len(book) for book in found.codebooks] == [entries]
    for chosen, expected in zip(found.symbols, symbols, strict=True):
        assert np.array_equal(chosen, expected)
    target = TARGET.with_decoder(RawShape())
    with pytest.raises(ScheduleError, match=f"raw symbols of {bits} bits, which no target decodes"):
        retarget(image, target)
    scheduled = build_image(network, grids, symbols, target)
    assert read_image(scheduled, target=target).table == RawTable(4 if bits == 3 else 8)
    with pytest.raises(FormatError, match="code: raw symbols of 3 bits have no schedule"):
        read_image(with_section(build_image(*parts, target), Section.CODE, pack_code(RawTable(3)),
                                target_hash=target.hash))
def test_schedule_is_remade_for_another_target(parts):
    other = replace(TARGET, rows=4, requantisers=1, activation_bytes=1024)
    image = build_image(*parts, TARGET)
    assert retarget(image, other) == build_image(*parts, other) != image
    assert retarget(retarget(image, other), TARGET) == image


@pytest.mark.parametrize("target, complaint", [
    (replace(TARGET, decoder=RawShape()), "image must be coded for RawShape"),
    (replace(TARGET, memory_words=256, layers=2), "network has 3 layers, 1 more than"),
])
def test_unfit_target_refused(parts, target, complaint):
    with pytest.raises(ScheduleError, match=complaint):
        retarget(build_image(*parts, TARGET), target)
