"""Data sets of events, and of event counts per step and channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# More than this is refused before it is allocated, whatever a file or an argument asks for.
MAX_BYTES = 4 << 30
# Two weeks: far above any recording, far below where float32 or a step number overflows.
LATEST_MS = 2**30
# SHD and SSC have the 700 cells of one cochlea; their files do not say so.
SHD_UNITS = 700
# The label of a recording of which nobody has said what it is.
UNLABELLED = -1


def check_bytes(what: str, needed: int) -> None:
    """Refuse what would take more than `MAX_BYTES`; `what` is the subject of the sentence."""
    if needed > MAX_BYTES:
        raise ValueError(
            f"{what} would take {needed / 2**30:.3g} GiB, more than the limit of "
            f"{MAX_BYTES / 2**30:.3g} GiB; split the data set"
        )


def integers(name: str, value: ArrayLike, least: int, most: int) -> NDArray[np.int64]:
    """Read-only int64[N] of `value`, which must hold integers from `least` to `most`."""
    given = np.asarray(value)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be one row of integers, not {given.dtype} of shape {given.shape}"
        )
    bad = np.flatnonzero((given < least) | (given > most))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] = {given[bad[0]]} must be between {least} and {most}")
    return _frozen(given, np.int64)


def in_time_order(
    times: NDArray[Any], units: NDArray[Any], offsets: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sort the events of each recording by time; events of equal time keep their order."""
    times, units = times.copy(), units.copy()
    for start, stop in pairwise(offsets):
        order = np.argsort(times[start:stop], kind="stable")
        times[start:stop] = times[start:stop][order]
        units[start:stop] = units[start:stop][order]
    return times, units


def _frozen(given: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    array = given.astype(dtype, copy=False).view()
    array.flags.writeable = False
    return array


def _describe(data: Recordings | Counts, count: int) -> None:
    """Check and freeze what both kinds of data set say about their `count` recordings."""
    object.__setattr__(data, "label_names", tuple(str(name) for name in data.label_names))
    most = len(data.label_names) - 1 if data.label_names else 2**31 - 1
    object.__setattr__(data, "labels", integers("labels", data.labels, UNLABELLED, most))
    fields = {"labels": data.labels}
    if data.speakers is not None:
        object.__setattr__(data, "speakers", integers("speakers", data.speakers, 0, 2**31 - 1))
        fields["speakers"] = data.speakers
    for name, array in fields.items():
        if len(array) != count:
            raise ValueError(f"{name} has {len(array)} entries for {count} recordings")


def _check_binning(units_per_channel: int, dt_ms: float, steps: int, maximum: int) -> None:
    if units_per_channel < 1:
        raise ValueError(f"units_per_channel must be at least 1, not {units_per_channel}")
    if not 0 < dt_ms < np.inf:
        raise ValueError(f"dt_ms must be a positive number, not {dt_ms}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not 1 <= maximum <= 255:
        raise ValueError(f"maximum must be between 1 and 255, not {maximum}")


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """Events of N recordings, one after the other, in time order within each.

    times_ms : float32[K], from the start of the recording, not negative.
    units : uint16[K], 0 .. n_units - 1.
    offsets : int64[N + 1]; recording r is `offsets[r] : offsets[r + 1]`.
    labels : int64[N], index of `label_names`; -1 where nobody has said what it is.
    n_units : number of units of the front end (700 for SHD).
    speakers : int64[N] or None.  label_names : may be empty.  source : where it comes from.
    """

    times_ms: NDArray[np.float32]
    units: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    n_units: int
    label_names: tuple[str, ...] = ()
    speakers: NDArray[np.int64] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.n_units <= 65536:
            raise ValueError(f"n_units must be between 1 and 65536, not {self.n_units}")
        times, units = np.asarray(self.times_ms), np.asarray(self.units)
        if times.ndim != 1 or times.dtype.kind not in "iuf":
            raise ValueError(
                f"times_ms must be one row of numbers, not {times.dtype} of shape {times.shape}"
            )
        if units.ndim != 1 or units.dtype.kind not in "iu":
            raise ValueError(
                f"units must be one row of integers, not {units.dtype} of shape {units.shape}"
            )
        if times.size != units.size:
            raise ValueError(f"there are {times.size} times_ms but {units.size} units")
        offsets = integers("offsets", self.offsets, 0, times.size)
        self._check_offsets(offsets, times.size)
        object.__setattr__(self, "offsets", offsets)
        self._check_events(times, units)
        object.__setattr__(self, "times_ms", _frozen(times, np.float32))
        object.__setattr__(self, "units", _frozen(units, np.uint16))
        _describe(self, len(self))

    @staticmethod
    def _check_offsets(offsets: NDArray[np.int64], events: int) -> None:
        if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != events:
            ends = f"{offsets[0]} .. {offsets[-1]}" if offsets.size else "empty"
            raise ValueError(f"offsets must run from 0 to the {events} events, not {ends}")
        falls = np.flatnonzero(np.diff(offsets) < 0)
        if falls.size:
            n = int(falls[0])
            raise ValueError(
                f"offsets[{n + 1}] = {offsets[n + 1]} must not be below offsets[{n}] = {offsets[n]}"
            )

    def _check_events(self, times: NDArray[Any], units: NDArray[Any]) -> None:
        bad = np.flatnonzero(~((times >= 0) & (times < LATEST_MS)))
        if bad.size:
            raise ValueError(
                f"times_ms[{bad[0]}] = {times[bad[0]]} in recording {self._of(bad[0])} "
                f"must be between 0 and {LATEST_MS}"
            )
        bad = np.flatnonzero((units < 0) | (units >= self.n_units))
        if bad.size:
            raise ValueError(
                f"units[{bad[0]}] = {units[bad[0]]} in recording {self._of(bad[0])} "
                f"must be between 0 and {self.n_units - 1}"
            )
        backward = times[1:] < times[:-1]
        # A new recording starts again at zero; empty ones share their boundary with the next.
        inner = self.offsets[(self.offsets > 0) & (self.offsets < times.size)]
        backward[inner - 1] = False
        bad = np.flatnonzero(backward)
        if bad.size:
            n = int(bad[0]) + 1
            raise ValueError(
                f"times_ms[{n}] = {times[n]} in recording {self._of(n)} comes after "
                f"{times[n - 1]}; sort the events of each recording by time, or load with sort=True"
            )

    def _of(self, event: int) -> int:
        """Which recording an event belongs to."""
        return int(np.searchsorted(self.offsets, event, side="right")) - 1

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def events(self, recording: int) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """Return times_ms and units of one recording (views)."""
        span = slice(*self.offsets[[recording, recording + 1]])
        return self.times_ms[span], self.units[span]

    def select(self, which: ArrayLike) -> Recordings:
        """Keep the recordings `which`: indices, or one bool per recording."""
        index = np.arange(len(self))[np.asarray(which)]
        sizes = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        events = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], sizes)
        return replace(
            self,
            times_ms=self.times_ms[events],
            units=self.units[events],
            offsets=offsets,
            labels=self.labels[index],
            speakers=None if self.speakers is None else self.speakers[index],
        )

    def binned(
        self, *, units_per_channel: int, dt_ms: float, steps: int, maximum: int = 255
    ) -> Counts:
        """Count events per step and channel; what does not fit is in `late` and `excess`.

        units_per_channel : neighbouring units summed into one channel (the last may have fewer).
        dt_ms : length of a step; an event at time t counts in step floor(t / dt_ms).
        steps : events in a later step are cut off.  maximum : largest count kept, at most 255.

        Raises
        ------
        ValueError
            If an argument is out of range or the counts would take more than `MAX_BYTES`.
        """
        _check_binning(units_per_channel, dt_ms, steps, maximum)
        if units_per_channel > self.n_units:
            raise ValueError(
                f"units_per_channel must be at most {self.n_units}, the units of "
                f"{self.source or 'the data'}, not {units_per_channel}"
            )
        channels = -(-self.n_units // units_per_channel)
        check_bytes(f"{len(self)} x {steps} x {channels} counts", len(self) * steps * channels)
        counts = np.zeros((len(self), steps, channels), np.uint8)
        late, excess = np.zeros(len(self), np.int64), np.zeros(len(self), np.int64)
        for n in range(len(self)):
            times, units = self.events(n)
            step = np.floor(times / np.float64(dt_ms))
            kept = step < steps
            cell = step[kept].astype(np.int64) * channels + units[kept] // units_per_channel
            exact = np.bincount(cell, minlength=steps * channels)
            counts[n] = np.minimum(exact, maximum).reshape(steps, channels)
            late[n] = times.size - np.count_nonzero(kept)
            excess[n] = np.maximum(exact - maximum, 0).sum()
        return Counts(
            counts=counts,
            labels=self.labels,
            dt_ms=dt_ms,
            units_per_channel=units_per_channel,
            n_units=self.n_units,
            late=late,
            excess=excess,
            label_names=self.label_names,
            speakers=self.speakers,
            source=self.source,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Event counts of N recordings of equal length, and what was cut off to get them.

    counts : uint8[N, T, C], recording, step, channel.
    labels : int64[N], index of `label_names`; -1 where nobody has said what it is.
    dt_ms : length of a step.  units_per_channel : neighbouring units summed into a channel.
    n_units : number of units of the front end; C = ceil(n_units / units_per_channel).
    late : int64[N], events after the last step, cut off.
    excess : int64[N], events above the largest count of a step and channel, cut off.
    speakers : int64[N] or None.  label_names : may be empty.  source : where it comes from.
    """

    counts: NDArray[np.uint8]
    labels: NDArray[np.int64]
    dt_ms: float
    units_per_channel: int
    n_units: int
    late: NDArray[np.int64]
    excess: NDArray[np.int64]
    label_names: tuple[str, ...] = ()
    speakers: NDArray[np.int64] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        counts = np.asarray(self.counts)
        if counts.ndim != 3 or counts.dtype != np.uint8 or counts.shape[1] < 1:
            raise ValueError(
                "counts must be uint8 of shape (recordings, steps, channels), "
                f"not {counts.dtype} of shape {counts.shape}"
            )
        _check_binning(self.units_per_channel, self.dt_ms, counts.shape[1], 255)
        if -(-self.n_units // self.units_per_channel) != counts.shape[2]:
            raise ValueError(
                f"{self.n_units} units at {self.units_per_channel} per channel do not make "
                f"{counts.shape[2]} channels"
            )
        object.__setattr__(self, "counts", _frozen(counts, np.uint8))
        object.__setattr__(self, "dt_ms", float(self.dt_ms))
        for name in ("late", "excess"):
            array = integers(name, getattr(self, name), 0, 2**62)
            if len(array) != len(self):
                raise ValueError(f"{name} has {len(array)} entries for {len(self)} recordings")
            object.__setattr__(self, name, array)
        _describe(self, len(self))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def steps(self) -> int:
        """Steps of each recording."""
        return int(self.counts.shape[1])

    @property
    def channels(self) -> int:
        """Channels, each `units_per_channel` neighbouring units."""
        return int(self.counts.shape[2])

    @property
    def cut(self) -> str:
        """One sentence: what these counts leave out of their recordings."""
        kept = int(self.counts.sum(dtype=np.int64))
        late, excess = int(self.late.sum()), int(self.excess.sum())
        share = 100 * (late + excess) / max(kept + late + excess, 1)
        return (
            f"{late} events of {np.count_nonzero(self.late)} recordings after step {self.steps} "
            f"and {excess} events of {np.count_nonzero(self.excess)} recordings above the "
            f"largest count were cut off ({share:.3g} % of {kept + late + excess})"
        )

    def select(self, which: ArrayLike | slice) -> Counts:
        """Keep the recordings `which`: indices, one bool per recording, or a slice (no copy)."""
        index: Any = which if isinstance(which, slice) else np.asarray(which)
        return replace(
            self,
            counts=self.counts[index],
            labels=self.labels[index],
            late=self.late[index],
            excess=self.excess[index],
            speakers=None if self.speakers is None else self.speakers[index],
        )

    def binned(
        self, *, units_per_channel: int, dt_ms: float, steps: int, maximum: int = 255
    ) -> Counts:
        """Cut or pad to `steps` and limit to `maximum`; the same words as `Recordings.binned`.

        Raises
        ------
        ValueError
            If the counts were not made with this `units_per_channel` and `dt_ms`.
        """
        _check_binning(units_per_channel, dt_ms, steps, maximum)
        if (units_per_channel, dt_ms) != (self.units_per_channel, self.dt_ms):
            raise ValueError(
                f"these are counts of {self.units_per_channel} units per {self.dt_ms} ms and "
                f"cannot become counts of {units_per_channel} units per {dt_ms} ms; "
                "start from the events"
            )
        check_bytes(
            f"{len(self)} x {steps} x {self.channels} counts", len(self) * steps * self.channels
        )
        kept = self.counts[:, :steps]
        counts = np.zeros((len(self), steps, self.channels), np.uint8)
        np.minimum(kept, maximum, out=counts[:, : kept.shape[1]])
        late = self.counts[:, steps:].sum(axis=(1, 2), dtype=np.int64)
        excess = kept.sum(axis=(1, 2), dtype=np.int64) - counts.sum(axis=(1, 2), dtype=np.int64)
        return replace(self, counts=counts, late=self.late + late, excess=self.excess + excess)


def join(parts: Sequence[Counts]) -> Counts:
    """Put data sets of equal form one after the other."""
    if not parts:
        raise ValueError("there is nothing to join")
    first = parts[0]
    for part in parts[1:]:
        for name in ("steps", "channels", "dt_ms", "units_per_channel", "n_units", "label_names"):
            if getattr(part, name) != getattr(first, name):
                raise ValueError(
                    f"{name} must be equal to join data sets, not {getattr(first, name)} and "
                    f"{getattr(part, name)}"
                )
    speakers = [part.speakers for part in parts if part.speakers is not None]
    return replace(
        first,
        counts=np.concatenate([part.counts for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        late=np.concatenate([part.late for part in parts]),
        excess=np.concatenate([part.excess for part in parts]),
        speakers=np.concatenate(speakers) if len(speakers) == len(parts) else None,
    )
