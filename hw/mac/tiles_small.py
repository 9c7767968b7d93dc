"""One tile of weights for the array of an iCE40 UltraPlus, and what fills it."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.mac.array_small import COLUMNS


__all__ = ["SmallFiller", "SmallTileStore", "tile_job_layout", "word_write_layout"]


def word_write_layout(rows, words):
    """Return the layout of a word for the tile store: a row's weights, and where they belong."""
    return data.StructLayout({
        "row": range(rows),
        "address": range(words),
        "weights": data.ArrayLayout(signed(8), COLUMNS),
    })


def tile_job_layout(rows, words):
    """Return the layout of an order for a tile: filters, kernel rows of each, weights of each."""
    return data.StructLayout({
        "filters": range(rows + 1),
        "kernel_rows": range(words + 1),
        "length": range(COLUMNS * words + 1),
    })


def check_words(words):
    if words < 1 or words.bit_count() != 1:
        raise ValueError(f"Words must be a power of two, not {words}")


class SmallTileStore(wiring.Component):
    """Keeps a filter for each row of the array.

    Accepts a write and a read a cycle, but not of one address. The weights of all rows at an
    address appear ``latency`` cycles after its read, and stay until the next one's.

    Parameters
    ----------
    rows : int
        Rows of the array.
    words : int
        Words of a filter, a power of two. 512 take two block RAMs a row.

    Members
    -------
    writes : In(stream.Signature(word_write_layout(rows, words), always_ready=True))
        Words of the filters.
    reads : In(stream)
        Addresses.
    weights : Out(ArrayLayout)
        A word of each row.
    """

    latency = 1

    def __init__(self, rows=8, *, words=512):
        check_words(words)
        self.rows = rows
        self.words = words
        super().__init__({
            "writes": In(stream.Signature(word_write_layout(rows, words), always_ready=True)),
            "reads": In(stream.Signature(range(words), always_ready=True)),
            "weights": Out(data.ArrayLayout(data.ArrayLayout(signed(8), COLUMNS), rows)),
        })

    def elaborate(self, platform):
        m = Module()

        write = self.writes.payload
        for row in range(self.rows):
            for column in range(COLUMNS):
                # Of 8 bits: 512 words of them are a block RAM without a multiplexer behind it.
                m.submodules[f"row{row}_column{column}"] = memory = Memory(
                    shape=signed(8), depth=self.words, init=[])
                write_port = memory.write_port()
                read_port = memory.read_port()
                m.d.comb += [
                    write_port.en.eq(self.writes.valid & (write.row == row)),
                    write_port.addr.eq(write.address),
                    write_port.data.eq(write.weights[column]),
                    read_port.en.eq(self.reads.valid),
                    read_port.addr.eq(self.reads.payload),
                    self.weights[row][column].eq(read_port.data),
                ]

        return m


class SmallFiller(wiring.Component):
    """Places the weights of one tile after the other in the tile store.

    Takes a weight a cycle, from the cycle after a job on until all of its filters are there; then
    it is ready for the next one. A word is written together with its last weight. Each kernel row
    begins a word; what it leaves of its last one is 0, so kernel rows of one weight make words for
    rows with inputs of their own. Filters that are too long begin again at their first word.

    Parameters
    ----------
    rows, words : int
        As in `SmallTileStore`.

    Members
    -------
    jobs : In(stream.Signature(tile_job_layout(rows, words)))
        Orders, in which no number is 0.
    weights : In(stream.Signature(signed(8)))
        Weights: filter by filter, kernel row by kernel row.
    writes : Out(stream.Signature(word_write_layout(rows, words), always_ready=True))
        Words for the tile store.
    """

    def __init__(self, rows=8, *, words=512):
        check_words(words)
        self.rows = rows
        self.words = words
        super().__init__({
            "jobs": In(stream.Signature(tile_job_layout(rows, words))),
            "weights": In(stream.Signature(signed(8))),
            "writes": Out(stream.Signature(word_write_layout(rows, words), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()

        job = Signal(tile_job_layout(self.rows, self.words))
        filling = Signal()
        row = Signal(range(self.rows))
        address = Signal(range(self.words))
        kernel_rows_left = Signal.like(job.kernel_rows)
        weights_left = Signal.like(job.length)
        first = Signal(signed(8))
        has_first = Signal()

        taken = self.weights.valid & filling
        row_ends = weights_left == 1
        filter_ends = row_ends & (kernel_rows_left == 1)
        m.d.comb += [
            self.jobs.ready.eq(~filling),
            self.weights.ready.eq(filling),
            self.writes.valid.eq(taken & (has_first | row_ends)),
            self.writes.payload.row.eq(row),
            self.writes.payload.address.eq(address),
            self.writes.payload.weights[0].eq(Mux(has_first, first, self.weights.payload)),
            self.writes.payload.weights[1].eq(Mux(has_first, self.weights.payload, 0)),
        ]
        with m.If(taken):
            m.d.sync += [
                first.eq(self.weights.payload),
                has_first.eq(~has_first & ~row_ends),
                weights_left.eq(Mux(row_ends, job.length, weights_left - 1)),
            ]
        with m.If(self.writes.valid):
            m.d.sync += address.eq(address + 1)
        with m.If(taken & row_ends):
            m.d.sync += kernel_rows_left.eq(kernel_rows_left - 1)
        with m.If(taken & filter_ends):
            m.d.sync += [
                row.eq(row + 1),
                address.eq(0),
                kernel_rows_left.eq(job.kernel_rows),
                filling.eq(row + 1 != job.filters),
            ]
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += [
                job.eq(self.jobs.payload),
                row.eq(0),
                kernel_rows_left.eq(self.jobs.payload.kernel_rows),
                weights_left.eq(self.jobs.payload.length),
                filling.eq(1),
            ]

        return m
