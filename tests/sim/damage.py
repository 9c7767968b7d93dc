"""Tiles of coded data, some damaged, and what each must decode to, whatever is in it.

The software refuses what no encoder writes; gateware decodes it to something. So these decoders
take anything, bit by bit after docs/format.md.
"""

import numpy as np

from hw.engine.feed import READ_AHEAD
from sw.format.tables import BLOCK


__all__ = ["Bits", "damaged", "rice_symbols", "run_length_symbols", "tans_values"]


class Bits:
    """Fields of coded data and of the zeros that the engine feeds behind them.

    Raises
    ------
    EOFError
        By ``take``, beyond these.
    """

    def __init__(self, coded):
        self.number = int.from_bytes(coded, "little")
        self.size = len(coded) * 8 + 32 * READ_AHEAD
        self.position = 0

    def take(self, width):
        field = self.number >> self.position & (1 << width) - 1
        self.position += width
        if self.position > self.size:
            raise EOFError
        return field


def damaged(coded, rng):
    """Return ``coded`` with bits flipped, a part cut out or doubled, or with other bytes."""
    kind = rng.integers(6)
    data = bytearray(coded)
    at, end = sorted(rng.integers(0, len(data) // 4 + 1, 2) * 4)
    if kind == 0:
        return rng.bytes(len(data))
    if kind == 1:
        return bytes(data[:at] + data[end:]) or bytes(4)
    if kind == 2:
        return bytes(data[:end] + data[at:])
    if kind == 3:
        return bytes([rng.choice([0, 255])]) * len(data)
    for bit in rng.integers(0, len(data) * 8, rng.integers(1, 6)):
        data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def rice_symbols(coded, count):
    """Return the symbols of Golomb-Rice coded data (section 12)."""
    bits, k, symbols = Bits(coded), 0, []
    while len(symbols) < count:
        q = 0
        while q < 8 and bits.take(1):
            q += 1
        if q < 8:
            symbols.append((q << k | bits.take(k)) % 256)
            continue
        byte = bits.take(8)
        if byte < 8:
            k = byte
        else:
            symbols.append(byte)
    return symbols


def run_length_symbols(coded, count):
    """Return the symbols of run-length coded data (section 13); None behind illegal widths."""
    bits, symbols = Bits(coded), []
    while len(symbols) < count:
        byte = bits.take(8)
        v, r = byte & 15, byte >> 4
        if v > 8 or r > 7:
            return symbols + [None] * (count - len(symbols))
        block = []
        while len(block) < BLOCK and len(symbols) + len(block) < count:
            run = bits.take(r)
            block += [0] * run
            if len(block) < BLOCK and (r == 0 or run < (1 << r) - 1):
                block.append((bits.take(v) + (r != 0)) % 256)
        symbols += block[:BLOCK]
    return symbols[:count]


def tans_values(coded, rows, runs, states):
    """Return the values of tANS coded data (section 11) of 256 states, and if they end at 0.

    Parameters
    ----------
    rows : sequence of sequences of int
        Rows of each table, sound or not: of 18 bits, as `sw.format.lanes.TansLanes` has them.
    runs : sequence of (int, int)
        Tables of the symbols, and how many there are.
    """
    bits, values = Bits(coded), []
    state = [bits.take(8) for _ in range(states)]
    for table in np.repeat(*np.transpose(runs)):
        place = len(values) % states
        row = rows[table][state[place]]
        base, code = row & 255, row & 3 | row >> 8 - 2 & 12
        width = 8 - (code & 7) if code < 8 else 1 + (code & 1) if code & 4 else 0
        mask = (1 << width) - 1
        state[place] = base & ~mask | bits.take(width)
        values.append((row >> 10 ^ 128) - 128)
    return values, not any(state)
