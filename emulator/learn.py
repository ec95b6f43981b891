"""Learning on the chip: recordings and labels in, a changed image out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
from numba import get_num_threads
from numpy.typing import ArrayLike, NDArray

from datapath import Delay, Image, Kind, Learn, Learning, Projection, ProjectionRule
from datapath.timing import EVENT, clear_cycles
from emulator.chip import checked, native, refuse, results_of
from emulator.kernels.events import list_events
from emulator.kernels.learning import credit, sweep, update
from emulator.kernels.recording import recordings
from emulator.kernels.rules import Layout, Sweep
from emulator.kernels.tables import FIRST, Events, Scratch, event_lists, scratch, tables
from emulator.records import LARGEST

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

SWEEPS = 8
"""Recordings per thread between two meetings of all threads."""

RECORDS = ("filtered", "signals", "slopes")
"""What can be kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What the chip has learned, what it answered meanwhile, and what that took.

    image : with the weights, delays, fractions, gradients and random states after the last UPDATE.
    classes : int64[recordings], the winner of the last tick.  scores : int64[recordings, classes].
    spike_counts : int64[recordings, size] of every population that fires.
    cycles : int64[recordings, steps], clocks of every TICK.  event_cycles, clear_cycles,
    learn_cycles : int64[recordings], clocks of all EVENTs, of the CLEAR and of the LEARN.
    update_cycles : int64[updates].
    saturated_ticks : bool[recordings, steps], what the END of every tick says.
    learn_saturated : bool[recordings], what the END of the LEARN says.

    Of every population that learns, where recorded, nothing being known of recordings without
    label: filtered, signals : int64[recordings, steps, size].  slopes : int64[recordings,
    steps + taps, size].
    """

    image: Image
    classes: Integers
    scores: Integers
    spike_counts: dict[str, Integers]
    cycles: Integers
    event_cycles: Integers
    clear_cycles: Integers
    learn_cycles: Integers
    update_cycles: Integers
    saturated_ticks: Flags
    learn_saturated: Flags
    filtered: dict[str, Integers]
    signals: dict[str, Integers]
    slopes: dict[str, Integers]

    @property
    def total_cycles(self) -> int:
        """Clocks of everything."""
        return sum(
            int(cycles.sum())
            for cycles in (
                self.clear_cycles,
                self.event_cycles,
                self.cycles,
                self.learn_cycles,
                self.update_cycles,
            )
        )


class _Own(NamedTuple):
    """What a thread has for itself."""

    scratch: Scratch
    events: Events
    trace: Integers  # int64[3, steps, neurons]
    scores: Integers  # int64[steps, classes]


def _learning(image: Image) -> tuple[Learning, Learn]:
    if image.learning is None or image.chip.learn is None:
        raise ValueError("learning: the image has no rules to learn by")
    return image.learning, image.chip.learn


def checked_labels(
    image: Image, shape: tuple[int, ...], labels: ArrayLike, batch: int | None
) -> Integers:
    """Refuse labels, recordings and batches that the chip does not take."""
    _, learn = _learning(image)
    recordings, steps, _ = shape
    if steps >= learn.steps:
        raise ValueError(
            f"counts: recordings have {steps} steps, and learn.steps = {learn.steps} remembers "
            f"{learn.steps - 1}: make the recordings shorter, or the steps longer"
        )
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape != (recordings,):
        raise ValueError(
            f"labels must be {recordings} integers, one per recording, "
            f"not {array.dtype} of shape {array.shape}"
        )
    classes = image.readout.size
    for n in np.flatnonzero((array < -1) | (array >= classes))[:1]:
        raise ValueError(
            f"labels: recording {n} has {array[n]}, and a label is 0 to {classes - 1}, "
            "or -1 for none"
        )
    return array.astype(np.int64)


class _Records:
    """What is kept of every sweep: int64[recordings, steps, size] by record and population."""

    def __init__(
        self, image: Image, record: Iterable[str], shape: tuple[int, int], first: Integers
    ) -> None:
        learning, _ = _learning(image)
        wanted = frozenset([record] if isinstance(record, str) else record)
        for name in sorted(wanted - set(RECORDS)):
            raise ValueError(f"record takes {', '.join(RECORDS)}, not {name!r}")
        self.taps = len(learning.taps)
        recordings, steps = shape
        self.spans = {
            p.name: slice(int(begin), int(begin) + p.size)
            for p, rule, begin in zip(image.populations, learning.populations, first, strict=False)
            if rule.learns
        }
        plan = {
            (name, p.name): (recordings, steps + self.taps * (name == "slopes"), p.size)
            for name in wanted
            for p in image.populations
            if p.name in self.spans
        }
        size = 8 * sum(math.prod(parts) for parts in plan.values())
        if size > LARGEST:
            raise ValueError(
                f"recording {', '.join(sorted(wanted))} of {recordings} recordings takes {size} "
                f"bytes, more than {LARGEST}: learn fewer recordings at a time"
            )
        self.arrays = {key: np.zeros(parts, np.int64) for key, parts in plan.items()}

    def keep(self, recording: int, s: Sweep) -> None:
        """Copy one sweep."""
        values = {
            "filtered": s.filtered,
            "signals": s.signals,
            "slopes": s.slope_rows.T[self.taps :],
        }
        for (name, population), array in self.arrays.items():
            ticks = array.shape[1]
            array[recording] = values[name][:ticks, self.spans[population]]

    def by_population(self, name: str) -> dict[str, Integers]:
        """Return the records called `name`."""
        return {population: a for (kind, population), a in self.arrays.items() if kind == name}


class _Learner:
    """A chip that learns, and what the threads that emulate it share."""

    def __init__(
        self,
        image: Image,
        counts: NDArray[np.integer],
        labels: Integers,
        batch: int | None,
        record: Iterable[str],
    ) -> None:
        self.image, self.counts, self.labels = image, counts, labels
        self.updates_follow, self.batch = batch is not None, batch or max(1, len(counts))
        self.learning, learn = _learning(image)
        self.tables = tables(image)
        first = self.tables.populations[:, FIRST]
        self.records = _Records(image, record, counts.shape[:2], first)
        self.results = results_of(image, self.tables, counts.shape[:2])
        self.layout = Layout(image, self.learning, learn, self.tables)
        self.rules, self.master = self.layout.rules(), self.layout.master()
        self.learn_cycles = np.zeros(len(counts), np.int64)
        self.saturated = np.zeros(len(counts), np.bool_)
        self.updates = 0
        self.threads = max(1, min(get_num_threads(), self.batch, len(counts)))
        self.chunk = 1 if self.threads == 1 else min(SWEEPS * self.threads, self.batch)
        _, steps, channels = counts.shape
        self.sweeps = [self.layout.sweep(steps, channels) for _ in range(self.chunk)]
        self.spare = self._spare()

    def _spare(self) -> SimpleQueue[_Own]:
        """Allocate what every thread has for itself."""
        spare: SimpleQueue[_Own] = SimpleQueue()
        _, steps, channels = self.counts.shape
        neurons = len(self.tables.threshold)
        for _ in range(self.threads):
            spare.put(
                _Own(
                    scratch(self.tables, channels, steps),
                    event_lists(1, steps, channels),
                    np.zeros((3, steps, neurons), np.int64),
                    np.zeros((steps, self.image.readout.size), np.int64),
                )
            )
        return spare

    def sweep(self, r: int, s: Sweep) -> None:
        """Run recording `r`, and sweep back over it if it has a label."""
        own, part = self.spare.get(), native(self.counts[r : r + 1])
        most = self.image.chip.axon.count.max
        united = list_events(part, *own.events)
        if united & ~most:
            refuse(self.image, self.counts, r, part)
        starts, channel, count = own.events.starts, *own.events[3:]
        recordings(
            *self.tables, *own.scratch, *self.results, r, starts, channel, count,
            max(1, united), own.trace, own.scores,
        )  # fmt: skip
        if self.labels[r] >= 0:
            self.learn_cycles[r], self.saturated[r] = sweep(
                self.rules, self.master.feedback, self.master.ticks, s, own.trace,
                starts[0], channel, count, self.counts.shape[2], self.labels[r],
            )  # fmt: skip
            self.records.keep(r, s)
        self.spare.put(own)

    def credit(self, first: int, last: int, part: int) -> list[bool]:
        """Add a part of the gradients of recordings `first` to `last - 1`, in their order."""
        total = np.zeros(self.counts.shape[1], np.int64)
        return [
            self.labels[r] >= 0 and credit(self.rules, self.master, s, total, part, self.threads)
            for r, s in zip(range(first, last), self.sweeps, strict=False)
        ]

    def update(self) -> None:
        """Turn gradients into steps, and load the changed chip."""
        update(self.rules, self.master)
        self.layout.load_feedback(self.master)
        self.updates += 1
        self.tables = tables(replace(self.image, projections=self._projections()))
        self.spare = self._spare()

    def _projections(self):
        """Return all projections with the weights and delays of now."""
        layout, master = self.layout, self.master
        late = {
            Delay.SYNAPTIC: partial(layout.of_synapses, master.delays),
            Delay.AXONAL: partial(layout.of_axons, master.axon_delays),
        }
        return tuple(
            replace(
                p,
                weights=layout.of_synapses(master.weights, p),
                delays=late[p.delay](p) if p.delay in late else p.delays,
            )
            for p in self.image.projections
        )

    def __iter__(self) -> Iterator[int]:
        """Learn everything; yield the number of recordings that have come to their end."""
        with ThreadPoolExecutor(self.threads) as pool:
            call = map if self.threads == 1 else pool.map
            for begin in range(0, len(self.counts), self.batch):
                end = min(begin + self.batch, len(self.counts))
                for first in range(begin, end, self.chunk):
                    last = min(first + self.chunk, end)
                    list(call(self.sweep, range(first, last), self.sweeps))
                    parts = call(partial(self.credit, first, last), range(self.threads))
                    self.saturated[first:last] |= np.any(list(parts), axis=0)
                    yield last - first
                if self.updates_follow:
                    self.update()

    def changed(self) -> Image:
        """Return the image of now."""
        rules = tuple(map(self._rule, self.image.projections, self.learning.projections))
        learning = replace(self.learning, random=self.master.random, projections=rules)
        return replace(self.image, projections=self._projections(), learning=learning)

    def _rule(self, p: Projection, rule: ProjectionRule) -> ProjectionRule:
        """Return the rule of `p` with the fractions and gradients of now."""
        layout, master = self.layout, self.master
        rule = replace(
            rule,
            weight_fractions=layout.of_synapses(master.weight_fractions, p),
            weight_gradients=layout.of_synapses(master.weight_gradients, p),
        )
        if p.delay is Delay.SYNAPTIC:
            view = layout.of_synapses
            fractions, gradients = master.delay_fractions, master.delay_gradients
        elif p.delay is Delay.AXONAL:
            view = layout.of_axons
            fractions, gradients = master.axon_fractions, master.axon_gradients
        else:
            return rule
        return replace(rule, delay_fractions=view(fractions, p), delay_gradients=view(gradients, p))

    def report(self) -> Learned:
        """Sort the results by the names of populations."""
        results, image = self.results, self.image
        first = self.tables.populations[:, FIRST]
        return Learned(
            image=self.changed(),
            classes=results.classes,
            scores=results.scores,
            spike_counts={
                p.name: results.spike_counts[:, begin : begin + p.size]
                for p, begin in zip(image.populations, first, strict=False)
                if p.kind is Kind.LIF
            },
            cycles=results.cycles,
            event_cycles=EVENT * results.events,
            clear_cycles=np.full_like(results.events, clear_cycles(image.chip)),
            learn_cycles=self.learn_cycles,
            update_cycles=np.full(self.updates, self.layout.update_clocks(), np.int64),
            saturated_ticks=results.saturated_ticks,
            learn_saturated=self.saturated,
            filtered=self.records.by_population("filtered"),
            signals=self.records.by_population("signals"),
            slopes=self.records.by_population("slopes"),
        )


def learn(
    image: Image,
    counts: ArrayLike,
    labels: ArrayLike,
    *,
    batch: int | None,
    record: Iterable[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Learned:
    """Let the chip learn from recordings, bit for bit as its gates would.

    For every recording CLEAR, its ticks, and LEARN if it has a label; after every `batch`
    recordings, and after the last one, UPDATE.  The number of threads, which is
    `numba.get_num_threads()`, changes no bit.

    Parameters
    ----------
    image : Image
        With rules to learn by.
    counts : integers[recordings, steps, channels]
        Events of every channel in every tick, 0 to `image.chip.axon.count.max`; at most
        `learn.steps - 1` steps.
    labels : integers[recordings]
        Classes, -1 where a recording has none.
    batch : int or None
        Recordings from one update to the next; None never updates, so that gradients alone change.
    record : names of `RECORDS`
        What to keep of every sweep.
    progress : function, optional
        Called with the number of recordings that have just come to their end, again and again.

    Returns
    -------
    Learned

    Raises
    ------
    ValueError
        An image without rules, counts or labels that the chip does not take, or more records than
        memory should hold.
    """
    _learning(image)
    array = checked(image, counts)
    given = checked_labels(image, array.shape, labels, batch)
    learner = _Learner(image, array, given, batch, record)
    for finished in learner:
        if progress is not None:
            progress(finished)
    return learner.report()
