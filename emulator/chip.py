"""The whole chip: recordings in, classes, spikes and clocks out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np
from numba import get_num_threads
from numpy.typing import ArrayLike, NDArray

from datapath import Image, Kind
from datapath.timing import EVENT, clear_cycles
from emulator.kernels.events import list_events
from emulator.kernels.recording import Results, recordings
from emulator.kernels.tables import (
    FIRST,
    Events,
    Scratch,
    Tables,
    event_lists,
    scratch,
    tables,
)
from emulator.records import Records

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.integer[Any]]
Item = TypeVar("Item")

CHUNK = 8
"""Recordings that a thread takes at a time, if they are short.

Few, so that a thread that gets less of its core than the others does not hold them up; but with 2
of them the threads wait for one another, because Python hands arrays to a kernel one at a time.
"""

CELLS = 1 << 22
"""Ticks times channels that a thread takes at a time, if it is more than a recording."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What the chip answers, and what it takes.

    classes : int64[recordings], the winner of the last tick.  scores : int64[recordings, classes].
    spike_counts : int64[recordings, size] of every population that fires.
    cycles : int64[recordings, steps], clocks of every TICK.  event_cycles, clear_cycles :
    int64[recordings], clocks of all EVENTs and of the CLEAR.
    saturations : int64[recordings] of every population, how often a neuron's membrane or current
    was out of range.
    score_saturations : int64[recordings].  saturated_ticks : bool[recordings, steps], what the END
    of every tick says.
    deliveries : int64[recordings] of every projection, active sources served.
    synaptic_operations : int64[recordings], synapses reached by them.

    Of every tick, where recorded: spikes : bool[recordings, steps, size] of every population that
    fires.  membranes, sums : int32, or int64 on chips wider than that, [recordings, steps, size] of
    every population, after the reset and before it.  saturated : bool[recordings, steps, size] of
    every population.  readout : int64[recordings, steps, classes], the scores; of no size if not
    recorded.
    """

    classes: Integers
    scores: Integers
    spike_counts: dict[str, Integers]
    cycles: Integers
    event_cycles: Integers
    clear_cycles: Integers
    saturations: dict[str, Integers]
    score_saturations: Integers
    saturated_ticks: Flags
    deliveries: dict[str, Integers]
    synaptic_operations: Integers
    spikes: dict[str, Flags]
    membranes: dict[str, NDArray[Any]]
    sums: dict[str, NDArray[Any]]
    saturated: dict[str, Flags]
    readout: Integers

    @property
    def total_cycles(self) -> Integers:
        """Clocks of every recording, int64[recordings]."""
        total: Integers = self.clear_cycles + self.event_cycles + self.cycles.sum(axis=1)
        return total


class _Own(NamedTuple):
    """What a thread has for itself."""

    scratch: Scratch
    events: Events
    trace: Integers  # int64[3, steps, neurons], or of no size
    scores: Integers  # int64[steps, classes], or of no size


def checked(image: Image, counts: ArrayLike) -> Counts:
    """Refuse what is no counts of `image`; the values are looked at later."""
    array = np.asarray(counts)
    if array.dtype.kind not in "iub":
        raise ValueError(f"counts must be integers, not {array.dtype}")
    if array.ndim != 3 or array.shape[2] != image.channels:
        raise ValueError(
            f"counts must have shape (recordings, steps, {image.channels}), not {array.shape}"
        )
    return array


def native(part: Counts) -> Counts:
    """Return `part` in one of the few types that kernels are compiled for."""
    if part.dtype.kind == "b":
        return np.ascontiguousarray(part).view(np.uint8)
    part = np.ascontiguousarray(part, part.dtype.newbyteorder("="))
    # What is beyond int64 turns negative, and is refused like everything negative.
    return part.view(np.int64) if part.dtype == np.uint64 else part


def refuse(image: Image, counts: Counts, first: int, part: Counts) -> NoReturn:
    """Name the first count that the chip does not take, `part` being recordings from `first` on."""
    most = image.chip.axon.count.max
    recording, step, channel = np.argwhere((part < 0) | (part > most))[0]
    raise ValueError(
        f"counts: recording {first + recording}, step {step}, channel {channel} has "
        f"{counts[first + recording, step, channel]} events, and axon.count takes 0 to {most}: "
        "make the steps shorter, or clip the counts"
    )


def results_of(image: Image, t: Tables, shape: tuple[int, int]) -> Results:
    """Allocate the results of recordings, `shape` being how many and their steps."""
    recordings = shape[0]
    return Results(
        classes=np.zeros(recordings, np.int64),
        scores=np.zeros((recordings, image.readout.size), np.int64),
        events=np.zeros(recordings, np.int64),
        spike_counts=np.zeros((recordings, t.populations[-1, FIRST]), np.int64),
        deliveries=np.zeros((recordings, len(image.projections)), np.int64),
        saturations=np.zeros((recordings, len(image.populations)), np.int64),
        score_saturations=np.zeros(recordings, np.int64),
        cycles=np.zeros(shape, np.int64),
        saturated_ticks=np.zeros(shape, np.bool_),
    )


def taken(queue: SimpleQueue[Item]) -> Item | None:
    """Take the next item, None if there is none."""
    try:
        return queue.get_nowait()
    except Empty:
        return None


class _Runner:
    """What the threads of a run share."""

    def __init__(self, image: Image, counts: Counts, record: Iterable[str]) -> None:
        self.image, self.counts = image, counts
        self.records = Records(image, record, counts.shape[:2])
        self.tables = tables(image)
        self.results = results_of(image, self.tables, counts.shape[:2])
        self.spans = {
            p.name: slice(int(first), int(first) + p.size)
            for p, first in zip(image.populations, self.tables.populations[:, FIRST], strict=False)
        }
        recordings, steps, channels = counts.shape
        # A trace holds one recording.
        most = 1 if self.records else CELLS // max(1, steps * channels)
        self.chunk = max(1, min(CHUNK, most, recordings))
        self.todo: SimpleQueue[int] = SimpleQueue()
        starts = range(0, recordings, self.chunk)
        for first in starts:
            self.todo.put(first)
        self.threads = max(1, min(get_num_threads(), len(starts)))
        self.failed: dict[int, Exception] = {}

    def own(self) -> _Own:
        """Allocate what a thread has for itself."""
        _, steps, channels = self.counts.shape
        traced = steps if self.records else 0
        neurons = int(self.tables.populations[-1, FIRST])
        return _Own(
            scratch(self.tables, channels, steps),
            event_lists(self.chunk, steps, channels),
            np.zeros((3 if self.records else 0, traced, neurons), np.int64),
            np.zeros((traced, self.image.readout.size), np.int64),
        )

    def run_chunk(self, first: int, own: _Own) -> int:
        """Run the recordings from `first` on; return how many."""
        part = native(self.counts[first : first + self.chunk])
        most = self.image.chip.axon.count.max
        united = list_events(part, *own.events)
        if united & ~most:
            refuse(self.image, self.counts, first, part)
        starts, channel, count = own.events.starts[: len(part)], *own.events[3:]
        recordings(
            *self.tables, *own.scratch, *self.results, first, starts, channel, count,
            max(1, united), own.trace, own.scores,
        )  # fmt: skip
        if self.records:
            self.records.keep(first, self.spans, own.trace, own.scores)
        return len(part)

    def work(self, tell: Callable[[int], None]) -> None:
        """Run what no thread has taken yet; tell how many recordings have come to their end."""
        own = self.own()
        while (first := taken(self.todo)) is not None:
            try:
                finished = self.run_chunk(first, own)
            except Exception as error:
                self.failed[first] = error
                self.stop()
            else:
                tell(finished)

    def stop(self) -> None:
        """Leave nothing to take."""
        while taken(self.todo) is not None:
            pass

    def run(self, progress: Callable[[int], None]) -> None:
        """Run everything; raise what the first of the recordings has raised."""
        done: SimpleQueue[int] = SimpleQueue()

        def told(finished: int) -> None:
            while (others := taken(done)) is not None:
                finished += others
            progress(finished)

        helpers = [Thread(target=self.work, args=[done.put]) for _ in range(self.threads - 1)]
        for helper in helpers:
            helper.start()
        try:
            # This thread works, too: one that only waits takes its time from the others.
            self.work(told)
        finally:
            self.stop()
            for helper in helpers:
                helper.join()
        if self.failed:
            raise self.failed[min(self.failed)]
        if not done.empty():
            told(0)

    def report(self) -> Run:
        """Sort the results by the names of populations and projections."""
        results, image = self.results, self.image
        sizes = np.array([p.weights.shape[0] for p in image.projections], np.int64)
        return Run(
            classes=results.classes,
            scores=results.scores,
            spike_counts={
                p.name: results.spike_counts[:, self.spans[p.name]]
                for p in image.populations
                if p.kind is Kind.LIF
            },
            cycles=results.cycles,
            event_cycles=EVENT * results.events,
            clear_cycles=np.full_like(results.events, clear_cycles(image.chip)),
            saturations={
                p.name: results.saturations[:, n] for n, p in enumerate(image.populations)
            },
            score_saturations=results.score_saturations,
            saturated_ticks=results.saturated_ticks,
            deliveries={p.name: results.deliveries[:, n] for n, p in enumerate(image.projections)},
            synaptic_operations=results.deliveries @ sizes,
            spikes=self.records.by_population("spikes"),
            membranes=self.records.by_population("membranes"),
            sums=self.records.by_population("sums"),
            saturated=self.records.by_population("saturated"),
            readout=self.records.by_population("readout").get(
                image.readout.name, np.zeros((0, 0, 0), np.int64)
            ),
        )


def run(
    image: Image,
    counts: ArrayLike,
    *,
    record: Iterable[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run recordings through the chip, bit for bit as its gates would.

    Every recording starts from a cleared chip, so that neither their order nor the number of
    threads, which is `numba.get_num_threads()`, changes a bit.

    Parameters
    ----------
    image : Image
    counts : integers[recordings, steps, channels]
        Events of every channel in every tick, 0 to `image.chip.axon.count.max`; any number of
        steps.
    record : names of `emulator.records.RECORDS`
        What to keep of every tick.
    progress : function, optional
        Called with the number of recordings that have just come to their end, again and again.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        Counts that the chip does not take, or more records than memory should hold.
    """
    runner = _Runner(image, checked(image, counts), record)
    runner.run(progress or (lambda _: None))
    return runner.report()
