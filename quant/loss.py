"""What a mapping changed: everything that is not the same on the chip as in the float network."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from datapath import Format
from model.network import Floats
from quant.leak import tau_ms

Part = TypeVar("Part")
FORMAT = "ranvier loss"
VERSION = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """A mapping that was tried on the calibration data.

    alike : mean cosine of the scores of network and chip, 1 for the same answers (`quant.choose`).
    same_class : share of the recordings with the same class.  chosen : whether it was taken.
    """

    what: str
    alike: float
    same_class: float
    chosen: bool

    @property
    def agreement(self) -> float:
        """Mean of both, by which a mapping is chosen."""
        return (self.alike + self.same_class) / 2


@dataclass(frozen=True, slots=True)
class ProjectionLoss:
    """One projection.

    weight_bits, delay_bits : of its words, at most those of the chip; 0 without delay words.
    shift : left shift on the chip.  weights : number of synapses.
    max_error, rms_error : of a weight, in float units.  rms_weight : for comparison.
    zeroed : synapses whose weight is not zero in the network and zero on the chip.
    pruned : those of them that were pruned.
    clipped : (post, pre, wanted, applied) in integers of every clipped weight.
    mode_wanted, mode : delay mode in the network and on the chip.  resolution : log2 of the steps
    of a delay word.  moved : (steps, delays), delays by how far they moved, 0 included.
    clamped : (index..., wanted, applied) in steps of every delay beyond the reach.
    """

    name: str
    weight_bits: int
    delay_bits: int
    shift: int
    weights: int
    max_error: float
    rms_error: float
    rms_weight: float
    zeroed: int
    pruned: int
    clipped: tuple[tuple[int, ...], ...]
    mode_wanted: str
    mode: str
    resolution: int
    moved: tuple[tuple[int, int], ...]
    clamped: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class PopulationLoss:
    """One population of LIF neurons or readouts.

    scale : membrane LSBs per float unit, per neuron.  unit : thresholds in float units, per neuron
    (1 for a readout).  lossless : weights, thresholds and biases are exact.
    threshold_error : largest relative error.  bias_error : largest error in units.
    biases_zeroed : neurons whose bias became 0.
    alpha, alpha_applied : per neuron and step, rounding of the products apart.
    unleaking : neurons that leak in the network and not on the chip.
    span : largest |u| in units, seen in calibration data or bounded by the weights.
    saturated : membrane updates that saturated in calibration, of `updates`; 0 of 0 without data.
    silent, silent_applied : neurons that never fired in calibration, float and on the chip.
    """

    name: str
    scale: tuple[float, ...]
    unit: tuple[float, ...]
    lossless: bool
    threshold_error: float
    bias_error: float
    biases_zeroed: tuple[int, ...]
    alpha: tuple[float, ...]
    alpha_applied: tuple[float, ...]
    unleaking: tuple[int, ...]
    span: float
    saturated: int
    updates: int
    silent: tuple[int, ...]
    silent_applied: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """What `quantize` changed.

    options : every field of the options.  dt_ms : length of a step.
    recordings : of the calibration data, 0 for none.
    saturated_counts : event counts of the calibration data beyond what a channel takes in a tick.
    trials : what was tried on the calibration data, in that order.
    notes : what else to know, in sentences.
    """

    options: Mapping[str, Any]
    dt_ms: float
    recordings: int
    saturated_counts: int
    projections: tuple[ProjectionLoss, ...]
    populations: tuple[PopulationLoss, ...]
    trials: tuple[Trial, ...]
    notes: tuple[str, ...]

    @property
    def lossless(self) -> bool:
        """Whether weights, delays, thresholds, biases and leaks are exact."""
        return all(p.lossless and p.alpha == p.alpha_applied for p in self.populations) and not any(
            steps for p in self.projections for steps, _ in p.moved
        )

    def projection(self, name: str) -> ProjectionLoss:
        """Find the projection called `name`."""
        return next(p for p in self.projections if p.name == name)

    def population(self, name: str) -> PopulationLoss:
        """Find the population called `name`."""
        return next(p for p in self.populations if p.name == name)

    def headroom(self, name: str) -> float:
        """How many times the span of a population its membranes hold (infinite: it is at rest)."""
        population = self.population(name)
        largest = Format(self.options["membrane_bits"]).max
        with np.errstate(divide="ignore"):
            lsbs = np.array(population.scale) * np.array(population.unit) * population.span
            return float((largest / lsbs).min())

    def tau_ms(self, name: str) -> tuple[Floats, Floats]:
        """Return the time constants of a population in ms, wanted and applied."""
        population = self.population(name)
        return (
            tau_ms(np.array(population.alpha), self.dt_ms),
            tau_ms(np.array(population.alpha_applied), self.dt_ms),
        )

    def to_json(self) -> str:
        """Write everything as JSON; the same loss gives the same text."""
        described = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(described, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Loss:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            The text is not JSON, not of this kind or version, or lacks a field.
        """
        try:
            described = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("a loss must be JSON text, as to_json writes it") from None
        if not isinstance(described, dict) or described.pop("format", None) != FORMAT:
            raise ValueError(f"a loss must say that its format is {FORMAT!r}")
        version = described.pop("version", None)
        if version == 1:
            described = _upgraded(described)
        elif version != VERSION:
            raise ValueError(f"only versions 1 and {VERSION} of a loss can be read")
        return _read(cls, described, "loss")


def _upgraded(described: dict[str, Any]) -> dict[str, Any]:
    """Say in a loss of version 1 what went without saying: the same bits for all, nothing tried."""
    options, projections = described.get("options"), described.get("projections")
    if not isinstance(options, dict) or not isinstance(projections, list):
        return described
    weights, delays = options.get("weight_bits"), options.get("delay_bits")
    for p in projections:
        if isinstance(p, dict):
            delay_bits = 0 if p.get("mode") == "none" else delays
            p.update(weight_bits=weights, delay_bits=delay_bits, pruned=0)
    return {**described, "trials": []}


def _read(kind: type[Part], value: object, where: str) -> Part:
    """Build the dataclass `kind` from a JSON object, checking every field."""
    hints = get_type_hints(kind)
    names = list(hints)
    if not isinstance(value, dict) or sorted(value) != sorted(names):
        raise ValueError(f"{where} must be an object of {', '.join(names)}")
    return kind(**{name: _typed(hints[name], value[name], f"{where}.{name}") for name in names})


def _typed(hint: Any, value: Any, where: str) -> Any:
    """Return `value` as the type `hint`, out of those that the dataclasses above use."""
    if isinstance(hint, type) and is_dataclass(hint):
        return _read(hint, value, where)
    parts = get_args(hint)
    if get_origin(hint) is tuple:
        several = parts[-1] is Ellipsis
        if not isinstance(value, list) or not (several or len(value) == len(parts)):
            raise ValueError(f"{where} must be a list, not {reprlib.repr(value)}")
        kinds = parts[:1] * len(value) if several else parts
        pairs = zip(kinds, value, strict=True)
        return tuple(_typed(kind, item, f"{where}[{n}]") for n, (kind, item) in enumerate(pairs))
    if parts:
        kind: type = dict
    else:
        kind = hint
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    # bool is an int to isinstance, but not to a reader of the file.
    if type(value) is not kind:
        raise ValueError(f"{where} must be of type {kind.__name__}, not {reprlib.repr(value)}")
    return value
