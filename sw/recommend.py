"""What the profile of a network's parameters recommends, and why."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .analyse import CLASSES, QUALITY_DB, CodecRate, Coding, Point, Profile, Structure


__all__ = ["VERSION", "WORTH", "Advice", "Recommendation", "document", "recommend"]


#: Version of the documented structure.
VERSION = 1

#: Bits for each weight below which a gain isn't worth its gates.
WORTH = 0.05


@dataclass(frozen=True)
class Advice:
    """Whether something pays, and the figures that say so."""

    topic: str
    pays: bool
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """How to compress the parameters.

    Parameters
    ----------
    use : str
        ``lossless`` or ``lossy``.
    quantiser, codec : str
        Names as `sw.compress` takes them; ``none`` keeps the integers.
    bits_per_weight : float
        What they take, tables counted.
    summary : str
        The choice with its reason, in a sentence.
    advice : tuple of Advice
    """

    use: str
    quantiser: str
    codec: str
    bits_per_weight: float
    summary: str
    advice: tuple[Advice, ...]


def recommend(profile: Profile) -> tuple[Recommendation, ...]:
    """Return what to do with integers as they are, if there are any, and with a loss."""
    lossy = recommend_lossy(profile)
    if profile.lossless is None:
        return (lossy,)
    return recommend_lossless(profile.lossless, profile.structure), lossy


def recommend_lossless(coding: Coding, structure: Structure) -> Recommendation:
    codec, rate = best(coding.codecs)
    saving = 1 - rate / 8
    if saving < 0.01:
        summary = (f"{codec.codec}: no codec of the project that carries {coding.symbols} integers "
                   f"beats 8 bits; their entropy is {coding.layer_entropy:.2f} b/w")
    else:
        summary = (f"{codec.codec}: {rate:.2f} b/w, {saving:.0%} less than int8; the entropy is "
                   f"{coding.entropy:.2f} b/w, {coding.layer_entropy:.2f} layer by layer")
    return Recommendation("lossless", "none", codec.codec, rate, summary,
                          (*coding_advice(coding, codec), channel_advice(structure)))


def recommend_lossy(profile: Profile) -> Recommendation:
    coding, codebook, quality = profile.lossy, profile.codebook, profile.lossy_sqnr_db
    codec, rate = best(coding.codecs)
    quantiser, advice = "step", []
    if codebook is None:
        most = profile.curve.centroids[-1]
        against = f"{most.parameter:g} centroids, which reach {most.sqnr_db:.1f} dB only"
        advice.append(Advice("codebook", False, against))
    else:
        shared_codec, shared = best(codebook.codecs)
        against = f"{shared:.2f} of {codebook.centroids} centroids"
        advice.append(Advice(
            "codebook", shared < rate,
            f"{codebook.centroids} centroids reach {codebook.sqnr_db:.1f} dB: "
            f"{shared:.2f} b/w by {shared_codec.codec}, entropy {codebook.entropy:.2f}; the step's "
            f"is {coding.entropy:.2f}"))
        if shared < rate:
            against = f"{rate:.2f} of a step, whose {coding.symbols} integers {codec.codec} carries"
            quantiser, codec, rate = "codebook", shared_codec, shared
    width = np.interp(quality, *axes(profile.curve.fixed, "fixed_bits"))
    summary = (f"{quantiser} + {codec.codec}: at {quality:.1f} dB {rate:.2f} b/w against "
               f"{against}, and {width:.1f} of fixed-width integers with a scale a filter")
    advice += [*coding_advice(coding, codec), dead_zone_advice(profile),
               channel_advice(profile.structure), scale_advice(profile)]
    return Recommendation("lossy", quantiser, codec.codec, rate, summary, tuple(advice))


def axes(points: tuple[Point, ...], ordinate: str) -> tuple[list[float], list[float]]:
    """Return SQNR, in ascending order, and another figure of the points."""
    ordered = sorted(points, key=lambda point: point.sqnr_db)
    return [point.sqnr_db for point in ordered], [getattr(point, ordinate) for point in ordered]


def best(codecs: tuple[CodecRate, ...]) -> tuple[CodecRate, float]:
    """Return the codec that takes the fewest bits, and these."""
    bits, _, codec = min((rate.bits_per_weight, number, rate) for number, rate in enumerate(codecs)
                         if rate.bits_per_weight is not None)
    return codec, bits


def coding_advice(coding: Coding, codec: CodecRate) -> Iterator[Advice]:
    """Yield what tables, classes, contexts and runs would win."""
    if (codec.codec != "raw" and codec.own_tables is not None
            and codec.bits_per_weight is not None):
        gain = codec.bits_per_weight - codec.own_tables
        yield Advice("table a layer", gain > WORTH,
                     f"{codec.codec} takes {codec.own_tables:.2f} b/w fitted to each layer, "
                     f"{codec.bits_per_weight:.2f} fitted to all together, tables counted")
    gain = coding.layer_entropy - coding.classes
    yield Advice("channel classes", gain > WORTH,
                 f"{CLASSES} tables a layer for filters sorted by size {change(gain)}, tables and "
                 f"choices counted")
    for topic, found in (("previous weight", coding.previous),
                         ("filter before", coding.filter_before)):
        yield Advice(f"prediction: {topic}", found.gain > max(WORTH, found.noise),
                     f"as a context it {change(found.gain)} (chance alone: {found.noise:.3f})")
    gain = coding.layer_entropy - coding.runs
    spare = max(0.0, 1 - coding.entropy) if codec.codec == "huffman" else 0.0
    yield Advice("zero runs", gain > WORTH or spare > WORTH,
                 f"{coding.zeros:.0%} of the integers are zeros; coded as runs they "
                 f"{change(gain, plural=True)} against entropy alone"
                 + (", and a prefix code needs them to get below 1 b/w" if spare > WORTH else ""))


def dead_zone_advice(profile: Profile) -> Advice:
    plain, best_zone = profile.dead_zones[0], min(profile.dead_zones, key=lambda zone: zone.entropy)
    gain = plain.entropy - best_zone.entropy
    return Advice("pruning", gain > WORTH,
                  f"zeroing weights below {best_zone.threshold:g} steps leaves "
                  f"{best_zone.zeros:.0%} zeros and {change(gain)} at {QUALITY_DB:g} dB")


def channel_advice(structure: Structure) -> Advice:
    dead = structure.zero_filters + structure.zero_inputs
    return Advice("zero channels", dead > 0,
                  f"{structure.zero_filters} of {structure.filters} filters and "
                  f"{structure.zero_inputs} of {structure.inputs} input channels are all zero"
                  + (": take them out of the network" if dead else ""))


def scale_advice(profile: Profile) -> Advice:
    quality = profile.lossy_sqnr_db
    rows = sorted(profile.uniform, key=lambda row: row.bits)
    layer = np.interp(quality, [row.per_layer_sqnr_db for row in rows],
                      [row.per_layer_entropy for row in rows])
    each = np.interp(quality, [row.per_filter_sqnr_db for row in rows],
                     [row.per_filter_entropy for row in rows])
    gain = float(layer - each)
    return Advice("scale a filter", gain > WORTH,
                  f"steps by the greatest weight: at {quality:.1f} dB a step a filter needs "
                  f"{each:.2f} b/w entropy-coded, a step a layer {layer:.2f}; filters spread over "
                  f"{profile.structure.spread:.1f} octaves")


def change(gain: float, *, plural: bool = False) -> str:
    """Return what a gain does, as a verb and its figure."""
    verb = ("save" if gain >= 0.005 else "cost") + ("" if plural else "s")
    return f"{verb} {abs(gain):.2f} b/w"


def document(profile: Profile, recommendations: Iterable[Recommendation]) -> dict[str, Any]:
    """Return what ``docs/profile.schema.json`` describes."""
    return {"version": VERSION, **asdict(profile),
            "recommendations": [asdict(choice) for choice in recommendations]}
