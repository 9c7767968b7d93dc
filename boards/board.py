"""What there is to know about a board."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


__all__ = ["Board"]


@dataclass(frozen=True)
class Board:
    """A board: its platforms by device, and what amaranth-boards doesn't say of it.

    Parameters
    ----------
    name : str
        Name on the command line.
    title : str
        Name for people.
    platforms : mapping of str to type
        Class of the amaranth-boards platform by device.
    default_device : str
        The device that is built for unless another is asked for.
    loader : str or None
        What openFPGALoader calls the board; None if it doesn't know it.
    flash_only : bool
        It is only programmed for good.
    resources : tuple
        Resources that amaranth-boards leaves out.
    """

    name: str
    title: str
    platforms: Mapping[str, Any]
    default_device: str
    loader: str | None
    flash_only: bool = False
    resources: tuple[Any, ...] = ()

    def platform(self, device: str) -> Any:
        """Return a fresh platform for ``device``.

        Raises
        ------
        ValueError
            If the board isn't made with it.
        """
        if device not in self.platforms:
            raise ValueError(f"Device of {self.title} must be one of {', '.join(self.platforms)}, "
                             f"not {device}")
        platform = self.platforms[device]()
        platform.add_resources(self.resources)
        return platform
