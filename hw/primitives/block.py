"""What the vendors' blocks have in common: an instance on their devices, a twin in simulation."""

from dataclasses import dataclass

from amaranth.lib import wiring


__all__ = ["ECP5", "ICE40", "ULTRAPLUS", "Block", "Family"]


@dataclass(frozen=True)
class Family:
    """Devices that have the same blocks.

    Parameters
    ----------
    name : str
        The vendor's.
    prefix : str
        What the names of its devices begin with.
    """

    name: str
    prefix: str


ECP5 = Family("ECP5", "LFE5U")
ICE40 = Family("iCE40", "iCE40")
ULTRAPLUS = Family("iCE40 UltraPlus", "iCE40UP")


class Block(wiring.Component):
    """A vendor's block. Its class has the vendor's name and says ``family``, where it is.

    ``block()`` returns what is built there, ``twin()`` what is simulated in its place; a block that
    nothing simulates has none.

    Raises
    ------
    NotImplementedError
        At elaboration, if the platform's device is of another family, or nothing can be simulated.
    """

    family: Family

    def elaborate(self, platform):
        device = getattr(platform, "device", None)
        if device is None and hasattr(self, "twin"):
            return self.twin()
        if not str(device).startswith(self.family.prefix):
            raise NotImplementedError(f"{type(self).__name__} must be built for an "
                                      f"{self.family.name}, not {device}")
        return self.block()
