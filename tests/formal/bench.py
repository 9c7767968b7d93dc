"""Bench of a proof: drives a component with everything that may come, and watches what it does."""

from amaranth import *
from amaranth.hdl import Assume, Cover


__all__ = ["Bench"]


#: Transfers that are counted; no bounded proof has more cycles.
MOST = 63


class Bench(Elaboratable):
    """A component under proof, between sources that pause and sinks that stall as they like.

    What is checked holds in each cycle; so do assumptions. Everything is one clock domain, whose
    first cycle is what power-up leaves.

    Parameters
    ----------
    dut : Component
        What is to be proven.
    any_history : bool
        Whether its registers are anything in the first cycle, in which ``run`` is low, or where it
        has none a reset: so it doesn't matter what was before. Nothing is checked in that cycle.

    Attributes
    ----------
    m : Module
        Whatever else a proof needs.
    first : Signal
        It is the first cycle.
    sinks : int
        Streams that a sink takes. Wires ``sink0_valid``, ``sink0_ready``, ... tell them apart.
    bound : int
        The most cycles of all calls of `within`.
    """

    def __init__(self, dut, *, any_history=False):
        self.dut = dut
        self.m = m = Module()
        self.clock = ClockDomain("sync", reset_less=True)
        m.domains.sync = self.clock
        self.first = Signal(init=1)
        self.begins = self.first if any_history else Const(0)
        self.any_history = any_history
        if any_history and hasattr(dut, "run"):
            m.d.comb += dut.run.eq(~self.first)
            m.submodules.dut = dut
        else:
            m.submodules.dut = ResetInserter(self.begins)(dut)
        m.d.sync += self.first.eq(0)
        self.sinks = self.frees = self.bound = 0

    def elaborate(self, platform):
        return self.m

    def free(self, kind, shape):
        value = Signal(shape)
        self.m.submodules[f"free{self.frees}"] = Instance(
            kind, p_WIDTH=len(Value.cast(value)), o_Y=value)
        self.frees += 1
        return value

    def any(self, shape=1):
        """Return a value that may be another one in each cycle."""
        return self.free("anyseq", shape)

    def constant(self, shape=1):
        """Return a value that may be any one, but stays the same."""
        return self.free("anyconst", shape)

    def always(self, condition):
        """Demand that ``condition`` holds."""
        self.m.d.comb += Assert(self.begins | condition, src_loc_at=1)

    def assume(self, condition):
        """Look at nothing but what meets ``condition``."""
        self.m.d.comb += Assume(condition, src_loc_at=1)

    def reaches(self, condition):
        """Demand that there is a way to ``condition``, else the proof would be of nothing."""
        self.m.d.comb += Cover(condition, src_loc_at=1)

    def before(self, value, init=0):
        """Return ``value`` as it was in the cycle before."""
        value = Value.cast(value)
        later = Signal(len(value), init=init)
        self.m.d.sync += later.eq(value)
        return later

    def count(self, condition, most):
        """Return in how many cycles before ``condition`` has held, up to ``most``."""
        count = Signal(range(most + 1))
        with self.m.If(condition & (count != most)):
            self.m.d.sync += count.eq(count + 1)
        return count

    def stays(self, stream):
        """Return that what wasn't taken is still offered, unchanged."""
        payload = Value.cast(stream.payload)
        waiting = self.before(stream.valid & ~stream.ready & ~self.begins)
        return ~waiting | stream.valid & (self.before(payload) == payload)

    def source(self, stream, payload=None):
        """Offer any payloads, or ``payload``, with pauses; return that one is transferred."""
        shape = Value.cast(stream.payload).shape()
        valid = self.any() & ~self.begins
        offered = Value.cast(stream.payload)
        self.m.d.comb += [
            stream.valid.eq(valid),
            offered.eq(self.any(shape) if payload is None else payload),
        ]
        self.assume(self.stays(stream))
        return stream.valid & stream.ready

    def sink(self, stream):
        """Take payloads with stalls and demand the rules; return that one is transferred.

        That ``valid`` doesn't follow ``ready`` combinationally is looked up in the netlist.
        """
        number, self.sinks = self.sinks, self.sinks + 1
        ready = Signal(name=f"sink{number}_ready")
        valid = Signal(name=f"sink{number}_valid")
        self.m.d.comb += [
            ready.eq(self.any() & ~self.begins),
            stream.ready.eq(ready),
            valid.eq(stream.valid),
        ]
        self.always(self.stays(stream))
        return stream.valid & stream.ready

    def within(self, cycles, goal, *, while_=1):
        """Demand ``goal`` after at most so many cycles in which ``while_`` holds without it.

        The bound of a deadlock: none can be longer. Where ``goal`` is the ``valid`` of a stream
        whose sink may stall for ever, ``valid`` doesn't wait for ``ready`` in any other cycle.
        """
        self.bound = max(self.bound, cycles)
        waited = Signal(range(cycles + 2))
        with self.m.If(goal | self.begins):
            self.m.d.sync += waited.eq(0)
        with self.m.Elif(while_ & (waited <= cycles)):
            self.m.d.sync += waited.eq(waited + 1)
        self.always(waited <= cycles)
        return waited

    def in_order(self, taken, payload, given, result, *, may_differ=lambda kept: Const(0)):
        """Demand that transfers come out as they go in: none is lost, repeated or changed.

        Parameters
        ----------
        taken, given : Value
            There is a transfer into the component, and out of it.
        payload, result : Value
            What it has.
        may_differ : function of Value
            Tells from a payload whether its result may be any.

        Returns
        -------
        Value
            How many have come out.
        """
        number = self.constant(range(MOST))
        went, came = self.count(taken, MOST), self.count(given, MOST)
        kept = Signal(Value.cast(payload).shape())
        with self.m.If(taken & (went == number)):
            self.m.d.sync += kept.eq(payload)
        self.always(~given | (came < went))
        self.always(~(given & (came == number)) | may_differ(kept) | (result == kept))
        return came

    def bits_in_order(self, taken, word, given, result, size):
        """Demand that bits come out as they go in, in words of any other size, the lowest first.

        Parameters
        ----------
        taken, given : Value
            There is a transfer into the component, and out of it.
        word, result : Value
            What it has.
        size : ValueLike
            Bits of ``result`` that count.

        Returns
        -------
        Value
            How many bits have come out.
        """
        bits = (MOST + 1) * len(word)
        bit = self.constant(range(bits))
        went, came = Signal(range(bits)), Signal(range(bits))
        kept = Signal()
        with self.m.If(taken):
            self.m.d.sync += went.eq(went + len(word))
            with self.m.If((went <= bit) & (bit < went + len(word))):
                self.m.d.sync += kept.eq(word.bit_select((bit - went)[:8], 1))
        with self.m.If(given):
            self.m.d.sync += came.eq(came + size)
        self.always(~given | (came + size <= went))
        self.always(~(given & (came <= bit) & (bit < came + size))
                    | (result.bit_select((bit - came)[:8], 1) == kept))
        return came
