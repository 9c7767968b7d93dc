"""TFLite's requantisation in Python's integers, step by step as its reference kernels do it."""


__all__ = ["requantise", "rescale"]


def wrap(value):
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def saturating_rounding_doubling_high_mul(a, b):
    if a == b == -1 << 31:
        return (1 << 31) - 1
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    numerator = a * b + nudge
    quotient = abs(numerator) // (1 << 31)
    return quotient if numerator >= 0 else -quotient


def rounding_divide_by_pot(x, exponent):
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def requantise(total, *, bias, multiplier, shift, left=0, zero_point, minimum, maximum, once=0):
    """Return the output of a sum; ``shift`` is 0 to 31, to the right."""
    value = wrap(wrap(total + bias) << left)
    if once:
        scaled = (value * multiplier + (1 << 30 + shift)) >> 31 + shift
    else:
        scaled = rounding_divide_by_pot(
            saturating_rounding_doubling_high_mul(value, multiplier), shift)
    return min(max(scaled + zero_point, minimum), maximum)


def rescale(value, *, bias, multiplier, shift):
    """Return what an addition makes of an input; ``bias`` is its zero point."""
    return rounding_divide_by_pot(
        saturating_rounding_doubling_high_mul(wrap(value - bias << 20), multiplier), shift)
