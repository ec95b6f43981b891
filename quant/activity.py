"""What happens on a chip while it works on recordings, counted source by source.

All of it is counted from the counts that go in and the spikes that the emulator gives back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datapath import Delay, Image, Kind, Projection
from emulator.chip import Run, run
from quant.calibrate import Counts, taken

BATCH = 32
"""Recordings whose spikes are held at a time."""

Progress = Callable[[int, int], None]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a projection carries.

    deliveries : sources served, rows of weights read.  effective : synapses reached whose weight is
    not 0.  multiplied : those of them in ticks in which some source had a count above 1.
    dense : synapses times ticks.
    """

    name: str
    deliveries: int
    effective: int
    multiplied: int
    dense: int


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """What R recordings of `steps` ticks have made happen.

    events : EVENT commands.  projections : in table order.  spikes : of all LIF neurons.
    neurons : LIF neurons.  waiting : by population, the most spikes that were under way to any of
    its targets at the same time; by `image.input_name` the most (channel, tick) pairs with counts.
    cycles : int64[R, steps] of the ticks.  total_cycles : int64[R] with their events and CLEAR.
    """

    recordings: int
    steps: int
    events: int
    projections: tuple[Reach, ...]
    spikes: int
    neurons: int
    waiting: dict[str, int]
    cycles: Integers
    total_cycles: Integers


def activity(image: Image, counts: Counts, progress: Progress | None = None) -> Activity:
    """Run recordings and count what they make happen.

    counts : integers[recordings, steps, channels].  progress : called with (recordings done,
    recordings).
    """
    if not len(counts):
        raise ValueError("the activity of a chip needs at least one recording")
    parts = []
    for first in range(0, len(counts), BATCH):
        given = taken(image, counts[first : first + BATCH])
        parts.append(_part(image, given, run(image, given, record=("spikes",))))
        if progress is not None:
            progress(min(first + BATCH, len(counts)), len(counts))
    return Activity(
        recordings=len(counts),
        steps=counts.shape[1],
        events=sum(p.events for p in parts),
        projections=tuple(
            Reach(
                reaches[0].name,
                *(
                    sum(getattr(r, what) for r in reaches)
                    for what in ("deliveries", "effective", "multiplied", "dense")
                ),
            )
            for reaches in zip(*(p.projections for p in parts), strict=True)
        ),
        spikes=sum(p.spikes for p in parts),
        neurons=parts[0].neurons,
        waiting={name: max(p.waiting[name] for p in parts) for name in parts[0].waiting},
        cycles=np.concatenate([p.cycles for p in parts]),
        total_cycles=np.concatenate([p.total_cycles for p in parts]),
    )


def longest(image: Image, source: str) -> Integers:
    """Return the ticks that a spike of each neuron (or channel) of `source` is needed for, at most.

    int64[size]; 0 where no projection starts.
    """
    out = [p for p in image.projections if p.pre == source]
    size = image.source_size(out[0]) if out else 0
    ticks = np.zeros(size, np.int64)
    for projection in out:
        ticks = np.maximum(ticks, image.steps_of(projection).max(axis=0))
    return ticks


def _part(image: Image, counts: Counts, done: Run) -> Activity:
    sources: dict[str, Counts] = {image.input_name: counts}
    sources |= {name: spikes.astype(np.int64) for name, spikes in done.spikes.items()}
    lif = [p for p in image.populations if p.kind is Kind.LIF]
    return Activity(
        recordings=len(counts),
        steps=counts.shape[1],
        events=int(np.count_nonzero(counts)),
        projections=tuple(_reach(image, p, sources[p.pre]) for p in image.projections),
        spikes=sum(int(spikes.sum()) for spikes in done.spike_counts.values()),
        neurons=sum(p.size for p in lif),
        waiting={name: _waiting(image, name, emitted) for name, emitted in sources.items()},
        cycles=done.cycles,
        total_cycles=done.total_cycles,
    )


def _reach(image: Image, projection: Projection, emitted: Counts) -> Reach:
    """Count what arrives from `emitted`, integers[recordings, steps, sources]."""
    served = np.zeros(emitted.shape, np.int64)
    late = np.full(emitted.shape[2], image.age(projection))
    if projection.delay is Delay.AXONAL:
        late = late + (projection.delays << projection.resolution)
    # A row is read when the delay of its axon is over; its synapses' own delays come afterwards.
    for ticks in np.unique(late):
        where, until = late == ticks, max(0, emitted.shape[1] - ticks)
        served[:, ticks:, where] = emitted[:, :until, where]
    active = served > 0
    reached = active @ np.count_nonzero(projection.weights, axis=0)
    several = (served > 1).any(axis=2)
    return Reach(
        projection.name,
        deliveries=int(active.sum()),
        effective=int(reached.sum()),
        multiplied=int(reached[several].sum()),
        dense=projection.weights.size * active.shape[0] * active.shape[1],
    )


def _waiting(image: Image, source: str, emitted: Counts) -> int:
    """Count the most spikes of `source` that are still needed at the end of a tick."""
    ticks = longest(image, source)
    if not ticks.size:
        return 0
    under_way = np.zeros(emitted.shape[:2], np.int64)
    sums = np.cumsum(emitted > 0, axis=1)
    for reach in np.unique(ticks):
        of = sums[:, :, ticks == reach].sum(axis=2)
        under_way += of
        under_way[:, reach + 1 :] -= of[:, : max(0, of.shape[1] - reach - 1)]
    return int(under_way.max())
