"""Shape of the gateware that decodes tANS, and the rows of its tables."""

from dataclasses import dataclass

from .tables import CODEBOOK_ENTRIES, MAX_TABLES, TansCode, TansShape, TansTable


__all__ = ["LANES", "NARROW", "SMALL", "WIDE", "TansLanes", "join_next", "next_width"]


#: Symbols that may be looked up in a cycle.
LANES = (1, 2, 4, 8)

#: Bits of a row in one block RAM port of an ECP5, and in two; in the one of an iCE40.
NARROW, WIDE = 18, 36
SMALL = 16

#: Bits of the numbers that a wide row has besides: of all bits that are taken, and of raw ones.
TAKEN_BITS, RAW_BITS = 5, 3

#: Bits of the value in a wide row.
WIDE_VALUE_BITS = 16


@dataclass(frozen=True)
class TansLanes:
    """Shape of a decoder of tANS coded data that looks up several symbols at once.

    A row of a table holds, from bit 0 up: the next state's base and width (see `join_next`); in
    wide rows the number of bits that the symbol takes, raw ones included, in 5 bits, and the number
    of raw bits in 3; the value, or the values of a tuple, in two's complement, the first one
    lowest. Rows are wide, 36 bits instead of 18, where there are raw bits, or values of a tuple
    would have less than two bits.

    Parameters
    ----------
    code : TansShape
        The code.
    lanes : int
        Symbols that are looked up in a cycle: 1, 2, 4 or 8.
    tables : int
        Tables that it can hold, a power of two up to 16.
    tuple_size : int
        The most values that a symbol stands for, 1 to 4.
    raw_bits : int
        The most raw bits behind a symbol, 0 to 7; 0 with tuples.
    most_bits : int or None
        The most bits that a symbol may take, raw ones included; by default all that there may be.
        Not below the bits of a state.
    port_bits : int
        Bits of a block RAM port: 18, or 16 for the small decoder of an iCE40, which has one lane,
        256 states a table, no raw bits, no tuples and values of 6 bits, and takes bytes.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    name = "tans"

    code: TansShape
    lanes: int = 4
    tables: int = 4
    tuple_size: int = 1
    raw_bits: int = 0
    most_bits: int | None = None
    port_bits: int = NARROW

    def __post_init__(self) -> None:
        if self.lanes not in LANES:
            raise ValueError(f"Lanes must be 1, 2, 4 or 8, not {self.lanes}")
        if self.tables < 1 or self.tables > MAX_TABLES or self.tables.bit_count() != 1:
            raise ValueError(f"Tables must be 1, 2, 4, 8 or 16, not {self.tables}")
        if not 1 <= self.tuple_size <= 4:
            raise ValueError(f"Tuples must have 1 to 4 values, not {self.tuple_size}")
        if not 0 <= self.raw_bits <= 7:
            raise ValueError(f"Raw bits must be 0 to 7, not {self.raw_bits}")
        if self.raw_bits and self.tuple_size > 1:
            raise ValueError("Tuples must have no raw bits")
        least, most = self.code.table_bits, self.code.table_bits + self.raw_bits
        if self.most_bits is not None and not least <= self.most_bits <= most:
            raise ValueError(f"Symbols must take up to {least} to {most} bits, "
                             f"not {self.most_bits}")
        if self.port_bits not in (NARROW, SMALL):
            raise ValueError(f"Port must have {NARROW} or {SMALL} bits, not {self.port_bits}")
        if self.port_bits == SMALL and (self.lanes, self.code.table_bits, self.tuple_size,
                                        self.raw_bits) != (1, 8, 1, 0):
            raise ValueError(f"Decoders with a port of {SMALL} bits must have one lane, 256 states "
                             "a table, no tuples and no raw bits")

    @property
    def symbol_bits(self) -> int:
        """The most bits that a symbol takes."""
        return self.most_bits or self.code.table_bits + self.raw_bits

    @property
    def word_bits(self) -> int:
        """Bits of a word of coded data: at least as many as all lanes may take at once."""
        if self.port_bits == SMALL:
            return 8
        least = max(32, 8 * self.lanes, self.lanes * self.symbol_bits)
        return 1 << (least - 1).bit_length()

    @property
    def next_bits(self) -> int:
        """Bits of a row's next state."""
        return self.code.table_bits + 2

    @property
    def row_bits(self) -> int:
        """Bits of a row."""
        narrow = (self.port_bits - self.next_bits) // self.tuple_size
        return WIDE if self.raw_bits or narrow < 2 else self.port_bits

    @property
    def value_bits(self) -> int:
        """Bits of each value in a row."""
        room = WIDE_VALUE_BITS if self.row_bits == WIDE else self.row_bits - self.next_bits
        return min(8, room // self.tuple_size)

    @property
    def turns(self) -> int:
        """Cycles until a lane has its first state again."""
        return self.code.states // self.lanes

    def rows(self, table: TansTable) -> tuple[int, ...]:
        """Return the rows of ``table``, by state.

        Raises
        ------
        ValueError
            If the decoder can't hold them: the table's size or tuples are others, a value doesn't
            fit a row, or a symbol takes too many bits.
        """
        size = 1 << self.code.table_bits
        if sum(table.counts) != size:
            raise ValueError(f"Table must have {size} states, not {sum(table.counts)}")
        if table.tuple_size > self.tuple_size:
            raise ValueError(f"Tuples must have up to {self.tuple_size} values, "
                             f"not {table.tuple_size}")
        meanings, raws = self.meanings(table), table.raw_widths
        rows = []
        for symbol, width, base in zip(*(part.tolist() for part in table.transitions),
                                       strict=True):
            raw = raws[symbol]
            if raw > self.raw_bits or width + raw > self.symbol_bits:
                raise ValueError(f"Symbol {symbol} must take up to {self.symbol_bits} bits, up to "
                                 f"{self.raw_bits} raw, not {width} and {raw}")
            row, at = join_next(width, base, self.code.table_bits), self.next_bits
            if self.row_bits == WIDE:
                row |= (width + raw) << at | raw << (at + TAKEN_BITS)
                at += TAKEN_BITS + RAW_BITS
            rows.append(row | meanings[symbol] << at)
        return tuple(rows)

    def holds(self, code: TansCode) -> bool:
        """Return whether the decoder can hold the tables of ``code`` and decode what they code."""
        if (code.shape != self.code or len(code.tables) > self.tables
                or code.entries > CODEBOOK_ENTRIES or any(layer.delta for layer in code.layers)
                or any(table.tuple_size != self.tuple_size for table in code.tables)):
            return False
        try:
            for table in code.tables:
                self.rows(table)
        except ValueError:
            return False
        return True

    def meanings(self, table: TansTable) -> list[int]:
        """Return the values of each symbol, as a row has them."""
        if table.tuple_size == 1:
            # Values are taken modulo 256; tails may lie beyond.
            tuples = [((value + 128) % 256 - 128,) for value in table.meanings]
        else:
            tuples = [tuple((table.first + symbol // table.buckets ** place % table.buckets + 128)
                            % 256 - 128 for place in range(table.tuple_size))
                      for symbol in range(table.buckets ** table.tuple_size)]
        least, most = -1 << self.value_bits - 1, (1 << self.value_bits - 1) - 1
        for values, count in zip(tuples, table.counts, strict=True):
            for value in values:
                if count and not least <= value <= most:
                    raise ValueError(f"Values must be {least} to {most}, not {value}")
        return [sum((value & (1 << self.value_bits) - 1) << place * self.value_bits
                    for place, value in enumerate(values)) for values in tuples]


def join_next(width: int, base: int, table_bits: int) -> int:
    """Return width and base of a next state as a row has them.

    The base's lowest bits are 0 where bits are read in their place. So the two lowest bits, and two
    more above the base, make up a code for the width: from the highest, ``0kkk`` for table_bits - k
    bits, at least 3; ``11-1`` for 2; ``11-0`` for 1, and ``10--`` for none, where ``-`` are bits of
    the base. The row of zeros reads a whole state.
    """
    if width >= 3:
        kept = table_bits - width
        return base | kept & 3 | kept >> 2 << table_bits
    top = 3 if width else 2
    return base | (width == 2) | top << table_bits


def next_width(code: int, table_bits: int) -> int:
    """Return the width that the four bits of `join_next` stand for."""
    if not code & 8:
        return table_bits - (code & 7)
    if not code & 4:
        return 0
    return 1 + (code & 1)
