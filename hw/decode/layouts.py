"""What flows between the parts of a decoder."""

from amaranth.lib import data

from sw.format.tables import GROUP


__all__ = ["result_layout", "row_layout"]


def row_layout(shape):
    """Return the layout of a row of the table of an automaton of ``shape``."""
    return data.StructLayout({
        "symbols": data.ArrayLayout(shape.symbol_bits, shape.row_symbols),
        "count": shape.count_bits,
        "state": shape.state_bits,
    })


def result_layout(shape):
    """Return the layout of what a step of a substream has done."""
    return data.StructLayout({
        "group": data.ArrayLayout(shape.symbol_bits, GROUP),
        "complete": 1,
        "begun": 1,
    })
