"""Simulations of the gateware of predictors."""

from dataclasses import replace

from amaranth.sim import Simulator

from hw.predict.seeds import SeedCore
from sw.predict import predict


__all__ = ["throughput"]


#: Blocks that are simulated.
BLOCKS = 100


def throughput(seeds):
    """Return the weights a cycle of the gateware, simulated on whole blocks, and compared.

    Raises
    ------
    ValueError
        If it gives others.
    """
    kept = replace(seeds, seeds=seeds.seeds.reshape(-1, 1)[:BLOCKS],
                   exponents=seeds.exponents.reshape(-1, 1)[:BLOCKS],
                   coefficients=seeds.coefficients.reshape(-1, 1, seeds.shape.terms)[:BLOCKS])
    expected = predict(kept, (len(kept.seeds), 1, 1, seeds.shape.block)).ravel().tolist()
    core = SeedCore(seeds.shape)
    weights = []
    cycles = [0]

    async def producer(ctx):
        ctx.set(core.filter_size, seeds.shape.block)
        ctx.set(core.i.valid, 1)
        for seed, exponent, coefficients in zip(kept.seeds.ravel(), kept.exponents.ravel(),
                                                kept.coefficients[:, 0], strict=True):
            ctx.set(core.i.payload, {"seed": int(seed), "exponent": int(exponent),
                                     "coefficients": coefficients.tolist()})
            await ctx.tick().until(core.i.ready)
        ctx.set(core.i.valid, 0)

    async def consumer(ctx):
        ctx.set(core.o.ready, 1)
        while len(weights) < len(expected):
            _, _, valid, weight = await ctx.tick().sample(core.o.valid, core.o.payload)
            if valid:
                weights.append(weight)
            cycles[0] += bool(weights)

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(producer)
    simulator.add_testbench(consumer)
    simulator.run_until(4e-6 * len(expected) + 1e-4)
    if weights != expected:
        raise ValueError(f"Gateware of {seeds.shape} must give what its decoder does")
    return len(weights) / cycles[0]
