"""What is loaded into a chip: integers that fit it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datapath.chip import Chip, choice
from datapath.format import Format

Integers = NDArray[np.int64]


class Kind(StrEnum):
    """What a population does when it is updated."""

    LIF = "lif"
    READOUT = "readout"


class Reset(StrEnum):
    """What a spike does to its membrane, in the tick of the spike."""

    SUBTRACT = "subtract"
    ZERO = "zero"


class Delay(StrEnum):
    """Which side of a projection owns its delays."""

    NONE = "none"
    AXONAL = "axonal"
    DENDRITIC = "dendritic"
    SYNAPTIC = "synaptic"


def _named(kind: str, name: str) -> None:
    # Names are printed in tables, headers and one-sentence errors.
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise ValueError(f"a {kind}'s name must be printable and not empty, not {name!r}")


def _whole(name: str, value: SupportsIndex) -> int:
    """`value` as a plain int."""
    try:
        return int(operator.index(value))
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None


def _integers(owner: str, name: str, value: ArrayLike, shape: tuple[int, ...]) -> Integers:
    """Read-only int64 copy of `value`, a scalar being spread over `shape`."""
    given = np.asarray(value)
    if given.dtype.kind not in "iub":
        raise ValueError(f"{owner}: {name} must hold integers, not {given.dtype}")
    if given.dtype.kind == "u" and given.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"{owner}: {name} = {given.max()} does not fit 64 bits")
    array = np.full(shape, given) if given.ndim == 0 else given.astype(np.int64)
    if array.shape != shape:
        raise ValueError(f"{owner}: {name} must have shape {shape}, not {array.shape}")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


def _fit(owner: str, name: str, array: Integers, fmt: Format) -> None:
    """Refuse the first integer outside `fmt`, by name and index."""
    bad = np.flatnonzero((array < fmt.min) | (array > fmt.max))
    if bad.size:
        where = ", ".join(str(int(n)) for n in np.unravel_index(int(bad[0]), array.shape))
        index = f"[{where}]" if where else ""
        raise ValueError(f"{owner}: {name}{index} = {array.flat[bad[0]]} does not fit {fmt}")


def _sums(weights: Integers) -> NDArray[np.object_]:
    """Sum every row exactly: wide weights, scales and counts together leave int64."""
    top, rest = weights >> 24, weights & ((1 << 24) - 1)
    sums: NDArray[np.object_] = top.sum(axis=1).astype(object) * (1 << 24) + rest.sum(axis=1)
    return sums


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Neurons of one kind, contiguous on the chip.

    threshold : int64[size] in `lif.v`, positive (not used by a readout).
    bias : int64[size] in `lif.bias`.  coefficient : int64[size] in `lif.coefficient`.
    emit : whether its spikes (or readout membranes) leave the chip.
    A scalar is spread over all neurons.
    """

    name: str
    kind: Kind
    size: int
    threshold: Integers
    bias: Integers
    coefficient: Integers
    reset: Reset
    emit: bool

    def __post_init__(self) -> None:
        _named("population", self.name)
        object.__setattr__(self, "size", _whole(f"{self.name}: size", self.size))
        if self.size < 1:
            raise ValueError(f"{self.name}: size must be at least 1, not {self.size}")
        for name in ("threshold", "bias", "coefficient"):
            array = _integers(self.name, name, getattr(self, name), (self.size,))
            object.__setattr__(self, name, array)
        object.__setattr__(self, "kind", choice(f"{self.name}: kind", self.kind, Kind))
        object.__setattr__(self, "reset", choice(f"{self.name}: reset", self.reset, Reset))
        if not isinstance(self.emit, bool | np.bool_):
            raise ValueError(f"{self.name}: emit must be True or False, not {self.emit!r}")
        object.__setattr__(self, "emit", bool(self.emit))


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """All synapses from one population (or the input) to another.

    weights : int64[post, pre] in `synapse.weight`; one spike adds `weight << scale` to the
    accumulator.  delays : int64 delay words, shape () for `none`, (pre,) for `axonal`, (post,)
    for `dendritic`, (post, pre) for `synaptic`.  A spike is integrated
    `age + (delay << resolution)` ticks after its emission, `age` being 0 for a feed-forward and
    1 for a recurrent projection (`Image.age`).
    """

    name: str
    pre: str
    post: str
    weights: Integers
    scale: int
    delay: Delay
    delays: Integers
    resolution: int

    def __post_init__(self) -> None:
        _named("projection", self.name)
        shape = np.shape(self.weights)
        if len(shape) != 2:
            raise ValueError(f"{self.name}: weights must have shape (post, pre), not {shape}")
        for what in ("scale", "resolution"):
            object.__setattr__(self, what, _whole(f"{self.name}: {what}", getattr(self, what)))
        object.__setattr__(self, "delay", choice(f"{self.name}: delay", self.delay, Delay))
        post, pre = shape
        of_delays = {
            Delay.NONE: (),
            Delay.AXONAL: (pre,),
            Delay.DENDRITIC: (post,),
            Delay.SYNAPTIC: (post, pre),
        }[self.delay]
        weights = _integers(self.name, "weights", self.weights, (post, pre))
        object.__setattr__(self, "weights", weights)
        delays = _integers(self.name, "delays", self.delays, of_delays)
        object.__setattr__(self, "delays", delays)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A network in integers on a chip; refuses any integer that does not fit, by name and index.

    channels : input channels in use.  input_name : how projections name the input.
    units : front-end units summed into the channels.  dt_us : length of a tick in microseconds
    of the signal.  steps : ticks of a recording.  labels : class names in readout order.
    populations : in the order in which they are updated every tick.
    """

    chip: Chip
    input_name: str
    channels: int
    units: int
    dt_us: int
    steps: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    labels: tuple[str, ...] = ()
    provenance: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_sizes()
        for population in self.populations:
            self._check_population(population)
        for projection in self.projections:
            self._check_projection(projection)
        self._check_capacities()
        self._check_accumulators()

    def _check_sizes(self) -> None:
        _named("population", self.input_name)
        for what in ("channels", "units", "dt_us", "steps"):
            object.__setattr__(self, what, _whole(what, getattr(self, what)))
        names = [self.input_name, *(p.name for p in self.populations)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two populations are called {name!r}")
        for what in ("channels", "dt_us", "steps"):
            if getattr(self, what) < 1:
                raise ValueError(f"{what} must be at least 1, not {getattr(self, what)}")
        if self.units < self.channels:
            raise ValueError(f"units must be at least {self.channels}, not {self.units}")
        readouts = [p for p in self.populations if p.kind is Kind.READOUT]
        if len(readouts) != 1:
            raise ValueError(f"an image needs exactly one readout population, not {len(readouts)}")
        if self.labels and len(self.labels) != readouts[0].size:
            raise ValueError(
                f"labels must name the {readouts[0].size} readouts, not {len(self.labels)}"
            )

    def _check_population(self, population: Population) -> None:
        lif = self.chip.lif
        _fit(population.name, "threshold", population.threshold, lif.v)
        _fit(population.name, "bias", population.bias, lif.bias)
        _fit(population.name, "coefficient", population.coefficient, lif.coefficient)
        bad = np.flatnonzero(population.threshold < 1)
        if population.kind is Kind.LIF and bad.size:
            raise ValueError(
                f"{population.name}: threshold[{bad[0]}] = {population.threshold[bad[0]]} "
                "must be positive"
            )

    def _check_projection(self, projection: Projection) -> None:
        name, synapse = projection.name, self.chip.synapse
        if [p.name for p in self.projections].count(name) > 1:
            raise ValueError(f"two projections are called {name!r}")
        known = {p.name: p for p in self.populations}
        if projection.post not in known:
            raise ValueError(f"{name}: there is no population {projection.post!r} to project to")
        if projection.pre != self.input_name and (
            projection.pre not in known or known[projection.pre].kind is Kind.READOUT
        ):
            raise ValueError(f"{name}: there is no spiking population {projection.pre!r}")
        shape = (known[projection.post].size, self.source_size(projection))
        if projection.weights.shape != shape:
            raise ValueError(
                f"{name}: weights must have shape (post, pre) = {shape}, "
                f"not {projection.weights.shape}"
            )
        _fit(name, "weights", projection.weights, synapse.weight)
        if not synapse.scale.holds(projection.scale):
            raise ValueError(f"{name}: scale = {projection.scale} does not fit {synapse.scale}")
        self._check_delays(projection)

    def _check_delays(self, projection: Projection) -> None:
        name, chip = projection.name, self.chip
        if not 0 <= projection.resolution <= 15:
            raise ValueError(
                f"{name}: resolution must be between 0 and 15, not {projection.resolution}"
            )
        if projection.delay is Delay.AXONAL:
            fmt, built = chip.axon.delay, chip.axon.delays > 0
        else:
            fmt = chip.synapse.delay
            built = {
                Delay.NONE: True,
                Delay.DENDRITIC: chip.synapse.dendritic > 0,
                Delay.SYNAPTIC: chip.synapse.synaptic,
            }[projection.delay]
        if not built:
            raise ValueError(f"{name}: the chip is built without {projection.delay} delays")
        _fit(name, "delays", projection.delays, fmt)
        if projection.delay is Delay.NONE:
            _fit(name, "delays", projection.delays, Format(1, signed=False))
            if projection.delays.any():
                raise ValueError(f"{name}: delays must be 0 where the delay mode is none")
        reach = int(projection.delays.max(initial=0)) << projection.resolution
        if projection.delay is Delay.AXONAL:
            reach += self.age(projection)
            what, depth = "axon.neuron_steps", chip.axon.neuron_steps
            if projection.pre == self.input_name:
                what, depth = "axon.channel_steps", chip.axon.channel_steps
        else:
            what, depth = "synapse.slots", chip.synapse.slots
        if reach >= depth:
            raise ValueError(
                f"{name}: a delay of {reach} ticks needs {what} > {reach}, and the chip has {depth}"
            )

    def _check_capacities(self) -> None:
        chip, lanes = self.chip, self.chip.lanes
        blocks = {p.name: -(-p.size // lanes) for p in self.populations}
        axonal = sum(p.delays.size for p in self.projections if p.delay is Delay.AXONAL)
        dendritic = sum(blocks[p.post] for p in self.projections if p.delay is Delay.DENDRITIC)
        synapses = sum(self.source_size(p) * blocks[p.post] for p in self.projections)
        for what, needed, there in (
            ("channels", self.channels, chip.channels),
            ("neurons", sum(blocks.values()) * lanes, chip.neurons),
            ("populations", len(self.populations), chip.populations),
            ("projections", len(self.projections), chip.projections),
            ("synapses", synapses, chip.synapses),
            ("axon.delays", axonal, chip.axon.delays),
            ("synapse.dendritic", dendritic, chip.synapse.dendritic),
            ("readout.classes", self.readout.size, chip.readout.classes),
        ):
            if needed > there:
                raise ValueError(f"the network needs {what} = {needed}, and the chip has {there}")

    def _check_accumulators(self) -> None:
        """Every sum fits: no weight pattern and no event count can overflow an accumulator."""
        fmt = self.chip.synapse.acc
        for population in self.populations:
            low = np.zeros(population.size, object)
            high = np.zeros(population.size, object)
            for projection in self.projections:
                if projection.post != population.name:
                    continue
                count = self.chip.axon.count.max if projection.pre == self.input_name else 1
                times = count << projection.scale
                low += _sums(np.minimum(projection.weights, 0)) * times
                high += _sums(np.maximum(projection.weights, 0)) * times
            for j in np.flatnonzero((low < fmt.min) | (high > fmt.max))[:1]:
                raise ValueError(
                    f"{population.name}: neuron {j} can receive {low[j]} to {high[j]} in one tick, "
                    f"which does not fit synapse.acc = {fmt}"
                )

    @property
    def readout(self) -> Population:
        """The readout population."""
        return next(p for p in self.populations if p.kind is Kind.READOUT)

    def source_size(self, projection: Projection) -> int:
        """Count the sources of `projection`."""
        if projection.pre == self.input_name:
            return self.channels
        return next(p.size for p in self.populations if p.name == projection.pre)

    def age(self, projection: Projection) -> int:
        """Youngest age at which `projection` can see a spike: 0 feed-forward, 1 recurrent."""
        order = [self.input_name, *(p.name for p in self.populations)]
        return int(order.index(projection.pre) >= order.index(projection.post))

    def steps_of(self, projection: Projection) -> Integers:
        """Return the ticks from emission to integration, int64[post, pre]."""
        ticks = self.age(projection) + (projection.delays << projection.resolution)
        if projection.delay is Delay.DENDRITIC:
            ticks = ticks[:, None]
        return np.broadcast_to(ticks, projection.weights.shape)
