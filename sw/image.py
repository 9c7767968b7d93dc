"""ROM images: build, write and read them. docs/format.md specifies them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .codecs import (CODECS, Codec, Decoder, HuffmanCodec, RawCodec, TansCodec, decode,
                     layer_bits)
from .format.lanes import TansLanes
from .format.layers import MOST_SHIFT, RECORDS, LayerDescriptor, Operation
from .format.predictor_records import (join_code, pack_predictors, predictor_bits, split_code,
                                       unpack_predictors)
from .format.predictors import Predicted
from .format.schedule import RECORD_WORDS, ScheduleRecord
from .format.sections import (HEADER_WORDS, MAX_WORDS, FormatError, Section, check_weights, crc32,
                              pack_code, pack_header, pack_network, unpack_code, unpack_header,
                              unpack_network)
from .format.tables import (CODEBOOK_ENTRIES, RAW_WIDTHS, UNSCHEDULED_RAW_WIDTHS, WIDE_RAW_BITS,
                            AutomatonShape, CodeTable, PlainCode, PrefixTable, RawShape, RawTable,
                            RiceCode, RiceShape, RunLengthShape, TansCode, TansShape)
from .format.target import DecoderShape, Target
from .network import Layer, Network
from .predict.coding import coded_arrays, restore
from .quantize import Grid, Symbols
from .quantize.grid import ONE, zigzag, zigzag_symbols
from .remedies import remedies
from .schedule import (ScheduleError, addition_channels, check_shared, computed, needs,
                       pooling_channel, schedule)


__all__ = ["NO_TARGET", "WEIGHT_SECTIONS", "Image", "build_image", "load_image", "read_bytes",
           "read_image", "retarget"]


#: Sections that exist because of the weights.
WEIGHT_SECTIONS = (Section.CODE, Section.CODEBOOK, Section.CODED_DATA)

#: The most bytes of an image for a target.
MAX_BYTES = 4 * MAX_WORDS

#: The most bytes of an image without a schedule.
MAX_UNSCHEDULED_BYTES = 64 << 20

#: Target hash of an image without a schedule.
NO_TARGET = 0


class Sized:
    """An image's sizes.

    Attributes
    ----------
    words : dict of Section to int
        Length of each section, CRC apart.
    """

    words: dict[Section, int]

    @property
    def bytes_image(self) -> int:
        """Bytes of the whole image."""
        return 4 * (HEADER_WORDS + sum(self.words.values()) + len(self.words))

    @property
    def bytes_weights(self) -> int:
        """Bytes that exist because of the weights."""
        return 4 * sum(self.words[section] for section in WEIGHT_SECTIONS)

    @property
    def bytes_network(self) -> int:
        """All other bytes."""
        return self.bytes_image - self.bytes_weights


@dataclass(frozen=True, eq=False)
class Image(Sized):
    """What a ROM image holds.

    Parameters
    ----------
    network : Network
        The integer network with its weights. Names aren't stored: layers are called by their
        number and operation. Weight scales are what the multipliers say.
    target_hash : int
        Hash of the target that the schedule is for, or ``NO_TARGET``.
    schedule : tuple of ScheduleRecord
        One for each layer, or none.
    table : CodeTable
        Code of the weights.
    codebooks : tuple of tuple of int
        Weights that symbols stand for; none where raw symbols are the weights.
    symbols : tuple of array of int64, shape (Cout, KH, KW, Cin)
        Of each layer with weights; where there are predictors, of each of `coded_arrays`.
    words : dict of Section to int
        Length of each section, CRC apart.
    predicted : tuple of Predicted
        Of each layer with weights, or none.
    """

    network: Network
    target_hash: int
    schedule: tuple[ScheduleRecord, ...]
    table: CodeTable
    codebooks: tuple[tuple[int, ...], ...]
    symbols: tuple[Symbols, ...]
    words: dict[Section, int]
    predicted: tuple[Predicted, ...] = ()

    @property
    def layer_symbols(self) -> list[tuple[Symbols, ...]]:
        """Symbols of each layer with weights: of its predictor's content, of its weights."""
        if not self.predicted:
            return [(chosen,) for chosen in self.symbols]
        remaining = iter(self.symbols)
        return [tuple(next(remaining) for _ in layer.coded_shapes((1, 1, 1, 1)))
                for layer in self.predicted]

    @property
    def layer_bits(self) -> list[float]:
        """Bits of each layer with weights: its predictor and its symbols, without code tables."""
        bits = iter(layer_bits(self.symbols, self.table) if self.symbols else ())
        predictors = [predictor_bits(layer) if layer.predictor else 0 for layer in self.predicted]
        return [sum(next(bits) for _ in chosen) + extra for chosen, extra in zip(
            self.layer_symbols, predictors or [0] * len(self.symbols), strict=True)]


def build_image(network: Network, grids: Sequence[Grid], symbols: Sequence[Symbols],
                target: Target | None, decoder: Decoder | None = None,
                predicted: Sequence[Predicted] = ()) -> bytes:
    """Return the image of ``network`` for ``target``, coded as its decoder reads it.

    Parameters
    ----------
    grids, symbols : sequence
        Of each layer with weights, in order: what its symbols stand for, and they themselves.
    target : Target, optional
        Without one, the image has no schedule.
    decoder : Decoder, optional
        What the coded data are for where there is no target; by default, an automaton.
    predicted : sequence of Predicted
        Of each layer with weights, what predicts the weights of ``network``; grids and symbols then
        don't matter. Only without a target.

    Raises
    ------
    ScheduleError
        If the target can't run the network; the message says what exceeds what.
    ValueError
        If the network has no weights or too many, layers with one codebook's number mean different
        codebooks, the decoder can't read so many symbols, or a shift can't be stored.
    """
    decoder = target.decoder if target else decoder or AutomatonShape()
    check_weights([layer.descriptor for layer in network.layers])
    if predicted:
        if target:
            raise ScheduleError("image with predictors must have no target")
        arrays = coded_arrays(predicted, [layer.weights for layer in network.layers
                                          if layer.weights is not None])
        grids = [Grid(zigzag(256), ONE)] * len(arrays)
        symbols = [zigzag_symbols(array) for array in arrays]
    table, coded, codebooks = code(grids, symbols, decoder, scheduled=target is not None)
    numbers = iter(grid.codebook if codebooks and not predicted else 0 for grid in grids)
    descriptors = tuple(replace(layer.descriptor, codebook=next(numbers, 0))
                        if layer.weights is not None else layer.descriptor
                        for layer in network.layers)
    described = pack_network(network.input, descriptors)
    bias, multiplier, shift = channel_records(network, most_shift(target is not None))
    sections = {
        Section.NETWORK: described,
        Section.SCHEDULE: b"",
        Section.BIAS: bias.astype("<i4").tobytes(),
        Section.MULTIPLIER: multiplier.astype("<i4").tobytes(),
        Section.SHIFT: shift.astype("i1").tobytes(),
        Section.CODE: (join_code(pack_predictors(predicted), pack_code(table)) if predicted
                       else pack_code(table)),
        Section.CODEBOOK: np.array(codebooks, np.int8).tobytes(),
        Section.CODED_DATA: coded,
    }
    return add_schedule(sections, descriptors, len(codebooks), target) if target else (
        pack_sections(sections, None))


def add_schedule(sections: dict[Section, bytes], descriptors: Sequence[LayerDescriptor],
                 codebooks: int, target: Target) -> bytes:
    """Return the image of ``sections`` with a schedule for ``target``.

    Raises
    ------
    ScheduleError
        If the target can't run the network, with all that it needs and what would help.
    """
    try:
        check_codebooks(codebooks, target)
        sections[Section.SCHEDULE] = b"".join(
            record.pack() for record in schedule(descriptors, target))
        image = pack_sections(sections, target)
        check_shared(descriptors, target, len(image))
        return image
    except ScheduleError as error:
        sections[Section.SCHEDULE] = bytes(4 * RECORD_WORDS * len(computed(descriptors)))
        image_bytes = HEADER_WORDS * 4 + sum(len(data) + 4 for data in sections.values())
        error.needs = needs(descriptors, target, image_bytes=image_bytes, codebooks=codebooks)
        error.remedies = remedies(
            descriptors, error.needs, codebooks=codebooks,
            weight_bytes=sum(len(sections[section]) for section in WEIGHT_SECTIONS))
        raise


def check_codebooks(count: int, target: Target) -> None:
    if count > target.codebooks:
        raise ScheduleError(f"network has {count} codebooks, {count - target.codebooks} more than "
                            f"the target's {target.codebooks}")


def pack_sections(sections: dict[Section, bytes], target: Target | None) -> bytes:
    image = pack_header(target.hash if target else NO_TARGET,
                        {name: len(data) // 4 for name, data in sections.items()})
    for data in sections.values():
        image += data + crc32(data).to_bytes(4, "little")
    most = target.image_words * 4 if target else MAX_UNSCHEDULED_BYTES
    if len(image) > most:
        raise ScheduleError(f"image has {len(image)} bytes, {len(image) - most} more than "
                            f"{'the weight memory' if target else 'an image'}'s {most}")
    return image


def code(grids: Sequence[Grid], symbols: Sequence[Symbols], decoder: Decoder, *,
         scheduled: bool) -> tuple[CodeTable, bytes, list[tuple[int, ...]]]:
    if not symbols:
        return RawTable(8), b"", []
    books = shared_codebooks(grids)
    if not isinstance(decoder, RawShape | AutomatonShape):
        # Integers without a gap need no codebook.
        plain_values = all(book == zigzag(len(book)) for book in books.values())
        longest = max(map(len, books.values()))
        entries = 0 if plain_values else longest + -longest % 4
        values: Sequence[NDArray[np.integer]] = symbols
        codec: Codec[Any] = CODECS[decoder.name]
        if scheduled and entries > CODEBOOK_ENTRIES:
            raise ValueError(f"Codebook of a target must have at most {CODEBOOK_ENTRIES} entries "
                             f"for {decoder.name}, not {entries}")
        if isinstance(decoder, TansShape | TansLanes):
            codec = TansCodec(decoder, deltas=plain_values and isinstance(decoder, TansShape))
            if plain_values:
                values = [grid.integers(chosen)
                          for grid, chosen in zip(grids, symbols, strict=True)]
        table: CodeTable = replace(codec.fit(values), entries=entries)
        coded = codec.encode(np.concatenate([value.ravel() for value in values]), table)
        if plain_values:
            return table, coded, []
    elif isinstance(decoder, RawShape):
        raw = RawCodec(RAW_WIDTHS if scheduled else UNSCHEDULED_RAW_WIDTHS)
        plain = raw.fit(symbols)
        if plain.symbol_bits == 8:
            weights = [grid.integers(chosen).ravel()
                       for grid, chosen in zip(grids, symbols, strict=True)]
            return plain, raw.encode(np.concatenate(weights).view(np.uint8), plain), []
        table = plain
        coded = raw.encode(flatten(symbols), plain)
        entries = plain.entries
    else:
        huffman = HuffmanCodec(decoder)
        table = prefix = huffman.fit(symbols)
        coded = huffman.encode(flatten(symbols), prefix)
        entries = decoder.symbols
    # Symbols without a meaning stand for 0; only damaged data hold them.
    return table, coded, [(*books[number][:entries], *(0,) * (entries - len(books[number])))
                          for number in range(len(books))]


def shared_codebooks(grids: Sequence[Grid]) -> dict[int, tuple[int, ...]]:
    """Return the centroids of each codebook, those of the layer with the most.

    Raises
    ------
    ValueError
        If another layer's aren't the first ones of these.
    """
    books: dict[int, tuple[int, ...]] = {}
    for grid in grids:
        short, long = sorted((books.get(grid.codebook, ()), grid.centroids), key=len)
        if long[:len(short)] != short:
            raise ValueError(f"Codebook {grid.codebook} must have the same centroids in all its "
                             f"layers, not {books[grid.codebook]} and {grid.centroids}")
        books[grid.codebook] = long
    for number in range(len(books)):
        if number not in books:
            raise ValueError(f"Codebook {number} must be some layer's, as {max(books)} is")
    return books


def flatten(symbols: Sequence[Symbols]) -> Symbols:
    return np.concatenate([chosen.ravel() for chosen in symbols])


def most_shift(scheduled: bool) -> int:
    """Return the greatest shift that an image may hold: with a schedule, the requantiser's."""
    return MOST_SHIFT if scheduled else 30


def channel_records(network: Network, most: int
                    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return biases, with the inputs' zero point folded in, multipliers and shifts."""
    parts: list[Sequence[Sequence[int]]] = []
    for layer in network.layers:
        if layer.weights is None:
            parts.append(list(zip(*fixed_channels(layer.descriptor), strict=True)))
            continue
        if layer.shift.min() < -31 or layer.shift.max() > most:
            raise ValueError(f"{layer.name}: shifts must be -31 to {most}, "
                             f"not {layer.shift.min()} to {layer.shift.max()}")
        folded = layer.bias - zero_point_sums(layer.descriptor, layer.weights)
        parts.append([filled(field.tolist())
                      for field in (folded, layer.multiplier, layer.shift)])
    bias, multipliers, shifts = (
        np.concatenate([part[field] for part in parts if part]).astype(np.int64)
        for field in range(3))
    return bias, multipliers, shifts


def fixed_channels(layer: LayerDescriptor) -> list[tuple[int, int, int]]:
    """Return the channel records of a layer without weights, as they must be."""
    if layer.operation.pools:
        return filled([(0, *pooling_channel(layer))])
    if layer.operation is Operation.ADD:
        outputs, *inputs = addition_channels(layer)
        return filled([outputs]) + filled(inputs)
    return []


Item = TypeVar("Item")


def filled(records: list[Item]) -> list[Item]:
    """Return ``records``, the last one repeated up to a multiple of ``RECORDS``."""
    return records + records[-1:] * (-len(records) % RECORDS)


def zero_point_sums(layer: LayerDescriptor, weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return what the inputs' zero point adds to each sum."""
    total: NDArray[np.int64] = weights.sum(axis=(1, 2, 3), dtype=np.int64)
    return layer.input_zero_point * total


def load_image(path: Path, *, target: Target | None = None) -> Image:
    """Return what the image in ``path`` holds, as `read_image` does.

    Raises
    ------
    FormatError
        If there is none, it breaks the format anywhere, or is for another target.
    OSError
        If the file can't be read.
    """
    return read_image(read_bytes(path), name=path.stem, target=target)


def read_bytes(path: Path) -> bytes:
    """Return an image's bytes.

    Raises
    ------
    FormatError
        If there are too many, or none.
    OSError
        If the file can't be read.
    """
    try:
        with path.open("rb") as file:
            image = file.read(MAX_UNSCHEDULED_BYTES + 1)
    except FileNotFoundError:
        raise FormatError(f"no such image; python -m sw.compress MODEL -o {path} makes one"
                          ) from None
    if len(image) > MAX_UNSCHEDULED_BYTES:
        raise FormatError(f"image must have at most {MAX_UNSCHEDULED_BYTES} bytes")
    return image


def read_image(image: bytes, *, name: str = "image", target: Target | None = None) -> Image:
    """Return what ``image`` holds, everything checked and decoded.

    Parameters
    ----------
    name : str
        What reports call the network.
    target : Target, optional
        What the image must be for; by default its schedule isn't checked against the network.

    Raises
    ------
    FormatError
        If the image breaks the format anywhere, or is for another target.
    """
    target_hash, words = unpack_header(image)
    sections = unpack_sections(image, words)
    source, descriptors = unpack_network(sections[Section.NETWORK])
    numbers = computed(descriptors)
    records = unpack_schedule(sections[Section.SCHEDULE], len(numbers), target_hash)
    predicted, coded_code = unpack_predicted(sections[Section.CODE], descriptors)
    if predicted and target_hash != NO_TARGET:
        raise FormatError("code: an image with predictors must have no target")
    shapes = [shape for layer in descriptors if (shape := layer.weight_shape) is not None]
    parts = ([part for layer, shape in zip(predicted, shapes, strict=True)
              for part in layer.coded_shapes(shape)] if predicted else filters_of(descriptors))
    table = unpack_code(coded_code, parts)
    if not parts and not isinstance(table, RawTable):
        raise FormatError("code: where nothing is coded, symbols must be raw")
    if coded_code != pack_code(table):
        raise FormatError("code: what isn't used must be zero, and nothing may follow")
    codebooks = unpack_codebooks(sections[Section.CODEBOOK], table)
    if isinstance(table, RawTable):
        if table.symbol_bits == WIDE_RAW_BITS:
            raise FormatError(f"code: a network must have no raw symbols of {WIDE_RAW_BITS} bits")
        if records and table.symbol_bits not in RAW_WIDTHS:
            raise FormatError(f"code: raw symbols of {table.symbol_bits} bits have no schedule")

    for number, layer in enumerate(descriptors):
        if layer.codebook >= max(1, len(codebooks)):
            raise FormatError(f"network: layer {number}: there is no codebook {layer.codebook}")
    for number, record in zip(numbers, records, strict=False):
        if record.codebook != descriptors[number].codebook:
            raise FormatError(f"schedule: layer {number} must have codebook "
                              f"{descriptors[number].codebook}, not {record.codebook}")

    flat = decode(sections[Section.CODED_DATA], table, sum(map(prod, parts)))
    symbols, weights = [], []
    weighted = [layer for layer in descriptors if layer.weight_shape is not None]
    for number, (rows, columns) in enumerate(parts):
        size = rows * columns
        chosen, flat = flat[:size].reshape(rows, 1, 1, columns), flat[size:]
        if not predicted:
            chosen = chosen.reshape(shapes[number])
        symbols.append(chosen)
        weights.append(integers_of(chosen, table, codebooks,
                                   0 if predicted else weighted[number].codebook))
    if predicted:
        filled, weights = restore(predicted, weights, shapes)
        predicted = tuple(filled)

    try:
        network = Network(name, source, unpack_layers(sections, descriptors, weights,
                                                      most_shift(bool(records))))
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"network: {error}") from error
    if target is not None:
        check_target(target, target_hash, descriptors, records, len(image))
    return Image(network, target_hash, records, table, codebooks, tuple(symbols), words, predicted)


def unpack_predicted(data: bytes, descriptors: Sequence[LayerDescriptor]
                     ) -> tuple[tuple[Predicted, ...], bytes]:
    """Return what section CODE says of predictors, if anything, and the code."""
    shapes = [shape for layer in descriptors if (shape := layer.weight_shape) is not None]
    try:
        predictors, code = split_code(data)
        return () if predictors is None else unpack_predictors(predictors, shapes), code
    except ValueError as error:
        raise FormatError(f"code: {error}") from None


def integers_of(symbols: Symbols, table: CodeTable, codebooks: Sequence[Sequence[int]],
                codebook: int = 0) -> NDArray[np.int8]:
    """Return what symbols stand for in a codebook, or where there is none by themselves.

    Raises
    ------
    FormatError
        If a symbol has no entry.
    """
    if codebooks:
        entries = codebooks[codebook]
    elif isinstance(table, PlainCode):
        entries = zigzag(256)
    else:
        return symbols.astype(np.uint8).view(np.int8)
    if int(symbols.max(initial=0)) >= len(entries):
        raise FormatError(f"coded data: index {symbols.max()} must be one of {len(entries)}")
    return np.array(entries, np.int8)[symbols]


def retarget(image: bytes, target: Target) -> bytes:
    """Return ``image`` with its schedule made anew for ``target``; all else stays as it is.

    Raises
    ------
    FormatError
        If ``image`` is none.
    ScheduleError
        If the target can't run the network, decode its weights, or hold the image.
    """
    _, words = unpack_header(image)
    sections = unpack_sections(image, words)
    _, descriptors = unpack_network(sections[Section.NETWORK])
    if split_code(sections[Section.CODE])[0] is not None:
        raise ScheduleError("image has predictors, which no target runs")
    table = unpack_code(sections[Section.CODE], filters_of(descriptors))
    if isinstance(table, RawTable) and table.symbol_bits not in RAW_WIDTHS:
        raise ScheduleError(f"image has raw symbols of {table.symbol_bits} bits, which no target "
                            f"decodes")
    if not decodes(target.decoder, table):
        raise ScheduleError(f"image must be coded for {target.decoder}, the target's decoder")
    shifts = np.frombuffer(sections[Section.SHIFT], np.int8)
    if shifts.max(initial=0) > most_shift(True):
        raise ScheduleError(f"shifts must be at most {MOST_SHIFT} for a target, not {shifts.max()}")
    return add_schedule(sections, descriptors,
                        max(layer.codebook for layer in descriptors) + 1, target)


def decodes(decoder: DecoderShape, table: CodeTable) -> bool:
    """Return whether a target's decoder reads data of a table."""
    if isinstance(table, TansCode):
        return isinstance(decoder, TansLanes) and decoder.holds(table)
    if isinstance(table, PlainCode):
        own = RiceShape() if isinstance(table, RiceCode) else RunLengthShape()
        return decoder == own and table.entries <= CODEBOOK_ENTRIES
    return decoder == (table.shape if isinstance(table, PrefixTable) else RawShape())


def unpack_sections(image: bytes, words: dict[Section, int]) -> dict[Section, bytes]:
    sections = {}
    start = HEADER_WORDS * 4
    for section, length in words.items():
        data = image[start:start + length * 4]
        stored = int.from_bytes(image[start + length * 4:start + length * 4 + 4], "little")
        if crc32(data) != stored:
            raise FormatError(f"section {section.name}: CRC is {crc32(data):08x}, "
                              f"not {stored:08x} as stored")
        sections[section] = data
        start += length * 4 + 4
    return sections


def unpack_schedule(data: bytes, layers: int, target_hash: int) -> tuple[ScheduleRecord, ...]:
    if target_hash == NO_TARGET:
        layers = 0
    size = RECORD_WORDS * 4
    if len(data) != layers * size:
        raise FormatError(f"schedule: {layers} layers take {layers * size} bytes, not {len(data)}")
    try:
        records = tuple(ScheduleRecord.unpack(data[start:start + size])
                        for start in range(0, len(data), size))
    except ValueError as error:
        raise FormatError(f"schedule: {error}") from error
    if b"".join(record.pack() for record in records) != data:
        raise FormatError("schedule: bits that aren't used must be zero")
    return records


def filters_of(descriptors: Sequence[LayerDescriptor]) -> list[tuple[int, int]]:
    """Return filters, and weights of each, of the layers that have any."""
    return [(shape[0], prod(shape[1:])) for layer in descriptors
            if (shape := layer.weight_shape) is not None]


def codebook_entries(table: CodeTable) -> int:
    """Return how many entries the codebooks of a code have; 0 if there are none."""
    return table.shape.symbols if isinstance(table, PrefixTable) else table.entries


def unpack_codebooks(data: bytes, table: CodeTable) -> tuple[tuple[int, ...], ...]:
    entries = codebook_entries(table)
    if not entries:
        if data:
            raise FormatError("codebook: where symbols are weights there is none")
        return ()
    if not data or len(data) % entries:
        raise FormatError(f"codebook: it must have a multiple of {entries} bytes, not {len(data)}")
    return tuple(map(tuple, np.frombuffer(data, np.int8).reshape(-1, entries).tolist()))


def unpack_layers(sections: dict[Section, bytes], descriptors: Sequence[LayerDescriptor],
                  weights: Sequence[NDArray[np.int8]], most: int) -> tuple[Layer, ...]:
    channels = sum(layer.records for layer in descriptors)
    for section, size in ((Section.BIAS, channels * 4), (Section.MULTIPLIER, channels * 4),
                          (Section.SHIFT, channels)):
        if len(sections[section]) != size:
            raise FormatError(f"section {section.name}: {channels} channel records take {size} "
                              f"bytes, not {len(sections[section])}")
    bias = np.frombuffer(sections[Section.BIAS], "<i4").astype(np.int64)
    multiplier = np.frombuffer(sections[Section.MULTIPLIER], "<i4").astype(np.int32)
    shift = np.frombuffer(sections[Section.SHIFT], np.int8)
    if multiplier.min() < 1:
        raise FormatError(f"section MULTIPLIER: multipliers must be 1 to 2**31 - 1, "
                          f"not {multiplier.min()}")
    if shift.min() < -31 or shift.max() > most:
        raise FormatError(f"section SHIFT: shifts must be -31 to {most}, not {shift.min()} to "
                          f"{shift.max()}")

    layers = []
    remaining = iter(weights)
    base = 0
    for number, layer in enumerate(descriptors):
        name = f"{layer.operation.name.lower()}_{number}"
        found = [(int(bias[row]), int(multiplier[row]), int(shift[row]))
                 for row in range(base, base + layer.records)]
        rows = slice(base, base + layer.output_shape[2])
        base += layer.records
        if not layer.operation.has_weights:
            for record, wanted in zip(found, fixed_channels(layer), strict=True):
                if record != wanted:
                    raise FormatError(f"layer {number}: {layer.operation.name.lower()} must have "
                                      f"the channel record {wanted}, not {record}")
            layers.append(Layer.without_arrays(name, layer))
            continue
        if found != filled(found[:layer.output_shape[2]]):
            raise FormatError(f"layer {number}: its last channel record must fill up its others")
        integers = next(remaining)
        unfolded = bias[rows] + zero_point_sums(layer, integers)
        if unfolded.min() < -1 << 31 or unfolded.max() >= 1 << 31:
            raise FormatError(f"section BIAS: biases of layer {number} must fit 32 bits")
        scale = np.ldexp(multiplier[rows] * (layer.output_scale / layer.input_scale),
                         shift[rows].astype(np.int32) - 31)
        layers.append(Layer(name, layer, integers, scale, unfolded.astype(np.int32),
                            multiplier[rows], shift[rows]))
    return tuple(layers)


def check_target(target: Target, target_hash: int, descriptors: Sequence[LayerDescriptor],
                 records: Sequence[ScheduleRecord], image_bytes: int) -> None:
    if target_hash != target.hash:
        raise FormatError(f"image is for target {target_hash:08x}, not {target.hash:08x}")
    try:
        expected = schedule(descriptors, target)
        check_shared(descriptors, target, image_bytes)
    except ScheduleError as error:
        raise FormatError(f"schedule: {error}") from error
    for number, (record, wanted) in enumerate(zip(records, expected, strict=True)):
        if record != wanted:
            raise FormatError(f"schedule: record {number} doesn't fit its layer")
