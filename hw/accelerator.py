"""Accelerator: the engine and its host link, as it is simulated and as it is built."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.engine.engine import Engine, memory_pins
from hw.link.host import HostLink

from sw.format.status import State


__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """Loads its image at power-on, then answers the host (docs/link.md).

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.
    image : bytes
        The image in the weight memory at power-on; may be empty.
    clock_hz : int
        Frequency of domain ``sync``.
    baud : int
        Rate of the host link.

    Members
    -------
    rx, tx : In(1), Out(1)
        UART of the host link; idle high.
    leds : Out(8)
        Bit 0 ready, bit 1 loading or running, bit 2 failed.
    flash, sdram
        The chips that the target's memory is in, as in `hw.engine.engine.memory_pins`.
    """

    def __init__(self, target, image=b"", *, clock_hz, baud):
        self.target = target
        self.image = image
        self.clock_hz = clock_hz
        self.baud = baud
        self.engine = Engine(target, image, clock_hz=clock_hz)
        self.link = HostLink(target, clock_hz=clock_hz, baud=baud)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(8)}
                         | memory_pins(target))

    def elaborate(self, platform):
        m = Module()

        m.submodules.engine = engine = self.engine
        m.submodules.link = link = self.link

        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        connect(m, link.image, engine.image)
        for chip in memory_pins(self.target):
            connect(m, getattr(engine, chip), flipped(getattr(self, chip)))
        connect(m, link.inputs, engine.inputs)
        connect(m, link.output_reads, engine.output_reads)
        connect(m, engine.outputs, link.outputs)
        connect(m, link.image_reads, engine.image_reads)
        connect(m, engine.image_words, link.image_words)
        m.d.comb += [
            engine.load.eq(link.load),
            engine.run.eq(link.run),
            link.state.eq(engine.state),
            link.error.eq(engine.error),
            engine.counter.eq(link.counter),
            link.count.eq(engine.count),
        ]

        state = engine.state
        m.d.sync += self.leds.eq(Cat(
            state == State.READY,
            (state == State.LOADING) | (state == State.RUNNING),
            state == State.FAILED))

        return m
