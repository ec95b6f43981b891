"""Files of events and of counts: recognised by content, refused in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from events.archive import Archive, listed, write
from events.recordings import (
    SHD_UNITS,
    UNLABELLED,
    Counts,
    Recordings,
    check_bytes,
    in_time_order,
    integers,
    join,
)

# English before German, as SHD numbers its classes.
DIGITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
)
COUNTS_FORMAT = "ranvier counts 1"
HDF5, ZIP, GZIP = b"\x89HDF\r\n\x1a\n", b"PK", b"\x1f\x8b"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the name of the file before the sentence of whatever refuses it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load(
    path: str | os.PathLike[str],
    *,
    n_units: int | None = None,
    part: str | None = None,
    sort: bool = False,
) -> Recordings | Counts:
    """Read a data set; what kind of file it is shows in its content, not in its name.

    Events (`Recordings`): SHD and SSC as published (HDF5); npz with `times_ms`, `units`, `offsets`
    and, if known, `labels`, `n_units`, `label_names`, `speakers`, `source` (`save` writes these);
    npz with SHD packed as intervals (`isi`, `cnt`, `label`, `speaker`).
    Counts (`Counts`): what `save` writes; npz with SHD packed as counts of 5 units x 10 ms
    (`x`, `steps`, `label`, `speaker`, all with `train_` and `test_` before them or none).

    n_units : number of units, for files that do not say it.
    part : "train" or "test", for files that hold both; else all recordings.
    sort : sort the events of each recording by time; unsorted ones are refused otherwise.

    Raises
    ------
    ValueError
        If the file is damaged, too large, of unknown content or holds impossible values.
    OSError
        If it cannot be opened.
    """
    path = Path(path)
    with _naming(path):
        if part not in (None, "train", "test"):
            raise ValueError(f"part must be 'train' or 'test', not {part!r}")
        data, test = _read(path, n_units, sort)
        if n_units is not None and n_units != data.n_units:
            raise ValueError(f"has events of {data.n_units} units, not of {n_units}")
        if part is None:
            return data
        if test is None:
            raise ValueError(f"does not say which recordings are for {part}; load it without part")
        return data.select(test == (part == "test"))


def _read(
    path: Path, n_units: int | None, sort: bool
) -> tuple[Recordings | Counts, NDArray[np.bool_] | None]:
    """Read a file of any kind; the second value tells its test recordings, if it has such."""
    with path.open("rb") as file:
        magic = file.read(8)
    if magic == HDF5:
        # Imported here: h5py takes a third of a second, and the embedded data do not need it.
        from events.published import read

        return read(path, SHD_UNITS if n_units is None else n_units, sort), None
    if magic.startswith(GZIP):
        raise ValueError("is compressed with gzip; unpack it with gunzip first")
    if not magic.startswith(ZIP):
        raise ValueError("is neither an HDF5 nor an npz file")
    with Archive(path) as archive:
        names = archive.names
        if "format" in names:
            return _counts(archive)
        if {"isi", "cnt"} <= names:
            return _intervals(archive, path.name), None
        if {"x", "steps"} <= names:
            return _rows(archive, "", path.name), None
        if {"train_x", "test_x"} <= names:
            parts = [_rows(archive, prefix, path.name) for prefix in ("train_", "test_")]
            steps = max(part.steps for part in parts)
            whole = join(
                [
                    part.binned(
                        units_per_channel=part.units_per_channel, dt_ms=part.dt_ms, steps=steps
                    )
                    for part in parts
                ]
            )
            return whole, np.arange(len(whole)) >= len(parts[0])
        if "times_ms" in names:
            return _events(archive, path.name, n_units, sort), None
    raise ValueError(
        f"holds {listed(names)}, which is no known form of events; "
        "events need times_ms, units, offsets and labels"
    )


def _events(archive: Archive, source: str, n_units: int | None, sort: bool) -> Recordings:
    names = archive.names
    if "n_units" in names:
        n_units = int(archive.number("n_units", "iu"))
    if n_units is None:
        raise ValueError("does not say how many units there are; pass n_units")
    times = archive.read("times_ms", "iuf", 1)
    units = archive.read("units", "iu", 1)
    offsets = integers("offsets", archive.read("offsets", "iu", 1), 0, times.size)
    if sort and times.size == units.size:
        times, units = in_time_order(times, units, np.maximum.accumulate(offsets))
    return Recordings(
        times_ms=times,
        units=units,
        offsets=offsets,
        labels=archive.read("labels", "iu", 1)
        if "labels" in names
        else np.full(max(offsets.size - 1, 0), UNLABELLED),
        n_units=n_units,
        label_names=archive.texts("label_names") if "label_names" in names else (),
        speakers=archive.read("speakers", "iu", 1) if "speakers" in names else None,
        source=archive.text("source") if "source" in names else source,
    )


def _intervals(archive: Archive, source: str) -> Recordings:
    """SHD packed: per recording and unit, `cnt` intervals in ms, 255 meaning "255 and more"."""
    intervals = archive.read("isi", "u", 1)
    counts = archive.read("cnt", "u", 2)
    if intervals.dtype != np.uint8 or counts.dtype != np.uint8 or counts.shape[1] != SHD_UNITS:
        raise ValueError(
            f"isi must be uint8 and cnt uint8 of {SHD_UNITS} columns, "
            f"not {intervals.dtype} and {counts.dtype} of shape {counts.shape}"
        )
    check_bytes(f"{intervals.size} intervals", 32 * intervals.size)
    ends = intervals < 255
    offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=1, dtype=np.int64))])
    events = int(np.count_nonzero(ends))
    if events != offsets[-1] or (intervals.size and not ends[-1]):
        raise ValueError(f"isi holds {events} complete intervals, but cnt counts {offsets[-1]}")
    # Sums may wrap round: only differences within one recording are used.
    sums = np.cumsum(intervals, dtype=np.uint32)[ends]
    trains = counts.ravel()[counts.ravel() > 0]
    last = np.cumsum(trains, dtype=np.int64)
    before = np.concatenate([np.zeros(1, np.uint32), sums[last[:-1] - 1]])[: trains.size]
    times = sums - np.repeat(before, trains)
    if events and times.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"isi adds up to {times.max()} ms within one recording")
    every = np.tile(np.arange(SHD_UNITS, dtype=np.uint16), len(counts))
    # Packed by unit, so time order is made here; 16 bits make the sort a fast one.
    times, units = in_time_order(times.astype(np.uint16), np.repeat(every, counts.ravel()), offsets)
    return Recordings(
        times_ms=times,
        units=units,
        offsets=offsets,
        labels=archive.read("label", "iu", 1),
        n_units=SHD_UNITS,
        label_names=DIGITS,
        speakers=archive.read("speaker", "iu", 1),
        source=source,
    )


def _rows(archive: Archive, prefix: str, source: str) -> Counts:
    """SHD packed: `steps` rows of 140 counts per recording, one recording after the other."""
    units_per_channel, dt_ms = 5, 10.0
    channels = SHD_UNITS // units_per_channel
    rows = archive.read(f"{prefix}x", "u", 1)
    steps = integers(f"{prefix}steps", archive.read(f"{prefix}steps", "iu", 1), 1, 2**20)
    if rows.dtype != np.uint8 or rows.size != steps.sum() * channels:
        raise ValueError(
            f"{prefix}x must be {steps.sum() * channels} uint8, {channels} for each of "
            f"{prefix}steps, not {rows.size} {rows.dtype}"
        )
    longest = int(steps.max(initial=1))
    check_bytes(f"{steps.size} x {longest} x {channels} counts", steps.size * longest * channels)
    counts = np.zeros((steps.size, longest, channels), np.uint8)
    counts[np.arange(longest) < steps[:, None]] = rows.reshape(-1, channels)
    none = np.zeros(steps.size, np.int64)
    return Counts(
        counts=counts,
        labels=archive.read(f"{prefix}label", "iu", 1),
        dt_ms=dt_ms,
        units_per_channel=units_per_channel,
        n_units=SHD_UNITS,
        late=none,
        excess=none,
        label_names=DIGITS,
        speakers=archive.read(f"{prefix}speaker", "iu", 1),
        source=source,
    )


def _counts(archive: Archive) -> tuple[Counts, NDArray[np.bool_] | None]:
    format_ = archive.text("format")
    if format_ != COUNTS_FORMAT:
        raise ValueError(f"has format {format_!r}, but only {COUNTS_FORMAT!r} can be read")
    names = archive.names
    data = Counts(
        counts=archive.read("counts", "u", 3),
        labels=archive.read("labels", "iu", 1),
        dt_ms=archive.number("dt_ms", "f"),
        units_per_channel=archive.number("units_per_channel", "iu"),
        n_units=archive.number("n_units", "iu"),
        late=archive.read("late", "iu", 1),
        excess=archive.read("excess", "iu", 1),
        label_names=archive.texts("label_names"),
        speakers=archive.read("speakers", "iu", 1) if "speakers" in names else None,
        source=archive.text("source"),
    )
    test = archive.read("test", "b", 1) if "test" in names else None
    if test is not None and len(test) != len(data):
        raise ValueError(f"test has {len(test)} entries for {len(data)} recordings")
    return data, test


def save(
    data: Recordings | Counts,
    path: str | os.PathLike[str],
    *,
    test: NDArray[np.bool_] | None = None,
) -> None:
    """Write a data set to an npz file that `load` reads; whole or not at all, same bytes again.

    test : bool[N], for counts alone: which recordings are for testing (`load(path, part="test")`).
    """
    arrays: dict[str, NDArray[Any]]
    names: tuple[str, ...]
    if isinstance(data, Recordings):
        if test is not None:
            raise ValueError(
                "events have no parts: save the test recordings to a file of their own"
            )
        names = ("times_ms", "units", "offsets", "labels", "n_units")
        arrays = {}
    else:
        names = ("counts", "labels", "dt_ms", "units_per_channel", "n_units", "late", "excess")
        arrays = {"format": np.array(COUNTS_FORMAT)}
        if test is not None:
            arrays["test"] = np.asarray(test, np.bool_)
    arrays |= {name: np.asarray(getattr(data, name)) for name in (*names, "source")}
    # Explicitly text: without names numpy would make an empty row of numbers.
    arrays["label_names"] = np.array(data.label_names, np.str_)
    if data.speakers is not None:
        arrays["speakers"] = data.speakers
    write(Path(path), arrays)
