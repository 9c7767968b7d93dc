"""Sums and layers that requantisers are tested with."""

from sw.format.layers import MOST_SHIFT


__all__ = ["LAYERS", "edges", "factors_above_one", "random_cases", "ties"]


INT32_MIN, INT32_MAX = -1 << 31, (1 << 31) - 1

LAYERS = [
    {"zero_point": 0, "minimum": -128, "maximum": 127},
    {"zero_point": -128, "minimum": -128, "maximum": 127},
    {"zero_point": 127, "minimum": -128, "maximum": 127},
    {"zero_point": -5, "minimum": -5, "maximum": 90},
    {"zero_point": 3, "minimum": 7, "maximum": 7},
    {"zero_point": 0, "minimum": -128, "maximum": 127, "once": 1},
    {"zero_point": -20, "minimum": -100, "maximum": 127, "once": 1},
]


def case(total, multiplier, shift, bias=0):
    """Return a sum and its record; a negative ``shift`` is to the left."""
    return {"sum": total, "record": {"bias": bias, "multiplier": multiplier,
                                     "shift": max(0, shift), "left": max(0, -shift)}}


def ties(rng):
    """Yield sums at, just below or just above a tie of the second rounding, or of the first."""
    for shift in range(32):
        for _ in range(12):
            # A multiplier of 2**30 halves: the first rounding sees ties at odd sums.
            scaled = (rng.randint(-140, 140) << shift) + (1 << shift >> 1) + rng.randint(-1, 1)
            total = 2 * scaled + rng.randint(-1, 1)
            if INT32_MIN <= total <= INT32_MAX:
                yield case(total, 1 << 30, shift)


def edges():
    totals = (INT32_MIN, INT32_MIN + 1, -0x10001, -0x10000, -2, -1, 0, 1, 2, 0xffff, 0x10000,
              INT32_MAX - 1, INT32_MAX)
    for total in totals:
        for multiplier in (0, 1, 1 << 30, (1 << 30) + 1, 0x5a82799a, INT32_MAX - 1, INT32_MAX):
            for shift in (-MOST_SHIFT, -2, -1, 0, 1, 2, 3, 4, 15, 22, 23, 24, 30, 31):
                yield case(total, multiplier, shift)


def factors_above_one(rng):
    """Yield sums whose outputs spread over the range, and beyond, for each shift to the left."""
    for left in range(1, MOST_SHIFT + 1):
        for total in range(-(300 >> left) - 2, (300 >> left) + 3):
            bias = rng.randint(-1000, 1000)
            yield case(total - bias, rng.randint(1 << 30, INT32_MAX), -left, bias)
            # The multiplier of a half sees ties.
            yield case(total - bias, 1 << 30, -left, bias)


def random_cases(rng):
    for _ in range(2000):
        shift = rng.randint(0, 31)
        # Most outputs inside the range: that is where rounding shows.
        total = rng.randint(-200 << shift, 200 << shift)
        multiplier = rng.randint(1 << 30, INT32_MAX)
        bias = rng.randint(-1 << rng.randint(0, 31), 1 << rng.randint(0, 30))
        if INT32_MIN <= total <= INT32_MAX:
            yield case(total - bias if INT32_MIN <= total - bias <= INT32_MAX else total,
                       multiplier, shift, bias)
        yield case(rng.randint(INT32_MIN, INT32_MAX), multiplier, shift,
                   rng.randint(INT32_MIN, INT32_MAX))
