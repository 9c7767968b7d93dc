"""Boards that Headrace builds for: the table of their names."""

from .board import Board
from .ulx3s import ULX3S


__all__ = ["BOARDS", "Board", "find_board"]


BOARDS = {board.name: board for board in (ULX3S,)}


def find_board(name: str) -> Board:
    """Return the board called ``name``.

    Raises
    ------
    ValueError
        If there is none; the message lists the boards.
    """
    if name not in BOARDS:
        raise ValueError(f"Board must be one of {', '.join(BOARDS)}, not {name}")
    return BOARDS[name]
