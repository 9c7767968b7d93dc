"""Weights from small networks: a matrix-vector unit."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.decode.queue import Queue
from hw.pipeline import delay
from hw.primitives.mult18x18d import MULT18X18D
from hw.primitives.pdpw16kd import PDPW16KD


__all__ = ["WORDS", "PerceptronCore", "bias_layout", "cycles_of", "matrix_layout", "matrix_words"]


#: Words of the memory of matrices, as many as a block RAM of 36 bits has.
WORDS = 512

#: Bits of a sum: 255 products of a hidden value, up to 255, and a bias.
SUM_BITS = 24

#: Values of each region of the memory of vectors.
REGION = 256

#: Cycles from an input's address to the product that it is part of.
PRODUCT = PDPW16KD.latency + 1 + MULT18X18D.latency


def matrix_layout(lanes):
    """Return what is written into the matrices: what ``lanes`` outputs make of an input."""
    return data.StructLayout({"address": range(WORDS),
                              "weights": data.ArrayLayout(signed(8), lanes)})


def bias_layout():
    """Return what is written into the biases: one of a layer's outputs."""
    return data.StructLayout({"output": 8, "layer": 1, "value": signed(16)})


def matrix_words(perceptron, lanes):
    """Return the words of the matrices, ``lanes`` weights each, as they lie in the memory.

    Raises
    ------
    ValueError
        If they don't fit.
    """
    words = []
    for matrix in perceptron.matrices:
        for start in range(0, len(matrix), lanes):
            rows = matrix[start:start + lanes].tolist()
            rows += [[0] * matrix.shape[1]] * (lanes - len(rows))
            words += zip(*rows, strict=True)
    if len(words) > WORDS:
        raise ValueError(f"Matrices must have at most {WORDS} words of {lanes} weights, "
                         f"not {len(words)}")
    return [list(word) for word in words]


def cycles_of(perceptron, lanes):
    """Return the cycles that a block takes where neither latent values nor room are waited for."""
    tiles = [(-(-len(matrix) // lanes), max(matrix.shape[1], lanes))
             for matrix in perceptron.matrices]
    total = sum(count * length for count, length in tiles)
    if len(tiles) == 1:
        return total
    # The second layer waits for the last hidden value, and the next block for a cycle.
    hidden, inputs = perceptron.matrices[0].shape
    return (total - max(lanes - hidden, 0) + PerceptronCore.latency + (hidden - 1) % lanes
            + (inputs >= lanes))


class PerceptronCore(wiring.Component):
    """Generates weights, block by block, each from as many latent values as a network has inputs.

    A layer's outputs are made ``lanes`` at a time, from one input a cycle, and leave one a cycle:
    a block takes `cycles_of`. Latent values of the next block are taken meanwhile. A stall holds
    back later tiles; what is being made has its place in a queue. A block ends with its filter.
    Matrices must fit, which `matrix_words` checks; what isn't loaded is 0.

    Parameters
    ----------
    lanes : int
        Outputs that are made at once, and multipliers; 4, 8 or 16.

    Members
    -------
    matrix : In(stream.Signature(matrix_layout(lanes), always_ready=True))
        Matrices, as `matrix_words` orders them, while no weights are generated.
    bias : In(stream.Signature(bias_layout(), always_ready=True))
        Biases, likewise.
    deep : In(1)
        Whether there is a hidden layer. It and the others below hold throughout a layer of weights.
    inputs, hidden, outputs : In(8)
        Values of the network, 1 or more; ``hidden`` only where there are any.
    shifts : In(data.ArrayLayout(4, 2))
        Of the first and of the second layer.
    filter_size : In(16)
        Weights of a filter, 1 or more.
    i : In(stream.Signature(signed(8)))
        Latent values.
    o : Out(stream.Signature(signed(8)))
        Weights, filter by filter.

    Attributes
    ----------
    latency : int
        Cycles from a tile's last input to where its first output can be used.

    Raises
    ------
    ValueError
        If ``lanes`` is another number.
    """

    latency = PRODUCT + 7

    def __init__(self, *, lanes=8):
        if lanes not in (4, 8, 16):
            raise ValueError(f"Lanes must be 4, 8 or 16, not {lanes}")
        self.lanes = lanes
        super().__init__({
            "matrix": In(stream.Signature(matrix_layout(lanes), always_ready=True)),
            "bias": In(stream.Signature(bias_layout(), always_ready=True)),
            "deep": In(1), "inputs": In(8), "hidden": In(8), "outputs": In(8),
            "shifts": In(data.ArrayLayout(4, 2)),
            "filter_size": In(16),
            "i": In(stream.Signature(signed(8))),
            "o": Out(stream.Signature(signed(8))),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.queue = queue = Queue(signed(8), 8 * self.lanes)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.submodules.vectors = vectors = Memory(shape=8, depth=4 * REGION, init=[])
        write = vectors.write_port()
        made = Signal(data.StructLayout({"valid": 1, "value": 8, "address": 8}))
        full = self.take(m, write, made)

        # Weights of the queue that are there, or will be, once what has begun is done.
        reserved = Signal(range(8 * self.lanes + 1))
        dropped = Signal()
        room = Signal()
        tile = self.issue(m, full, room, made.valid)
        left = Signal(range(3))
        m.d.comb += left.eq(dropped + (queue.o.valid & queue.o.ready))
        # Tiles begin 2 cycles apart or more: one may have begun that isn't reserved yet.
        reserves = delay(m, tile.reserves, 1, reset_less=False)
        m.d.sync += [
            reserved.eq(reserved + Mux(reserves, self.lanes, 0) - left),
            room.eq(reserved <= 6 * self.lanes),
        ]
        sums = self.multiply(m, vectors.read_port(), tile)
        self.drain(m, tile, sums, queue, made, dropped)
        return m

    def take(self, m, write, made):
        """Write latent values, and hidden ones before them; return whether each half is full."""
        bank, place = Signal(), Signal(8)
        full = Signal(data.StructLayout({"banks": 2, "freed": 2}))
        m.d.comb += [
            self.i.ready.eq(~full.banks.bit_select(bank, 1) & ~made.valid),
            write.en.eq(self.i.valid & self.i.ready | made.valid),
            write.addr.eq(Mux(made.valid, Cat(made.address, Const(2, 2)), Cat(place, bank, C(0)))),
            write.data.eq(Mux(made.valid, made.value, self.i.payload)),
        ]
        filled = Signal(2)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += place.eq(place + 1)
            with m.If(place + 1 == self.inputs):
                m.d.sync += [place.eq(0), bank.eq(~bank)]
                m.d.comb += filled.eq(Mux(bank, 2, 1))
        m.d.sync += full.banks.eq(full.banks & ~full.freed | filled)
        return full

    def issue(self, m, full, room, hidden_made):
        """Return what begins in each cycle: an input of a tile, whose outputs are made at once."""
        tile = Signal(data.StructLayout({
            "valid": 1, "first": 1, "last": 1, "layer": 1, "fresh": 1, "final": 1,
            "kept": range(self.lanes + 1), "address": range(WORDS), "place": 10, "reserves": 1}))
        layer, bank = Signal(), Signal()
        place, done = Signal(8), Signal(8)
        address = Signal(range(WORDS))
        gap = Signal(range(self.lanes))
        waiting = Signal(8)                     # Hidden values that aren't there yet.
        height = Signal(8)
        # Both a cycle late. Tiles end ``lanes`` cycles apart, but the first one of another layer
        # would begin too soon.
        limit, remaining = Signal(8), Signal(8)
        settled = Signal()
        output = Signal()                       # Whether this layer's outputs are weights.
        m.d.comb += [
            output.eq(layer | ~self.deep),
            height.eq(Mux(output, self.outputs, self.hidden)),
            tile.first.eq(place == 0), tile.last.eq(place == limit),
            tile.layer.eq(layer), tile.fresh.eq(done == 0),
            tile.final.eq(remaining <= self.lanes),
            tile.kept.eq(Mux(tile.final, remaining, self.lanes)),
            tile.address.eq(address),
            tile.place.eq(Cat(place, Mux(layer, Const(2, 2), Cat(bank, C(0))))),
        ]
        m.d.sync += [
            limit.eq(Mux(layer, self.hidden, self.inputs) - 1),
            remaining.eq(height - done),
            settled.eq(1),
        ]
        there = Mux(layer, waiting == 0, full.banks.bit_select(bank, 1))
        m.d.comb += [
            tile.valid.eq(settled & there & (room | ~output | ~tile.first)
                          & ((gap == 0) | ~tile.last)),
            tile.reserves.eq(tile.valid & tile.first & output),
        ]
        with m.If(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        with m.If(hidden_made):
            m.d.sync += waiting.eq(waiting - 1)
        with m.If(tile.valid):
            m.d.sync += [place.eq(place + 1), address.eq(address + 1)]
            with m.If(tile.last):
                m.d.sync += [place.eq(0), gap.eq(self.lanes - 1), done.eq(done + self.lanes)]
                with m.If(tile.final):
                    m.d.sync += [done.eq(0), layer.eq(~output), settled.eq(~self.deep)]
                    with m.If(output):
                        m.d.sync += address.eq(0)
                    with m.If(~layer):
                        m.d.sync += bank.eq(~bank)
                        m.d.comb += full.freed.eq(Mux(bank, 2, 1))
            with m.If(tile.first & tile.fresh & ~layer):
                m.d.sync += waiting.eq(self.hidden)
        return tile

    def multiply(self, m, read, tile):
        """Return the sums of a tile, whole ``PRODUCT`` + 1 cycles after its last input."""
        words = []
        for number in range(self.lanes // 4):
            m.submodules[f"matrix{number}"] = block = PDPW16KD()
            part = self.matrix.payload.weights.as_value()[32 * number:][:32]
            m.d.comb += [
                block.writes.valid.eq(self.matrix.valid),
                block.writes.payload.address.eq(self.matrix.payload.address),
                block.writes.payload.data.eq(part),
                block.reads.valid.eq(tile.valid),
                block.reads.payload.eq(tile.address),
            ]
            words += [block.data[8 * lane:][:8].as_signed() for lane in range(4)]
        m.d.comb += [read.addr.eq(tile.place), read.en.eq(tile.valid)]
        value = Signal(signed(9))
        hidden = delay(m, tile.layer, 1)
        m.d.sync += value.eq(Cat(read.data, read.data[7] & ~hidden))
        value = delay(m, value, PDPW16KD.latency - 1)
        valid = delay(m, tile.valid, PRODUCT, reset_less=False)
        first = delay(m, tile.first, PRODUCT)
        sums = []
        for lane, word in enumerate(words):
            m.submodules[f"multiplier{lane}"] = multiplier = MULT18X18D()
            own = Signal(signed(8))
            total = Signal(signed(SUM_BITS), name=f"sum{lane}")
            m.d.sync += own.eq(word)
            m.d.comb += [multiplier.a.eq(own), multiplier.b.eq(value)]
            product = multiplier.product[:SUM_BITS].as_signed()
            with m.If(valid):
                m.d.sync += total.eq(product + Mux(first, 0, total))
            sums.append(total)
        return sums

    def drain(self, m, tile, sums, queue, made, dropped):
        """Let the sums of a tile leave, one a cycle: as hidden values, or as weights."""
        load = delay(m, tile.valid & tile.last, PRODUCT + 1, reset_less=False)
        how = delay(m, Cat(tile.kept, tile.layer, tile.fresh, tile.final), PRODUCT + 1)
        kept, (layer, fresh, final) = how[:len(tile.kept)], how[len(tile.kept):]
        row = [Signal(signed(SUM_BITS), name=f"row{lane}") for lane in range(self.lanes)]
        count, useful = Signal(range(self.lanes + 1)), Signal(range(self.lanes + 1))
        now = Signal(data.StructLayout({
            "valid": 1, "useful": 1, "layer": 1, "end": 1, "index": 8}))
        own_layer, own_final, index = Signal(), Signal(), Signal(8)
        m.d.sync += [own.eq(following) for own, following in pairwise(row)]
        m.d.comb += [
            now.valid.eq(count != 0), now.useful.eq(useful != 0), now.layer.eq(own_layer),
            now.end.eq(own_final & (useful == 1)), now.index.eq(index)]
        with m.If(now.valid):
            m.d.sync += [count.eq(count - 1), index.eq(index + 1)]
            with m.If(now.useful):
                m.d.sync += useful.eq(useful - 1)
        with m.If(load):
            m.d.sync += [own.eq(total) for own, total in zip(row, sums, strict=True)]
            m.d.sync += [count.eq(self.lanes), useful.eq(kept), own_layer.eq(layer),
                         own_final.eq(final)]
            with m.If(fresh):
                m.d.sync += index.eq(0)

        m.submodules.biases = biases = Memory(shape=signed(16), depth=2 * REGION, init=[])
        write, read = biases.write_port(), biases.read_port()
        change = self.bias.payload
        bias, total = Signal(signed(16)), Signal(signed(SUM_BITS))
        shifted = Signal(signed(SUM_BITS))
        m.d.comb += [
            write.en.eq(self.bias.valid), write.addr.eq(Cat(change.output, change.layer)),
            write.data.eq(change.value), read.addr.eq(Cat(now.index, now.layer)),
            read.en.eq(now.valid)]
        early = delay(m, now, 3)
        m.d.sync += [
            bias.eq(read.data),
            total.eq(delay(m, row[0], 2) + bias),
            shifted.eq(total >> self.shifts[early.layer]),
        ]
        self.finish(m, shifted, delay(m, now, 4, reset_less=False), queue, made, dropped)

    def finish(self, m, value, now, queue, made, dropped):
        """Clip a value, and let it go to the queue, to the second layer, or nowhere."""
        output = now.layer | ~self.deep
        least, most = Mux(output, -128, 0), Mux(output, 127, 255)
        clipped = Signal(8)
        with m.If(value < least):
            m.d.comb += clipped.eq(least)
        with m.Elif(value > most):
            m.d.comb += clipped.eq(most)
        with m.Else():
            m.d.comb += clipped.eq(value)

        left, fresh = Signal(16), Signal(init=1)        # Weights of the filter; whether it begins.
        over = Signal()                                 # The filter's last weight was before.
        following = Signal(16)
        m.d.comb += following.eq(Mux(fresh, self.filter_size, left) - 1)
        weight = now.valid & now.useful & output
        with m.If(weight):
            with m.If(~over):
                m.d.sync += [left.eq(following), fresh.eq(0), over.eq(following == 0)]
            with m.If(now.end & (over | (following == 0))):
                m.d.sync += [fresh.eq(1), over.eq(0)]
        m.d.sync += [
            queue.i.valid.eq(weight & ~over), queue.i.payload.eq(clipped),
            dropped.eq(now.valid & output & ~(weight & ~over)),
            made.valid.eq(now.valid & now.useful & ~output), made.value.eq(clipped),
            made.address.eq(now.index),
        ]
