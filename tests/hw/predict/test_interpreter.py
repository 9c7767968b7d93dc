# amaranth: UnusedElaboratable=no

import random

import numpy as np
import pytest

from hw.predict.interpreter import Interpreter
from sw.format.predictors import Expression, Instruction, Operator, depth_of
from sw.predict import predict

from ..streams import NEVER, receive, send


SHAPE = (3, 3, 2, 5)


def gaps(seed):
    rng = random.Random(seed)
    while True:
        yield rng.choice((0, 0, 0, 1, 3))


def draw(seed, length=20):
    """Return a random program."""
    rng = random.Random(seed)
    program, depth = [], 0
    while len(program) < length or depth != 1:
        possible = [operator for operator in Operator if operator.taken <= depth
                    and depth + 1 - operator.taken <= 8]
        if len(program) >= length:
            possible = [operator for operator in possible if operator.taken > 1]
        operator = rng.choice(possible)
        value = rng.randrange(-128, 128) if operator is Operator.CONSTANT else 0
        program.append(Instruction(operator, value))
        depth += 1 - operator.taken
    depth_of(program)
    return tuple(program)


def expression(program, cells=8, spacing=4, filters=3, seed=0):
    memory = np.random.default_rng(seed).integers(-128, 128, (filters, cells)).astype(np.int8)
    return Expression(spacing, program, memory)


def generate(simulate, found, shape=SHAPE, *, idle=NEVER, stall=NEVER):
    dut = Interpreter(cells=16)
    expected = predict(found, shape).ravel().tolist()
    cycles = []

    async def producer(ctx):
        _, height, width, channels = shape
        for name, value in {"height": height, "width": width, "channels": channels,
                            "spacing": found.spacing, "size": found.memory.shape[1],
                            "length": len(found.program)}.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.program.valid, 1)
        for place, instruction in enumerate(found.program):
            ctx.set(dut.program.payload, {"place": place, "instruction": {
                "operator": instruction.operator.value, "value": instruction.value}})
            await ctx.tick()
        ctx.set(dut.program.valid, 0)
        await send(ctx, dut.i, found.memory.ravel().tolist(), idle=idle)

    async def consumer(ctx):
        assert await receive(ctx, dut.o, len(expected), stall=stall) == expected

    async def clock(ctx):
        while True:
            await ctx.tick()
            cycles.append(0)

    simulate(dut, producer, consumer, background=[clock], watch=[dut.o], max_cycles=50_000)
    return len(cycles)


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(simulate, seed):
    generate(simulate, expression(draw(seed), seed=seed))


@pytest.mark.parametrize("idle, stall", [(True, False), (False, True), (True, True)])
def test_idle_sources_and_stalls(simulate, idle, stall):
    generate(simulate, expression(draw(3)), idle=gaps(1) if idle else NEVER,
             stall=gaps(2) if stall else NEVER)


@pytest.mark.parametrize("operator", [operator for operator in Operator if operator.taken])
def test_each_operation(simulate, operator):
    sources = [Instruction(Operator.PLACE), Instruction(Operator.LOOK_UP),
               Instruction(Operator.COLUMN), Instruction(Operator.CONSTANT, -3),
               Instruction(Operator.ADD), Instruction(Operator.CHANNEL)]
    first = {1: sources[:2], 2: sources[:5], 3: [*sources[2:5], *sources[:2], sources[5]]}
    program = (*first[operator.taken], Instruction(operator))
    generate(simulate, expression(program))


def test_cycles_of_a_weight(simulate):
    short = expression((Instruction(Operator.PLACE), Instruction(Operator.LOOK_UP)))
    # Of 30 weights 8 are stored.
    taken = 2 + 3 * (8 + 8 * 3 + 22 * (2 + 2 + 1))
    assert taken <= generate(simulate, short) <= taken + 6


def test_too_few_cells_are_refused():
    with pytest.raises(ValueError, match="Cells must be 2 or more, not 1"):
        Interpreter(cells=1)
