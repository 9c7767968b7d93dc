"""Interleaved tANS (Duda 2013): tables for classes of filters, split and tuple symbols, deltas."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.lanes import TansLanes
from ..format.sections import FormatError, pack_code
from ..format.tables import (MAX_EXACT, MAX_SYMBOLS, MAX_TABLES, LayerCode, TansCode, TansShape,
                             TansTable, spread)
from ..format.tans import counts_bits


__all__ = ["TansCodec", "normalise"]


Counts = NDArray[np.float64]

#: Tables that `TansCodec.fit` tries at most, and rounds in which filters change to cheaper ones.
TRIED_TABLES = (1, 2, 3, 4, 6, 8, 12, 16)
ROUNDS = 12

#: Values of a symbol, at most.
MAX_TUPLE = 4

#: Filters beyond which a layer's filters share a table: so many could not be told apart quickly.
MOST_FILTERS = 20_000

#: Distances of deltas that are tried beside a filter, an input pixel and a kernel row.
DISTANCES = (1, 2, 3, 4, 8, 16, 32, 64, 128)

#: Weights of a layer, about, of which filters are taken to choose its delta.
SAMPLE = 1 << 20

#: Shares of values that tails may take at each end, and reaches of the means of counts.
TAILS = (0, 0.0003, 0.001, 0.003, 0.01)
SMOOTHING = (1, 2, 4)

#: Tables, the cheapest of those tried, of which counts are tried as means too.
SMOOTHED = 2

#: What a value that a table's filters lack counts while filters are sorted into tables.
PRIOR = 0.02


class TansCodec:
    """Writes values with tables of states, several states taking turns.

    A value is an int8: symbols are taken modulo 256, so that 255 is -1. ``docs/format.md``
    specifies tables and coded data.

    Parameters
    ----------
    shape : TansShape or TansLanes
        Size of the tables, and number of states; or the decoder that must be able to hold them.
    deltas : bool
        Whether differences may be coded: only where symbols are weights, not indices.
    most_tables : int
        The most tables that filters may be sorted into.
    """

    def __init__(self, shape: TansShape | TansLanes | None = None, *, deltas: bool = True,
                 most_tables: int = 16) -> None:
        self.decoder = shape if isinstance(shape, TansLanes) else None
        self.shape = shape.code if isinstance(shape, TansLanes) else shape or TansShape()
        self.deltas = deltas
        self.most_tables = min(most_tables, self.decoder.tables if self.decoder else MAX_TABLES)

    def fit(self, layers: Sequence[NDArray[np.integer]]) -> TansCode:
        """Return the tables with which all ``layers``, each (Cout, KH, KW, Cin), take few bits.

        Filters are sorted into tables as in Lloyd's algorithm, beginning with their spread, for
        numbers of tables that grow as long as that saves bits; each table's raw bits, exact values,
        tuples and counts are the cheapest of those tried. The same layers give the same tables.

        Raises
        ------
        ValueError
            If a symbol isn't -128 to 255, or the decoder can hold no table for some.
        """
        for layer in layers:
            if layer.size and not -128 <= int(layer.min()) <= int(layer.max()) <= 255:
                raise ValueError(f"Symbols must be -128 to 255, not {layer.min()} to "
                                 f"{layer.max()}")
        rows = [as_values(layer).reshape(len(layer), -1) for layer in layers]
        deltas = [best_delta(values, layer.shape) if self.deltas else 0
                  for values, layer in zip(rows, layers, strict=True)]
        items = [differences(values, delta) for values, delta in zip(rows, deltas, strict=True)]
        histograms = [histogram(values, len(values) <= MOST_FILTERS) for values in items]
        flat = np.concatenate([values.ravel() for values in items])
        best: tuple[float, TansCode] | None = None
        for count in TRIED_TABLES:
            if count > min(self.most_tables, max(1, sum(map(len, histograms)))):
                break
            choices = sort(histograms, count)
            chosen = tuple(
                LayerCode(len(values), values.shape[1], delta, choice)
                for values, delta, choice in zip(rows, deltas, choices, strict=True))
            tables = self.fit_tables(flat, histograms, chosen)
            code = TansCode(self.shape, tuple(table for table, _ in tables), chosen)
            bits = sum(own for _, own in tables) + 8 * len(pack_code(code))
            if best is not None and bits >= best[0]:
                break
            best = bits, code
        assert best is not None
        return best[1]

    def fit_tables(self, items: NDArray[np.int8], histograms: Sequence[Counts],
                   layers: tuple[LayerCode, ...]) -> list[tuple[TansTable, float]]:
        """Return the cheapest tables for what layers choose, and the bits of their values."""
        used, lengths = rows_of_layers(layers)
        chosen = np.concatenate([np.broadcast_to(layer.tables, len(rows))
                                 for layer, rows in zip(layers, histograms, strict=True)])
        found = []
        for number, values in enumerate(totals_of(np.concatenate(histograms), chosen,
                                                  int(chosen.max()) + 1)):
            present, = np.nonzero(values)
            first, buckets = int(present[0]) - 128, int(present[-1] - present[0]) + 1
            tuples = [(size, count_tuples(items, used, lengths, number, size, first, buckets))
                      for size in range(2, MAX_TUPLE + 1)
                      if 1 < buckets ** size <= most_symbols(self.shape.table_bits)]
            found.append(fit_table(values, self.shape.table_bits, tuples, self.decoder))
        return found

    def encode(self, symbols: NDArray[np.integer], table: TansCode) -> bytes:
        """Return coded data, whole words of 32 bits.

        Raises
        ------
        ValueError
            If a table lacks a value of its filters.
        """
        fields, widths, states = self.fields(symbols, table)
        words: NDArray[np.uint32] = pack(fields, widths, states, table.shape.table_bits)
        return words.tobytes()

    def widths(self, symbols: NDArray[np.integer], table: TansCode) -> NDArray[np.uint8]:
        """Return the bits that each symbol of the coded data takes, raw ones included."""
        _, widths, _ = self.fields(symbols, table)
        return widths

    @staticmethod
    def fields(symbols: NDArray[np.integer], table: TansCode
               ) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.int64]]:
        """Return the bits of each symbol, their number, and the states to begin with."""
        numbers, raws, used = to_symbols(as_values(symbols), table)
        found: tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.int64]] = fields_of(
            numbers, used, raws, raw_widths(table), *states_of(table),
            table.shape.table_bits, table.shape.states)
        return found

    def decode(self, coded: bytes, table: TansCode, count: int) -> NDArray[np.int64]:
        """Return the ``count`` symbols that ``coded`` holds, as 0 to 255.

        Raises
        ------
        FormatError
            If it holds fewer or more, states don't end as they must, or padding isn't zero.
        """
        if sum(layer.filters * layer.size for layer in table.layers) != count:
            raise FormatError(f"coded data: tables must be those of {count} weights")
        used = np.repeat(*symbols_of_rows(table))
        end, ended, numbers, raws = unpack(
            np.frombuffer(coded, "<u4"), used, raw_widths(table), *rows_of(table),
            table.shape.table_bits, table.shape.states)
        if end < 0:
            raise FormatError(f"coded data: they end before the last of {len(used)} symbols")
        if end != len(coded) // 4:
            raise FormatError(f"coded data: they must end after {end} words, not {len(coded) // 4}")
        if not ended:
            raise FormatError("coded data: their states must end at 0, and their padding be 0")
        values = from_symbols(numbers, raws, table)
        symbols: NDArray[np.int64] = values.view(np.uint8).astype(np.int64)
        return symbols

    def layer_bits(self, layers: Sequence[NDArray[np.integer]], table: TansCode) -> list[float]:
        """Return the bits of each layer's symbols: their information under the tables' counts."""
        rates = np.zeros((len(table.tables), MAX_SYMBOLS))
        for number, own in enumerate(table.tables):
            counts = np.maximum(own.counts, 1)
            rates[number, :len(counts)] = (self.shape.table_bits - np.log2(counts)
                                           + np.array(own.raw_widths))
        bits = []
        for values, layer in zip(layers, table.layers, strict=True):
            symbols, _, used = to_symbols(as_values(values).ravel(),
                                          replace(table, layers=(layer,)))
            bits.append(float((rates * count_symbols(symbols, used, len(rates))).sum()))
        return bits

    def bits(self, layers: Sequence[NDArray[np.integer]]) -> int:
        """Return the bits that tables and coded data take."""
        table = self.fit(layers)
        symbols = np.concatenate([layer.ravel() for layer in layers])
        return 8 * (len(pack_code(table)) + len(self.encode(symbols, table)))


def as_values(symbols: NDArray[np.integer]) -> NDArray[np.int8]:
    return symbols.astype(np.uint8).view(np.int8)


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


def best_delta(values: NDArray[np.int8], shape: tuple[int, ...]) -> int:
    """Return the distance at which differences have the least entropy, filter by filter."""
    likely = {*DISTANCES, *(int(np.prod(shape[axis:])) for axis in range(1, 4))}
    distances = np.array([0, *(distance for distance in sorted(likely)
                               if distance < min(256, values.size))])
    counts = count_spreads(values, distances, max(1, values.size // SAMPLE))
    totals = counts.sum(axis=2)
    bits = (totals * np.log2(np.maximum(totals, 1))).sum(axis=1) - (
        counts * np.log2(np.maximum(counts, 1))).sum(axis=(1, 2))
    costs = bits / totals[0].sum()
    best = int(costs.argmin())
    # A tenth of a bit is more than chance finds among a dozen distances, if weights are many.
    return int(distances[best]) if costs[best] < costs[0] - 0.1 - 200 / values.size else 0


@compiled
def count_spreads(values: Any, distances: Any, step: int) -> Any:
    """Return histograms of differences at each distance, for classes of filters of equal spread.

    Of the filters every ``step``-th is counted. The result has shape (distances, classes, 256).
    """
    size = values.shape[1]
    flat = values.ravel()
    counts = np.zeros((len(distances), 24, 256), np.int64)
    own = np.empty(256, np.int64)
    for number in range(len(distances)):
        distance = distances[number]
        for start in range(0, len(flat), step * size):
            own[:] = 0
            for place in range(start, start + size):
                before = flat[place - distance] if place >= distance > 0 else 0
                own[(flat[place] - before) & 255] += 1
            spread = 0
            for value in range(256):
                spread += own[value] * min(value, 256 - value)
            spreads = np.rint(2 * np.log2(max(spread / size, 0.05)))
            counts[number, int(spreads) + 9] += own
    return counts


def histogram(items: NDArray[np.int8], apart: bool) -> Counts:
    """Return how often each value, -128 to 127, occurs in each filter, or in all together."""
    counts: Counts = count_values(items if apart else items.reshape(1, -1))
    return counts


@compiled
def count_values(rows: Any) -> Any:
    counts = np.zeros((len(rows), 256), np.float64)
    for number in range(len(rows)):
        own = np.zeros(256, np.int64)
        for item in rows[number]:
            own[np.int64(item) + 128] += 1
        counts[number] = own
    return counts


def sort(histograms: Sequence[Counts], count: int) -> list[tuple[int, ...]]:
    """Return each layer's choice of ``count`` tables or fewer, from histograms of its filters."""
    filters = np.concatenate(histograms)
    present, = np.nonzero(filters.any(axis=0))
    used = slice(present[0], present[-1] + 1)
    sizes = filters.sum(axis=1)
    order = np.argsort(filters @ np.abs(np.arange(-128, 128)) / sizes, kind="stable")
    chosen = np.empty(len(filters), np.int64)
    chosen[order] = np.minimum(np.cumsum(sizes[order]) * count / (sizes.sum() + 1),
                               count - 1).astype(np.int64)
    width = (count - 1).bit_length()
    for _ in range(ROUNDS):
        totals = totals_of(filters[:, used], chosen, count)
        rates = np.log2((totals.sum(axis=1, keepdims=True) + 256 * PRIOR) / (totals + PRIOR))
        costs = filters[:, used] @ rates.T
        better = np.empty_like(chosen)
        start = 0
        for rows in histograms:
            own = costs[start:start + len(rows)]
            whole = own.sum(axis=0)
            ordered, bits = in_order(own)
            # What naming the tables takes decides between one, one for each, and those in order.
            ways = {whole.min() + width: whole.argmin(),
                    own.min(axis=1).sum() + width * len(rows): own.argmin(axis=1),
                    bits + (count - 1) * len(rows).bit_length(): ordered}
            better[start:start + len(rows)] = ways[min(ways)]
            start += len(rows)
        if (better == chosen).all():
            break
        chosen = better
    chosen = np.searchsorted(np.unique(chosen), chosen)
    choices, start = [], 0
    for rows in histograms:
        choice = chosen[start:start + len(rows)]
        start += len(rows)
        choices.append((int(choice[0]),) if (choice == choice[0]).all()
                       else tuple(choice.tolist()))
    return choices


@compiled
def in_order(costs: Any) -> tuple[Any, float]:
    """Return the cheapest tables that don't decrease from filter to filter, and their cost.

    Parameters
    ----------
    costs : array, shape (filters, tables)
    """
    filters, tables = costs.shape
    # The least cost of the filters so far, by the last one's table; and the table before that.
    least = np.zeros(tables, np.float64)
    before = np.zeros((filters, tables), np.int64)
    for place in range(filters):
        lowest, best = least[0], 0
        for table in range(tables):
            if least[table] < lowest:
                lowest, best = least[table], table
            before[place, table] = best
            least[table] = lowest + costs[place, table]
    chosen = np.empty(filters, np.int64)
    table = int(np.argmin(least))
    cost = least[table]
    for place in range(filters - 1, -1, -1):
        chosen[place] = table
        table = before[place, table]
    return chosen, cost


def totals_of(filters: Counts, chosen: NDArray[np.int64], count: int) -> Counts:
    """Return the sums of the histograms that each of ``count`` tables was chosen for."""
    totals: Counts = (chosen == np.arange(count)[:, None]).astype(np.float64) @ filters
    return totals


def normalise(occurring: Counts, table_bits: int, least: NDArray[np.int64] | None = None
              ) -> tuple[int, ...]:
    """Return counts that add up to a table's size and cost occurring symbols the least.

    Each symbol that occurs gets at least one state, or its ``least``; then states go one by one to
    whoever gains most, which is optimal since gains diminish.
    """
    having, = np.nonzero(occurring)
    found = np.zeros(len(occurring), np.int64)
    least = np.ones(len(occurring), np.int64) if least is None else least
    found[having] = apportion(occurring[having].astype(np.float64), least[having],
                              1 << table_bits)
    return tuple(found.tolist())


@compiled
def apportion(weights: Any, least: Any, size: int) -> Any:
    counts = np.maximum(least, np.floor(weights * (size / weights.sum()))).astype(np.int64)
    left = size - counts.sum()
    step = 1 if left > 0 else -1
    # What a symbol gains by a state more, or by one less.
    gains = np.empty(len(counts), np.float64)
    for number in range(len(counts)):
        gains[number] = gain(weights[number], counts[number], step, least[number])
    while left:
        place = np.argmax(gains)
        counts[place] += step
        gains[place] = gain(weights[place], counts[place], step, least[place])
        left -= step
    return counts


@compiled
def gain(weight: float, count: int, step: int, least: int) -> float:
    if count + step < least:
        return -np.inf
    gained: float = weight * np.log2((count + step) / count)
    return gained


@compiled
def count_tuples(items: Any, used: Any, lengths: Any, table: int, size: int, first: int,
                 buckets: int) -> Any:
    """Return how often each tuple occurs in the rows, of ``lengths``, that use a table."""
    counts = np.zeros(buckets ** size, np.int64)
    end = 0
    for row in range(len(lengths)):
        start, end = end, end + lengths[row]
        if used[row] != table:
            continue
        for begin in range(start, end, size):
            symbol, weight = 0, 1
            for place in range(begin, min(begin + size, end)):
                symbol += weight * (items[place] - first)
                weight *= buckets
            counts[symbol] += 1
    return counts.astype(np.float64)


def most_symbols(table_bits: int) -> int:
    """Return how many symbols a table may have and leave each two states, on average."""
    return min(MAX_SYMBOLS, (1 << table_bits) // 2)


def fit_table(values: Counts, table_bits: int, tuples: Sequence[tuple[int, Counts]] = (),
              decoder: TansLanes | None = None) -> tuple[TansTable, float]:
    """Return the cheapest table for occurrences of -128 to 127, and the bits of all values.

    Tables of tuples are tried too for each size and occurrences in ``tuples``. If there is a
    decoder, it can hold the table.
    """
    present, = np.nonzero(values)
    likely = []
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
            if symbols > most_symbols(table_bits):
                continue
            occurring = occurrences(values, first, raw_bits, buckets,
                                    np.array(exact, np.int64), bool(tail_bits))
            raws = raw_bits * occurring[:buckets].sum()
            raws += tail_bits * occurring[buckets + len(exact):].sum()
            # A count takes a bit or more.
            least = information(occurring) + raws + symbols + 8 * len(exact)
            likely.append((least, (first, raw_bits, 1, buckets, exact, tail_bits), occurring))
    first, buckets = int(present[0]) - 128, int(present[-1] - present[0]) + 1
    likely += [(information(occurring) + len(occurring), (first, 0, size, buckets, (), 0),
                occurring) for size, occurring in tuples]
    if decoder:
        likely = [one for one in likely if can_hold(decoder, *one[1:])]
        if not likely:
            raise ValueError(f"Decoder must have a table for values {present[0] - 128} to "
                             f"{present[-1] - 128}")
    trials: list[tuple[float, float, TansTable, Counts]] = []
    for least, fields, occurring in sorted(likely, key=lambda one: one[0]):
        if len(trials) == SMOOTHED and least >= trials[-1][0]:
            break
        table = TansTable(*fields, (0,) * len(occurring))
        table = replace(table, counts=normalise(occurring, table_bits,
                                                least_counts(decoder, table)))
        trials.append((*table_bits_of(table, occurring, table_bits), table, occurring))
        trials = sorted(trials, key=lambda trial: trial[0])[:SMOOTHED]
    for *_, table, occurring in trials[:SMOOTHED]:
        for reach in SMOOTHING:
            if table.tuple_size == 1 and table.buckets > 2 * reach:
                smooth = replace(table, counts=normalise(
                    smoothed(occurring, table.buckets, reach), table_bits,
                    least_counts(decoder, table)))
                trials.append((*table_bits_of(smooth, occurring, table_bits), smooth, occurring))
    _, data, best, _ = min(trials, key=lambda trial: trial[0])
    return best, data


def least_counts(decoder: TansLanes | None, table: TansTable) -> NDArray[np.int64]:
    """Return the counts with which the symbols of a table take no more bits than they may."""
    raw = np.array(table.raw_widths)
    if decoder is None:
        return np.ones_like(raw)
    least: NDArray[np.int64] = 1 << np.maximum(
        decoder.code.table_bits - decoder.symbol_bits + raw, 0)
    return least


def can_hold(decoder: TansLanes, fields: tuple[int, int, int, int, tuple[int, ...], int],
             occurring: Counts) -> bool:
    """Tell whether a decoder can hold a table with symbols that occur so often."""
    table = TansTable(*fields, tuple((occurring > 0).astype(int).tolist()))
    if (table.tuple_size != decoder.tuple_size
            or max(table.raw_bits, table.tail_bits) > decoder.raw_bits
            or least_counts(decoder, table)[occurring > 0].sum() > 1 << decoder.code.table_bits):
        return False
    try:
        decoder.meanings(table)
    except ValueError:
        return False
    return True


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


@compiled
def occurrences(values: Any, first: int, raw_bits: int, buckets: int, exact: Any, tails: bool
                ) -> Any:
    """Return how often each symbol of a table occurs."""
    found = np.zeros(buckets + len(exact) + 2 * tails, np.float64)
    for value in range(-128, 128):
        symbol = (value - first) >> raw_bits
        if symbol < 0:
            symbol = len(found) - 2
        elif symbol >= buckets:
            symbol = len(found) - 1
        for number in range(len(exact)):
            if exact[number] == value:
                symbol = buckets + number
        if values[value + 128]:
            found[symbol] += values[value + 128]
    return found


def information(occurring: Counts) -> float:
    """Return the bits that symbols take at least, if they occur so often."""
    having = occurring[occurring > 0]
    return float(having @ np.log2(having.sum() / having))


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


def raw_widths(code: TansCode) -> NDArray[np.uint8]:
    """Return the raw bits behind each symbol of each table."""
    widths = np.zeros((len(code.tables), MAX_SYMBOLS), np.uint8)
    for number, table in enumerate(code.tables):
        widths[number, :len(table.raw_widths)] = table.raw_widths
    return widths


def rows_of_layers(layers: Sequence[LayerCode]
                   ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return tables and lengths of what is coded in a row: a layer, or filters one by one."""
    lengths = [np.full(len(layer.tables), layer.filters * layer.size // len(layer.tables))
               for layer in layers]
    tables = [np.array(layer.tables, np.uint8) for layer in layers]
    return (np.concatenate([np.zeros(0, np.uint8), *tables]),
            np.concatenate([np.zeros(0, np.int64), *lengths]))


def symbols_of_rows(code: TansCode) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return tables of rows, and how many symbols each takes."""
    tables, lengths = rows_of_layers(code.layers)
    return tables, -(-lengths // tuple_sizes(code)[tables])


def tuple_sizes(code: TansCode) -> NDArray[np.int64]:
    return np.array([table.tuple_size for table in code.tables])


def bases_of(code: TansCode) -> NDArray[np.int64]:
    """Return the base to which each table's symbols have digits, one for each value."""
    return np.array([table.buckets if table.tuple_size > 1 else MAX_SYMBOLS
                     for table in code.tables])


def to_symbols(values: NDArray[np.int8], code: TansCode
               ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the symbols of all layers' values, their raw bits, and their tables."""
    items = transform(differences, values, code)
    tables, lengths = rows_of_layers(code.layers)
    counts = np.zeros((len(code.tables), MAX_SYMBOLS), np.int64)
    for number, table in enumerate(code.tables):
        counts[number, :len(table.counts)] = table.counts
    used = np.repeat(*symbols_of_rows(code))
    maps = [symbol_map(table) for table in code.tables]
    missing, symbols, raws = join(
        items, tables, lengths, len(used), np.array([symbol_of for symbol_of, _ in maps]),
        np.array([raw_of for _, raw_of in maps]), tuple_sizes(code), bases_of(code), counts)
    if missing >= 0:
        number = tables[np.searchsorted(np.cumsum(lengths), missing, "right")]
        raise ValueError(f"Table {number} must have a symbol for all values, as {items[missing]}")
    return symbols, raws, used


def from_symbols(symbols: NDArray[np.uint8], raws: NDArray[np.uint8], code: TansCode
                 ) -> NDArray[np.int8]:
    """Undo `to_symbols`.

    Raises
    ------
    FormatError
        If a value has another symbol.
    """
    tables, lengths = rows_of_layers(code.layers)
    meanings = np.zeros((len(code.tables), MAX_SYMBOLS), np.int64)
    for number, table in enumerate(code.tables):
        own = (table.meanings if table.tuple_size == 1
               else range(table.first, table.first + table.buckets))
        meanings[number, :len(own)] = own
    symbol_of = np.array([symbol_map(table)[0] for table in code.tables])
    wrong, items = split(symbols, raws, tables, lengths, symbol_of, meanings, tuple_sizes(code),
                         bases_of(code))
    if wrong >= 0:
        raise FormatError(f"coded data: symbol {wrong} must not stand for a value that another "
                          f"one stands for")
    return transform(sums, items, code)


def transform(change: Callable[[NDArray[np.int8], int], NDArray[np.int8]],
              values: NDArray[np.int8], code: TansCode) -> NDArray[np.int8]:
    """Return what ``change`` makes of each layer's values and delta."""
    ends = np.cumsum([layer.filters * layer.size for layer in code.layers])
    parts = np.split(values, ends[:-1]) if len(ends) else []
    return np.concatenate([np.zeros(0, np.int8), *(
        change(part, layer.delta) for part, layer in zip(parts, code.layers, strict=True))])


def symbol_map(table: TansTable) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the symbol of each value, 0 to 127 and -128 to -1, and its raw bits.

    The symbol is -1 for a value without one. In tables of tuples it's the value's digit.
    """
    symbols, raws = np.full(256, -1), np.zeros(256, np.uint8)
    if table.tuple_size > 1:
        digits = np.arange(min(table.buckets, 128 - table.first))
        symbols[table.first + digits] = digits
        return symbols, raws
    widths = table.raw_widths
    # Of several symbols for a value, one of its own comes first, then a bucket.
    order = sorted(range(len(widths)), key=lambda symbol: (
        symbol >= table.buckets + len(table.exact), symbol < table.buckets), reverse=True)
    for symbol in order:
        raw = np.arange(1 << widths[symbol])
        values = table.meanings[symbol] + raw
        raw = raw[np.abs(2 * values + 1) < 256]
        symbols[table.meanings[symbol] + raw] = symbol
        raws[table.meanings[symbol] + raw] = raw
    return symbols, raws


@compiled
def join(items: Any, tables: Any, lengths: Any, total: int, symbol_of: Any, raw_of: Any,
         sizes: Any, bases: Any, counts: Any) -> tuple[int, Any, Any]:
    """Return where the first value without a symbol lies, or -1; symbols; and raw bits."""
    symbols = np.empty(total, np.uint8)
    raws = np.empty(total, np.uint8)
    start = made = 0
    for row in range(len(tables)):
        table = tables[row]
        end = start + lengths[row]
        for first in range(start, end, sizes[table]):
            symbol, weight = 0, 1
            for place in range(first, min(first + sizes[table], end)):
                digit = symbol_of[table, items[place] & 255]
                if digit < 0:
                    return place, symbols, raws
                symbol += weight * digit
                weight *= bases[table]
            if not counts[table, symbol]:
                return first, symbols, raws
            symbols[made] = symbol
            raws[made] = raw_of[table, items[first] & 255]
            made += 1
        start = end
    return -1, symbols, raws


@compiled
def split(symbols: Any, raws: Any, tables: Any, lengths: Any, symbol_of: Any, meanings: Any,
          sizes: Any, bases: Any) -> tuple[int, Any]:
    """Return the number of the first symbol for a value that has another, or -1; and values."""
    items = np.empty(lengths.sum(), np.int8)
    start = taken = 0
    for row in range(len(tables)):
        table = tables[row]
        end = start + lengths[row]
        for first in range(start, end, sizes[table]):
            symbol = np.int64(symbols[taken])
            for place in range(first, min(first + sizes[table], end)):
                digit = symbol % bases[table]
                symbol //= bases[table]
                value = meanings[table, digit] + raws[taken]
                if not -128 <= value < 128 or symbol_of[table, value & 255] != digit:
                    return taken, items
                items[place] = value
            if symbol:
                return taken, items
            taken += 1
        start = end
    return -1, items


@compiled
def count_symbols(symbols: Any, used: Any, tables: int) -> Any:
    """Return how often each symbol of each table occurs."""
    counts = np.zeros((tables, 128), np.int64)
    for place in range(len(symbols)):
        counts[used[place], symbols[place]] += 1
    return counts


def states_of(code: TansCode) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return what the encoder needs.

    By symbol of each table: the most bits it takes from a state; the least state of which it takes
    so many; where its places begin in the last array, less its count. Last, the places of all
    symbols, by symbol and number.
    """
    bits = code.shape.table_bits
    most = np.zeros((len(code.tables), MAX_SYMBOLS), np.int32)
    least, begin = np.zeros_like(most), np.zeros_like(most)
    order = np.zeros((len(code.tables), 1 << bits), np.int32)
    for number, table in enumerate(code.tables):
        counts = np.array(table.counts)
        ends = np.cumsum(counts)
        most[number, :len(counts)] = bits - np.floor(np.log2(np.maximum(counts, 1)))
        least[number, :len(counts)] = counts << most[number, :len(counts)]
        begin[number, :len(counts)] = ends - 2 * counts
        order[number] = np.argsort(spread(table.counts, bits), kind="stable")
    return most, least, begin, order


def rows_of(code: TansCode) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]:
    """Return, for the decoder: symbol, bits to be read, and base of the next state, by state."""
    symbols, widths, bases = zip(*(table.transitions for table in code.tables), strict=True)
    return np.stack(symbols), np.stack(widths), np.stack(bases)


@compiled
def fields_of(symbols: Any, tables: Any, raws: Any, raw_bits: Any, most: Any, least: Any,
              begin: Any, order: Any, table_bits: int, states: int) -> Any:
    size = 1 << table_bits
    count = len(symbols)
    fields = np.empty(count, np.uint32)
    widths = np.empty(count, np.uint8)
    current = np.full(states, size, np.int64)
    for place in range(count - 1, -1, -1):
        symbol, table = symbols[place], tables[place]
        state = current[place & (states - 1)]
        width = most[table, symbol] - (state < least[table, symbol])
        fields[place] = (state & (1 << width) - 1) | np.int64(raws[place]) << width
        widths[place] = width + raw_bits[table, symbol]
        current[place & (states - 1)] = size + order[table, begin[table, symbol] + (state >> width)]
    return fields, widths, current - size


@compiled
def pack(fields: Any, widths: Any, current: Any, table_bits: int) -> Any:
    states = len(current)
    total = states * table_bits + widths.astype(np.int64).sum()
    words = np.zeros((total + 31) // 32, np.uint32)
    filled = 0
    for lane in range(states + len(fields)):
        if lane < states:
            field, width = np.uint64(current[lane]), table_bits
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
    """Return how many words were taken, or -1 if there are too few; symbols; and raw bits.

    Behind the first comes whether states and padding are 0 in the end.
    """
    count = len(tables)
    symbols = np.empty(count, np.uint8)
    raws = np.empty(count, np.uint8)
    current = np.zeros(states, np.int64)
    available = 32 * len(words)
    taken = 0
    if available < states * table_bits:
        return -1, False, symbols, raws
    for lane in range(states + count):
        if lane < states:
            width, raw, base = table_bits, 0, 0
            place = 0
        else:
            place = lane - states
            table = tables[place]
            state = current[place & (states - 1)]
            symbol = symbol_of[table, state]
            symbols[place] = symbol
            width, base = width_of[table, state], base_of[table, state]
            raw = raw_bits[table, symbol]
        if taken + width + raw > available:
            return -1, False, symbols, raws
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
            current[place & (states - 1)] = base + (value & (1 << width) - 1)
            raws[place] = value >> width
    padding = np.int64(words[taken >> 5]) >> (taken & 31) if taken & 31 else 0
    return (taken + 31) // 32, padding == 0 and not current.any(), symbols, raws
