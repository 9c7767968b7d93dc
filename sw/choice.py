"""Which decoder a network gets: that with which its image is small and its inference short."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar, cast

from .codecs import SHAPES, Decoder
from .cost import accelerator_resources, decoder_resources
from .cycles import predict
from .format.devices import DEVICES
from .format.lanes import TansLanes
from .format.tables import AutomatonShape, TansShape
from .format.target import DecoderShape, Target, alternatives, larger, tans_lanes
from .image import read_image, retarget
from .plan import AUTO, Plan
from .schedule import ScheduleError


__all__ = ["TIE", "Candidate", "choose", "decoders"]


#: By how much bytes times cycles may exceed the least for a decoder to be as good as any.
TIE = 0.005

#: Codecs of a target among which `AUTO` chooses: accelerators with their decoders meet the boards'
#: usual clock, and images of theirs run on one another's; the other ones are asked for by name.
USUAL = ("huffman", "raw")

#: Share of a device's LUTs that an accelerator may fill, above which routing gets long or fails.
FULL = 0.85

#: What an image holds, as its maker tells.
Content = TypeVar("Content")


@dataclass(frozen=True, eq=False)
class Candidate(Generic[Content]):
    """An image for a decoder.

    Parameters
    ----------
    contents : bytes
        The image.
    content : object
        What it holds.
    decoder : Decoder
        What reads its coded data.
    target : Target or None
        The target with this decoder.
    """

    contents: bytes
    content: Content
    decoder: Decoder
    target: Target | None

    @property
    def cycles(self) -> int:
        """Cycles of an inference, as predicted."""
        assert self.target
        return predict(read_image(self.contents, target=self.target), self.target).cycles


def decoders(plan: Plan, target: Target | None) -> list[Decoder]:
    """Return what may read the data of a plan's codec, the likeliest first.

    Those for which a target's device has no room, as `sw.cost` estimates, aren't among them.

    Raises
    ------
    ValueError
        If lanes are given without a target.
    """
    if target is None:
        if plan.lanes:
            raise ValueError("Lanes must be those of a target's decoder, not of none")
        known: dict[str, Decoder] = {"tans": TansShape(), **SHAPES}
        return list(known.values()) if plan.codec == AUTO else [known[plan.codec]]
    if plan.lanes:
        return [tans_lanes(plan.lanes)]
    wanted = USUAL if plan.codec == AUTO else (plan.codec,)
    shapes = [one.decoder for one in alternatives(target) if codec_of(one.decoder) in wanted]
    return [*(shape for shape in shapes if has_room(target, shape))] or [
        min(shapes, key=decoder_resources)]


def codec_of(shape: DecoderShape) -> str:
    """Return the codec whose data a decoder of this shape reads."""
    return "huffman" if isinstance(shape, AutomatonShape) else shape.name


def has_room(target: Target, shape: DecoderShape) -> bool:
    """Return whether a target's device has room for a decoder of this shape."""
    device = DEVICES[target.device]
    lut4, ebr = (own + rest for own, rest in zip(
        decoder_resources(shape), accelerator_resources(target), strict=True))
    return lut4 <= FULL * device["lut4"] and ebr <= device["ebr"]


def choose(plan: Plan, target: Target | None,
           build: Callable[[Decoder, Target | None], tuple[bytes, Content]]) -> Candidate[Content]:
    """Return the best image that a decoder of a plan's codec reads.

    For a target those are as good whose bytes times cycles exceed the least by at most `TIE`; of
    them, the decoder of the fewest LUTs is taken. Without one, the smallest is. Where a target is
    too small for every decoder, the next `larger` one of its device is tried.

    Parameters
    ----------
    build : function
        Makes an image for a decoder and the target that has it, and tells what it holds.

    Raises
    ------
    ValueError
        If there is none, as the likeliest one says.
    """
    found: list[Candidate[Content]] = []
    refusals: list[ValueError] = []
    for decoder in decoders(plan, target):
        try:
            found.append(make(decoder, target, found, build))
        except ValueError as error:
            refusals.append(error)
    if found:
        return best(found) if target else min(found, key=lambda one: len(one.contents))
    beyond = [refusal for refusal in refusals if isinstance(refusal, ScheduleError)]
    roomier = larger(target) if target and beyond else None
    if roomier:
        return choose(plan, roomier, build)
    raise (beyond or refusals)[0]


def make(decoder: Decoder, target: Target | None, found: Sequence[Candidate[Content]],
         build: Callable[[Decoder, Target | None], tuple[bytes, Content]]) -> Candidate[Content]:
    """Return the image for a decoder, with the coded data of one found before if it reads them."""
    if target is None:
        return Candidate(*build(decoder, None), decoder, None)
    shape = cast(DecoderShape, decoder)
    if isinstance(shape, TansLanes):
        if shape.lanes > target.columns:
            # Whether the target is too small matters more than whether its array is.
            build(few := tans_lanes(target.columns), target.with_decoder(few))
        aimed = target.with_decoder(shape)
        for other in found:
            if isinstance(other.decoder, TansLanes) and other.decoder.code == shape.code:
                return replace(other, contents=retarget(other.contents, aimed), decoder=shape,
                               target=aimed)
    aimed = target.with_decoder(shape)
    return Candidate(*build(shape, aimed), shape, aimed)


def best(found: Sequence[Candidate[Content]]) -> Candidate[Content]:
    """Return the candidate for the cheapest of the decoders that are as good as any."""
    products = [len(one.contents) * one.cycles for one in found]
    good = [one for one, product in zip(found, products, strict=True)
            if product <= (1 + TIE) * min(products)]
    return min(good, key=lambda one: (*decoder_resources(cast(DecoderShape, one.decoder)),
                                      len(one.contents)))
