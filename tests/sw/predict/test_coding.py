"""Images whose weights are predicted."""

from dataclasses import replace

import numpy as np
import pytest

from sw import golden
from sw.compression import DEFAULT_TARGET
from sw.format.predictor_records import pack_predictors
from sw.format.predictors import Autoencoder, Perceptron, Predicted, Seeds, SeedShape
from sw.format.sections import FormatError, Section, crc32, pack_header, unpack_header
from sw.format.tables import AutomatonShape, RawShape, RiceShape, RunLengthShape, TansShape
from sw.image import build_image, read_image, retarget, unpack_sections
from sw.predict import predict
from sw.schedule import ScheduleError

from ..networks import graph


SHAPE = SeedShape(8, 9, 2, 3)


def seeds(shape, seed=0):
    rng = np.random.default_rng(seed)
    blocks = (shape[0], -(-int(np.prod(shape[1:])) // 9))
    return Seeds(SHAPE, rng.integers(1, 256, blocks), rng.integers(0, 4, blocks),
                 rng.integers(-4, 4, (*blocks, 2)))


def latent(shape, seed=0):
    rng = np.random.default_rng(seed)
    decoder = Perceptron((rng.integers(-9, 9, (9, 2)).astype(np.int8),),
                         (np.zeros(9, np.int32),), (2,))
    blocks = -(-int(np.prod(shape[1:])) // 9)
    return Autoencoder(decoder, rng.integers(-20, 20, (shape[0], 2 * blocks)).astype(np.int8))


@pytest.fixture(scope="module")
def parts():
    """Return a network with a predictor of each way to code, and what predicts its weights."""
    network = graph(0)
    shapes = [layer.weights.shape for layer in network.weighted]
    predicted = (Predicted(seeds(shapes[0]), False), Predicted(),
                 Predicted(latent(shapes[2]), False), Predicted(latent(shapes[3]), True))
    layers, remaining = [], iter(predicted)
    for layer in network.layers:
        if layer.weights is not None:
            how = next(remaining)
            if not how.residual:
                layer = replace(layer, weights=predict(how.predictor, layer.weights.shape))
        layers.append(layer)
    return replace(network, layers=tuple(layers)), predicted


@pytest.mark.parametrize("decoder", [RawShape(), TansShape(), RiceShape(), RunLengthShape()])
def test_image_gives_the_weights_back(parts, decoder):
    network, predicted = parts
    data = build_image(network, [], [], None, decoder, predicted)
    image = read_image(data)
    for stored, layer in zip(image.network.weighted, network.weighted, strict=True):
        np.testing.assert_array_equal(stored.weights, layer.weights)
    assert pack_predictors(image.predicted) == pack_predictors(predicted)
    x = np.random.default_rng(0).integers(-128, 128, (3, 4, 4, 2)).astype(np.int8)
    np.testing.assert_array_equal(golden.run(image.network, x)[-1], golden.run(network, x)[-1])
    # All that exists because of the weights is told layer by layer, but for tables and padding.
    rest = 8 * image.bytes_weights - sum(image.layer_bits)
    assert 32 <= rest <= 8 * (4 * image.words[Section.CODE] + 16)
    assert [len(symbols) for symbols in image.layer_symbols] == [0, 1, 1, 2]


def test_nothing_may_be_left_to_code(parts):
    network, _ = parts
    shapes = [layer.weights.shape for layer in network.weighted]
    predicted = [Predicted(seeds(shape), False) for shape in shapes]
    remaining = iter(shapes)
    network = replace(network, layers=tuple(
        replace(layer, weights=predict(seeds(shape), shape)) if layer.weights is not None
        and (shape := next(remaining)) else layer for layer in network.layers))
    image = read_image(build_image(network, [], [], None, TansShape(), predicted))
    assert image.words[Section.CODED_DATA] == 0
    np.testing.assert_array_equal(image.network.weighted[-1].weights, network.weighted[-1].weights)


def test_an_automaton_has_too_few_symbols(parts):
    network, predicted = parts
    with pytest.raises(ValueError, match="symbols"):
        build_image(network, [], [], None, AutomatonShape(), predicted)


def test_no_target_runs_it(parts):
    network, predicted = parts
    with pytest.raises(ScheduleError, match="predictors must have no target"):
        build_image(network, [], [], DEFAULT_TARGET, None, predicted)
    data = build_image(network, [], [], None, RawShape(), predicted)
    with pytest.raises(ScheduleError, match="image has predictors, which no target runs"):
        retarget(data, DEFAULT_TARGET)


def changed(data, section, contents):
    """Return an image with other contents of a section, its CRCs right."""
    target, words = unpack_header(data)
    sections = unpack_sections(data, words) | {section: contents}
    image = pack_header(target, {name: len(part) // 4 for name, part in sections.items()})
    for part in sections.values():
        image += part + crc32(part).to_bytes(4, "little")
    return image


@pytest.mark.parametrize("edit, message", [
    (lambda code: bytes([5, 0xff, 0xff, 0xff]) + code[4:], "more than the section's"),
    (lambda code: code[:4] + bytes([code[4] | 7]) + code[5:], "predictor 0: kind 7 is unknown"),
    (lambda code: code[:5] + bytes([code[5] & ~0x1f]) + code[6:], "must be"),
    (lambda code: code[:8], "predictors take"),
])
def test_damaged_predictors_are_refused(parts, edit, message):
    network, predicted = parts
    data = build_image(network, [], [], None, RawShape(), predicted)
    code = unpack_sections(data, unpack_header(data)[1])[Section.CODE]
    assert read_image(changed(data, Section.CODE, code)).predicted
    with pytest.raises(FormatError, match=f"^code: .*{message}"):
        read_image(changed(data, Section.CODE, edit(code)))
