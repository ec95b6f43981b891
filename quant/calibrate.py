"""How far membranes swing and how often sources emit: seen in data, or bounded by the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datapath import Delay, Image
from model import Activity, Input, Lif, Network, Readout, Reset, simulate
from model.network import Floats, Population, Projection
from model.simulation import check_counts
from quant.delays import applied_steps

Counts = NDArray[np.integer]

ASSUMED_RATE = 0.05
"""Events per source and step where there is no data to count them."""

BATCH = 64
"""Recordings whose membranes are held in memory at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """What a mapping has to make room for; float units, per step.

    span : by integrating population, float64[size], |u| before the reset that must fit.
    score : largest |sum of a readout membrane over the steps so far|.
    rates : by emitting population, float64[size], mean events per step.
    fired : by LIF population, int64[size], spikes in all of the data; empty without data.
    recordings : of the data, 0 if the span is a bound from the weights.
    largest_count : of one channel in one step of the data.
    """

    span: Mapping[str, Floats]
    score: float
    rates: Mapping[str, Floats]
    fired: Mapping[str, NDArray[np.int64]]
    recordings: int
    largest_count: int


def bounded(network: Network, largest_count: int) -> Ranges:
    """Return ranges that no input can exceed, and assumed rates.

    Every source emits in every step, an input channel `largest_count` events; a neuron receives
    its positive or its negative weights alone, and a leak sums up the geometric series.
    """
    span: dict[str, Floats] = {}
    rates = {}
    for population in network.populations:
        if not isinstance(population, Readout):
            rates[population.name] = np.full(population.size, ASSUMED_RATE)
        if isinstance(population, Input):
            continue
        up, down = np.maximum(population.bias, 0), np.maximum(-population.bias, 0)
        flow, _ = gains(population.alpha_syn, network.steps)
        for projection in network.projections:
            if projection.post == population.name:
                count = largest_count if projection.pre == network.input.name else 1
                up = up + flow * count * np.maximum(projection.weights, 0).sum(axis=1)
                down = down + flow * count * np.maximum(-projection.weights, 0).sum(axis=1)
        steady, _ = gains(population.alpha, network.steps)
        span[population.name] = np.maximum(up, down) * steady
    score = network.steps * float(span[network.readout.name].max())
    return Ranges(span, score, rates, {}, 0, 0)


def taken(image: Image, counts: Counts) -> Counts:
    """Return what the channels of `image` take of `counts`: a chip refuses more in a tick."""
    return np.minimum(counts, image.chip.axon.count.max).astype(counts.dtype)


def gains(alpha: Floats, steps: int) -> tuple[Floats, Floats]:
    """Return what a leaky sum makes of a constant, and of the square of white noise."""
    with np.errstate(divide="ignore"):
        steady = np.minimum(1 / (1 - alpha), steps)
        white = np.minimum(1 / (1 - alpha**2), steps)
    return steady, white


def flow_gains(alpha: Floats, alpha_syn: Floats, steps: int) -> tuple[Floats, Floats]:
    """Return what current and membrane, one behind the other, make of a constant and of noise."""
    (steady, white), (flow, noise) = gains(alpha, steps), gains(alpha_syn, steps)
    both = alpha * alpha_syn
    with np.errstate(divide="ignore"):
        coloured = np.minimum((1 + both) / (1 - both), 2.0 * steps)
    return steady * flow, white * noise * coloured


def observed(network: Network, counts: Counts, saturation: float) -> Ranges:
    """Simulate `network` on `counts` and return what it needs.

    The spans of a LIF population are in proportion to its thresholds and leave out the share
    `saturation` of its updates; those of a readout are equal.
    """
    check_counts(network, counts)
    if len(counts) == 0:
        raise ValueError("calibration must hold at least one recording")
    seen = _Seen(network, saturation, counts.shape[0] * counts.shape[1])
    mirrored = with_mirrors(network)
    for first in range(0, len(counts), BATCH):
        part = counts[first : first + BATCH]
        seen.add(simulate(mirrored, part, record=("spikes", "membranes", "readout")))
    updates = counts.shape[0] * counts.shape[1]
    rates = {name: fired / updates for name, fired in seen.fired.items()}
    return Ranges(
        span=seen.span(),
        score=seen.score,
        rates={**rates, network.input.name: counts.mean(axis=(0, 1), dtype=np.float64)},
        fired=seen.fired,
        recordings=len(counts),
        largest_count=int(counts.max(initial=0)),
    )


class _Seen:
    """The largest membranes so far, in thresholds (of a readout: in its own unit)."""

    def __init__(self, network: Network, saturation: float, updates: int) -> None:
        self.network = network
        self.largest = {
            p.name: np.zeros(1 + int(saturation * updates * p.size))
            for p in network.populations
            if not isinstance(p, Input)
        }
        self.fired = {
            p.name: np.zeros(p.size, np.int64) for p in network.populations if isinstance(p, Lif)
        }
        self.score = 0.0

    def add(self, activity: Activity) -> None:
        for population in self.network.populations:
            if isinstance(population, Lif):
                u = before_reset(population, activity)
                self._keep(population.name, u / population.threshold)
                self.fired[population.name] += activity.spike_counts[population.name].sum(axis=0)
        self._keep(self.network.readout.name, activity.readout)
        score = np.abs(np.cumsum(activity.readout, axis=1)).max(initial=0.0)
        self.score = max(self.score, float(score))

    def _keep(self, name: str, u: Floats) -> None:
        # The smallest of those kept is the largest once the allowed share is left out.
        kept = self.largest[name]
        both = np.concatenate([kept, np.abs(u).ravel()])
        self.largest[name] = np.partition(both, len(both) - len(kept))[-len(kept) :]

    def span(self) -> dict[str, Floats]:
        spans = {}
        for population in self.network.populations:
            if isinstance(population, Input):
                continue
            unit = population.threshold if isinstance(population, Lif) else 1.0
            spans[population.name] = np.full(population.size, self.largest[population.name].min())
            spans[population.name] *= unit
        return spans


def before_reset(population: Lif, activity: Activity) -> Floats:
    """Return u before the reset, float64[recordings, steps, size].

    activity : of the network `with_mirrors`, spikes and membranes recorded.
    """
    v = activity.membranes[population.name]
    if population.reset is Reset.SUBTRACT:
        return v + activity.spikes[population.name] * population.threshold
    leaked = np.zeros_like(v)
    leaked[:, 1:] = population.alpha * v[:, :-1]
    return leaked + activity.membranes[_mirror(population.name)]


def _mirror(name: str) -> str:
    return f"{name} (drive)"


def with_mirrors(network: Network) -> Network:
    """Add a memoryless, silent twin to every population whose reset hides u: it holds the drive."""
    populations: list[Population] = []
    projections: list[Projection] = list(network.projections)
    for population in network.populations:
        populations.append(population)
        if not isinstance(population, Lif) or population.reset is Reset.SUBTRACT:
            continue
        twin = _mirror(population.name)
        still, silent = np.zeros(population.size), np.full(population.size, np.finfo(float).max)
        drive = Lif(twin, population.size, still, silent, population.bias, Reset.ZERO)
        populations.append(replace(drive, alpha_syn=population.alpha_syn))
        for projection in network.projections:
            if projection.post == population.name:
                # The twin comes later, so that delays are no longer held at one step or more.
                mode = Delay(projection.delay)
                steps = applied_steps(network, projection, mode).astype(np.float64)
                projections.append(
                    replace(projection, name=_mirror(projection.name), post=twin, delays=steps)
                )
    return replace(network, populations=tuple(populations), projections=tuple(projections))
