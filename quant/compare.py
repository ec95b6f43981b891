"""Emulated chip against float network, population by population.

Measures, over recordings r, steps t and neurons j; s are spikes (0 or 1), N their number:

- differing: the share of all (r, t, j) with s_float != s_chip.
- count difference: mean over (r, j) of abs(N_float - N_chip).
- van Rossum distance (van Rossum, A Novel Spike Distance, Neural Computation 13, 2001): with
  x[t] = q x[t-1] + s_float[t] - s_chip[t], q = exp(-dt/tau), the distance of two trains is
  D2 = (1 - q**2) / 2 * sum over t >= 0 of x[t]**2, the sum going on after the last step: 1/2 for
  one spike against none, D2 = (N_float + N_chip) / 2 for trains far apart.  Given is the mean over
  (r, j), and `unlike`, the sum of D2 over that of (N_float + N_chip) / 2: 0 for equal trains, about
  1 for unrelated sparse ones.
- membrane error: v_chip / scale - v_float after the reset, in thresholds (of a readout: in root
  mean squares of the float readout).  `early` counts only the steps of a recording before the first
  differing spike of any neuron: arithmetic alone, before its consequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from datapath import Image
from emulator.chip import Run, run
from model import Activity, Lif, Network, simulate
from model.network import Floats
from quant.calibrate import BATCH, Counts, taken
from quant.cost import Cycles, cycles_per_tick
from quant.evaluate import Progress
from quant.loss import Loss
from quant.plan import Integrating, integrating

EDGES = np.linspace(-1.0, 1.0, 81)
"""Edges of the bins of a membrane error; what is beyond them goes into the outermost bins."""


@dataclass(frozen=True, slots=True)
class MembraneError:
    """Error of the membranes of one population, in its unit; `early` as above.

    histogram : updates in each bin of `EDGES`.
    """

    mean: float
    rms: float
    early_rms: float
    early_updates: int
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpikeError:
    """Difference of the spike trains of one population (see the top of the file)."""

    float_rate_hz: float
    chip_rate_hz: float
    differing: float
    count_difference: float
    van_rossum: float
    unlike: float
    silent_float: int
    silent_chip: int


@dataclass(frozen=True, slots=True)
class PopulationComparison:
    """One population; `spikes` is None for a readout."""

    name: str
    size: int
    spikes: SpikeError | None
    membrane: MembraneError
    saturated: int
    updates: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Emulated chip against float network.

    agreement : share of the recordings with the same class.  saturated_counts : input counts
    beyond what a channel takes in a tick.  cycles : of all ticks.
    """

    recordings: int
    steps: int
    tau_ms: float
    agreement: float
    saturated_counts: int
    populations: tuple[PopulationComparison, ...]
    cycles: Cycles


def compare(
    network: Network,
    image: Image,
    loss: Loss,
    counts: Counts,
    *,
    tau_ms: float = 20.0,
    progress: Progress | None = None,
) -> Comparison:
    """Run both on `counts`, recording everything, and measure how far they are apart.

    Parameters
    ----------
    loss : of `image`, for the scales of its membranes.
    counts : integers[recordings, steps, channels].
    tau_ms : time constant of the van Rossum distance.
    progress : called with (recordings done, recordings).

    Raises
    ------
    ValueError
        counts do not fit the network, or there are none; loss and network are not of one mapping.
    """
    if not len(counts):
        raise ValueError("a comparison needs at least one recording")
    if not 0 < tau_ms < float("inf"):
        raise ValueError(f"tau_ms must be positive, not {tau_ms}")
    for population in integrating(network):
        if len(loss.population(population.name).scale) != population.size:
            raise ValueError(f"the loss is not of this network: {population.name} differs in size")
    tallies = [_Tally(p, network, loss, tau_ms) for p in integrating(network)]
    cycles, same = [], 0
    for first in range(0, len(counts), BATCH):
        part = counts[first : first + BATCH]
        wanted = simulate(network, part, record=("spikes", "membranes", "readout"))
        got = run(image, taken(image, part), record=("spikes", "membranes"))
        early = _early(network, wanted, got)
        for tally in tallies:
            tally.add(wanted, got, early)
        cycles.append(got.cycles)
        same += int((wanted.classes == got.classes).sum())
        if progress is not None:
            progress(min(first + BATCH, len(counts)), len(counts))
    return Comparison(
        recordings=len(counts),
        steps=network.steps,
        tau_ms=tau_ms,
        agreement=same / len(counts),
        saturated_counts=int((counts > image.chip.axon.count.max).sum()),
        populations=tuple(tally.result(len(counts)) for tally in tallies),
        cycles=cycles_per_tick(np.concatenate(cycles)),
    )


def _early(network: Network, wanted: Activity, got: Run) -> NDArray[np.bool_]:
    """Mark the steps before the first differing spike of a recording, bool[recordings, steps]."""
    differs = np.zeros(wanted.readout.shape[:2], np.bool_)
    for population in network.populations:
        if isinstance(population, Lif):
            name = population.name
            differs |= (wanted.spikes[name] != got.spikes[name]).any(axis=2)
    early: NDArray[np.bool_] = ~np.maximum.accumulate(differs, axis=1)
    return early


class _Tally:
    """Running sums over the recordings for one population."""

    def __init__(
        self, population: Integrating, network: Network, loss: Loss, tau_ms: float
    ) -> None:
        self.population, self.network = population, network
        self.scale = np.array(loss.population(population.name).scale)
        self.unit = np.array(loss.population(population.name).unit)
        self.decay = exp(-network.dt_ms / tau_ms)
        self.updates = self.early_updates = self.saturated = 0
        self.error = self.square = self.early_square = self.float_square = 0.0
        self.bins = np.zeros(len(EDGES) - 1, np.int64)
        self.fired = np.zeros((2, population.size), np.int64)
        self.differing = self.apart = 0
        self.distance = 0.0

    def add(self, wanted: Activity, got: Run, early: NDArray[np.bool_]) -> None:
        name = self.population.name
        lif = isinstance(self.population, Lif)
        v = wanted.membranes[name] if lif else wanted.readout
        error = (got.membranes[name] / self.scale - v) / self.unit
        self.updates += error.size
        self.saturated += int(got.saturations[name].sum())
        self.error += float(error.sum())
        self.square += float((error**2).sum())
        self.float_square += float((v**2).sum())
        self.early_square += float((error[early] ** 2).sum())
        self.early_updates += int(early.sum()) * self.population.size
        if lif:
            # Rounding may put the outermost edge beyond a value clipped to it.
            inside = np.clip(error, np.nextafter(-1, 0), np.nextafter(1, 0))
            self.bins += np.histogram(inside, EDGES)[0]
            self._add_spikes(wanted.spikes[name], got.spikes[name])

    def _add_spikes(self, wanted: NDArray[np.bool_], got: NDArray[np.bool_]) -> None:
        self.differing += int((wanted != got).sum())
        numbers = wanted.sum(axis=1), got.sum(axis=1)
        self.fired += np.stack([n.sum(axis=0) for n in numbers])
        self.apart += int(np.abs(numbers[0] - numbers[1]).sum())
        self.distance += float(van_rossum(wanted, got, self.decay).sum())

    def result(self, recordings: int) -> PopulationComparison:
        lif = isinstance(self.population, Lif)
        # Readouts have no threshold: their unit is the root mean square of the float ones.
        unit = 1.0 if lif else np.sqrt(self.float_square / self.updates) or 1.0
        return PopulationComparison(
            name=self.population.name,
            size=self.population.size,
            spikes=self._spikes(recordings) if lif else None,
            membrane=MembraneError(
                mean=float(self.error / self.updates / unit),
                rms=float(np.sqrt(self.square / self.updates) / unit),
                early_rms=float(np.sqrt(self.early_square / max(1, self.early_updates)) / unit),
                early_updates=self.early_updates,
                histogram=tuple(int(n) for n in self.bins) if lif else (),
            ),
            saturated=self.saturated,
            updates=self.updates,
        )

    def _spikes(self, recordings: int) -> SpikeError:
        seconds = recordings * self.network.steps * self.network.dt_ms / 1000
        pairs = recordings * self.population.size
        rates = self.fired.sum(axis=1) / (seconds * self.population.size)
        return SpikeError(
            float_rate_hz=float(rates[0]),
            chip_rate_hz=float(rates[1]),
            differing=self.differing / self.updates,
            count_difference=self.apart / pairs,
            van_rossum=self.distance / pairs,
            unlike=2 * self.distance / max(1, int(self.fired.sum())),
            silent_float=int((self.fired[0] == 0).sum()),
            silent_chip=int((self.fired[1] == 0).sum()),
        )


def van_rossum(a: NDArray[np.bool_], b: NDArray[np.bool_], decay: float) -> Floats:
    """Return the van Rossum distances of spike trains along axis 1 (see the top of the file).

    a, b : bool[recordings, steps, neurons].  decay : q.

    Returns
    -------
    float64[recordings, neurons].
    """
    x = np.zeros((a.shape[0], a.shape[2]))
    total = np.zeros_like(x)
    for t in range(a.shape[1]):
        x = decay * x + (a[:, t].astype(np.float64) - b[:, t])
        total += x**2
    q2 = decay**2
    # After the last step x decays: the rest is a geometric series.
    distance: Floats = (1 - q2) / 2 * (total + x**2 * q2 / (1 - q2))
    return distance
