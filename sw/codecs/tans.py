"""Interleaved tANS (Duda 2013): tables for classes of filters, split and tuple symbols, deltas."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.sections import FormatError, pack_code
from ..format.tables import (MAX_EXACT, MAX_SYMBOLS, LayerCode, TansCode, TansShape, TansTable)
from ..format.tans import counts_bits, spread


__all__ = ["TansCodec", "normalise"]


Counts = NDArray[np.float64]

#: Tables that `TansCodec.fit` tries at most, and rounds in which filters change to cheaper ones.
TRIED_TABLES = (1, 2, 3, 4, 6, 8, 12, 16)
ROUNDS = 12

#: Filters beyond which a layer's filters share a table: so many could not be told apart quickly.
MOST_FILTERS = 20_000

#: Distances of deltas that are tried beside a filter, an input pixel and a kernel row.
DISTANCES = (1, 2, 3, 4, 8, 16, 32, 64, 128)

#: Shares of values that tails may take at each end, and reaches of the means of counts.
TAILS = (0, 0.0003, 0.001, 0.003, 0.01)
SMOOTHING = (1, 2, 4)

#: What a value that a table's filters lack counts while filters are sorted into tables.
PRIOR = 0.02


class TansCodec:
    """Writes values with tables of states, several states taking turns.

    A value is an int8: symbols are taken modulo 256, so that 255 is -1. ``docs/format.md``
    specifies tables and coded data.

    Parameters
    ----------
    shape : TansShape
        Size of the tables, and number of states.
    deltas : bool
        Whether differences may be coded: only where symbols are weights, not indices.
    most_tables : int
        The most tables that filters may be sorted into.
    """

    def __init__(self, shape: TansShape | None = None, *, deltas: bool = True,
                 most_tables: int = 16) -> None:
        self.shape = shape or TansShape()
        self.deltas = deltas
        self.most_tables = most_tables

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> TansCode:
        """Return the tables with which all ``layers``, each (Cout, KH, KW, Cin), take few bits.

        Filters are sorted into tables as in Lloyd's algorithm, beginning with their spread, for
        numbers of tables that grow as long as that saves bits; each table's raw bits, exact values
        and counts are the cheapest of those tried. The same layers give the same tables.

        Raises
        ------
        ValueError
            If a symbol isn't -128 to 255.
        """
        for layer in layers:
            if layer.size and not -128 <= int(layer.min()) <= int(layer.max()) <= 255:
                raise ValueError(f"Symbols must be -128 to 255, not {layer.min()} to "
                                 f"{layer.max()}")
        rows = [as_values(layer).reshape(len(layer), -1) for layer in layers]
        deltas = [self.best_delta(values, layer.shape) if self.deltas else 0
                  for values, layer in zip(rows, layers, strict=True)]
        histograms = [histogram(differences(values, delta), len(values) <= MOST_FILTERS)
                      for values, delta in zip(rows, deltas, strict=True)]
        best: tuple[float, TansCode] | None = None
        for count in TRIED_TABLES:
            if count > min(self.most_tables, max(1, sum(map(len, histograms)))):
                break
            found = self.sort(histograms, count)
            code = TansCode(self.shape, tuple(table for table, _ in found[0]), tuple(
                LayerCode(len(values), values.shape[1], delta, choice)
                for values, delta, choice in zip(rows, deltas, found[1], strict=True)))
            bits = found[2] + 8 * len(pack_code(code))
            if best is not None and bits >= best[0]:
                break
            best = bits, code
        assert best is not None
        return best[1]

    def best_delta(self, values: NDArray[np.int8], shape: tuple[int, ...]) -> int:
        """Return the distance at which differences have the least entropy, filter by filter."""
        likely = {*DISTANCES, *(int(np.prod(shape[axis:])) for axis in range(1, 4))}
        distances = [distance for distance in sorted(likely)
                     if distance < min(256, values.size)]
        costs = {distance: spread_entropy(differences(values, distance))
                 for distance in (0, *distances)}
        best = min(costs, key=lambda distance: (costs[distance], distance))
        # A tenth of a bit is more than chance finds among a dozen distances, if weights are many.
        chance = 0.1 + 200 / values.size
        return best if costs[best] < costs[0] - chance else 0

    def sort(self, histograms: Sequence[Counts], count: int
             ) -> tuple[list[tuple[TansTable, float]], list[tuple[int, ...]], float]:
        """Sort filters into ``count`` tables; return tables, choices, and the coded data's bits."""
        filters = np.concatenate(histograms)
        sizes = filters.sum(axis=1)
        levels = np.arange(-128, 128)
        order = np.argsort(filters @ np.abs(levels) / sizes, kind="stable")
        chosen = np.empty(len(filters), np.int64)
        chosen[order] = np.minimum(np.cumsum(sizes[order]) * count / (sizes.sum() + 1),
                                   count - 1).astype(np.int64)
        width = (count - 1).bit_length()
        for _ in range(ROUNDS):
            totals = np.array([filters[chosen == table].sum(axis=0) for table in range(count)])
            rates = np.log2((totals.sum(axis=1, keepdims=True) + 256 * PRIOR) / (totals + PRIOR))
            costs = filters @ rates.T
            better = np.empty_like(chosen)
            start = 0
            for rows in histograms:
                own = costs[start:start + len(rows)]
                each = own.argmin(axis=1)
                whole = own.sum(axis=0)
                # One table for all filters needn't be named for each.
                alone = whole.min() <= own.min(axis=1).sum() + width * (len(rows) - 1)
                better[start:start + len(rows)] = whole.argmin() if alone else each
                start += len(rows)
            if (better == chosen).all():
                break
            chosen = better
        used = np.unique(chosen)
        chosen = np.searchsorted(used, chosen)
        tables = [fit_table(filters[chosen == table].sum(axis=0), self.shape.table_bits)
                  for table in range(len(used))]
        choices, start = [], 0
        for rows in histograms:
            own = chosen[start:start + len(rows)]
            start += len(rows)
            choices.append((int(own[0]),) if (own == own[0]).all() else tuple(own.tolist()))
        return tables, choices, sum(bits for _, bits in tables)

    def encode(self, symbols: NDArray[np.integer], table: TansCode) -> bytes:
        """Return coded data, whole words of 32 bits.

        Raises
        ------
        ValueError
            If a table lacks a value of its filters.
        """
        parts = [to_symbols(differences(values, layer.delta), layer, table.tables)
                 for values, layer in layer_parts(as_values(symbols), table)]
        numbers, raws = (np.concatenate([np.zeros(0, np.uint8), *(part[field] for part in parts)])
                         for field in range(2))
        words: NDArray[np.uint32] = pack(
            numbers, table_of_each(table), raws, raw_widths(table), *states_of(table),
            table.shape.table_bits, table.shape.states)
        return words.tobytes()

    def decode(self, coded: bytes, table: TansCode, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds, as 0 to 255.

        Raises
        ------
        FormatError
            If it holds fewer or more, states don't end as they must, or padding isn't zero.
        """
        if sum(layer.filters * layer.size for layer in table.layers) != count:
            raise FormatError(f"coded data: tables must be those of {count} weights")
        used = table_of_each(table)
        end, numbers, raws = unpack(np.frombuffer(coded, "<u4"), used, raw_widths(table),
                                    *rows_of(table), table.shape.table_bits, table.shape.states)
        if end < 0:
            raise FormatError(f"coded data: they end before the last of {len(used)} symbols")
        if end != len(coded) // 4:
            raise FormatError(f"coded data: they must end after {end} words, not {len(coded) // 4}")
        # Final states and padding are whatever only the same data, coded again, give.
        values, start = [], 0
        for layer in table.layers:
            lengths = symbols_of_each(layer, table.tables).sum()
            part = from_symbols(numbers[start:start + lengths], raws[start:start + lengths], layer,
                                table.tables)
            values.append(sums(part, layer.delta).ravel())
            start += lengths
        symbols = np.concatenate([np.zeros(0, np.int8), *values]).view(np.uint8).astype(np.int64)
        if self.encode(symbols, table) != coded:
            raise FormatError("coded data: their states must end at 0, and their padding be 0")
        return symbols

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: TansCode) -> list[float]:
        """Return the bits of each layer's symbols: their information under the tables' counts."""
        bits = []
        size = 1 << self.shape.table_bits
        for layer, choice in zip(layers, table.layers, strict=True):
            numbers, _ = to_symbols(differences(as_values(layer).reshape(choice.filters, -1),
                                                choice.delta), choice, table.tables)
            used = np.repeat(np.array(choice.tables), symbols_of_each(choice, table.tables))
            total = 0.0
            for number in np.unique(used):
                counts = np.array(table.tables[number].counts, np.float64)
                occurring = np.bincount(numbers[used == number], minlength=len(counts))
                which = occurring > 0
                total -= float(occurring[which] @ np.log2(counts[which] / size))
                total += int(occurring @ np.array(table.tables[number].raw_widths))
            bits.append(total)
        return bits

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that tables and coded data take."""
        table = self.fit(layers)
        symbols = np.concatenate([layer.ravel() for layer in layers])
        return 8 * (len(pack_code(table)) + len(self.encode(symbols, table)))


def as_values(symbols: NDArray[np.integer]) -> NDArray[np.int8]:
    return symbols.astype(np.uint8).view(np.int8)


def layer_parts(values: NDArray[np.int8], table: TansCode
                ) -> list[tuple[NDArray[np.int8], LayerCode]]:
    """Return the values of each layer, filter by filter."""
    parts, start = [], 0
    for layer in table.layers:
        end = start + layer.filters * layer.size
        parts.append((values[start:end].reshape(layer.filters, layer.size), layer))
        start = end
    return parts


def differences(values: NDArray[np.int8], delta: int) -> NDArray[np.int8]:
    """Return what is coded of a layer's values, of any shape."""
    if not delta:
        return values
    flat = values.ravel()
    changed = flat.copy()
    changed[delta:] -= flat[:-delta]
    return changed.reshape(values.shape)


def sums(items: NDArray[np.int8], delta: int) -> NDArray[np.int8]:
    """Undo `differences`."""
    if not delta:
        return items
    flat = items.ravel()
    padded = np.pad(flat, (0, -len(flat) % delta)).reshape(-1, delta)
    return np.cumsum(padded, axis=0, dtype=np.int8).ravel()[:len(flat)].reshape(items.shape)


def histogram(items: NDArray[np.int8], apart: bool) -> Counts:
    """Return how often each value, -128 to 127, occurs in each filter, or in all together."""
    rows = items if apart else items.reshape(1, -1)
    places = np.arange(len(rows))[:, None] * 256 + rows.astype(np.int64) + 128
    return np.bincount(places.ravel(), minlength=256 * len(rows)).reshape(-1, 256).astype(float)


def spread_entropy(items: NDArray[np.int8]) -> float:
    """Return the entropy, in bits a value, of filters in classes of equal spread."""
    spreads = np.abs(items.astype(np.float64)).mean(axis=1)
    classes = np.rint(2 * np.log2(np.maximum(spreads, 0.05))).astype(np.int64)
    classes -= classes.min()
    places = classes[:, None] * 256 + items.astype(np.int64) + 128
    counts = np.bincount(places.ravel()).astype(float)
    counts = np.pad(counts, (0, -len(counts) % 256)).reshape(-1, 256)
    totals = counts.sum(axis=1, keepdims=True)
    having = counts > 0
    shares = (counts / np.maximum(totals, 1))[having]
    return float(-(counts[having] @ np.log2(shares)) / items.size)


def normalise(occurring: Counts, table_bits: int) -> tuple[int, ...]:
    """Return counts that add up to a table's size and cost occurring symbols the least.

    Each symbol that occurs gets at least one state; then states go one by one to whoever gains
    most, which is optimal since gains diminish.
    """
    having, = np.nonzero(occurring)
    found = np.zeros(len(occurring), np.int64)
    found[having] = apportion(occurring[having].astype(np.float64), 1 << table_bits)
    return tuple(found.tolist())


@compiled
def apportion(weights: Any, size: int) -> Any:
    counts = np.maximum(1, np.floor(weights * (size / weights.sum()))).astype(np.int64)
    left = size - counts.sum()
    while left:
        best, place = -np.inf, 0
        for number in range(len(counts)):
            count = counts[number]
            if left > 0:
                gain = weights[number] * np.log2((count + 1) / count)
            elif count > 1:
                gain = -weights[number] * np.log2(count / (count - 1))
            else:
                continue
            if gain > best:
                best, place = gain, number
        step = 1 if left > 0 else -1
        counts[place] += step
        left -= step
    return counts


def fit_table(values: Counts, table_bits: int) -> tuple[TansTable, float]:
    """Return the cheapest table for occurrences of -128 to 127, and the bits of all values."""
    present, = np.nonzero(values)
    trials = []
    for raw_bits, (first, last) in product(range(5), sorted({within(values, share)
                                                             for share in TAILS})):
        buckets = ((last - first) >> raw_bits) + 1
        beyond = max(first + 128 - int(present[0]),
                     int(present[-1]) - (first + 127 + (buckets << raw_bits)))
        tail_bits = max(1, (beyond - 1).bit_length()) if beyond > 0 else 0
        if tail_bits > 7:
            continue
        for exact in exact_values(values, raw_bits, first):
            symbols = buckets + len(exact) + 2 * bool(tail_bits)
            if symbols > min(MAX_SYMBOLS, (1 << table_bits) // 2):
                continue
            occurring = occurrences(values, first, raw_bits, buckets, exact, bool(tail_bits))
            counts = normalise(occurring, table_bits)
            table = TansTable(first, raw_bits, 1, buckets, exact, tail_bits, counts)
            trials.append((*table_bits_of(table, occurring, table_bits), table, occurring))
    trials.sort(key=lambda trial: trial[0])
    for *_, table, occurring in trials[:2]:
        for reach in SMOOTHING:
            if table.buckets > 2 * reach:
                smooth = replace(table, counts=normalise(
                    smoothed(occurring, table.buckets, reach), table_bits))
                trials.append((*table_bits_of(smooth, occurring, table_bits), smooth, occurring))
    _, data, best, _ = min(trials, key=lambda trial: trial[0])
    return best, data


def table_bits_of(table: TansTable, occurring: Counts, table_bits: int) -> tuple[float, float]:
    """Return the bits of symbols and table, and of the symbols alone."""
    having = occurring > 0
    rates = table_bits - np.log2(np.array(table.counts, float)[having])
    data = float(occurring[having] @ rates) + float(occurring @ np.array(table.raw_widths))
    return data + counts_bits(table.counts, table_bits) + 8 * len(table.exact), data


def within(values: Counts, share: float) -> tuple[int, int]:
    """Return the least and the greatest value when a share of all is cut from each end."""
    below = np.cumsum(values)
    most = share * below[-1]
    return (int(np.argmax(below > most)) - 128,
            int(np.argmax(below >= below[-1] - most)) - 128)


def occurrences(values: Counts, first: int, raw_bits: int, buckets: int, exact: tuple[int, ...],
                tails: bool) -> Counts:
    """Return how often each symbol of a table occurs."""
    places = [value + 128 for value in exact]
    rest = values.copy()
    rest[places] = 0
    start, end = first + 128, first + 128 + (buckets << raw_bits)
    inside = np.pad(rest[start:end], (0, max(0, end - 256)))
    found = [inside.reshape(buckets, -1).sum(axis=1), values[places]]
    if tails:
        found.append(np.array([rest[:start].sum(), rest[end:].sum()]))
    return np.concatenate(found)


def smoothed(occurring: Counts, buckets: int, reach: int) -> Counts:
    """Return occurrences of buckets as means with their neighbours, where any occurs."""
    window = np.ones(2 * reach + 1)
    known = np.convolve(np.ones(buckets), window, "same")
    means = np.convolve(occurring[:buckets], window, "same") / known
    # What occurs must have a state; a share of itself keeps peaks.
    return np.append(np.maximum(means, np.minimum(occurring[:buckets], 0.5)), occurring[buckets:])


def exact_values(values: Counts, raw_bits: int, first: int) -> list[tuple[int, ...]]:
    """Return sets of values worth symbols of their own: those far commoner than their bucket."""
    if not raw_bits:
        return [()]
    buckets = (np.arange(256) - 128 - first) >> raw_bits
    buckets -= buckets[0]
    means = (np.bincount(buckets, values) / np.bincount(buckets))[buckets]
    gains = np.where(values > 0, values * np.log2(np.maximum(values, 1e-9)
                                                  / np.maximum(means, 1e-9)), 0)
    order = [int(place) - 128 for place in np.argsort(-gains, kind="stable")[:MAX_EXACT]
             if gains[place] > 16]
    return [tuple(order[:count]) for count in sorted({0, 1, 2, 3, len(order)})
            if count <= len(order)]


def symbols_of_each(layer: LayerCode, tables: Sequence[TansTable]) -> NDArray[np.int64]:
    """Return how many symbols each filter of a layer takes; all together, if they share a table."""
    sizes = np.array([table.tuple_size for table in tables])[list(layer.tables)]
    weights = layer.size * (layer.filters if len(layer.tables) == 1 else 1)
    needed: NDArray[np.int64] = -(-weights // sizes)
    return needed


def table_of_each(code: TansCode) -> NDArray[np.uint8]:
    """Return the table of each symbol."""
    return np.concatenate([np.zeros(0, np.uint8), *(
        np.repeat(np.array(layer.tables, np.uint8), symbols_of_each(layer, code.tables))
        for layer in code.layers)])


def raw_widths(code: TansCode) -> NDArray[np.int64]:
    """Return the raw bits behind each symbol of each table."""
    widths = np.zeros((len(code.tables), MAX_SYMBOLS), np.int64)
    for number, table in enumerate(code.tables):
        widths[number, :len(table.raw_widths)] = table.raw_widths
    return widths


def places_of_each(layer: LayerCode, tables: Sequence[TansTable], number: int
                   ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of a layer that have table ``number``, and where their symbols lie."""
    needed = symbols_of_each(layer, tables)
    rows, = np.nonzero(np.array(layer.tables) == number)
    starts = (np.cumsum(needed) - needed)[rows]
    return rows, starts[:, None] + np.arange(needed[rows[0]])


def to_symbols(items: NDArray[np.int8], layer: LayerCode, tables: Sequence[TansTable]
               ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the symbols of a layer's items, and their raw bits."""
    rows = items.reshape(len(layer.tables), -1)
    total = int(symbols_of_each(layer, tables).sum())
    symbols, raws = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    for number in sorted(set(layer.tables)):
        table = tables[number]
        chosen, places = places_of_each(layer, tables, number)
        values = rows[chosen].astype(np.int64)
        if table.tuple_size == 1:
            symbol_of, raw_of = symbol_map(table)
            found = symbol_of[values + 128]
            raws[places] = raw_of[values + 128]
            legal = found >= 0
        else:
            found = values - table.first
            legal = (found >= 0) & (found < table.buckets)
            found = np.pad(found, ((0, 0), (0, -found.shape[1] % table.tuple_size)))
            found = found.reshape(len(chosen), -1, table.tuple_size) @ (
                table.buckets ** np.arange(table.tuple_size))
        if not legal.all() or not (np.array(table.counts) > 0)[found].all():
            missing = values.ravel()[int(np.argmin(legal))]
            raise ValueError(f"Table {number} must have a symbol for all values, as {missing}")
        symbols[places] = found
    return symbols, raws


def symbol_map(table: TansTable) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the symbol of each value, -128 to 127, and its raw bits; -1 for one without."""
    symbols, raws = np.full(256, -1), np.zeros(256, np.uint8)
    widths = table.raw_widths
    # Of several symbols for a value, one of its own comes first, then a bucket.
    order = sorted(range(len(widths)), key=lambda symbol: (
        symbol >= table.buckets + len(table.exact), symbol < table.buckets), reverse=True)
    for symbol in order:
        raw = np.arange(1 << widths[symbol])
        values = table.meanings[symbol] + raw
        raw = raw[np.abs(2 * values + 1) < 256]
        symbols[table.meanings[symbol] + raw + 128] = symbol
        raws[table.meanings[symbol] + raw + 128] = raw
    return symbols, raws


def from_symbols(symbols: NDArray[np.uint8], raws: NDArray[np.uint8], layer: LayerCode,
                 tables: Sequence[TansTable]) -> NDArray[np.int8]:
    """Return the items that symbols stand for, filter by filter."""
    rows = np.empty((len(layer.tables), layer.filters * layer.size // len(layer.tables)), np.int8)
    for number in sorted(set(layer.tables)):
        table = tables[number]
        chosen, places = places_of_each(layer, tables, number)
        found = symbols[places].astype(np.int64)
        if table.tuple_size == 1:
            values = np.array(table.meanings)[found] + raws[places].astype(np.int64)
        else:
            digits = table.buckets ** np.arange(table.tuple_size)
            values = table.first + found[..., None] // digits % table.buckets
            values = values.reshape(len(chosen), -1)[:, :rows.shape[1]]
        rows[chosen] = values.astype(np.uint8).view(np.int8)
    return rows.reshape(layer.filters, layer.size)


def states_of(code: TansCode) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return, for the encoder: counts, first slots and states by slot of each table's symbols."""
    bits = code.shape.table_bits
    counts = np.zeros((len(code.tables), MAX_SYMBOLS), np.int64)
    starts = np.zeros_like(counts)
    slots = np.zeros((len(code.tables), 1 << bits), np.int64)
    for number, table in enumerate(code.tables):
        counts[number, :len(table.counts)] = table.counts
        starts[number] = np.cumsum(counts[number]) - counts[number]
        slots[number] = np.argsort(spread(table.counts, bits), kind="stable")
    return counts, starts, slots


def rows_of(code: TansCode) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return, for the decoder: symbol, bits to be read, and base of the next state, by state."""
    bits = code.shape.table_bits
    size = 1 << bits
    shape = (len(code.tables), size)
    symbols, widths, bases = np.zeros(shape, np.uint8), np.zeros(shape, int), np.zeros(shape, int)
    for number, table in enumerate(code.tables):
        symbols[number] = spread(table.counts, bits)
        order = np.argsort(symbols[number], kind="stable")
        counts = np.array(table.counts)
        own = np.concatenate([np.arange(count, 2 * count) for count in counts])
        smaller = np.empty(size, np.int64)
        smaller[order] = own
        widths[number] = bits - np.floor(np.log2(smaller)).astype(np.int64)
        bases[number] = (smaller << widths[number]) - size
    return symbols, widths, bases


@compiled
def pack(symbols: Any, tables: Any, raws: Any, raw_bits: Any, counts: Any, starts: Any, slots: Any,
         table_bits: int, states: int) -> Any:
    size = 1 << table_bits
    count = len(symbols)
    fields = np.empty(count, np.uint32)
    widths = np.empty(count, np.uint8)
    current = np.full(states, size, np.int64)
    total = states * table_bits
    for place in range(count - 1, -1, -1):
        symbol, table = symbols[place], tables[place]
        own = counts[table, symbol]
        state = current[place % states]
        width = 0
        while state >> width >= 2 * own:
            width += 1
        raw = raw_bits[table, symbol]
        fields[place] = (state & (1 << width) - 1) | np.int64(raws[place]) << width
        widths[place] = width + raw
        total += width + raw
        current[place % states] = size + slots[table, starts[table, symbol]
                                               + (state >> width) - own]
    words = np.zeros((total + 31) // 32, np.uint32)
    filled = 0
    for lane in range(states + count):
        if lane < states:
            field, width = np.uint64(current[lane] - size), table_bits
        else:
            field, width = np.uint64(fields[lane - states]), widths[lane - states]
        word, place = filled >> 5, filled & 31
        shifted = field << np.uint64(place)
        if width:
            words[word] |= np.uint32(shifted & np.uint64(0xffffffff))
            if place + width > 32:
                words[word + 1] |= np.uint32(shifted >> np.uint64(32))
        filled += width
    return words


@compiled
def unpack(words: Any, tables: Any, raw_bits: Any, symbol_of: Any, width_of: Any, base_of: Any,
           table_bits: int, states: int) -> Any:
    count = len(tables)
    symbols = np.empty(count, np.uint8)
    raws = np.empty(count, np.uint8)
    current = np.zeros(states, np.int64)
    available = 32 * len(words)
    taken = 0
    if available < states * table_bits:
        return -1, symbols, raws
    for lane in range(states + count):
        if lane < states:
            width, raw, base = table_bits, 0, 0
            place = 0
        else:
            place = lane - states
            table = tables[place]
            state = current[place % states]
            symbol = symbol_of[table, state]
            symbols[place] = symbol
            width, base = width_of[table, state], base_of[table, state]
            raw = raw_bits[table, symbol]
        if taken + width + raw > available:
            return -1, symbols, raws
        field = np.uint64(0)
        if width + raw:
            word = taken >> 5
            field = np.uint64(words[word])
            if word + 1 < len(words):
                field |= np.uint64(words[word + 1]) << np.uint64(32)
            field >>= np.uint64(taken & 31)
        taken += width + raw
        value = np.int64(field & np.uint64((1 << (width + raw)) - 1))
        if lane < states:
            current[lane] = value
        else:
            current[place % states] = base + (value & (1 << width) - 1)
            raws[place] = value >> width
    return (taken + 31) // 32, symbols, raws
