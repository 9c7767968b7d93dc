# amaranth: UnusedElaboratable=no

from amaranth import *

from hw.decode.reorder import Reorder
from sw.format.tables import AutomatonShape

from .bench import Bench


#: Turns of its substream that a group takes at most, with codewords of 2 bits at most.
TURNS = 1 + -(-(4 * 2 - 1) // 2)


def groups(cls):
    """Return the bench: steps of two substreams, in which groups begin and are completed later."""
    bench = Bench(dut := cls(AutomatonShape(2, 2, 2)), any_history=True)
    m = bench.m
    result = dut.i[0].payload

    # Steps come as long as there is room, and up to two after it has ended.
    step = bench.any() & ~bench.begins
    rooms = [dut.room & ~bench.begins]
    for _ in range(2):
        rooms.append(bench.before(rooms[-1]))
    bench.assume(~step | rooms[0] | rooms[1] | rooms[2])
    late = Signal(2)
    with m.If(dut.room):
        m.d.sync += late.eq(0)
    with m.Elif(step):
        m.d.sync += late.eq(late + 1)
    bench.assume(~step | dut.room | (late < 2))

    half = Signal()
    age = Array(Signal(range(TURNS + 1), name=f"age{number}") for number in range(2))
    is_open = age[half] != 0
    complete, begun = bench.any(), Signal()
    m.d.comb += [
        dut.i[0].valid.eq(step),
        result.group.as_value().eq(bench.any(8)),
        result.complete.eq(complete),
        begun.eq(~is_open | complete & bench.any()),
        result.begun.eq(begun),
    ]
    bench.assume(~complete | is_open)
    bench.assume(~step | complete | (age[half] < TURNS))
    with m.If(step):
        m.d.sync += half.eq(~half)
        with m.If(begun):
            m.d.sync += age[half].eq(1)
        with m.Else():
            m.d.sync += age[half].eq(Mux(complete, 0, age[half] + 1))

    # Any one of the groups: where it was begun, and what it is.
    number, start = bench.constant(4), bench.count(step & begun, 63)
    owner, waiting = Signal(), Signal()
    known, kept = Signal(), Signal(8)
    with m.If(step & complete & waiting & (half == owner)):
        m.d.sync += [
            waiting.eq(0),
            known.eq(1),
            kept.eq(result.group.as_value()),
        ]
    with m.If(step & begun & (start == number)):
        m.d.sync += [
            waiting.eq(1),
            owner.eq(half),
        ]
    given = bench.sink(dut.o)
    came = bench.count(given, 63)
    bench.always(~(given & (came == number)) | known & (dut.o.payload.as_value() == kept))
    bench.within(3, dut.o.valid, while_=known & (came == number))
    bench.reaches(given & (came == number) & (number == 3) & (kept == 0xa5))
    return bench


def test_groups_in_order_and_room_for_them(prove):
    prove(groups, Reorder, depth=14, what=" of 2 substreams, groups of up to 8 bits",
          small=("-(-(GROUP * MAX_CODE_LENGTH - 1)", "-(-(GROUP * 2 - 1)"),
          bug=("Cat(begun, half)", "Cat(begun, ~half)"), bug_depth=12)
