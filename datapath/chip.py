"""Datapath parameters: one frozen dataclass per block, and the chip they make."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from datapath.format import Format

Word = TypeVar("Word", bound=StrEnum)

LARGEST = 1 << 24
"""No memory of a chip has more words than this."""

WIDEST = 1 << 10
"""No chip has more lanes than this."""

PRODUCT = 62
"""No product or sum of products is wider than this, so that 64 bits hold it rounded."""


class Leak(StrEnum):
    """How a membrane or a current decays."""

    SHIFT = "shift"
    MULTIPLY = "multiply"
    SETTLE = "settle"


class Rounding(StrEnum):
    """Where the bits go that a right shift drops."""

    FLOOR = "floor"
    ZERO = "zero"
    NEAREST = "nearest"


class Overflow(StrEnum):
    """What becomes of a sum that its format does not hold."""

    SATURATE = "saturate"
    SYMMETRIC = "symmetric"
    WRAP = "wrap"


class Order(StrEnum):
    """Whether what arrives in a tick leaks in it."""

    LEAK_FIRST = "leak-first"
    SUM_FIRST = "sum-first"


class Compare(StrEnum):
    """When a membrane fires."""

    GE = ">="
    GT = ">"


def _power_of_two(name: str, value: int, least: int, most: int = LARGEST) -> None:
    if value < least or value & (value - 1) or value > most:
        raise ValueError(f"{name} must be a power of two between {least} and {most}, not {value}")


def _within(name: str, value: int, least: int, most: int = LARGEST) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most}, not {value}")


def _unsigned(name: str, fmt: Format) -> None:
    if fmt.signed:
        raise ValueError(f"{name} must be unsigned, not {fmt}")


def _signed(name: str, fmt: Format) -> None:
    if not fmt.signed:
        raise ValueError(f"{name} must be signed, not {fmt}")


def choice(name: str, value: str, kind: type[Word]) -> Word:
    """Return the member of `kind` that is written `value`."""
    try:
        return kind(value)
    except ValueError:
        known = " or ".join(repr(str(word)) for word in kind)
        raise ValueError(f"{name} must be {known}, not {value!r}") from None


@dataclass(frozen=True, slots=True)
class Axon:
    """Spike history of every source, read at the age of the axonal delay.

    count : unsigned; events of one input channel in one tick.
    channel_steps, neuron_steps : depth of the history of input channels and of neurons, in ticks.
    delay : unsigned; axonal delay word.  delays : number of axonal delay words; 0 builds none.
    """

    count: Format
    channel_steps: int
    neuron_steps: int
    delay: Format
    delays: int

    def __post_init__(self) -> None:
        _unsigned("axon.count", self.count)
        _unsigned("axon.delay", self.delay)
        _power_of_two("axon.channel_steps", self.channel_steps, 2)
        _power_of_two("axon.neuron_steps", self.neuron_steps, 2)
        _within("axon.delays", self.delays, 0)


@dataclass(frozen=True, slots=True)
class Synapse:
    """Weighted delivery into the ring of accumulators.

    weight : signed.  scale : unsigned; left shift of a projection's products.
    acc : signed; wide enough for every sum, which `Image` checks against its weights.
    slots : ticks a delivery can be ahead, the depth of the accumulator ring; 1 is no ring.
    delay : unsigned; dendritic and synaptic delay word.
    dendritic : number of dendritic delay words of `lanes` delays; 0 builds none.
    synaptic : whether every synapse has a delay word.
    """

    weight: Format
    scale: Format
    acc: Format
    slots: int
    delay: Format
    dendritic: int
    synaptic: bool

    def __post_init__(self) -> None:
        _signed("synapse.weight", self.weight)
        _unsigned("synapse.scale", self.scale)
        _signed("synapse.acc", self.acc)
        _unsigned("synapse.delay", self.delay)
        _power_of_two("synapse.slots", self.slots, 1)
        _within("synapse.dendritic", self.dendritic, 0)
        _within("synapse.scale.max", self.scale.max, 0, 15)
        if self.acc.width < self.weight.width:
            raise ValueError(
                f"synapse.acc must be at least as wide as synapse.weight, not {self.acc}"
            )
        if (self.dendritic or self.synaptic) and self.slots < 2:
            raise ValueError(
                "synapse.slots must be at least 2 where delays are dendritic or synaptic, "
                f"not {self.slots}"
            )


def _leaks(owner: str, leak: Leak, coefficient: Format, name: str, state: Format) -> None:
    """Refuse a coefficient that the `leak` of a state, called `name`, has no use for."""
    _unsigned(f"{owner}.coefficient", coefficient)
    if leak is not Leak.MULTIPLY:
        if coefficient.max >= 2 * state.width:
            raise ValueError(
                f"{owner}.coefficient must be narrower: a shift by {coefficient.max} leaves "
                f"nothing of {state}"
            )
        return
    if not 1 <= coefficient.frac < coefficient.width:
        raise ValueError(
            f"{owner}.coefficient must hold the number 1: frac must be between 1 and "
            f"{coefficient.width - 1}, not {coefficient.frac}"
        )
    bits = state.width + coefficient.width
    if bits > PRODUCT:
        raise ValueError(
            f"{owner}.{name} and {owner}.coefficient must have at most {PRODUCT} bits together, "
            f"not {bits}"
        )


def _one(leak: Leak, coefficient: Format) -> int:
    return 1 << coefficient.frac if leak is Leak.MULTIPLY else 0


@dataclass(frozen=True, slots=True)
class Current:
    """Synaptic current between accumulators and membrane: a sum that leaks.

    i : signed; the current.
    leak, rounding : as in `Lif`.  coefficient : unsigned; one per neuron.
    order : LEAK_FIRST: the current leaks, then the sum of the tick enters; SUM_FIRST: the sum
        enters, then all of it leaks.
    overflow : of the new current.
    """

    i: Format
    leak: Leak
    coefficient: Format
    rounding: Rounding
    order: Order
    overflow: Overflow

    def __post_init__(self) -> None:
        _signed("current.i", self.i)
        for name, kind in (
            ("leak", Leak), ("rounding", Rounding), ("order", Order), ("overflow", Overflow),
        ):  # fmt: skip
            object.__setattr__(self, name, choice(f"current.{name}", getattr(self, name), kind))
        _leaks("current", self.leak, self.coefficient, "i", self.i)

    @property
    def one(self) -> int:
        """The coefficient that does not leak."""
        return _one(self.leak, self.coefficient)


@dataclass(frozen=True, slots=True)
class Lif:
    """Leaky integrate-and-fire stage.

    v : signed; membrane, and threshold.  bias : signed; added every tick.
    leak : SHIFT: v - (v >> coefficient), coefficient 0 being no leak at all; SETTLE: the same, but
        at least one LSB towards 0; MULTIPLY: v * coefficient >> coefficient.frac.
    coefficient : unsigned; one per neuron.  rounding : of the leak's right shift.
    overflow : of the new membrane; SYMMETRIC saturates at -lif.v.max.
    """

    v: Format
    bias: Format
    leak: Leak
    coefficient: Format
    rounding: Rounding
    compare: Compare
    overflow: Overflow

    def __post_init__(self) -> None:
        _signed("lif.v", self.v)
        _signed("lif.bias", self.bias)
        for name, kind in (
            ("leak", Leak), ("rounding", Rounding), ("compare", Compare), ("overflow", Overflow),
        ):  # fmt: skip
            object.__setattr__(self, name, choice(f"lif.{name}", getattr(self, name), kind))
        _leaks("lif", self.leak, self.coefficient, "v", self.v)

    @property
    def one(self) -> int:
        """The coefficient that does not leak."""
        return _one(self.leak, self.coefficient)


@dataclass(frozen=True, slots=True)
class Readout:
    """Score of every class: its readout membrane summed over the recording.

    score : signed.  classes : largest number of readouts.
    """

    score: Format
    classes: int

    def __post_init__(self) -> None:
        _signed("readout.score", self.score)
        _within("readout.classes", self.classes, 1)


@dataclass(frozen=True, slots=True)
class Learn:
    """Three-factor learning of weights and delays at the end of a recording.

    steps : depth of what is remembered of a recording, in ticks; it may have one tick less.
    lookup : unsigned; what the two lookup tables hold, surrogate derivatives and error levels.
    entries : of each of the two tables.
    coefficient : unsigned; how much of an error or signal is left one tick earlier.
    filtered : signed; filtered errors and learning signals.
    signal : signed; what synapses see of them.  slope : signed; its smoothed derivative in time.
        Both together are no wider than synapse.acc, whose memory holds them.
    tap : unsigned; a coefficient of that derivative.  taps : largest number of them.
    weight_gradient, delay_gradient : signed; sums over recordings, one per synapse or axon.
    weight_fraction, delay_fraction : unsigned; bits of a master word below those in use.
    rate : unsigned; factor of an update.
    activity : unsigned; spikes of a neuron in a recording.
    """

    steps: int
    lookup: Format
    entries: int
    coefficient: Format
    filtered: Format
    signal: Format
    slope: Format
    tap: Format
    taps: int
    weight_gradient: Format
    delay_gradient: Format
    weight_fraction: Format
    delay_fraction: Format
    rate: Format
    activity: Format

    def __post_init__(self) -> None:
        for name in (
            "lookup", "coefficient", "tap", "weight_fraction", "delay_fraction", "rate", "activity",
        ):  # fmt: skip
            _unsigned(f"learn.{name}", getattr(self, name))
        for name in ("filtered", "signal", "slope", "weight_gradient", "delay_gradient"):
            _signed(f"learn.{name}", getattr(self, name))
        _power_of_two("learn.steps", self.steps, 2)
        _power_of_two("learn.entries", self.entries, 2, 1 << 12)
        _within("learn.taps", self.taps, 1, 1 << 8)
        if not 1 <= self.coefficient.frac < self.coefficient.width:
            raise ValueError(
                "learn.coefficient must hold the number 1: frac must be between 1 and "
                f"{self.coefficient.width - 1}, not {self.coefficient.frac}"
            )
        for what, bits in (
            ("learn.filtered and learn.coefficient", self.filtered.width + self.coefficient.width),
            ("learn.weight_gradient and learn.rate", self.weight_gradient.width + self.rate.width),
        ):
            if bits > PRODUCT:
                raise ValueError(f"{what} must have at most {PRODUCT} bits together, not {bits}")


@dataclass(frozen=True, slots=True)
class Chip:
    """Capacities and formats: everything two engineers agree on before they write.

    channels : input channels, a multiple of `lanes`.  neurons : LIF neurons and readouts, each
    population padded to a multiple of `lanes`.  populations, projections : entries of the two
    tables.  synapses : words of the weight memory, `lanes` synapses each.
    lanes : synapses per clock, neurons per clock.  current : None on a chip whose neurons have no
    synaptic current.  learn : None on a chip that does not learn.
    """

    channels: int
    neurons: int
    populations: int
    projections: int
    synapses: int
    lanes: int
    axon: Axon
    synapse: Synapse
    current: Current | None
    lif: Lif
    readout: Readout
    learn: Learn | None

    def __post_init__(self) -> None:
        _power_of_two("lanes", self.lanes, 1, WIDEST)
        for name in ("channels", "neurons"):
            value = getattr(self, name)
            _within(name, value, self.lanes)
            if value % self.lanes:
                raise ValueError(f"{name} must be a multiple of lanes = {self.lanes}, not {value}")
        _within("populations", self.populations, 1, 256)
        _within("projections", self.projections, 1, 4096)
        _within("synapses", self.synapses, 1)
        for name, blocks, steps in (
            ("axon.channel_steps", self.channel_blocks, self.axon.channel_steps),
            ("axon.neuron_steps", self.neuron_blocks, self.axon.neuron_steps),
            ("synapse.slots", self.neuron_blocks, self.synapse.slots),
        ):
            if blocks * steps > LARGEST:
                raise ValueError(
                    f"{name} = {steps} needs a memory of {blocks * steps} words, "
                    f"and the largest has {LARGEST}"
                )
        if self.readout.score.width < self.lif.v.width:
            raise ValueError(
                f"readout.score must be at least as wide as lif.v, not {self.readout.score}"
            )
        if self.current is not None:
            self._check_current(self.current)
        if self.learn is not None:
            self._check_learn(self.learn)

    def _check_current(self, current: Current) -> None:
        if self.learn is not None:
            raise ValueError(
                "a chip with synaptic currents does not learn, because there are no traces of "
                "currents: leave out learn or current"
            )
        bits = max(current.i.width, self.synapse.acc.width) + 1 + current.coefficient.width
        late = current.order is Order.SUM_FIRST and current.leak is Leak.MULTIPLY
        if late and bits > PRODUCT:
            raise ValueError(
                "synapse.acc, current.i and current.coefficient must have at most "
                f"{PRODUCT - 1} bits together where sums leak, not {bits - 1}"
            )

    def _check_learn(self, learn: Learn) -> None:
        for name in ("channel_steps", "neuron_steps"):
            if getattr(self.axon, name) < learn.steps:
                raise ValueError(
                    f"axon.{name} must be at least learn.steps = {learn.steps}, "
                    f"not {getattr(self.axon, name)}"
                )
        if learn.steps * self.neuron_blocks > LARGEST:
            raise ValueError(
                f"learn.steps = {learn.steps} needs a memory of {learn.steps * self.neuron_blocks} "
                f"words, and the largest has {LARGEST}"
            )
        bits = learn.signal.width + learn.slope.width
        if bits > self.synapse.acc.width:
            raise ValueError(
                f"synapse.acc must have at least the {bits} bits of learn.signal and learn.slope, "
                f"not {self.synapse.acc.width}"
            )
        if self.synapse.slots < 4:
            raise ValueError(
                f"synapse.slots must be at least 4 on a chip that learns, not {self.synapse.slots}"
            )
        if learn.tap.frac < 0:
            raise ValueError(f"learn.tap.frac must be at least 0, not {learn.tap.frac}")
        weight, delay = (
            self.synapse.weight.width,
            max(self.axon.delay.width, self.synapse.delay.width),
        )
        classes = (self.readout.classes - 1).bit_length()
        fed_back = max(weight + learn.signal.width + classes, learn.activity.width + 16)
        neurons = (self.neurons - 1).bit_length()
        # What the words below become before they are shifted or saturated.
        for what, bits in (
            ("synapse.weight, learn.delay_gradient and learn.rate",
             weight + learn.delay_gradient.width + learn.rate.width),
            ("learn.lookup, synapse.weight and learn.signal of all classes",
             learn.lookup.width + fed_back + 1),
            ("learn.tap and learn.signal of all taps",
             learn.tap.width + learn.signal.width + 1 + learn.taps.bit_length()),
            ("axon.count, synapse.weight and learn.slope of all neurons",
             self.axon.count.width + weight + learn.slope.width + neurons),
            ("axon.count and learn.signal", self.axon.count.width + learn.signal.width),
            ("synapse.weight and learn.weight_fraction", weight + learn.weight_fraction.width),
            ("a delay and learn.delay_fraction", delay + learn.delay_fraction.width),
        ):  # fmt: skip
            if bits > PRODUCT:
                raise ValueError(f"{what} must have at most {PRODUCT} bits together, not {bits}")

    @property
    def drive(self) -> Format:
        """Format of what enters a membrane: a sum, or a current."""
        return self.synapse.acc if self.current is None else self.current.i

    @property
    def neuron_blocks(self) -> int:
        """Words of the neuron memories, `lanes` neurons each."""
        return self.neurons // self.lanes

    @property
    def channel_blocks(self) -> int:
        """Blocks of `lanes` input channels."""
        return self.channels // self.lanes
