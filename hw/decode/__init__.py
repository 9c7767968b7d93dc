"""Decoders: from coded data to weights."""

from sw.format.tables import AutomatonShape, PrefixTable, RawShape, RawTable

from .prefix import PrefixDecoder
from .raw import RawDecoder


__all__ = ["DECODERS"]


#: What decodes data of each code table, or is built for each decoder shape.
DECODERS = {
    AutomatonShape: PrefixDecoder,
    PrefixTable: PrefixDecoder,
    RawShape: RawDecoder,
    RawTable: RawDecoder,
}
