# amaranth: UnusedElaboratable=no

import re

from amaranth import *
from amaranth.lib import stream, wiring
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
