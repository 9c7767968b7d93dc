"""Tiles: the weights of the filters at work and of those to come."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.pipeline import copies, delay
from hw.primitives.pdpw16kd import PDPW16KD


__all__ = ["TileStore", "weights_layout", "write_layout"]


#: What one block RAM holds in a word.
BLOCK_WEIGHTS = 4


def weights_layout(target):
    """Return the layout of what the array multiplies in a beat: ``columns`` weights a row."""
    return data.ArrayLayout(data.ArrayLayout(signed(8), target.columns), target.rows)


def write_layout(target):
    """Return the layout of a write: weights of a row, and where they belong."""
    return data.StructLayout({
        "row": range(target.rows),
        "address": 9,
        "half": 1,
        "weights": data.ArrayLayout(signed(8), target.transfer_weights),
    })


class TileStore(wiring.Component):
    """Keeps two tiles: for each row of the array a filter at work, and the next one.

    Accepts a write and a read a cycle. The weights of all rows at an address appear ``latency``
    cycles after its read. A write takes part in reads that are accepted in later cycles; an address
    must not be read in the cycle in which it is written.

    Parameters
    ----------
    target : Target
        Sizes of the array and of a tile.

    Members
    -------
    writes : In(stream.Signature(write_layout(target), always_ready=True))
        Weights of a row. ``address`` counts words of ``columns`` weights, over both tiles. Where a
        word has 8 and a write 4 of them, ``half`` says which, and half 0 clears half 1: write it
        first. Else ``half`` is 0.
    reads : In(stream)
        Addresses.
    weights : Out(stream)
        A word of each row.
    """

    def __init__(self, target):
        self.target = target
        super().__init__({
            "writes": In(stream.Signature(write_layout(target), always_ready=True)),
            "reads": In(stream.Signature(9, always_ready=True)),
            "weights": Out(stream.Signature(weights_layout(target), always_ready=True)),
        })

    @property
    def latency(self):
        return 1 + self.target.spread + PDPW16KD.latency

    def elaborate(self, platform):
        m = Module()

        read_valid = delay(m, self.reads.valid, 1, reset_less=False)
        writes = copies(m, delay(m, self.writes.payload, 1), self.target, "write")
        writes_valid = copies(m, delay(m, self.writes.valid, 1, reset_less=False), self.target,
                              "write_valid")
        reads = copies(m, delay(m, self.reads.payload, 1), self.target, "read")
        reads_valid = copies(m, read_valid, self.target, "read_valid")

        for row in range(self.target.rows):
            part = row % self.target.requantisers
            write, write_valid = writes[part], writes_valid[part]
            words = []
            for half in range(self.target.columns // BLOCK_WEIGHTS):
                m.submodules[f"row{row}_half{half}"] = block = PDPW16KD()
                own = write.weights.as_value().word_select(half, 8 * BLOCK_WEIGHTS)
                enable = write_valid & (write.row == row)
                if self.target.transfer_weights == BLOCK_WEIGHTS:
                    own = Mux(write.half == half, write.weights, 0)
                    enable &= write.half <= half
                m.d.comb += [
                    block.writes.valid.eq(enable),
                    block.writes.payload.address.eq(write.address),
                    block.writes.payload.data.eq(own),
                    block.reads.valid.eq(reads_valid[part]),
                    block.reads.payload.eq(reads[part]),
                ]
                words.append(block.data[:8 * BLOCK_WEIGHTS])
            m.d.comb += self.weights.payload[row].eq(Cat(words))
        m.d.comb += self.weights.valid.eq(
            delay(m, read_valid, self.latency - 1, reset_less=False))

        return m
