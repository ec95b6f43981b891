"""What is loaded into a chip: integers that fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from datapath.chip import Chip, choice
from datapath.format import Format
from datapath.integers import Integers, fit, integers, whole
from datapath.learning import Learning, check_learning


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
    current_coefficient : int64[size] in `current.coefficient`, on a chip with currents.
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
    current_coefficient: Integers | None = None

    def __post_init__(self) -> None:
        _named("population", self.name)
        object.__setattr__(self, "size", whole(f"{self.name}: size", self.size))
        if self.size < 1:
            raise ValueError(f"{self.name}: size must be at least 1, not {self.size}")
        for name in ("threshold", "bias", "coefficient", "current_coefficient"):
            if getattr(self, name) is not None:
                array = integers(self.name, name, getattr(self, name), (self.size,))
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
            object.__setattr__(self, what, whole(f"{self.name}: {what}", getattr(self, what)))
        object.__setattr__(self, "delay", choice(f"{self.name}: delay", self.delay, Delay))
        post, pre = shape
        of_delays = {
            Delay.NONE: (),
            Delay.AXONAL: (pre,),
            Delay.DENDRITIC: (post,),
            Delay.SYNAPTIC: (post, pre),
        }[self.delay]
        weights = integers(self.name, "weights", self.weights, (post, pre))
        object.__setattr__(self, "weights", weights)
        delays = integers(self.name, "delays", self.delays, of_delays)
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
    learning: Learning | None = None

    def __post_init__(self) -> None:
        self._check_sizes()
        for population in self.populations:
            self._check_population(population)
        for projection in self.projections:
            self._check_projection(projection)
        if self.learning is not None:
            check_learning(self, self.learning)
        self._check_capacities()
        self._check_accumulators()

    def _check_sizes(self) -> None:
        _named("population", self.input_name)
        for what in ("channels", "units", "dt_us", "steps"):
            object.__setattr__(self, what, whole(what, getattr(self, what)))
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
        fit(population.name, "threshold", population.threshold, lif.v)
        fit(population.name, "bias", population.bias, lif.bias)
        fit(population.name, "coefficient", population.coefficient, lif.coefficient)
        self._check_current(population)
        bad = np.flatnonzero(population.threshold < 1)
        if population.kind is Kind.LIF and bad.size:
            raise ValueError(
                f"{population.name}: threshold[{bad[0]}] = {population.threshold[bad[0]]} "
                "must be positive"
            )

    def _check_current(self, population: Population) -> None:
        name, current = population.name, self.chip.current
        if current is None:
            if population.current_coefficient is not None:
                raise ValueError(
                    f"{name}: current_coefficient must be None, because the chip is built without "
                    "synaptic currents"
                )
            return
        if population.current_coefficient is None:
            raise ValueError(
                f"{name}: current_coefficient must say how its current leaks, because the chip is "
                "built with synaptic currents"
            )
        fit(name, "current_coefficient", population.current_coefficient, current.coefficient)

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
        fit(name, "weights", projection.weights, synapse.weight)
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
        fit(name, "delays", projection.delays, fmt)
        if projection.delay is Delay.NONE:
            fit(name, "delays", projection.delays, Format(1, signed=False))
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
        if self.learning is not None:
            random = (rule.feedback is not None for rule in self.learning.populations)
            sizes = (p.size for p, own in zip(self.populations, random, strict=True) if own)
            synapses += sum(sizes) * blocks[self.readout.name]
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
                least, most = self._extremes(projection)
                low += _sums(np.minimum(least, 0)) * times
                high += _sums(np.maximum(most, 0)) * times
            for j in np.flatnonzero((low < fmt.min) | (high > fmt.max))[:1]:
                raise ValueError(
                    f"{population.name}: neuron {j} can receive {low[j]} to {high[j]} in one tick, "
                    f"which does not fit synapse.acc = {fmt}"
                )

    def _extremes(self, projection: Projection) -> tuple[Integers, Integers]:
        """Return the smallest and the largest weights that `projection` can ever have."""
        if self.learning is not None:
            rule = self.learning.projections[self.projections.index(projection)]
            if rule.weights:
                fmt = self.chip.synapse.weight
                shape = projection.weights.shape
                return np.full(shape, fmt.min, np.int64), np.full(shape, fmt.max, np.int64)
        return projection.weights, projection.weights

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
