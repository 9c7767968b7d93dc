"""Verilog of a component: the text that is simulated and the text that is built."""

import os
import re

from amaranth.back import verilog
from amaranth.hdl import Const, Value


__all__ = ["generate"]


# Initial values of consecutive words of a memory.
INITIAL_WORDS = re.compile(r"(?:^    \S+\[\d+\] = .*\n){256}(?=    \S)", re.MULTILINE)


def generate(component, *, name, platform):
    """Return the Verilog of ``component`` as module ``name``, with the blocks of ``platform``.

    The same component gives the same text on every machine: it holds no source paths, and the
    converter is the one that comes with Amaranth, never a Yosys that happens to be installed.

    Ports are named as Amaranth does it, ``stream__payload``; what is constant, as ``ready`` of a
    stream that can't stall, is none.
    """
    values = {"__".join(map(str, path)): Value.cast(value)
              for path, _, value in component.signature.flatten(component)}
    # No direction is given: what the component drives is an output.
    ports = {port: (value, None) for port, value in values.items()
             if not isinstance(value, Const)}

    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    text = verilog.convert(component, name=name, platform=platform, ports=ports, emit_src=False,
                           strip_internal_attrs=True)
    # yosys reads a block in time that grows with the square of its length: a minute for a weight
    # memory, where several blocks take seconds.
    return INITIAL_WORDS.sub(r"\g<0>  end\n  initial begin\n", text)
