"""Cycles that the gateware takes: it is built to them, the schedule predicts with them."""

from .schedule import RECORD_WORDS
from .target import Target


__all__ = ["RECORD_CYCLES", "drain_cycles"]


#: From asking for a schedule record until it is there.
RECORD_CYCLES = RECORD_WORDS + 2


def drain_cycles(target: Target) -> int:
    """Return the cycles from a layer's last beat until its outputs are in the activation memory.

    They pass the memories, the multipliers, an adder tree over the columns, and the requantisers,
    one after the other in each of these.
    """
    adders = target.columns.bit_length() - 1
    return 26 + adders + target.rows // target.requantisers
