"""What all weight memories that stream have in common."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out


__all__ = ["region_layout", "source_members"]


def region_layout(address_bits):
    """Return the layout of a region: consecutive words of the weight memory."""
    return data.StructLayout({"address": address_bits, "words": address_bits})


def source_members(address_bits):
    """Return the members that every memory has which streams regions by itself.

    Members
    -------
    regions : In(stream.Signature(region_layout(address_bits)))
        What to fetch; the next region is taken once the last word of one has been asked for. One
        of no words yields nothing.
    o : Out(stream.Signature(32))
        The words in order, as fast as the memory gives them. What the consumer doesn't take waits
        in a queue; when that is full, the memory.
    stop : In(1)
        Forgets the region and the words on their way. High for 16 cycles at least.
    """
    return {
        "regions": In(stream.Signature(region_layout(address_bits))),
        "o": Out(stream.Signature(32)),
        "stop": In(1),
    }
