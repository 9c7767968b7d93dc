"""Decoders: from coded data to weights."""

from sw.format.lanes import TansLanes
from sw.format.tables import (AutomatonShape, PrefixTable, RawShape, RawTable, RiceCode, RiceShape,
                              RunLengthCode, RunLengthShape, TansCode)

from .interleaved import InterleavedDecoder
from .plain import PlainDecoder
from .prefix import PrefixDecoder
from .raw import RawDecoder


__all__ = ["DECODERS"]


#: What decodes data of each code table, or is built for each decoder shape.
DECODERS = {
    AutomatonShape: PrefixDecoder,
    PrefixTable: PrefixDecoder,
    RawShape: RawDecoder,
    RawTable: RawDecoder,
    RiceCode: PlainDecoder,
    RiceShape: PlainDecoder,
    RunLengthCode: PlainDecoder,
    RunLengthShape: PlainDecoder,
    TansCode: InterleavedDecoder,
    TansLanes: InterleavedDecoder,
}
