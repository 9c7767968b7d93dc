"""What lies behind the host link, for its tests."""

import random

from sw.format.status import Error, State
from sw.format.target import Target


__all__ = ["TARGET", "AcceleratorModel", "counter_value", "gaps"]


TARGET = Target(memory_words=512, activation_bytes=1024)


def gaps(seed, longest):
    rng = random.Random(seed)
    while True:
        yield rng.randint(0, longest)


def counter_value(index):
    return 0x01020305 * (index + 1) & 0xffffffff


async def take(ctx, stream, stall):
    """Return the next payload; fit to be abandoned, as a background testbench is at the end."""
    for _ in range(next(stall)):
        await ctx.tick()
    ctx.set(stream.ready, 1)
    valid = 0
    while not valid:
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
    ctx.set(stream.ready, 0)
    return payload


class AcceleratorModel:
    """Memories, counters and the state of an accelerator, connected to the ports of ``dut``.

    Its streams stall for up to ``longest`` cycles. The state follows a strobe as late as it may,
    and keeps for ``busy`` cycles, which may change meanwhile.
    """

    def __init__(self, dut, *, longest=0, busy=100):
        rng = random.Random(0)
        self.dut = dut
        self.longest = longest
        self.busy = busy
        self.image = {}
        self.activations = bytearray(rng.randbytes(TARGET.activation_bytes))
        self.memory = [rng.getrandbits(32) for _ in range(TARGET.memory_words)]
        self.strobes = []
        self.ends_with = State.READY, Error.NONE
        self.parts = [self.take_image, self.take_inputs, self.give_outputs, self.give_words,
                      self.count, self.follow_strobes]

    def words(self, first, number):
        """Return words of the image as bytes."""
        return b"".join(word.to_bytes(4, "little") for word in self.memory[first:first + number])

    async def take_image(self, ctx):
        stall = gaps(1, self.longest)
        while True:
            write = await take(ctx, self.dut.image, stall)
            self.image[write.address] = self.memory[write.address] = write.data

    async def take_inputs(self, ctx):
        stall = gaps(2, self.longest)
        while True:
            write = await take(ctx, self.dut.inputs, stall)
            self.activations[write.address] = write.data

    async def give_outputs(self, ctx):
        await self.give(ctx, self.dut.output_reads, self.dut.outputs, self.activations)

    async def give_words(self, ctx):
        await self.give(ctx, self.dut.image_reads, self.dut.image_words, self.memory)

    async def give(self, ctx, reads, o, memory):
        stall = gaps(3, self.longest)
        while True:
            address = await take(ctx, reads, stall)
            for _ in range(next(stall)):
                await ctx.tick()
            ctx.set(o.payload, memory[address])
            ctx.set(o.valid, 1)
            while not (await ctx.tick().sample(o.ready))[-1]:
                pass
            ctx.set(o.valid, 0)

    async def count(self, ctx):
        before, now = 0, 0
        while True:
            ctx.set(self.dut.count, counter_value(before))
            before, now = now, ctx.get(self.dut.counter)
            await ctx.tick()

    async def follow_strobes(self, ctx):
        while True:
            _, _, load, run = await ctx.tick().sample(self.dut.load, self.dut.run)
            if load or run:
                self.strobes.append(State.LOADING if load else State.RUNNING)
                for _ in range(3):
                    await ctx.tick()
                ctx.set(self.dut.state, self.strobes[-1])
                cycles = 0
                while cycles < self.busy:
                    await ctx.tick()
                    cycles += 1
                state, error = self.ends_with
                ctx.set(self.dut.state, state)
                ctx.set(self.dut.error, error)
