"""Damaged copies of files, for parsers that have to refuse them."""

import tracemalloc
from copy import deepcopy

import numpy as np
import pytest

from sw.importers.npz import ModelError


__all__ = ["MOST_BYTES", "changed_values", "mutations", "read_or_refuse"]


#: Memory that a parser may take for one byte of a file, and for any file.
MOST_BYTES = (100, 1 << 22)


def mutations(data, count, seed):
    """Yield ``count`` copies of ``data``: truncated, or with bytes changed, moved or repeated."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        copy = bytearray(data)
        start, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        match number % 6:
            case 0:
                del copy[start:]
            case 1:
                for place in rng.integers(0, len(copy), rng.integers(1, 9)):
                    copy[place] ^= 1 << rng.integers(0, 8)
            case 2:
                for place in rng.integers(0, len(copy), rng.integers(1, 33)):
                    copy[place] = rng.integers(0, 256)
            case 3:
                place = rng.integers(0, len(copy))
                size = int(rng.choice([1, 2, 4, 8]))
                copy[place:place + size] = int(rng.choice([0, 255])).to_bytes() * size
            case 4:
                del copy[start:min(end, start + 64)]
            case 5:
                copy[start:start] = copy[start:min(end, start + 64)]
        yield bytes(copy)


#: What `changed_values` puts in the place of any value.
VALUES = (None, True, False, 0, 1, -1, 3, 1 << 31, 1 << 70, 0.5, 1e300, float("inf"), float("nan"),
          "", "x", "a\n\x1b[31m", "x" * 1000, [], [[]], {}, {"as_int": 2}, {"as_none": True})


def changed_values(tree, count, seed):
    """Yield ``count`` copies of what JSON holds, with one to three values changed.

    They are left out, doubled, exchanged for each other, or for one of VALUES.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        changed = deepcopy(tree)
        for _ in range(rng.integers(1, 4)):
            places = list(slots(changed))
            if not places:
                break
            holder, key = places[rng.integers(len(places))]
            other, place = places[rng.integers(len(places))]
            match rng.integers(0, 5):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, list):
                    holder.insert(key, deepcopy(holder[key]))
                case 2:
                    holder[key] = deepcopy(other[place])
                case _:
                    holder[key] = deepcopy(VALUES[rng.integers(len(VALUES))])
        yield changed


def slots(tree):
    """Yield each list or object in ``tree`` with each of its indices or keys."""
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from slots(tree[key])


def read_or_refuse(read, copies, *, measured=0):
    """Return how many of ``copies`` are refused, in one line each; the others must be read.

    The memory that the first ``measured`` ones take is bounded.
    """
    refused = 0
    for number, copy in enumerate(copies):
        if number < measured:
            tracemalloc.start()
        complaint = None
        try:
            read(copy)
        except ModelError as error:
            complaint = str(error)
        finally:
            if number < measured:
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                assert peak <= len(copy) * MOST_BYTES[0] + MOST_BYTES[1]
        if complaint is not None:
            assert complaint.isprintable()
            assert len(complaint) < 400
            refused += 1
    if not refused:
        pytest.fail("not one copy was refused")
    return refused
