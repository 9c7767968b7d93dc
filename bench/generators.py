"""Simulations of the gateware of predictors."""

from amaranth import *
from amaranth.sim import Simulator


__all__ = ["throughput"]


#: The most cycles that a weight takes, and those until the first one.
SLOW, BEFORE = 200, 20_000


def throughput(job, expected):
    """Return the weights a cycle of a core, from the first one on, simulated and compared.

    Parameters
    ----------
    job : hw.predict.job.Job
        Core and inputs of a layer.
    expected : sequence of int
        The first weights that it must give.

    Raises
    ------
    ValueError
        If it gives others.
    """
    core = job.core
    weights = []
    cycles = [0]
    done = []

    async def producer(ctx):
        for name, level in job.levels.items():
            ctx.set(Value.cast(getattr(core, name)), level)
        for name, payloads in job.writes.items():
            port = getattr(core, name)
            ctx.set(port.valid, 1)
            for payload in payloads:
                ctx.set(Value.cast(port.payload), payload)
                await ctx.tick()
            ctx.set(port.valid, 0)
        ctx.set(core.i.valid, 1)
        for payload in job.inputs:
            ctx.set(Value.cast(core.i.payload), payload)
            taken = False
            while not taken:
                if done:
                    return
                _, _, taken = await ctx.tick().sample(core.i.ready)
        ctx.set(core.i.valid, 0)

    async def consumer(ctx):
        ctx.set(core.o.ready, 1)
        for _ in range(BEFORE + SLOW * len(expected)):
            _, _, valid, weight = await ctx.tick().sample(core.o.valid, core.o.payload)
            if valid:
                weights.append(weight)
            cycles[0] += bool(weights)
            if len(weights) == len(expected):
                break
        done.append(True)

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(producer)
    simulator.add_testbench(consumer)
    simulator.run()
    if weights != list(expected):
        raise ValueError(f"{type(core).__name__} must give what its decoder does")
    return len(weights) / cycles[0]
