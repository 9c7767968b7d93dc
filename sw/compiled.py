"""Compiled loops, where a step depends on the one before and NumPy has no words for it."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit


__all__ = ["compiled"]


Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Return ``function``, compiled by Numba when it is first called, and kept for the next run.

    It must take and return arrays, numbers and tuples of them. No index is checked, no overflow
    noticed, and division by zero follows NumPy: what files and users say must have been checked
    before. The machine code lies in ``__pycache__`` beside the source, or in the user's cache
    where that can't be written.
    """
    return cast(Function, njit(cache=True, error_model="numpy")(function))
