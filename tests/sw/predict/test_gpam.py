import random

import numpy as np
import pytest

from sw.format.predictors import Expression, Operator
from sw.predict import Task, Unsuited, checkpoints, fit, predict
from tests.sw.networks import small_network

gpam = pytest.importorskip("sw.predict.gpam")


SHAPE = (4, 3, 3, 8)


def task(seed=0, shape=SHAPE, groups=1):
    """Return a task whose filters are smooth along their channels, as its inputs are."""
    rng = np.random.default_rng(seed)
    width = int(np.prod(shape[1:]))
    rows = shape[0] // groups
    slow = np.kron(rng.normal(0, 30, (groups, rows, -(-width // 4))), np.ones(4))[..., :width]
    target = np.clip(slow + rng.normal(0, 3, slow.shape), -112, 112)
    hessian = 0.8 ** np.abs(np.subtract.outer(np.arange(width), np.arange(width)))
    return Task("layer", shape, target, np.repeat(hessian[None], groups, axis=0),
                np.ones((groups, rows)))


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "checkpoints")
    monkeypatch.setattr(gpam, "POPULATION", 40)
    monkeypatch.setattr(gpam, "GENERATIONS", 6)


def quiet(news):
    assert "generation" in news


def test_expressions_keep_most_of_the_outputs():
    wanted = task()
    found = gpam.fit(wanted, 1.9, 60, quiet)
    assert isinstance(found, Expression)
    assert found.spacing == 4
    assert found.memory.shape == (4, 18)
    shown = predict(found, SHAPE)
    # Every fourth weight of a filter is the memory's.
    np.testing.assert_array_equal(shown.reshape(4, -1)[:, ::4], found.memory)
    assert gpam.Problem(wanted, 4).lost(found) < 0.02
    noise = np.random.default_rng(0).normal(0, 30, (1, 4, 72))
    flat = Task("layer", SHAPE, noise, np.eye(72)[None], np.ones((1, 4)))
    with pytest.raises(Unsuited, match=r"layer would lose \d\d% of its outputs' energy"):
        gpam.fit(flat, 0.75, 60, quiet)


def test_a_broken_off_evolution_goes_on(monkeypatch):
    wanted = task(3)
    whole = gpam.fit(wanted, 1.5, 60, quiet)
    times = iter([0.0, 0.0, 0.0, 0.0, 0.0, 99.0, *[99.0] * 99])
    with monkeypatch.context() as patch:
        patch.setattr(gpam, "monotonic", lambda: next(times))
        news = []
        gpam.fit(wanted, 1.5, 1, news.append)
    assert 0 < len(news) < 6
    assert len(list(checkpoints.FOLDER.iterdir())) == 1
    more = []
    found = gpam.fit(wanted, 1.5, 60, more.append)
    assert len(news) + len(more) == 6
    assert found.program == whole.program
    np.testing.assert_array_equal(found.memory, whole.memory)
    assert not list(checkpoints.FOLDER.iterdir())


def test_a_damaged_checkpoint_is_left_alone():
    problem = gpam.Problem(task(), 4)
    checkpoints.FOLDER.mkdir()
    path = problem.path
    for text in (b"", b"[]", b'{"individuals": ["__import__(\'os\')"]}'):
        path.write_bytes(text)
        assert gpam.load(path, gpam.primitives()) is None


def test_chance_of_others_goes_on():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    first = gpam.fit(task(), 1.9, 60, quiet)
    assert random.random() == expected
    again = gpam.fit(task(), 1.9, 60, quiet)
    assert again.program == first.program


def test_programs_come_in_postfix_order():
    symbols = gpam.primitives()
    tree = gpam.read("subtract(select(row, nearest, look_up(index_add(place, m4))), nearest)",
                     symbols)
    assert [step.operator for step in gpam.program_of(tree)] == [
        Operator.ROW, Operator.PLACE, Operator.LOOK_UP, Operator.PLACE, Operator.CONSTANT,
        Operator.ADD, Operator.LOOK_UP, Operator.SELECT, Operator.PLACE, Operator.LOOK_UP,
        Operator.SUBTRACT]
    assert gpam.program_of(tree)[4].value == -4
    assert gpam.read(str(tree), symbols) == tree


@pytest.mark.parametrize("shape, groups", [((8, 3, 3, 1), 8), ((4, 1, 1, 15), 1)])
def test_small_filters_do_not_suit(shape, groups):
    with pytest.raises(Unsuited, match="inputs of their own, or fewer than 20"):
        gpam.fit(task(shape=shape, groups=groups), 0.75, 60, quiet)


def test_rate_chooses_a_spacing():
    assert gpam.spacing_for(0.75) == 10
    for bits in (0, 0.02, 8):
        with pytest.raises(ValueError, match=r"0\.03 to 3\.75 bits"):
            gpam.spacing_for(bits)


def test_other_layers_make_up_for_errors():
    network = small_network()
    x = np.random.default_rng(0).integers(0, 17, (50, 6, 6, 1))
    fitted, corrected = fit("gpam", network, x, bits=2.5, seconds=60)
    assert fitted[0].predictor is None
    assert any(found.predictor for found in fitted)
    assert corrected.weighted[0].weights is network.weighted[0].weights
