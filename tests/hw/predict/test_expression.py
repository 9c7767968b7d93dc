# amaranth: UnusedElaboratable=no

from dataclasses import replace

import pytest

from hw.predict.expression import ExpressionCore
from sw.format.predictor_records import expression_digest
from sw.format.predictors import Instruction, Operator
from sw.predict import predict

from ..streams import NEVER, receive, send
from .test_interpreter import SHAPE, draw, expression, gaps


def generate(simulate, found, shape=SHAPE, *, idle=NEVER, stall=NEVER):
    """Compare the weights of filters; return the core, and the cycles of cells and weights."""
    dut = ExpressionCore(found, shape)
    expected = predict(found, shape).ravel().tolist()
    taken, made = [], []

    async def producer(ctx):
        await send(ctx, dut.i, found.memory.ravel().tolist(), idle=idle)

    async def consumer(ctx):
        assert await receive(ctx, dut.o, len(expected), stall=stall) == expected
        assert ctx.get(dut.digest) == expression_digest(found, shape)
        for _ in range(dut.latency):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid

    async def clock(ctx):
        cycle = 0
        while True:
            _, _, comes, leaves = await ctx.tick().sample(
                dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready)
            cycle += 1
            taken.extend([cycle] * comes)
            made.extend([cycle] * leaves)

    simulate(dut, producer, consumer, background=[clock], watch=[dut.o], max_cycles=50_000)
    return dut, taken, made


@pytest.mark.parametrize("seed", range(24))
def test_random_programs(simulate, seed):
    generate(simulate, expression(draw(seed, 12 + seed), seed=seed))


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("idle, stall", [(True, False), (False, True), (True, True)])
def test_idle_sources_and_stalls(simulate, seed, idle, stall):
    generate(simulate, expression(draw(seed), filters=6), (6, *SHAPE[1:]),
             idle=gaps(1) if idle else NEVER, stall=gaps(2) if stall else NEVER)


@pytest.mark.parametrize("operator", [operator for operator in Operator if operator.taken])
def test_each_operation(simulate, operator):
    sources = [Instruction(Operator.PLACE), Instruction(Operator.LOOK_UP),
               Instruction(Operator.COLUMN), Instruction(Operator.CONSTANT, -3),
               Instruction(Operator.ADD), Instruction(Operator.CHANNEL)]
    first = {1: sources[:2], 2: sources[:5], 3: [*sources[2:5], *sources[:2], sources[5]]}
    generate(simulate, expression((*first[operator.taken], Instruction(operator))))


@pytest.mark.slow
def test_numbers_wrap_around(simulate):
    program = tuple(map(Instruction, (
        Operator.CHANNEL, Operator.CHANNEL, Operator.ADD, Operator.HALVE, Operator.CHANNEL,
        Operator.SUBTRACT, Operator.CHANNEL, Operator.PLACE, Operator.SELECT)))
    # From 16,384 on the sum, from 32,768 on the channel itself needs more than 16 bits.
    generate(simulate, expression(program, 130, 255, 1), (1, 1, 1, 33_000))


@pytest.mark.parametrize("cells, spacing", [(1, 40), (2, 20), (30, 2), (8, 4)])
def test_memories_of_other_sizes(simulate, cells, spacing):
    program = (Instruction(Operator.CHANNEL), Instruction(Operator.LOOK_UP),
               Instruction(Operator.PLACE), Instruction(Operator.LOOK_UP),
               Instruction(Operator.SUBTRACT))
    generate(simulate, expression(program, cells, spacing, 5), (5, *SHAPE[1:]), stall=gaps(7))


def test_one_weight_a_cycle(simulate):
    shape = (5, 3, 3, 16)
    found = expression(draw(5), 36, 4, 5)
    dut, taken, made = generate(simulate, found, shape)
    # The consumer is there from the first cycle on, and no filter waits for the one before.
    assert made == list(range(made[0], made[0] + 5 * 144))
    assert made[0] - taken[35] == dut.latency


def test_digest_tells_what_is_built_in():
    found = expression(draw(0))
    digest = expression_digest(found, SHAPE)
    assert expression_digest(replace(found, memory=found.memory + 1), (9, *SHAPE[1:])) == digest
    for other in (replace(found, spacing=5), replace(found, program=draw(1)),
                  expression(draw(0), cells=9)):
        assert expression_digest(other, SHAPE) != digest
    assert expression_digest(found, (3, 3, 2, 6)) != digest
