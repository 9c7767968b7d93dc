"""What the decoder that an image needs will cost in gates, before anything is synthesised."""

from dataclasses import dataclass

from .cycles import Decoder
from .format.lanes import TansLanes
from .format.tables import RawShape, RiceShape, RunLengthShape
from .format.target import DecoderShape, Memory, Target
from .image import Image


__all__ = ["LUT4_ERROR", "DecoderCost", "accelerator_resources", "decoder_cost",
           "decoder_resources"]


#: The most by which ``lut4`` was off for any shape that it was fitted to.
LUT4_ERROR = 0.09

#: Bytes of a block RAM.
EBR_BYTES = 2048

#: LUT4 and block RAMs by lanes of tANS: four tables of 256 states, 64 of them in turn, raw bits.
TANS_RESOURCES = {1: (2377, 7), 2: (2629, 7), 4: (3266, 8), 8: (5581, 12)}

#: LUT4 and block RAMs of codes without a table.
PLAIN_RESOURCES = {"rice": (1039, 0), "runlength": (1056, 0)}


@dataclass(frozen=True)
class DecoderCost:
    """Estimate of a decoder between weight memory and tile store, on an ECP5.

    Parameters
    ----------
    lut4 : int
        LUTs of four inputs, carry cells and LUT RAM counted, within ``LUT4_ERROR``.
    ebr : int
        Block RAMs of 18 kbit.
    weights_per_cycle : float
        Weights over cycles, if the memory never lets the decoder wait nor the array.
    """

    lut4: int
    ebr: int
    weights_per_cycle: float


def decoder_cost(image: Image, target: Target) -> DecoderCost:
    """Return what the decoder of ``target`` takes, and gives of ``image``.

    The rate follows from the coded data, group by group.
    """
    shape, most = target.decoder, target.transfer_weights
    decoder = Decoder(image, shape if isinstance(shape, TansLanes) else None)
    weights = image.network.weights
    whole, rest = divmod(weights, most)
    cycles = decoder.fill(0, [most], whole) if whole else 0
    if rest:
        cycles = decoder.fill(cycles + 1, [rest], 1)
    lut4, ebr = decoder_resources(shape)
    return DecoderCost(lut4, ebr, weights / (cycles + 1 - decoder.ready[0]))


def decoder_resources(shape: DecoderShape) -> tuple[int, int]:
    """Return LUT4 and block RAMs of a decoder, table loader and codebook lookup included.

    Fitted for the least greatest error to twelve shapes of 2 to 5 symbol bits, 3 to 6 bits a step
    and 2 or 4 substreams, each with four codebooks, synthesised with yosys 0.70 (``synth_ecp5
    -abc9 -nowidelut -no-rw-check``). Those of the other codecs are what that gave; tANS has the
    lanes that targets have, with 512 filters.
    """
    if isinstance(shape, RawShape):
        return 752, 0
    if isinstance(shape, RiceShape | RunLengthShape):
        return PLAIN_RESOURCES[shape.name]
    if isinstance(shape, TansLanes):
        return TANS_RESOURCES[shape.lanes]
    lut4 = 270 + 177 * shape.symbol_bits + 46 * shape.step_bits + 87 * shape.substreams
    return lut4, 1


def accelerator_resources(target: Target) -> tuple[int, int]:
    """Return LUT4 and block RAMs of an accelerator without its decoder, on an ECP5.

    Block RAMs follow from the memories, to within two. LUT4 are fitted to what the tools found of
    the three sizes that ship: yosys, as in `decoder_resources`, and nextpnr for the large one.
    """
    banks = target.read_bytes
    ebr = banks * -(-target.activation_bytes // (banks * EBR_BYTES))
    ebr += target.rows * target.columns // 4
    ebr += target.requantisers * (2 + 6 * max(512, target.channels // target.requantisers) // 1024)
    ebr += 7 if target.layers > 32 else 4
    if target.memory is Memory.BLOCK_RAM:
        ebr += max(1, target.memory_words // 512)
    return 4600 + target.rows * (227 + 29 * target.columns), ebr
