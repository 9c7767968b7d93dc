"""Verilog of a component: the text that is simulated and the text that is built."""

import os

from amaranth.back import verilog


__all__ = ["generate"]


def generate(component, *, name, platform):
    """Return the Verilog of ``component`` as module ``name``, with the blocks of ``platform``.

    The same component gives the same text on every machine: it holds no source paths, and the
    converter is the one that comes with Amaranth, never a Yosys that happens to be installed.
    """
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    return verilog.convert(component, name=name, platform=platform, emit_src=False,
                           strip_internal_attrs=True)
