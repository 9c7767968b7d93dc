"""Decoders: from coded data to weights."""

from sw.format.lanes import TansLanes
from sw.format.tables import (AutomatonShape, PrefixTable, RawShape, RawTable, RiceCode,
                              RunLengthCode, TansCode)

from .interleaved import InterleavedDecoder
from .prefix import PrefixDecoder
from .raw import RawDecoder


__all__ = ["DECODERS", "SOFTWARE_ONLY"]


#: What stands for a decoder where there is none in gateware.
SOFTWARE_ONLY = "software only"

#: What decodes data of each code table, or is built for each decoder shape.
DECODERS = {
    AutomatonShape: PrefixDecoder,
    PrefixTable: PrefixDecoder,
    RawShape: RawDecoder,
    RawTable: RawDecoder,
    RiceCode: SOFTWARE_ONLY,
    RunLengthCode: SOFTWARE_ONLY,
    TansCode: InterleavedDecoder,
    TansLanes: InterleavedDecoder,
}
