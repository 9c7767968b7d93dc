"""Parts of an accelerator on an iCE40UP5K, as far as there are any."""

from hw.decode.tans_code import TansCode
from hw.decode.tans_small import SmallTansDecoder
from hw.engine.counters import Counters
from hw.engine.feed import Feed
from hw.engine.fetcher import Fetcher
from hw.engine.loader import Loader
from hw.engine.sequencer import Sequencer
from hw.link.host import HostLink
from hw.mac.array_small import SmallMacArray
from hw.mac.requantise_small import SmallRequantiser
from hw.mac.tiles_small import SmallFiller, SmallTileStore
from hw.memory.flash_fill import FlashFill
from hw.memory.spram import SpramMemory
from sw.format.lanes import SMALL, TansLanes
from sw.format.link import BAUD
from sw.format.tables import CODEBOOK_ENTRIES, TansShape
from sw.format.target import Target, tans_lanes
from sw.format.timing import drain_cycles, memory_latency


__all__ = ["PARTS"]


#: The target that is nearest to what the device could have: its array has four columns.
NEAREST = Target(rows=8, columns=4, requantisers=1, decoder=tans_lanes(1), memory_words=16384,
                 activation_bytes=1 << 16, channels=4096)

#: Its decoder.
LANE = TansLanes(TansShape(table_bits=8, states=4), lanes=1, port_bits=SMALL)

CLOCK_HZ = 20_000_000

#: What makes each part, by its name: made for the device, or as on others.
PARTS = {
    "array, 8 x 2": SmallMacArray,
    "requantiser": SmallRequantiser,
    "large RAM, arbiter": SpramMemory,
    "tANS decoder": lambda: SmallTansDecoder(LANE),
    "tANS code reader": lambda: TansCode(LANE, entries=CODEBOOK_ENTRIES, layers=NEAREST.layers,
                                         channels=NEAREST.channels),
    "tile store": SmallTileStore,
    "filler": SmallFiller,
    "sequencer": lambda: Sequencer(NEAREST, drain=drain_cycles(NEAREST)),
    "loader": lambda: Loader(NEAREST),
    "flash reader": lambda: FlashFill(NEAREST, clock_hz=CLOCK_HZ),
    "feed": Feed,
    "fetcher": lambda: Fetcher(memory_latency=memory_latency(NEAREST.memory_words)),
    "counters": lambda: Counters(NEAREST.layers),
    "host link": lambda: HostLink(NEAREST, clock_hz=CLOCK_HZ, baud=BAUD),
}
