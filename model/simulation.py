"""Float simulation of a network, event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.layout import START, lay_out
from model.network import Lif, Network

RECORDABLE = ("spikes", "membranes", "readout")
# Recordings between two calls of `progress`: enough work for many threads.
CHUNK = 256
MAX_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """What a network did; R recordings, T steps.

    scores : float64[R, readouts], the sum over all steps of y.  classes : int64[R], the argmax of
    the scores, the first of equal ones.  spike_counts : by LIF population, int64[R, size].

    Only if recorded, else empty: spikes : by LIF population, bool[R, T, size].  membranes : by LIF
    population, float64[R, T, size], u at the end of each step, that is *after* the reset.
    readout : float64[R, T, readouts], y of each step (T = 0 if not recorded).
    """

    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    spike_counts: Mapping[str, NDArray[np.int64]]
    spikes: Mapping[str, NDArray[np.bool_]]
    membranes: Mapping[str, NDArray[np.float64]]
    readout: NDArray[np.float64]


def simulate(
    network: Network,
    counts: NDArray[np.integer],
    record: Iterable[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Activity:
    """Simulate `network` in float64 on every recording, in parallel over recordings.

    A count c of an input event multiplies its weight by c.  The result does not depend on the
    number of threads.

    Parameters
    ----------
    counts : integers[recordings, steps, channels], events per step and channel.
    record : which of "spikes", "membranes" and "readout" to keep step by step.
    progress : called with (recordings done, recordings).

    Raises
    ------
    ValueError
        counts do not fit the network, or `record` names something else.
    """
    wanted = set(record)
    for name in sorted(wanted - set(RECORDABLE)):
        raise ValueError(f"record must hold names out of {', '.join(RECORDABLE)}, not {name!r}")
    counts = np.asarray(counts)
    check_counts(network, counts)
    return _Run(network, len(counts), wanted).over(counts, progress)


def check_counts(network: Network, counts: NDArray[np.integer]) -> None:
    """Refuse event counts that do not fit the input and the steps of `network`."""
    if counts.dtype.kind not in "iu":
        raise ValueError(f"counts must be integers, not {counts.dtype}")
    shape = (network.steps, network.input.size)
    if counts.ndim != 3 or counts.shape[1:] != shape:
        raise ValueError(
            f"counts must have shape (recordings, {shape[0]} steps, {shape[1]} channels), "
            f"not {counts.shape}"
        )
    if counts.size and (counts.min() < 0 or counts.max() > MAX_COUNT):
        worst = counts.min() if counts.min() < 0 else counts.max()
        raise ValueError(f"counts must be between 0 and {MAX_COUNT}, not {worst}")


class _Run:
    """One simulation: the flat network, its scratch memory and its results."""

    def __init__(self, network: Network, recordings: int, wanted: set[str]) -> None:
        self.network, self.recordings = network, recordings
        self.layout = lay_out(network)
        self.steps = self.layout.steps()
        neurons, readouts = self.layout.neurons.shape[1], network.readout.size
        spike_steps, membrane_steps, readout_steps = (
            network.steps if name in wanted else 0 for name in RECORDABLE
        )
        self.scores = np.zeros((recordings, readouts))
        self.fired = np.zeros((recordings, neurons), np.int64)
        self.spikes = np.zeros((recordings, spike_steps, neurons), np.bool_)
        self.membranes = np.zeros((recordings, membrane_steps, neurons))
        self.readout = np.zeros((recordings, readout_steps, readouts))

    def over(
        self, counts: NDArray[np.integer], progress: Callable[[int, int], None] | None
    ) -> Activity:
        # Numba takes a good part of a second to import: only who simulates pays for it.
        from numba import get_num_threads

        from model.kernels.simulation import batch

        # An event due after the last step never arrives, so no slot is needed for it.
        longest = min(int(self.steps.max(initial=0)), self.network.steps)
        workers = get_num_threads()
        u, current = np.empty((2, workers, self.fired.shape[1]))
        ring = np.empty((workers, 1 << longest.bit_length(), self.fired.shape[1]))
        for first in range(0, self.recordings, CHUNK):
            part = slice(first, first + CHUNK)
            batch(
                self.layout.populations,
                self.layout.projections,
                self.layout.neurons,
                self.layout.weights,
                self.steps,
                np.ascontiguousarray(counts[part], np.int32),
                u,
                current,
                ring,
                self.scores[part],
                self.fired[part],
                self.spikes[part],
                self.membranes[part],
                self.readout[part],
            )
            if progress is not None:
                progress(min(first + CHUNK, self.recordings), self.recordings)
        return self._activity()

    def _activity(self) -> Activity:
        columns = {
            p.name: slice(start, start + p.size)
            for p, start in zip(
                self.network.populations, self.layout.populations[:, START], strict=True
            )
            if isinstance(p, Lif)
        }
        return Activity(
            scores=self.scores,
            classes=self.scores.argmax(axis=1),
            spike_counts={name: self.fired[:, part] for name, part in columns.items()},
            spikes={n: self.spikes[..., s] for n, s in columns.items() if self.spikes.shape[1]},
            membranes={
                n: self.membranes[..., s] for n, s in columns.items() if self.membranes.shape[1]
            },
            readout=self.readout,
        )
