"""What a build of the accelerator offers: the same object drives the compiler and the gateware."""

import json
import zlib
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import product

from .lanes import LANES, TansLanes
from .tables import GROUP, AutomatonShape, RawShape, RiceShape, RunLengthShape, TansShape


__all__ = ["FLASH_OFFSET", "LARGE", "PRESETS", "DecoderShape", "Memory", "Target", "alternatives",
           "decoder_shapes", "find_targets", "larger", "tans_lanes"]


#: Shapes of the decoders that a target can have.
DecoderShape = RawShape | AutomatonShape | TansLanes | RiceShape | RunLengthShape


class Memory(StrEnum):
    """Where an accelerator's image is."""

    #: In block RAM: with the bitstream, or written by the host.
    BLOCK_RAM = "bram"
    #: In the board's flash, from `FLASH_OFFSET` on. Coded data are read anew in each run; the host
    #: writes nothing.
    FLASH = "flash"
    #: In the board's SDRAM, which is filled from the flash at each load, or written by the host.
    SDRAM = "sdram"
    #: In a UP5K's large RAM, which activations share: the image from its beginning on, they up to
    #: its end. It is filled from the flash at each load, or written by the host.
    SPRAM = "spram"

    @property
    def has_flash(self) -> bool:
        """Whether the image comes from the board's flash."""
        return self is not Memory.BLOCK_RAM


#: Address of the image in the boards' flashes, in bytes: behind the longest bitstream.
FLASH_OFFSET = 0x200000

#: Words of images that flashes of 16 MB take.
FLASH_WORDS = 1 << 21

#: Words of a UP5K's large RAM.
SPRAM_WORDS = 1 << 15

#: Bits of an address in each memory, and of a number of its words.
ADDRESS_BITS = {Memory.BLOCK_RAM: 16, Memory.FLASH: 22, Memory.SDRAM: 22, Memory.SPRAM: 15}


@dataclass(frozen=True)
class Target:
    """Sizes of an accelerator. A network's schedule is made for one target and carries its hash.

    Parameters
    ----------
    rows, columns : int
        Output channels and inputs that the MAC array multiplies in a cycle. ``rows`` is a multiple
        of ``requantisers``; ``columns`` is 4 or 8.
    requantisers : int
        Outputs that are requantised and stored in a cycle. 1, 2 or 4.
    decoder : DecoderShape
        The decoder between the weight memory and the tile store.
    memory_words : int
        Weight memory, in words of 32 bits.
    activation_bytes : int
        Activation memory, in bytes. In a UP5K's large RAM it is the end of the weight memory, of
        which an image may take what the network's activations leave.
    tile_words : int
        Longest filter in the tile store, in words of ``columns`` weights. Two tiles are resident.
    channels : int
        Channel records (bias, multiplier, shift) of all layers together.
    layers : int
        Layers of a network.
    codebooks : int
        Codebooks that a network's layers choose from.
    memory : Memory
        Where the image is.
    device : str
        For which decoders are chosen, a key of `DEVICES`. The hash leaves it out: other devices run
        the same.

    Raises
    ------
    ValueError
        If a size can't be built.
    """

    rows: int = 8
    columns: int = 4
    requantisers: int = 2
    decoder: DecoderShape = field(default_factory=AutomatonShape)
    memory_words: int = 16384
    activation_bytes: int = 8192
    tile_words: int = 256
    channels: int = 512
    layers: int = 32
    codebooks: int = 4
    memory: Memory = Memory.BLOCK_RAM
    device: str = "LFE5U-85F"

    def __post_init__(self) -> None:
        if self.columns not in (4, 8):
            raise ValueError(f"Columns must be 4 or 8, not {self.columns}")
        if self.requantisers not in (1, 2, 4):
            raise ValueError(f"Requantisers must be 1, 2 or 4, not {self.requantisers}")
        if not 4 <= self.rows <= 32 or self.rows % self.requantisers:
            raise ValueError(f"Rows must be 4 to 32 and a multiple of the {self.requantisers} "
                             f"requantisers, not {self.rows}")
        for name, least, most in (("memory_words", 256, 1 << self.address_bits),
                                  ("tile_words", 16, 256),
                                  ("activation_bytes", 1024, 1 << 16), ("channels", 64, 4096),
                                  ("layers", 2, 64), ("codebooks", 1, 16)):
            value = getattr(self, name)
            if not least <= value <= most or value.bit_count() != 1:
                raise ValueError(f"{name} must be a power of two, {least} to {most}, not {value}")
        if self.memory is Memory.SPRAM and self.memory_words != SPRAM_WORDS:
            raise ValueError(f"memory_words of a UP5K's large RAM must be {SPRAM_WORDS}, "
                             f"not {self.memory_words}")
        if isinstance(self.decoder, TansLanes):
            if self.decoder.lanes > self.columns:
                raise ValueError(f"Lanes must be at most the {self.columns} columns, "
                                 f"not {self.decoder.lanes}")
            if self.decoder.tuple_size > 1:
                raise ValueError(f"Symbols of a target must have 1 value, "
                                 f"not {self.decoder.tuple_size}")

    @property
    def transfer_weights(self) -> int:
        """The most weights that the decoder delivers in a cycle."""
        return max(GROUP, getattr(self.decoder, "lanes", GROUP))

    @property
    def address_bits(self) -> int:
        """Bits of an address in the weight memory, and of a number of its words."""
        return ADDRESS_BITS[self.memory]

    @property
    def image_words(self) -> int:
        """Words that an image may have."""
        return min(self.memory_words, (1 << self.address_bits) - 1)

    @property
    def read_bytes(self) -> int:
        """Bytes of the activation memory that are read in a cycle.

        At least ``columns``; where each row has an input of its own, more rows are at work with
        more: as many as there are, up to 16.
        """
        return max(self.columns, min(16, 1 << self.rows.bit_length() - 1))

    @property
    def spread(self) -> bool:
        """Whether the array's multipliers lie all over the device, as more than 32 do.

        What goes to all of them then has a register on its way for each requantiser, and more
        where wires are long.
        """
        return self.rows * self.columns > 32

    @property
    def hash(self) -> int:
        """CRC-32 of all sizes: what a schedule and a gateware must agree on."""
        sizes = asdict(self) | {"decoder": {"name": self.decoder.name, **asdict(self.decoder)}}
        del sizes["device"]
        if self.memory is Memory.BLOCK_RAM:
            # Not said: so it was before there were others.
            del sizes["memory"]
        return zlib.crc32(json.dumps(sizes, sort_keys=True).encode())

    def with_decoder(self, decoder: DecoderShape) -> "Target":
        """Return the same target with another decoder."""
        return replace(self, decoder=decoder)

    @property
    def memories(self) -> tuple[Memory, ...]:
        """Where the image of the same target may be."""
        if self.memory is Memory.SPRAM:
            return (Memory.SPRAM,)
        return tuple(memory for memory in Memory if memory is not Memory.SPRAM)

    def with_memory(self, memory: Memory) -> "Target":
        """Return the same target with its image elsewhere."""
        if memory is self.memory:
            return self
        if memory not in self.memories:
            raise ValueError(f"Memory of this target must be {' or '.join(self.memories)}, "
                             f"not {memory}")
        if memory is Memory.BLOCK_RAM:
            raise ValueError("Memory words of block RAM must be said")
        return replace(self, memory=memory, memory_words=FLASH_WORDS)


#: Targets by board and device.
PRESETS = {
    ("ulx3s", "12F"): Target(rows=4, requantisers=1, device="LFE5U-12F"),
    ("ulx3s", "25F"): Target(rows=4, requantisers=1, device="LFE5U-25F"),
    ("ulx3s", "45F"): Target(device="LFE5U-45F"),
    ("ulx3s", "85F"): Target(),
    ("icesugar_pro", "25F"): Target(rows=4, requantisers=1, device="LFE5U-25F"),
}


#: Larger targets of the same devices, for networks that those don't run.
LARGE = {
    ("ulx3s", "85F"): Target(rows=16, columns=8, requantisers=4, memory_words=32768,
                             activation_bytes=65536, channels=4096, layers=64),
}


#: Code of tANS that targets read: with so many states any number of lanes decodes the same data.
#: Tables of 1,024 states instead of 256 would save 0.2 % of an image at most, on digits and three
#: networks of MLPerf Tiny.
TANS_CODE = TansShape(table_bits=8, states=64)

#: Raw bits behind a symbol that they read: as many as int8 weights as they are may have.
TANS_RAW_BITS = 7


def tans_lanes(lanes: int) -> TansLanes:
    """Return the decoder of tANS with so many lanes that targets have."""
    return TansLanes(TANS_CODE, lanes, raw_bits=TANS_RAW_BITS)


def decoder_shapes(target: Target) -> dict[str, DecoderShape]:
    """Return the decoders that ``target`` may have by their codecs, its own one among them.

    Where it has another, tANS gets as many lanes as suit the array.
    """
    lanes = 8 if target.columns == 8 else 4 if target.rows >= 8 else 2
    shapes: dict[str, DecoderShape] = {
        "tans": tans_lanes(lanes), "huffman": AutomatonShape(), "raw": RawShape(),
        "rice": RiceShape(), "runlength": RunLengthShape()}
    return {codec: target.decoder if type(target.decoder) is type(shape) else shape
            for codec, shape in shapes.items()}


def larger(target: Target) -> Target | None:
    """Return the next larger target of the same device, with the same decoder; None for others."""
    return next((LARGE[device].with_decoder(target.decoder).with_memory(target.memory)
                 for device in LARGE if target.memory in PRESETS[device].memories
                 if PRESETS[device].with_decoder(target.decoder).with_memory(target.memory)
                 == target), None)


def find_targets(target_hash: int) -> dict[str, Target]:
    """Return the targets that have this hash.

    Returns
    -------
    dict of str to Target
        The presets, with any decoder, as ``board:device``; if there is none, a preset with
        another array, called by the array's sizes.
    """
    named = ((f"{board}:{device}{size}{where}", preset.with_memory(memory))
             for presets, size in ((PRESETS, ""), (LARGE, ", large"))
             for (board, device), preset in presets.items()
             for memory in preset.memories
             for where in ["" if memory is preset.memory else f", {memory}"])
    arrays = ((f"{rows} x {columns} array, {requantisers} requantisers",
               replace(preset, rows=rows, columns=columns, requantisers=requantisers))
              for preset in dict.fromkeys(PRESETS.values())
              for rows, columns, requantisers in product(range(4, 33), (4, 8), (1, 2, 4))
              if rows % requantisers == 0)
    for candidates in (named, arrays):
        found = {name: target for name, like in candidates for target in alternatives(like)
                 if target.hash == target_hash}
        if found:
            return found
    return {}


def alternatives(target: Target) -> list[Target]:
    """Return ``target`` with each of the decoders that it may have.

    One for each codec, so that an accelerator runs every image of its codec, but for tANS: there
    any number of lanes decodes the same data.
    """
    shapes = [*decoder_shapes(target).values(),
              *(tans_lanes(lanes) for lanes in LANES if lanes <= target.columns)]
    return [target.with_decoder(shape) for shape in dict.fromkeys(shapes)]
