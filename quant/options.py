"""What the user decides about a mapping: widths, granularity, scale and headroom."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from datapath import Chip, Compare, Leak, Rounding
from datapath.chip import choice


class Granularity(StrEnum):
    """Which synapses share one float scale; a readout population always has one scale.

    PROJECTION: one scale per post population, and a power of two below it per projection.
    NEURON: one scale per post neuron, and a power of two below it per projection.
    """

    PROJECTION = "projection"
    NEURON = "neuron"


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
    clip : share of the weights of each scale, the largest ones, that may be clipped, below 1.
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
    clip: float = 0.0
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
        ):
            object.__setattr__(self, name, choice(name, getattr(self, name), kind))
        if self.leak is Leak.MULTIPLY and self.coefficient_bits < 2:
            raise ValueError(
                "coefficient_bits must be at least 2 where the leak multiplies, so that a "
                f"coefficient holds fractions and 1, not {self.coefficient_bits}"
            )
        if not 1 <= self.headroom < float("inf"):
            raise ValueError(f"headroom must be at least 1, not {self.headroom}")
        for name in ("saturation", "clip"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, not {getattr(self, name)}"
                )
        if isinstance(self.emit, str):
            raise ValueError(f"emit must be a tuple of names, not {self.emit!r}")
        object.__setattr__(self, "emit", tuple(self.emit))

    def described(self) -> dict[str, str | int | float | list[str] | None]:
        """Return every field as JSON holds it."""
        return {**asdict(self), "emit": list(self.emit)}

    @property
    def largest_shift(self) -> int:
        """Largest left shift of a projection."""
        return (1 << self.scale_bits) - 1


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


def check_fits(options: Options, chip: Chip) -> None:
    """Refuse options that ask for more than `chip` is built with.

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
    for name in WHOLE:
        wanted, there = getattr(options, name), getattr(has, name)
        # Without delay words there is nothing for delay_bits to be too wide for.
        if wanted > there and (name != "delay_bits" or delay_bits(chip)):
            raise ValueError(f"{name} must be at most that of the chip, {there}, not {wanted}")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
