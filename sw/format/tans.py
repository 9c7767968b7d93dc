"""Section CODE of a tANS code: tables and the layers' choices, to the bit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .tables import (MAX_EXACT, MAX_SYMBOLS, MAX_TABLES, LayerCode, TansCode, TansShape, TansTable)


__all__ = ["ALL", "EACH", "ORDERED", "BitReader", "BitWriter", "counts_bits", "pack_tans",
           "unpack_tans"]


#: Ones of the longest unary part of a count; more would be a damaged table.
MAX_UNARY = 2 << 10


class BitWriter:
    """Bits, the lowest of each number first."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.uint8]] = []

    def put(self, value: int, width: int) -> None:
        self.put_all([value], width)

    def put_all(self, values: Sequence[int], width: int) -> None:
        """Write numbers of at most 24 bits, one after another."""
        column = np.array(values, np.uint32)[:, None]
        self.parts.append((column >> np.arange(width) & 1).astype(np.uint8).ravel())

    def unary(self, value: int) -> None:
        self.parts.append(np.append(np.ones(value, np.uint8), np.uint8(0)))

    def bytes(self) -> bytes:
        """Return all bits, padded with zeros to whole bytes."""
        return np.packbits(np.concatenate(self.parts), bitorder="little").tobytes()


class BitReader:
    """What a `BitWriter` wrote.

    Raises
    ------
    ValueError
        By every method, beyond the last bit.
    """

    def __init__(self, data: bytes) -> None:
        self.bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        self.position = 0

    def get(self, width: int) -> int:
        return self.get_all(1, width)[0]

    def get_all(self, count: int, width: int) -> list[int]:
        """Read numbers that follow one another."""
        end = self.position + count * width
        if end > len(self.bits):
            raise ValueError(f"it ends before bit {end}")
        taken = self.bits[self.position:end].reshape(count, width)
        self.position = end
        values: list[int] = (taken @ (1 << np.arange(width))).tolist()
        return values

    def unary(self) -> int:
        count = 0
        while self.get(1):
            count += 1
            if count > MAX_UNARY:
                raise ValueError(f"a count has more than {MAX_UNARY} bits")
        return count


def rice_parameter(counts: Sequence[int], table_bits: int) -> int:
    return rice(count_differences(counts, table_bits))[1]


def rice(values: Sequence[int]) -> tuple[int, int]:
    """Return the bits of a Rice code of ``values``, and its best parameter."""
    parameters = np.arange(8)
    quotients = np.array(values, np.int64) >> parameters[:, None]
    bits = quotients.sum(axis=1) + len(values) * (1 + parameters)
    return int(bits.min()), int(bits.argmin())


def count_differences(counts: Sequence[int], table_bits: int) -> list[int]:
    """Return what is written of counts: differences to the one before, but of the last one none."""
    changes = np.diff(np.array([(1 << table_bits) // len(counts), *counts[:-1]]))
    differences: list[int] = np.where(changes < 0, -2 * changes - 1, 2 * changes).tolist()
    return differences


def counts_bits(counts: Sequence[int], table_bits: int) -> int:
    """Return the bits that a table's counts take in section CODE."""
    return 3 + rice(count_differences(counts, table_bits))[0]


def pack_tans(code: TansCode) -> bytes:
    """Return section CODE without its first byte's word: what follows the codec and its shape."""
    writer = BitWriter()
    bits = code.shape.table_bits
    for table in code.tables:
        writer.put(table.first & 0xff, 8)
        writer.put(table.raw_bits, 3)
        writer.put(table.tuple_size - 1, 2)
        writer.put(len(table.exact), 3)
        writer.put(table.buckets - 1, 7)
        writer.put(table.tail_bits, 3)
        for value in table.exact:
            writer.put(value & 0xff, 8)
        k = rice_parameter(table.counts, bits)
        writer.put(k, 3)
        for value in count_differences(table.counts, bits):
            writer.unary(value >> k)
            writer.put(value & (1 << k) - 1, k)
    width = (len(code.tables) - 1).bit_length()
    for layer in code.layers:
        writer.put(layer.delta, 8)
        mode = choice_mode(layer, len(code.tables))
        writer.put(mode, 2)
        if mode == ORDERED:
            field = layer.filters.bit_length()
            for number in range(len(code.tables) - 1):
                writer.put(layer.tables.count(number), field)
        else:
            writer.put_all(layer.tables, width)
    data = writer.bytes()
    return data + bytes(-len(data) % 4)


#: How a layer says which tables its filters have: one for all, one for each, or in order.
ALL, EACH, ORDERED = range(3)


def choice_mode(layer: LayerCode, tables: int) -> int:
    if len(layer.tables) == 1:
        return ALL
    listed = layer.filters * (tables - 1).bit_length()
    counted = (tables - 1) * layer.filters.bit_length()
    return ORDERED if layer.ordered and counted < listed else EACH


def unpack_tans(data: bytes, shape: TansShape, tables: int,
                layers: Sequence[tuple[int, int]]) -> TansCode:
    """Return the code that ``data`` hold.

    Parameters
    ----------
    tables : int
        How many tables there are.
    layers : sequence of (int, int)
        Filters, and weights of each, of the layers that have any.

    Raises
    ------
    ValueError
        If they hold none.
    """
    if not 1 <= tables <= MAX_TABLES:
        raise ValueError(f"Code must have 1 to {MAX_TABLES} tables, not {tables}")
    reader = BitReader(data)
    read = tuple(unpack_table(reader, shape.table_bits) for _ in range(tables))
    width = (tables - 1).bit_length()
    choices = []
    for filters, size in layers:
        delta, mode = reader.get(8), reader.get(2)
        if mode == ALL:
            chosen: tuple[int, ...] = (reader.get(width),)
        elif tables == 1:
            raise ValueError("filters of one table must not choose among tables")
        elif mode == EACH:
            chosen = tuple(reader.get_all(filters, width))
        elif mode == ORDERED:
            counts = [reader.get(filters.bit_length()) for _ in range(tables - 1)]
            if sum(counts) > filters:
                raise ValueError(f"tables must be chosen for {filters} filters, not {sum(counts)}")
            chosen = tuple(np.repeat(np.arange(tables), [*counts, filters - sum(counts)]).tolist())
        else:
            raise ValueError(f"tables must be chosen in way 0 to 2, not {mode}")
        choices.append(LayerCode(filters, size, delta, chosen))
    return TansCode(shape, read, tuple(choices))


def unpack_table(reader: BitReader, table_bits: int) -> TansTable:
    first, raw_bits, tuple_size, exact = (reader.get(width) for width in (8, 3, 2, 3))
    buckets, tail_bits = reader.get(7) + 1, reader.get(3)
    tuple_size += 1
    symbols = buckets ** tuple_size + exact + 2 * bool(tail_bits)
    if symbols > MAX_SYMBOLS or exact > MAX_EXACT:
        raise ValueError(f"Table must have 1 to {MAX_SYMBOLS} symbols, not {symbols}")
    values = tuple(signed(reader.get(8)) for _ in range(exact))
    k = reader.get(3)
    before = (1 << table_bits) // symbols
    counts = []
    for _ in range(symbols - 1):
        value = reader.unary() << k | reader.get(k)
        before += (value >> 1) ^ -(value & 1)
        counts.append(before)
    counts.append((1 << table_bits) - sum(counts))
    return TansTable(signed(first), raw_bits, tuple_size, buckets, values, tail_bits,
                     tuple(counts))


def signed(byte: int) -> int:
    return byte - (byte >> 7 << 8)
