# amaranth: UnusedElaboratable=no

import re

import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from boards import find_board
from hw.rtl import generate


class Inverter(wiring.Component):
    i: In(stream.Signature(8, always_ready=True))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.eq(~self.i.payload),
            ]
        return m


def verilog():
    return generate(Inverter(), name="inverter", platform=find_board("ulx3s").platform("85F"))


def test_ports_have_the_names_and_directions_of_the_signature():
    ports = {name: direction for direction, name in
             re.findall(r"^  (input|output) (?:\[\S+\] )?(\S+);$", verilog(), re.MULTILINE)}
    assert ports == {
        "clk": "input", "rst": "input", "i__valid": "input", "i__payload": "input",
        "o__valid": "output", "o__payload": "output", "o__ready": "input",
    }


def test_text_is_the_same_each_time_and_knows_no_paths():
    text = verilog()
    assert text == verilog()
    assert __file__ not in text


class Table(wiring.Component):
    word: Out(16)

    def __init__(self, words):
        self.words = words
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=len(self.words), init=self.words)
        read_port = memory.read_port()
        m.d.sync += read_port.addr.eq(read_port.addr + 1)
        m.d.comb += self.word.eq(read_port.data)
        return m


@pytest.mark.parametrize("depth", [256, 257, 1024])
def test_long_memories_are_initialised_in_short_blocks(depth):
    words = [index * 7 % 65536 for index in range(depth)]
    text = generate(Table(words), name="table", platform=find_board("ulx3s").platform("85F"))
    values = re.findall(r"^    \S+\[(\d+)\] = 16'h(\w+);$", text, re.MULTILINE)
    assert [(int(index), int(word, 16)) for index, word in values] == list(enumerate(words))
    blocks = re.findall(r"initial begin\n(.*?)  end\n", text, re.DOTALL)
    assert all(1 <= block.count("\n") <= 256 for block in blocks)
