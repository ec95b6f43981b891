"""What the user decides about a mapping: widths, granularity, scale and headroom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from datapath import Chip, Compare, Delay, Leak, Rounding
from datapath.chip import choice
from model import Network
from quant.delays import image_mode


class Granularity(StrEnum):
    """Which synapses share one float scale; a readout population always has one scale.

    LAYER: one scale per post population, the same for all projections that end in it.
    PROJECTION: one scale per post population, and a power of two below it per projection.
    NEURON: one scale per post neuron, and a power of two below it per projection.
    """

    LAYER = "layer"
    PROJECTION = "projection"
    NEURON = "neuron"


class Search(StrEnum):
    """By what the scales of rounded numbers are chosen.

    RANGE: the largest at which no weight is clipped.  WEIGHTS: those at which the rounded and
    clipped weights make the least expected error of the membranes.  OUTPUTS: those at which the
    chip's scores are most like the float network's on the calibration data.
    """

    RANGE = "range"
    WEIGHTS = "weights"
    OUTPUTS = "outputs"


class Scale(StrEnum):
    """What a scale, in membrane LSBs per float unit, may be.

    FREE: any number; it is folded into thresholds and biases.  POWER_OF_TWO: a power of two.
    INTEGER: 1; the network is given in LSBs, and a number that is not whole is refused.
    """

    FREE = "free"
    POWER_OF_TWO = "power-of-two"
    INTEGER = "integer"


# Name, least and largest value of every field that is a number of bits or of lanes.
WHOLE = {
    "weight_bits": (2, 48),
    "delay_bits": (1, 15),
    "coefficient_bits": (1, 48),
    "membrane_bits": (4, 48),
    "bias_bits": (2, 48),
    "count_bits": (1, 31),
    "scale_bits": (1, 4),
    "lanes": (1, 1024),
}

LEAST_WORD = WHOLE["weight_bits"][0] + WHOLE["delay_bits"][0]
"""Bits of the narrowest word of a weight and a delay."""


@dataclass(frozen=True, slots=True)
class Own:
    """What one projection has of its own; None takes what the options say for all.

    weight_bits, delay_bits, resolution, prune : as in `Options`.
    """

    weight_bits: int | None = None
    delay_bits: int | None = None
    resolution: int | None = None
    prune: float | None = None

    def __post_init__(self) -> None:
        for name in ("weight_bits", "delay_bits"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), *WHOLE[name])
        if self.resolution is not None:
            _whole("resolution", self.resolution, 0, 15)
        if self.prune is not None:
            _share("prune", self.prune)


@dataclass(frozen=True, slots=True)
class Options:
    """How a float network becomes integers.

    weight_bits, membrane_bits, bias_bits : width of a weight, a membrane and a bias, all signed.
    delay_bits, coefficient_bits : width of a delay word and of a leak coefficient, unsigned.
    count_bits : width of the events of one channel in one tick.
    scale_bits : width of the left shift of a projection.
    lanes, leak, rounding, compare : of the chip, as in `datapath.Chip`.
    granularity, scale : see there.
    resolution : steps of a delay word as a power of two, 0 to 15; None takes, per projection, the
        finest that reaches its longest delay.
    headroom : the membrane holds this many times the largest |u|, at least 1.
    saturation : share of the membrane updates of the calibration data that may saturate, below 1;
        0 leaves room for every one of them.
    search : see there.  clip : share of the weights of each scale, the largest ones, that a search
        may clip, below 1.
    prune : share of the weights of each projection, the smallest ones, that become 0, below 1.
    own : by projection, what it has of its own.
    word_bits : of a weight and a delay together, split as the calibration data ask for; None
        leaves weight_bits and delay_bits as they are.
    emit : names of the populations whose spikes (or readout membranes) leave the chip.
    """

    weight_bits: int
    delay_bits: int
    coefficient_bits: int
    membrane_bits: int
    bias_bits: int
    count_bits: int
    scale_bits: int
    lanes: int
    leak: Leak
    rounding: Rounding
    compare: Compare
    granularity: Granularity = Granularity.NEURON
    scale: Scale = Scale.FREE
    resolution: int | None = None
    headroom: float = 1.5
    saturation: float = 0.0
    search: Search = Search.RANGE
    clip: float = 0.25
    prune: float = 0.0
    own: Mapping[str, Own] = field(default_factory=dict)
    word_bits: int | None = None
    emit: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (least, most) in WHOLE.items():
            _whole(name, getattr(self, name), least, most)
        if self.resolution is not None:
            _whole("resolution", self.resolution, 0, 15)
        for name, kind in (
            ("leak", Leak),
            ("rounding", Rounding),
            ("compare", Compare),
            ("granularity", Granularity),
            ("scale", Scale),
            ("search", Search),
        ):
            object.__setattr__(self, name, choice(name, getattr(self, name), kind))
        if self.leak is Leak.MULTIPLY and self.coefficient_bits < 2:
            raise ValueError(
                "coefficient_bits must be at least 2 where the leak multiplies, so that a "
                f"coefficient holds fractions and 1, not {self.coefficient_bits}"
            )
        if not 1 <= self.headroom < float("inf"):
            raise ValueError(f"headroom must be at least 1, not {self.headroom}")
        for name in ("saturation", "clip", "prune"):
            _share(name, getattr(self, name))
        if self.word_bits is not None:
            _whole("word_bits", self.word_bits, LEAST_WORD, WHOLE["weight_bits"][1])
            if any(o.weight_bits or o.delay_bits for o in self.own.values()):
                raise ValueError(
                    "word_bits shares out the bits of every projection: leave out the weight_bits "
                    "and delay_bits of single ones"
                )
        if isinstance(self.emit, str):
            raise ValueError(f"emit must be a tuple of names, not {self.emit!r}")
        object.__setattr__(self, "emit", tuple(self.emit))

    def described(self) -> dict[str, Any]:
        """Return every field as JSON holds it."""
        return {**asdict(self), "emit": list(self.emit)}

    def weight_bits_of(self, projection: str) -> int:
        """Width of the weights of `projection`."""
        own = self.own.get(projection, NOTHING).weight_bits
        return self.weight_bits if own is None else own

    def delay_bits_of(self, projection: str) -> int:
        """Width of the delay words of `projection`."""
        own = self.own.get(projection, NOTHING).delay_bits
        return self.delay_bits if own is None else own

    def resolution_of(self, projection: str) -> int | None:
        """Return the resolution of `projection`, None for the finest that reaches."""
        own = self.own.get(projection, NOTHING).resolution
        return self.resolution if own is None else own

    def prune_of(self, projection: str) -> float:
        """Share of the weights of `projection` that become 0."""
        own = self.own.get(projection, NOTHING).prune
        return self.prune if own is None else own

    @property
    def largest_shift(self) -> int:
        """Largest left shift of a projection."""
        return (1 << self.scale_bits) - 1


NOTHING = Own()
"""Of a projection that has nothing of its own."""


def widths(options: Options, network: Network) -> tuple[int, int]:
    """Return the width of the widest weights and of the widest delay words of `network`."""
    weights = [options.weight_bits_of(p.name) for p in network.projections]
    delays = [
        options.delay_bits_of(p.name)
        for p in network.projections
        if image_mode(network, p) is not Delay.NONE
    ]
    return max(weights, default=options.weight_bits), max(delays, default=options.delay_bits)


def check_names(options: Options, network: Network) -> None:
    """Refuse options for populations or projections that `network` does not have."""
    there = [p.name for p in network.projections]
    for name in options.own:
        if name not in there:
            raise ValueError(f"there is no projection {name!r}: the network has {', '.join(there)}")
    names = [p.name for p in network.populations if p.name != network.input.name]
    for name in options.emit:
        if name not in names:
            raise ValueError(f"emit names {name!r}, and the network has {', '.join(names)}")


def options_for(
    chip: Chip,
    *,
    granularity: Granularity = Granularity.NEURON,
    scale: Scale = Scale.FREE,
    resolution: int | None = None,
) -> Options:
    """Return the options that use all of `chip`; narrow them with `dataclasses.replace`."""
    return Options(
        weight_bits=chip.synapse.weight.width,
        delay_bits=min(delay_bits(chip) or 1, WHOLE["delay_bits"][1]),
        coefficient_bits=chip.lif.coefficient.width,
        membrane_bits=chip.lif.v.width,
        bias_bits=chip.lif.bias.width,
        count_bits=chip.axon.count.width,
        scale_bits=chip.synapse.scale.width,
        lanes=chip.lanes,
        leak=chip.lif.leak,
        rounding=chip.lif.rounding,
        compare=chip.lif.compare,
        granularity=granularity,
        scale=scale,
        resolution=resolution,
    )


def delay_bits(chip: Chip) -> int:
    """Width of the widest delay word that `chip` is built with, 0 if it is built with none."""
    axonal = chip.axon.delay.width if chip.axon.delays else 0
    ring = chip.synapse.dendritic or chip.synapse.synaptic
    return max(axonal, chip.synapse.delay.width if ring else 0)


def check_fits(options: Options, chip: Chip, network: Network) -> None:
    """Refuse options that ask for more for `network` than `chip` is built with.

    Raises
    ------
    ValueError
        A width is larger than that of the chip, or a word of its arithmetic differs.
    """
    has = options_for(chip)
    for name in ("leak", "rounding", "compare", "lanes", "count_bits"):
        wanted, there = getattr(options, name), getattr(has, name)
        if wanted != there:
            raise ValueError(f"{name} must be that of the chip, {there}, not {wanted}")
    weights, delays = widths(options, network)
    asked = replace(options, weight_bits=weights, delay_bits=delays, own={}, word_bits=None)
    for name in WHOLE:
        wanted, there = getattr(asked, name), getattr(has, name)
        # Without delay words there is nothing for delay_bits to be too wide for.
        if wanted > there and (name != "delay_bits" or delay_bits(chip)):
            raise ValueError(f"{name} must be at most that of the chip, {there}, not {wanted}")


def _share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {value}")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
