"""Cycles that the gateware takes: it is built to them, the schedule predicts with them."""

from .schedule import RECORD_WORDS


__all__ = ["DRAIN_CYCLES", "RECORD_CYCLES"]


#: From asking for a schedule record until it is there.
RECORD_CYCLES = RECORD_WORDS + 2

#: From a layer's last beat until its outputs are certain to be in the activation memory.
DRAIN_CYCLES = 40
