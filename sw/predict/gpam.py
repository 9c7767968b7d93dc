"""Expressions that compute weights from a tenth of them: genetic programming with memory.

Juza and Sekanina, "GPAM: Genetic Programming with Associative Memory" (EuroGP 2023): a memory holds
some of a layer's weights, an evolved expression of positions and memory makes all others. Here the
operators are those of gateware without multipliers, the error is the one of the layer's outputs,
and what the memory holds is fitted to the expression, too, by least squares.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from deap import gp
from numpy.typing import NDArray

from ..files import write_file
from ..format.predictors import Expression, Instruction, Operator, WeightShape, depth_of
from . import checkpoints
from .decoders import predict, rows_of
from .fitting import Task, Unsuited


__all__ = ["DAMPING", "GRANULARITY", "allot", "fit", "spacing_for"]


Array = NDArray[np.float64]

GRANULARITY = "channel"
DAMPING = 0.03

SEED = 2023
POPULATION = 400
GENERATIONS = 60

#: Of a generation: individuals kept, crossed, and mutated.
ELITE, CROSSED, MUTATED = 5, 0.5, 0.45
TOURNAMENT = 4

#: The longest and the highest expressions.
MAX_SIZE, MAX_HEIGHT = 40, 7

#: What an instruction costs, as a share of the outputs' energy.
PARSIMONY = 1e-5

#: An expression that loses a greater share of the outputs' energy is worse than none.
MOST_LOST = 0.15

#: Bits of a value in the memory, about.
VALUE_BITS = 7.5

#: What a memory's cells are set to, one by one, to see what an expression makes of them.
PROBE = 64

#: The greatest value of a fitted memory, and the greatest prediction.
GREATEST_CELL, GREATEST_WEIGHT = 100, 120


class Index:
    """The type of what follows from a weight's position alone: addresses and conditions."""


class Value:
    """The type of what comes from the memory: sums of cells, so that these can be fitted."""


#: What expressions are made of: operator, and the types that it takes.
INDICES = {"row": Operator.ROW, "column": Operator.COLUMN, "channel": Operator.CHANNEL,
           "place": Operator.PLACE}
ON_INDICES = {f"index_{operator.name.lower()}": (operator, (Index,) * operator.taken)
              for operator in Operator if operator.taken and operator is not Operator.LOOK_UP}
ON_VALUES = {
    "look_up": (Operator.LOOK_UP, (Index,)), "add": (Operator.ADD, (Value, Value)),
    "subtract": (Operator.SUBTRACT, (Value, Value)), "halve": (Operator.HALVE, (Value,)),
    "negate": (Operator.NEGATE, (Value,)), "select": (Operator.SELECT, (Index, Value, Value))}
PRIMITIVES = ON_INDICES | ON_VALUES

#: The cell before, as a terminal.
NEAREST = "nearest"

#: Constants by their names: m1 is -1.
CONSTANTS = {f"{'m' if value < 0 else 'c'}{abs(value)}": value
             for value in (-8, -4, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 16)}

#: What evolution begins with, beside chance: the nearest cell before, and between two.
FIRST = (NEAREST, "halve(add(nearest, look_up(index_add(place, c1))))",
         "add(nearest, look_up(channel))")


def allot(shapes: Sequence[WeightShape], bits: float) -> list[float]:
    """Return the bits of a weight of each layer: the same in all."""
    return [bits] * len(shapes)


def spacing_for(bits: float) -> int:
    """Return how many weights share a cell of the memory: 10 at 0.75 bits for each.

    Raises
    ------
    ValueError
        If that isn't 2 to 255.
    """
    spacing = round(VALUE_BITS / bits) if bits > 0 else 0
    if not 2 <= spacing <= 255:
        raise ValueError(f"Expressions must have {VALUE_BITS / 255:.2f} to {VALUE_BITS / 2:g} bits "
                         f"for each weight, not {bits:g}")
    return spacing


def fit(task: Task, bits: float, seconds: float, progress: Callable[[str], None]) -> Expression:
    """Return the best expression of a seeded evolution, and its memory.

    Where time runs out, the best so far is taken, and the evolution is kept: called again, it goes
    on from there.
    """
    spacing = spacing_for(bits)
    width = task.target.shape[2]
    if len(task.target) > 1 or width < 2 * spacing:
        raise Unsuited(f"{task.name} has filters of {width} weights with inputs of their own, or "
                       f"fewer than {2 * spacing}")
    problem = Problem(task, spacing)
    found = evolve(problem, monotonic() + seconds, progress)
    lost = problem.lost(found)
    if lost > MOST_LOST:
        raise Unsuited(f"{task.name} would lose {lost:.0%} of its outputs' energy with the best "
                       f"expression")
    return found


class Problem:
    """What an expression is to be found for.

    Parameters
    ----------
    task : Task
        Of one group.
    spacing : int
        Weights to a cell.
    """

    def __init__(self, task: Task, spacing: int) -> None:
        self.task = task
        self.spacing = spacing
        self.cells = -(-task.target.shape[2] // spacing)
        self.wanted = task.target[0] * task.scale[0][:, None]
        self.hessian = task.hessian[0]
        self.likeness = self.hessian @ self.wanted.T
        self.energy = float((self.likeness * self.wanted.T).sum()) or 1.0
        self.known: dict[str, float] = {}

    @property
    def path(self) -> Path:
        """Where an unfinished fit of the same problem lies."""
        return checkpoints.path_for(
            "gpam", (self.wanted, self.hessian, self.spacing, POPULATION), "json")

    def expression(self, program: tuple[Instruction, ...], memory: NDArray[np.int8] | None = None
                   ) -> Expression:
        if memory is None:
            memory = np.zeros((self.task.shape[0], self.cells), np.int8)
        return Expression(self.spacing, program, memory)

    def response(self, program: tuple[Instruction, ...]) -> Array:
        """Return what each cell contributes to each weight: shape (weights, cells)."""
        probes = PROBE * np.eye(self.cells, dtype=np.int16)
        shown = rows_of(self.expression(program), self.task.shape, probes)
        return shown.astype(np.float64).T / PROBE

    def solve(self, response: Array) -> tuple[Array, float]:
        """Return the best memory, (cells, filters), and what share of energy is lost with it."""
        gram = response.T @ (self.hessian @ response)
        gram += 1e-6 * (np.trace(gram) / len(gram) + 1e-12) * np.eye(len(gram))
        likeness = response.T @ self.likeness
        memory = np.linalg.solve(gram, likeness)
        return memory, max(0.0, 1 - float((memory * likeness).sum()) / self.energy)

    def loss(self, tree: gp.PrimitiveTree) -> float:
        """Return what an individual costs: lost energy, were it linear, and its length."""
        text = str(tree)
        if text not in self.known:
            try:
                program = program_of(tree)
                depth_of(program)
                lost = self.solve(self.response(program))[1]
            except ValueError:
                lost = np.inf
            self.known[text] = lost + PARSIMONY * len(tree)
        return self.known[text]

    def lost(self, expression: Expression) -> float:
        """Return the share of energy that is lost with the best scale of each filter."""
        shown = predict(expression, self.task.shape).reshape(self.wanted.shape).astype(np.float64)
        energy = (shown @ self.hessian * shown).sum(axis=1)
        likeness = (shown * self.likeness.T).sum(axis=1)
        gained = np.where((energy > 0) & (likeness > 0),
                          likeness ** 2 / np.where(energy > 0, energy, 1), 0)
        return 1 - float(gained.sum()) / self.energy

    def finish(self, tree: gp.PrimitiveTree) -> Expression:
        """Return an individual with its memory in whole numbers."""
        program = program_of(tree)
        response = self.response(program)
        memory, _ = self.solve(response)
        shown = np.abs(response @ memory).max(axis=0)
        factor = np.minimum(GREATEST_CELL / np.maximum(np.abs(memory).max(axis=0), 1e-30),
                            GREATEST_WEIGHT / np.maximum(shown, 1e-30))
        return self.expression(program, np.rint(memory * factor).T.astype(np.int8))


def program_of(tree: gp.PrimitiveTree) -> tuple[Instruction, ...]:
    """Return a tree, which DEAP keeps in prefix order, in postfix order."""
    program: list[Instruction] = []

    def walk(place: int) -> int:
        node = tree[place]
        place += 1
        for _ in range(node.arity):
            place = walk(place)
        if node.name in PRIMITIVES:
            program.append(Instruction(PRIMITIVES[node.name][0]))
        elif node.name in INDICES:
            program.append(Instruction(INDICES[node.name]))
        elif node.name == NEAREST:
            program.extend((Instruction(Operator.PLACE), Instruction(Operator.LOOK_UP)))
        else:
            program.append(Instruction(Operator.CONSTANT, CONSTANTS[node.name]))
        return place

    walk(0)
    return tuple(program)


def primitives() -> gp.PrimitiveSetTyped:
    """Return what DEAP makes expressions of; nothing is ever computed with it."""
    found = gp.PrimitiveSetTyped("weights", [], Value)
    for made, group in ((Index, ON_INDICES), (Value, ON_VALUES)):
        for name, (_, taken) in group.items():
            found.addPrimitive(lambda *_: 0, list(taken), made, name=name)
    for name in (*INDICES, *CONSTANTS):
        found.addTerminal(name, Index, name=name)
    found.addTerminal(NEAREST, Value, name=NEAREST)
    return found


@dataclass
class Population:
    """An evolution's state.

    Parameters
    ----------
    best : str
        The best individual so far, once its memory is in whole numbers.
    lost : float
        The share of energy that it loses.
    """

    individuals: list[gp.PrimitiveTree]
    generation: int
    best: gp.PrimitiveTree
    lost: float


def evolve(problem: Problem, end: float, progress: Callable[[str], None]) -> Expression:
    """Return the best expression that was found until ``end``, of `monotonic`'s time."""
    symbols = primitives()
    path = problem.path
    with seeded():
        state = load(path, symbols) or start(problem, symbols)
        saved = monotonic()
        while state.generation < GENERATIONS and monotonic() < end:
            step(problem, symbols, state)
            progress(f"generation {state.generation} of {GENERATIONS}, {state.lost:.1%} lost")
            if monotonic() > saved + checkpoints.PAUSE:
                save(path, state)
                saved = monotonic()
        if state.generation < GENERATIONS:
            save(path, state)
        else:
            path.unlink(missing_ok=True)
    return problem.finish(state.best)


@contextmanager
def seeded() -> Iterator[None]:
    """Let what DEAP draws begin with a seed of its own, and others' chance go on as it was."""
    before = random.getstate()
    random.seed(SEED)
    try:
        yield
    finally:
        random.setstate(before)


def start(problem: Problem, symbols: gp.PrimitiveSetTyped) -> Population:
    grown = partial(gp.genHalfAndHalf, symbols, min_=1, max_=4)
    individuals = [read(text, symbols) for text in FIRST]
    individuals += [gp.PrimitiveTree(grown()) for _ in range(POPULATION - len(FIRST))]
    best = individuals[0]
    return Population(individuals, 0, best, problem.lost(problem.finish(best)))


def step(problem: Problem, symbols: gp.PrimitiveSetTyped, state: Population) -> None:
    """Replace a population by its next generation."""
    costs = {str(tree): problem.loss(tree) for tree in state.individuals}
    ranked = sorted({str(tree): tree for tree in state.individuals}.values(),
                    key=lambda tree: (costs[str(tree)], str(tree)))
    for tree in ranked[:ELITE]:
        if costs[str(tree)] < state.lost:
            lost = problem.lost(problem.finish(tree))
            if lost < state.lost:
                state.best, state.lost = tree, lost

    def choose() -> gp.PrimitiveTree:
        drawn = [random.choice(state.individuals) for _ in range(TOURNAMENT)]
        return gp.PrimitiveTree(min(drawn, key=lambda tree: costs[str(tree)]))

    grown = partial(gp.genFull, min_=0, max_=2)
    children = [gp.PrimitiveTree(tree) for tree in ranked[:ELITE]]
    while len(children) < POPULATION:
        chance = random.random()
        parent = choose()
        if chance < CROSSED:
            child, _ = gp.cxOnePoint(gp.PrimitiveTree(parent), choose())
        elif chance < CROSSED + MUTATED / 2:
            child, = gp.mutUniform(gp.PrimitiveTree(parent), grown, symbols)
        elif chance < CROSSED + MUTATED:
            child, = gp.mutNodeReplacement(gp.PrimitiveTree(parent), symbols)
        else:
            child, = gp.mutShrink(gp.PrimitiveTree(parent))
        children.append(child if len(child) <= MAX_SIZE and child.height <= MAX_HEIGHT else parent)
    state.individuals, state.generation = children, state.generation + 1


def save(path: Path, state: Population) -> None:
    version, words, gauss = random.getstate()
    write_file(path, json.dumps({
        "individuals": [str(tree) for tree in state.individuals], "best": str(state.best),
        "generation": state.generation, "lost": state.lost,
        "chance": [version, words, gauss]}).encode())


def load(path: Path, symbols: gp.PrimitiveSetTyped) -> Population | None:
    """Return an evolution that was broken off, and let chance go on from there; None if none was.

    A file that isn't one is no reason to stop: evolution begins anew.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        trees = [read(text, symbols) for text in found["individuals"]]
        state = Population(trees, int(found["generation"]), read(found["best"], symbols),
                           float(found["lost"]))
        version, words, gauss = found["chance"]
        random.setstate((version, tuple(words), gauss))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return state


def read(text: str, symbols: gp.PrimitiveSetTyped) -> gp.PrimitiveTree:
    """Return a tree of known names; nothing else is looked at, let alone run."""
    groups = (*symbols.primitives.values(), *symbols.terminals.values())
    names = {node.name: node for nodes in groups for node in nodes}
    return gp.PrimitiveTree([names[token] for token in
                             text.replace("(", " ").replace(")", " ").replace(",", " ").split()])
