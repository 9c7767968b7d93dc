import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.format.predictor_records import (expression_digest, join_code, pack_predictors,
                                         predictor_bits, split_code, unpack_predictors)
from sw.format.predictors import (FEEDBACK, Autoencoder, Expression, Hypernetwork, Instruction,
                                  Operator, Perceptron, Predicted, Seeds, SeedShape, with_content)
from sw.predict import predict
from sw.predict.decoders import apply
from sw.predict.coding import coded_arrays, restore


SHAPE = (3, 2, 2, 5)


def seeds(shape=None, outputs=3, blocks=3, seed=0):
    shape = shape or SeedShape(9, 7, 2, 3)
    rng = np.random.default_rng(seed)
    size = (outputs, blocks)
    half = 1 << shape.coefficient_bits - 1
    return Seeds(shape, rng.integers(1, 1 << shape.seed_bits, size), rng.integers(0, 4, size),
                 rng.integers(-half, half, (*size, shape.terms)))


def expression(program=None, cells=4, seed=0):
    program = program or (Operator.PLACE, Operator.LOOK_UP, Operator.ROW, Operator.ADD)
    steps = tuple(step if isinstance(step, Instruction) else Instruction(step) for step in program)
    memory = np.random.default_rng(seed).integers(-128, 128, (3, cells)).astype(np.int8)
    return Expression(5, steps, memory)


def perceptron(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    pairs = list(zip(sizes[1:], sizes, strict=False))
    return Perceptron(tuple(rng.integers(-128, 128, pair).astype(np.int8) for pair in pairs),
                      tuple(rng.integers(-999, 999, pair[0]).astype(np.int32) for pair in pairs),
                      (6,) * len(pairs))


def autoencoder(seed=0):
    rng = np.random.default_rng(seed)
    return Autoencoder(perceptron(2, 6, 8), rng.integers(-128, 128, (3, 6)).astype(np.int8))


def hypernetwork(seed=0):
    rng = np.random.default_rng(seed)
    return Hypernetwork(perceptron(4, 6, 4), rng.integers(-128, 128, (8, 2)).astype(np.int8))


ALL = (seeds, expression, autoencoder, hypernetwork)


def written(layer, shape=SHAPE):
    return unpack_predictors(pack_predictors([layer]), [shape])[0]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("residual", [False, True])
def test_weights_come_back(make, residual):
    layers = [Predicted(make(), residual), Predicted()]
    rng = np.random.default_rng(1)
    noise = rng.integers(-128, 128, SHAPE).astype(np.int8)
    first = predict(layers[0].predictor, SHAPE)
    weights = [noise if residual else first, noise]
    arrays = coded_arrays(layers, weights)
    read = unpack_predictors(pack_predictors(layers), [SHAPE, SHAPE])
    shapes = [part for layer in read for part in layer.coded_shapes(SHAPE)]
    assert [(len(array), array.shape[3]) for array in arrays] == shapes
    filled, found = restore(read, arrays, [SHAPE, SHAPE])
    np.testing.assert_array_equal(found, weights)
    assert pack_predictors(filled) == pack_predictors(layers)
    assert sum(map(predictor_bits, layers)) <= 8 * len(pack_predictors(layers))


def test_what_is_not_predicted_needs_a_residual():
    with pytest.raises(ValueError, match="without a predictor must be coded"):
        Predicted(None, residual=False)
    with pytest.raises(ValueError, match="Layer 0 without a residual must be what is predicted"):
        coded_arrays([Predicted(seeds(), False)], [np.zeros(SHAPE, np.int8)])


@pytest.mark.parametrize("bits", FEEDBACK)
def test_registers_go_through_all_states(bits):
    state, steps = 1, 0
    while state != 1 or not steps:
        state = state >> 1 ^ FEEDBACK[bits] * (state & 1)
        steps += 1
    assert steps == (1 << bits) - 1


def test_seeds_as_the_page_has_them():
    """Written again from docs/format.md, bit by bit."""
    code = seeds(SeedShape(10, 3, 2, 4), outputs=2, blocks=2)
    expected = np.zeros((2, 2, 3), int)
    for place in np.ndindex(2, 2):
        state = int(code.seeds[place])
        numbers = []
        for _ in range(6):
            bits = []
            for _ in range(2):
                bits.append(state & 1)
                state = state >> 1 ^ 0x240 * bits[-1]
            numbers.append((3 if bits[1] else 1) * (-1 if bits[0] else 1))
        for weight in range(3):
            total = sum(number * int(coefficient) for number, coefficient in zip(
                numbers[2 * weight:2 * weight + 2], code.coefficients[place], strict=True))
            expected[*place, weight] = np.clip(
                (total << int(code.exponents[place])) + 2 >> 2, -128, 127)
    found = predict(code, (2, 1, 1, 5))
    np.testing.assert_array_equal(found.reshape(2, 5), expected.reshape(2, 6)[:, :5])


def test_seeds_golden_word():
    one = Seeds(SeedShape(8, 2, 1, 2), np.array([[5]]), np.array([[1]]), np.array([[[-2]]]))
    # Kind 1, no residual, 8, 2, 1, 2; seed 5, exponent 1, coefficient -2.
    record = [(1, 3), (0, 1), (8, 5), (2, 5), (1, 3), (2, 3), (5, 8), (1, 2), (2, 2)]
    bits = "".join(f"{value:0{width}b}"[::-1] for value, width in record)
    data = int(bits[::-1], 2).to_bytes(4, "little")
    assert pack_predictors([Predicted(one, False)]) == data
    # 5 gives 1, 0: -1; then 1, 0: -1. Times -2 times 2, plus 2, over 4.
    state, given = 5, []
    for _ in range(4):
        given.append(state & 1)
        state = state >> 1 ^ 0xb8 * given[-1]
    assert given == [1, 0, 1, 0]
    assert predict(one, (1, 1, 1, 2)).ravel().tolist() == [1, 1]


@pytest.mark.parametrize("program, expected", [
    ([Instruction(Operator.CONSTANT, -7)], [-7] * 4),
    ([Operator.ROW], [0, 0, 1, 1]),
    ([Operator.COLUMN, Operator.NEGATE], [0, -1, 0, -1]),
    ([Operator.PLACE, Operator.LOOK_UP, Operator.HALVE], [50, 50, -45, -45]),
    ([Instruction(Operator.CONSTANT, -3), Operator.LOOK_UP], [100] * 4),
    ([Instruction(Operator.CONSTANT, 99), Operator.LOOK_UP], [-90] * 4),
    ([Operator.ROW, Operator.COLUMN, Operator.SUBTRACT], [0, -1, 1, 0]),
    ([Operator.ROW, Operator.COLUMN, Operator.MINIMUM], [0, 0, 0, 1]),
    ([Operator.ROW, Operator.COLUMN, Operator.MAXIMUM], [0, 1, 1, 1]),
    ([Operator.ROW, Operator.COLUMN, Operator.EXCLUSIVE_OR], [0, 1, 1, 0]),
    ([Operator.ROW, Operator.NEGATE, Instruction(Operator.CONSTANT, 5), Operator.CHANNEL,
      Operator.SELECT], [0, 0, 5, 5]),
    ([Instruction(Operator.CONSTANT, 127), Operator.COLUMN, Operator.ADD], [127] * 4),
])
def test_programs(program, expected):
    steps = tuple(step if isinstance(step, Instruction) else Instruction(step) for step in program)
    shown = predict(Expression(2, steps, np.array([[100, -90]], np.int8)), (1, 2, 2, 1)).ravel()
    # The first weight of each pair is the memory's.
    assert shown.tolist() == [100, expected[1], -90, expected[3]]


def test_numbers_wrap_around():
    # A sum of 2 ** k constants takes k + 1 places: 63 instructions don't reach beyond 16 bits,
    # but -32768 would be its own negative.
    found = apply(Operator.ADD, np.zeros((1, 1), np.int16), *[np.full((1, 1), 30000, np.int16)] * 2)
    assert found.item() == 60000 - 65536
    least = np.full((1, 1), -32768, np.int16)
    assert apply(Operator.NEGATE, least, least).item() == -32768


def test_perceptron_in_whole_numbers():
    net = Perceptron((np.array([[3, -2], [-128, 5]], np.int8), np.array([[7, 1]], np.int8)),
                     (np.array([4, 0], np.int32), np.array([-9], np.int32)), (1, 2))
    latents = np.array([[5, -7]], np.int8)
    hidden = [max(0, min(255, (3 * 5 + 14 + 4) >> 1)), max(0, (-128 * 5 - 35) >> 1)]
    expected = (7 * hidden[0] + hidden[1] - 9) >> 2
    assert predict(Autoencoder(net, latents), (1, 1, 1, 1)).ravel().tolist() == [expected]


@pytest.mark.parametrize("make, message", [
    (lambda: SeedShape(16, 0, 4, 4), "Weights of a block must be 1 to 16, not 0"),
    (lambda: SeedShape(17), "Bits of a seed must be 8 to 16, not 17"),
    (lambda: expression([Operator.ADD]), "instruction 0 of the program takes 2 numbers, not the 0"),
    (lambda: expression([Operator.ROW, Operator.ROW]), "must leave one number, not 2"),
    (lambda: expression([Operator.ROW] * 9 + [Operator.ADD] * 8), "at most 8 numbers, not 9"),
    (lambda: Expression(5, (), np.zeros((1, 1), np.int8)), "1 to 63 instructions, not 0"),
    (lambda: Expression(1, (Instruction(Operator.ROW),), np.zeros((1, 1), np.int8)),
     "spacing must be 2 to 255, not 1"),
    (lambda: perceptron(40, 40, 1), "at most 1024 multiplications, not 1640"),
    (lambda: Hypernetwork(perceptron(3, 4), np.zeros((8, 1), np.int8)), "must be pairs, not 3"),
])
def test_what_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def record(*fields):
    """Return the bytes of numbers and their widths."""
    bits = "".join(f"{value:0{width}b}"[::-1] for value, width in fields)
    return int(bits[::-1] or "0", 2).to_bytes(-(-len(bits) // 32) * 4, "little")


@pytest.mark.parametrize("data, message", [
    (record((5, 3), (1, 1)), "predictor 0: kind 5 is unknown"),
    (record((0, 3), (0, 1)), "without a predictor must be coded"),
    (record((1, 3), (0, 1), (16, 5), (0, 5), (4, 3), (4, 3)), "Weights of a block must be 1 to 16"),
    (record((1, 3), (0, 1), (16, 5), (8, 5), (4, 3), (4, 3)), "ends before bit"),
    (record((1, 3), (0, 1), (8, 5), (16, 5), (1, 3), (2, 3), *[(0, 12)] * 6), "must not be 0"),
    (record((2, 3), (0, 1), (5, 8), (4, 16), (1, 6), (15, 4)), "operation 15, which is unknown"),
    (record((2, 3), (0, 1), (5, 8), (3, 16), (1, 6), (1, 4)),
     "address 3 is outside the memory of 3 cells a filter"),
    (record((2, 3), (0, 1), (5, 8), (21, 16), (1, 6), (1, 4)), "at most 20 cells a filter, not 21"),
    (record((2, 3), (0, 1), (5, 8), (4, 16), (0, 6)), "1 to 63 instructions, not 0"),
    (record((3, 3), (0, 1), (0, 1), (2, 8), (0, 8)), "block must have weights and latent values"),
    (record((3, 3), (0, 1), (0, 1), (0, 8), (2, 8)), "block must have weights and latent values"),
    (record((3, 3), (0, 1), (0, 1), (3, 8), (1, 8), (0, 4), (0, 16), (0, 24)),
     "at most 120 values, not 180"),
    (record((4, 3), (0, 1), (0, 1), (2, 8), (1, 8), (0, 4), (0, 16), (0, 16)),
     "must have 4 outputs, the kernel's, not 1"),
    (pack_predictors([Predicted()]) + bytes(4), "nothing may follow"),
    (record((0, 3), (1, 1), (1, 1)), "bits that aren't used must be zero"),
])
def test_broken_records_are_refused_by_name(data, message):
    with pytest.raises(ValueError, match=message):
        unpack_predictors(data, [SHAPE])


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    try:
        found = unpack_predictors(data, [SHAPE])
    except ValueError:
        return
    assert pack_predictors(found) == data


def test_code_behind_predictors():
    data = pack_predictors([Predicted(expression())])
    joined = join_code(data, b"abcd")
    assert split_code(joined) == (data, b"abcd")
    assert split_code(b"\0abc") == (None, b"\0abc")
    with pytest.raises(ValueError, match="more than the section's"):
        split_code(joined[:len(data)])


def test_content_is_filled_in():
    for make in ALL[1:]:
        wanted = make()
        found = with_content(written(Predicted(wanted)).predictor, wanted.content)
        np.testing.assert_array_equal(predict(found, SHAPE), predict(wanted, SHAPE))


def test_digest_of_an_expression():
    """Spacing, cells, two instructions and their operations behind KH, KW and Cin."""
    short = Expression(5, (Instruction(Operator.PLACE), Instruction(Operator.LOOK_UP)),
                       np.zeros((3, 4), np.int8))
    record = (5 | 4 << 8 | 2 << 24 | 4 << 30 | 5 << 34).to_bytes(5, "little")
    assert expression_digest(short, SHAPE) == zlib.crc32(struct.pack("<3I", 2, 2, 5) + record)
