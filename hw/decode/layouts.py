"""What flows between the parts of a decoder."""

from amaranth.lib import data

from sw.format.tables import GROUP, MAX_RUNS


__all__ = ["code_layout", "result_layout", "row_layout", "runs_layout", "table_layout"]


#: Words of section CODE.
code_layout = data.StructLayout({"data": 32, "last": 1})

#: Symbols ``first``, ``first + 1``, ... stand for so many zeros each; 0 behind the last one.
runs_layout = data.StructLayout({"first": 8, "zeros": data.ArrayLayout(8, MAX_RUNS)})


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


def table_layout(shape):
    """Return the layout of a row of the table of an automaton of ``shape``, with its address."""
    return data.StructLayout({"address": shape.address_bits, "data": row_layout(shape)})
