"""Boards that Headrace builds for: the table of their names."""

from .board import Board
from .icebreaker import ICEBREAKER
from .icesugar import ICESUGAR
from .icesugar_pro import ICESUGAR_PRO
from .ulx3s import ULX3S


__all__ = ["BOARDS", "Board", "find_board"]


BOARDS = {board.name: board for board in (ULX3S, ICEBREAKER, ICESUGAR, ICESUGAR_PRO)}


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
