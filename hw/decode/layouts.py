"""What flows between the parts of a decoder."""

from amaranth import *
from amaranth.lib import data

from sw.format.tables import GROUP, MAX_RUNS


__all__ = ["CODEBOOK_WORD", "CODE_WORD", "FILTERS", "JOB", "RUNS", "choice_layout", "chunk_layout",
           "delivery_layout", "lane_row_layout", "lane_table_layout", "result_layout", "row_layout",
           "run_layout", "table_layout", "transfer_layout"]


#: A word of section CODE.
CODE_WORD = data.StructLayout({"data": 32, "last": 1})

#: Symbols ``first``, ``first + 1``, ... stand for so many zeros each; 0 behind the last one.
RUNS = data.StructLayout({"first": 8, "zeros": data.ArrayLayout(8, MAX_RUNS)})

#: A word of section CODEBOOK: four weights.
CODEBOOK_WORD = data.StructLayout({"address": 8, "data": 32})

#: A layer that has weights: how many filters it has, and weights of each; ``first`` of a network.
FILTERS = data.StructLayout({"filters": 16, "size": 16, "first": 1})

#: Kernel rows to be delivered: their number, the weights of each, the codebook.
JOB = data.StructLayout({"kernel_rows": 16, "length": 16, "codebook": 4})


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


def chunk_layout(symbol_bits, most=GROUP):
    """Return the layout of up to so many indices; those beyond their number mean nothing."""
    return data.StructLayout({
        "indices": data.ArrayLayout(symbol_bits, most),
        "count": range(most + 1),
    })


def transfer_layout(symbol_bits, most=GROUP):
    """Return the layout of indices of one kernel row; they end with it if ``last``."""
    return data.StructLayout({
        "indices": data.ArrayLayout(symbol_bits, most),
        "count": range(most + 1),
        "codebook": 4,
        "last": 1,
    })


def delivery_layout(most=GROUP):
    """Return the layout of so many weights of a kernel row; zeros behind its last one."""
    return data.StructLayout({"weights": data.ArrayLayout(signed(8), most), "last": 1})


def lane_row_layout(lanes):
    """Return the layout of a row of a tANS table, as ``lanes.rows`` gives it."""
    wide = lanes.row_bits > 18
    return data.StructLayout({
        "base": lanes.code.table_bits,
        "code": 2,
        **({"taken": 5, "raw": 3} if wide else {}),
        "values": data.ArrayLayout(signed(lanes.value_bits), lanes.tuple_size),
    })


def lane_table_layout(lanes):
    """Return the layout of a row with its address: the table's number and the state."""
    return data.StructLayout({
        "address": range(lanes.tables << lanes.code.table_bits),
        "data": lane_row_layout(lanes),
    })


def run_layout(lanes):
    """Return the layout of a run: so many symbols of a table, 1 or more; none follow the last."""
    return data.StructLayout({"table": range(lanes.tables), "count": 16, "last": 1})


def choice_layout(lanes):
    """Return the layout of what the lanes are to do in a step.

    They look up states in ``tables``, unless there is none yet (``begins``). If it is ``live``,
    there are symbols, which are to leave. Lanes that have ``ended`` must have state 0; they all
    have been checked before what is behind the ``last`` choice.
    """
    return data.StructLayout({
        "tables": data.ArrayLayout(range(lanes.tables), lanes.lanes),
        "begins": 1,
        "live": 1,
        "ended": lanes.lanes,
        "last": 1,
    })
