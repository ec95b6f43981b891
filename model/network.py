"""The float network: populations in update order, joined by projections with delays."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]
MAX_WHOLE = 2**31 - 1


class Delay(StrEnum):
    """Which side of a projection owns its delays."""

    NONE = "none"
    AXONAL = "axonal"
    DENDRITIC = "dendritic"
    SYNAPTIC = "synaptic"

    def shape(self, post: int, pre: int) -> tuple[int, ...]:
        """Return the shape of the delays of a projection of `post` times `pre` synapses."""
        return {
            Delay.NONE: (),
            Delay.AXONAL: (pre,),
            Delay.DENDRITIC: (post,),
            Delay.SYNAPTIC: (post, pre),
        }[self]


class Reset(StrEnum):
    """What a spike does to its membrane, in the tick of the spike and before the next leak."""

    SUBTRACT = "subtract"
    ZERO = "zero"


class Compare(StrEnum):
    """When a membrane fires: at its threshold, or only above it."""

    GE = ">="
    GT = ">"


def _floats(owner: str, name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Read-only float64 copy of `value`, a scalar being spread over `shape`; all finite."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{owner}: {name} must be an array of real numbers") from None
    if array.ndim == 0:
        array = np.full(shape, array[()])
    if array.shape != shape:
        raise ValueError(f"{owner}: {name} must have shape {shape}, not {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        where = ", ".join(str(int(n)) for n in np.unravel_index(int(bad[0]), shape))
        raise ValueError(f"{owner}: {name}[{where}] = {array.flat[bad[0]]} is not a finite number")
    array.flags.writeable = False
    return array


def _named(kind: str, name: str) -> None:
    # Names become member names of a file, where both slashes and control characters mislead.
    if not name or not name.isprintable() or "/" in name or "\\" in name:
        raise ValueError(
            f"a {kind}'s name must be printable, not empty and without slashes, not {name!r}"
        )


def _whole(owner: str, name: str, value: SupportsIndex, least: int) -> int:
    """`value` as an int between `least` and the largest int32, which every kernel can hold."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{owner}: {name} must be a whole number, not {value!r}") from None
    if number < least:
        raise ValueError(f"{owner}: {name} must be at least {least}, not {number}")
    if number > MAX_WHOLE:
        raise ValueError(f"{owner}: {name} must be at most {MAX_WHOLE}, not {number}")
    return number


def _decaying(owner: str, name: str, alpha: Floats) -> None:
    bad = np.flatnonzero((alpha < 0) | (alpha > 1))
    if bad.size:
        raise ValueError(f"{owner}: {name}[{bad[0]}] = {alpha[bad[0]]} must be between 0 and 1")


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """Channels that carry event counts from outside.

    units : number of front-end units summed into the `size` channels (700 for SHD); equal to
        `size` when channels are units.
    """

    name: str
    size: int
    units: int

    def __post_init__(self) -> None:
        _named("population", self.name)
        object.__setattr__(self, "size", _whole(self.name, "size", self.size, 1))
        object.__setattr__(self, "units", _whole(self.name, "units", self.units, self.size))

    @property
    def units_per_channel(self) -> int:
        """Neighbouring units that one channel sums (the last channel may have fewer)."""
        return -(-self.units // self.size)


@dataclass(frozen=True, slots=True, eq=False)
class Lif:
    """Leaky integrate-and-fire neurons, with a synaptic current (CUBA-LIF) or without.

    i[t] = alpha_syn i[t-1] + sum(w s[t-n]);  u[t] = alpha u[t-1] + i[t] + bias;
    z[t] = u[t] >= threshold, or >;  then the reset of fired neurons: u -= threshold, or u = 0.
    i[-1] = u[-1] = 0.

    alpha, threshold, bias, alpha_syn : float64[size], per step; a scalar is spread over all
        neurons.  exp(-dt/tau) or 1 - dt/tau: whoever makes the population states alpha, so no
        integration scheme is implied.  alpha_syn 0, for all: no current, plain LIF.
    """

    name: str
    size: int
    alpha: Floats
    threshold: Floats
    bias: Floats
    reset: Reset = Reset.SUBTRACT
    compare: Compare = Compare.GE
    alpha_syn: Floats = field(default_factory=lambda: np.zeros(()))

    def __post_init__(self) -> None:
        _named("population", self.name)
        object.__setattr__(self, "size", _whole(self.name, "size", self.size, 1))
        for name in ("alpha", "threshold", "bias", "alpha_syn"):
            array = _floats(self.name, name, getattr(self, name), (self.size,))
            object.__setattr__(self, name, array)
        object.__setattr__(self, "reset", Reset(self.reset))
        object.__setattr__(self, "compare", Compare(self.compare))
        for name in ("alpha", "alpha_syn"):
            _decaying(self.name, name, getattr(self, name))
        bad = np.flatnonzero(self.threshold <= 0)
        if bad.size:
            raise ValueError(
                f"{self.name}: threshold[{bad[0]}] = {self.threshold[bad[0]]} must be positive"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """Leaky integrators that never fire; the class is the argmax of y summed over time.

    i[t] = alpha_syn i[t-1] + sum(w s[t-n]);  y[t] = alpha y[t-1] + i[t] + bias;  i[-1] = y[-1] = 0.
    alpha, bias, alpha_syn : float64[size], per step; alpha_syn 0, for all: no current.
    """

    name: str
    size: int
    alpha: Floats
    bias: Floats
    alpha_syn: Floats = field(default_factory=lambda: np.zeros(()))

    def __post_init__(self) -> None:
        _named("population", self.name)
        object.__setattr__(self, "size", _whole(self.name, "size", self.size, 1))
        for name in ("alpha", "bias", "alpha_syn"):
            array = _floats(self.name, name, getattr(self, name), (self.size,))
            object.__setattr__(self, name, array)
        for name in ("alpha", "alpha_syn"):
            _decaying(self.name, name, getattr(self, name))


Population = Input | Lif | Readout


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """All synapses from one population to another.

    weights : float64[post, pre].  delays : float64, in steps, shape () for `none`, (pre,) for
    `axonal`, (post,) for `dendritic`, (post, pre) for `synaptic`: the real-valued master delay;
    what is applied is `Network.steps_of`.  A delay is the number of steps between the step of
    emission and the step of integration, so a recurrent one counts its unavoidable step.
    max_delay : largest applied delay in steps.
    """

    name: str
    pre: str
    post: str
    weights: Floats
    delay: Delay
    delays: Floats
    max_delay: int

    def __post_init__(self) -> None:
        _named("projection", self.name)
        weights = np.asarray(self.weights)
        if weights.ndim != 2:
            raise ValueError(
                f"{self.name}: weights must have shape (post, pre), not {weights.shape}"
            )
        object.__setattr__(self, "delay", Delay(self.delay))
        post, pre = weights.shape
        shape = self.delay.shape(post, pre)
        object.__setattr__(self, "weights", _floats(self.name, "weights", weights, (post, pre)))
        object.__setattr__(self, "delays", _floats(self.name, "delays", self.delays, shape))
        largest = _whole(self.name, "max_delay", self.max_delay, 0)
        object.__setattr__(self, "max_delay", largest)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A float network; populations are updated in the order given.

    A projection whose post population comes after its pre population is feed-forward
    (delay >= 0); any other is recurrent (delay >= 1).

    dt_ms : length of one step in ms.  steps : length of one recording in steps.
    labels : class names in readout order (may be empty).  provenance : how it was made, plain
    strings and numbers.
    """

    dt_ms: float
    steps: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    labels: tuple[str, ...] = ()
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.dt_ms) and self.dt_ms > 0):
            raise ValueError(f"dt_ms must be a positive number, not {self.dt_ms}")
        object.__setattr__(self, "steps", _whole("network", "steps", self.steps, 1))
        sizes: dict[str, int] = {}
        for population in self.populations:
            if population.name in sizes:
                raise ValueError(f"two populations are called {population.name!r}")
            sizes[population.name] = population.size
        kinds = [type(p) for p in self.populations]
        if kinds.count(Input) != 1 or kinds.count(Readout) != 1:
            raise ValueError(
                "a network needs exactly one input and one readout population, "
                f"not {kinds.count(Input)} and {kinds.count(Readout)}"
            )
        names: set[str] = set()
        for projection in self.projections:
            if projection.name in names:
                raise ValueError(f"two projections are called {projection.name!r}")
            names.add(projection.name)
            self._check(projection, sizes)
        if self.labels and len(self.labels) != self.readout.size:
            raise ValueError(
                f"labels must name the {self.readout.size} readouts, not {len(self.labels)}"
            )

    def _check(self, projection: Projection, sizes: Mapping[str, int]) -> None:
        for end in (projection.pre, projection.post):
            if end not in sizes:
                raise ValueError(f"{projection.name}: there is no population {end!r}")
        shape = (sizes[projection.post], sizes[projection.pre])
        if projection.weights.shape != shape:
            raise ValueError(
                f"{projection.name}: weights must have shape (post, pre) = {shape}, "
                f"not {projection.weights.shape}"
            )
        if isinstance(self.population(projection.post), Input):
            raise ValueError(f"{projection.name}: the input population cannot receive spikes")
        if isinstance(self.population(projection.pre), Readout):
            raise ValueError(f"{projection.name}: the readout population emits no spikes")
        if projection.max_delay < self.min_delay(projection):
            raise ValueError(
                f"{projection.name}: max_delay must be at least {self.min_delay(projection)}, "
                f"not {projection.max_delay}"
            )

    @property
    def input(self) -> Input:
        """The input population."""
        return next(p for p in self.populations if isinstance(p, Input))

    @property
    def readout(self) -> Readout:
        """The readout population."""
        return next(p for p in self.populations if isinstance(p, Readout))

    def population(self, name: str) -> Population:
        """Find the population called `name`."""
        return next(p for p in self.populations if p.name == name)

    def min_delay(self, projection: Projection) -> int:
        """0 for a feed-forward projection, 1 for a recurrent one."""
        order = [p.name for p in self.populations]
        return int(order.index(projection.pre) >= order.index(projection.post))

    def steps_of(self, projection: Projection) -> Steps:
        """Return the applied delays n = clamp(round(d), min_delay, max_delay), half to even.

        Returns
        -------
        int64[post, pre], in steps (a read-only broadcast unless the delays are synaptic).
        """
        n = np.clip(
            np.rint(projection.delays), self.min_delay(projection), projection.max_delay
        ).astype(np.int64)
        if projection.delay is Delay.DENDRITIC:
            n = n[:, None]
        return np.broadcast_to(n, projection.weights.shape)

    @property
    def has_currents(self) -> bool:
        """Whether any neuron has a synaptic current."""
        return any(bool(p.alpha_syn.any()) for p in self.populations if not isinstance(p, Input))

    @property
    def parameters(self) -> int:
        """Trainable numbers: weights, delays (where there is a delay mode) and biases."""
        synapses = sum(
            p.weights.size + (p.delays.size if p.delay is not Delay.NONE else 0)
            for p in self.projections
        )
        return synapses + sum(p.size for p in self.populations if not isinstance(p, Input))
