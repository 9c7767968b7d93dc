"""What was decided about compressing a model, to be kept in a file and done again."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

import tomli_w

from .codecs import CODECS
from .files import write_file
from .format.lanes import LANES
from .predict import PREDICTORS
from .quantize.scales import Granularity, check_granularity


__all__ = ["AUTO", "DEFAULT_BITS", "NO_PREDICTOR", "QUANTISERS", "RESIDUAL_BITS", "Plan",
           "load_plan", "save_plan"]


#: What ``bits`` is by default. For digits, accuracy stays within a point even at 1.8 bits.
DEFAULT_BITS = {"step": 2.25, "uniform": 8, "codebook": 4, "compensated": 3}
QUANTISERS = tuple(DEFAULT_BITS)

#: The codec that makes the best image, as `sw.choice` judges.
AUTO = "auto"

#: Quantisers that take bits layer by layer; the others spread a rate over the layers by themselves.
LAYERWISE = ("uniform", "codebook")

#: Weights are coded, not predicted.
NO_PREDICTOR = "none"

#: Bits of a weight that a predictor may take where the codec carries what it misses.
RESIDUAL_BITS = {"gpam": 0.75, "autoencoder": 0.75, "seeds": 1.25, "hypernet": 0.5}

#: The longest file that is read.
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Plan:
    """How a model is compressed.

    Parameters
    ----------
    quantiser : {"step", "uniform", "codebook", "compensated"}
        How weights become symbols. ``"uniform"`` with 8 bits keeps an int8 model as it is;
        ``"compensated"`` rounds by the effect on the network's outputs, and needs inputs.
    codec : {"auto", "raw", "huffman", "tans", ...}
        How symbols are coded; the target's decoder is made to match. By default, as makes the
        smallest image; for a target ``"huffman"`` or ``"raw"``, as makes a small one that is fast.
    bits : float or tuple of float
        Rate of the step and the compensated quantiser, in bits per weight with the code table; bits
        of a symbol for the others, ``log2(12)`` for 12 shared weights, in all layers with weights
        or in each. By default ``DEFAULT_BITS``.
    error : float, optional
        Mean squared error that the step quantiser keeps to, in place of ``bits``.
    granularity : {"tensor", "channel"}, optional
        Whether a layer's filters have one scale or one each. By default, one each with the uniform
        quantiser, one with codebooks; the step quantiser has nothing else.
    prune : float
        Share of the network's weights that become zero before they are quantised, those of least
        magnitude. 0 up to, but not, 1.
    predictor : {"none", "gpam", "autoencoder", "seeds", "hypernet"}
        What generates the weights of layers that it suits. ``bits`` is then its rate, by default
        that of ``PREDICTORS``; other layers are rounded to ``OTHERS_BITS``, and the quantiser has
        nothing to do.
    residual : bool
        Whether the codec carries what the predictor misses: weights are then those of the
        quantiser, with its bits, and predicted where that saves any.
    time : float
        Seconds that the predictor may be fitted. Where it runs out, the same plan needn't give the
        same image.
    lanes : int, optional
        Symbols of tANS that a target's decoder looks up in a cycle: 1, 2, 4 or 8. By default, as
        many as the network needs.

    Raises
    ------
    ValueError
        If a choice is unknown, or two don't go together.
    """

    quantiser: str = "step"
    codec: str = AUTO
    bits: float | tuple[float, ...] | None = None
    error: float | None = None
    granularity: Granularity | None = None
    prune: float = 0.0
    predictor: str = NO_PREDICTOR
    residual: bool = False
    time: float = 600.0
    lanes: int | None = None

    def __post_init__(self) -> None:
        check_choice("Quantiser", self.quantiser, QUANTISERS)
        check_choice("Codec", self.codec, (AUTO, *CODECS))
        check_choice("Predictor", self.predictor, (NO_PREDICTOR, *PREDICTORS))
        if self.bits is None:
            object.__setattr__(self, "bits", PREDICTORS[self.predictor] if self.generates
                               else DEFAULT_BITS[self.quantiser])
        self.check_predictor()
        if self.lanes is not None:
            if self.codec != "tans":
                raise ValueError(f"Lanes must be those of codec tans, not {self.codec}")
            if self.lanes not in LANES:
                raise ValueError(f"Lanes must be 1, 2, 4 or 8, not {self.lanes}")
        if isinstance(self.bits, tuple) and self.quantiser not in LAYERWISE:
            raise ValueError(f"Only {' and '.join(LAYERWISE)} take bits layer by layer, "
                             f"not {self.quantiser}")
        if self.error is not None and self.quantiser != "step":
            raise ValueError(f"Only the step quantiser keeps to an error, not {self.quantiser}")
        if self.granularity is not None:
            check_granularity(self.granularity)
            if self.granularity == "channel" and self.quantiser == "step":
                raise ValueError("Granularity must be tensor for the step quantiser, not channel")
        if not 0 <= self.prune < 1:
            raise ValueError(f"Share of pruned weights must be 0 or more and below 1, "
                             f"not {self.prune:g}")
        if self.prune and self.quantiser == "compensated":
            raise ValueError("Weights must not be pruned for the compensated quantiser, which "
                             "finds those that may be zero")

    def check_predictor(self) -> None:
        """Refuse what doesn't go with a predictor, or needs one."""
        if not (isfinite(self.time) and self.time > 0):
            raise ValueError(f"Time must be above 0 seconds, not {self.time:g}")
        if self.predictor == NO_PREDICTOR:
            if self.residual:
                raise ValueError("Residual must be that of a predictor, not none")
            return
        if self.quantiser == "codebook" and self.residual:
            raise ValueError("Residuals must be those of integers, not of a codebook")
        if self.generates and (self.quantiser != "step" or self.error is not None
                               or self.prune or isinstance(self.bits, tuple)):
            raise ValueError(f"Only a residual goes with a quantiser, an error, pruning or bits "
                             f"layer by layer: {self.predictor} makes its own weights")

    @property
    def generates(self) -> bool:
        """Whether a predictor makes the weights by itself."""
        return self.predictor != NO_PREDICTOR and not self.residual

    @property
    def rate(self) -> float:
        """``bits``, where all layers have the same."""
        assert isinstance(self.bits, int | float)
        return self.bits

    def describe(self) -> str:
        """Return the quantiser or predictor and its bits, for people."""
        if self.generates:
            return f"{self.predictor}, {self.rate:g} bits"
        if self.error is not None:
            return f"{self.quantiser}, MSE {self.error:.3e}"
        if isinstance(self.bits, tuple):
            return f"{self.quantiser}, {min(self.bits):.3g} to {max(self.bits):.3g} bits"
        return f"{self.quantiser}, {self.bits:g} bits"


def check_choice(label: str, choice: str, choices: Sequence[str]) -> None:
    """Refuse a choice that isn't one of ``choices``."""
    if choice not in choices:
        raise ValueError(f"{label} must be one of {', '.join(choices)}, not {choice}")


def save_plan(path: Path, plan: Plan, *, model: str, target: str, layers: Sequence[str]) -> None:
    """Write a plan as TOML, whole or not at all.

    Parameters
    ----------
    model : str
        Name of what was compressed, for people.
    target : str
        Board and device, ``"none"`` for none.
    layers : sequence of str
        Names of the layers with weights, for bits that differ.
    """
    document: dict[str, Any] = {"model": model, "target": target}
    document |= {name: value for name, value in vars(plan).items()
                 if value is not None and name != "bits"}
    if plan.predictor == NO_PREDICTOR:
        for name in ("predictor", "residual", "time"):
            del document[name]
    if isinstance(plan.bits, tuple):
        document["layers"] = [{"name": name, "bits": bits}
                              for name, bits in zip(layers, plan.bits, strict=True)]
    elif plan.error is None:
        document["bits"] = plan.bits
    write_file(path, tomli_w.dumps(document).encode())


def load_plan(path: Path) -> tuple[Plan, str]:
    """Return the plan and the target's name that a file holds.

    Raises
    ------
    ValueError
        If it isn't one.
    OSError
        If it can't be read.
    """
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ValueError(f"{path}: plan must have at most {MAX_BYTES} bytes")
    try:
        document = tomllib.loads(text.decode())
        layers = document.pop("layers", None)
        document.pop("model", None)
        target = document.pop("target", "none")
        if layers is not None:
            if "bits" in document:
                raise ValueError("bits must be those of the network or of its layers, not both")
            if not isinstance(layers, list):
                raise ValueError(f"layers must be a list, not {layers!r}")
            document["bits"] = tuple(bits_of(layer) for layer in layers)
        for name, value in document.items():
            check_kind(name, value)
        return Plan(**document), str(target)
    except ValueError as error:     # TOML and UTF-8 that can't be decoded, too.
        raise ValueError(f"{path}: {error}") from None


def bits_of(layer: Any) -> float:
    if not isinstance(layer, dict) or not isinstance(layer.get("bits"), int | float):
        raise ValueError(f"layers must each have a name and bits, not {layer}")
    return float(layer["bits"])


def check_kind(name: str, value: Any) -> None:
    """Refuse what no field of a plan is called, or what it can't hold."""
    kinds = {field.name: str if field.name in ("quantiser", "codec", "granularity", "predictor")
             else bool if field.name == "residual" else int if field.name == "lanes"
             else (int, float, tuple) if field.name == "bits" else (int, float)
             for field in fields(Plan)}
    if name not in kinds:
        raise ValueError(f"a plan has {', '.join(kinds)}, layers, model and target, not {name}")
    if (not isinstance(value, kinds[name]) or isinstance(value, bool) != (kinds[name] is bool)
            or (isinstance(value, float) and not isfinite(value))):
        raise ValueError(f"{name} can't be {value!r}")
