"""SHD and SSC files as published (HDF5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from events.recordings import Recordings, check_bytes, in_time_order


def read(path: Path, n_units: int, sort: bool) -> Recordings:
    """Read times in s and units per recording, labels and, where they are, speakers and names.

    Raises
    ------
    ValueError
        If the file is damaged, refers to other files or holds impossible values.  Sentences do
        not name the file.
    """
    try:
        with h5py.File(path, "r") as file:
            return _recordings(file, path.name, n_units, sort)
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"cannot be read as HDF5 ({error}); copy it again from where it came"
        ) from None


def _find(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Find dataset `name` of one dimension, with its data in this file and nowhere else."""
    node = file
    for key in name.split("/"):
        link = node.get(key, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"keeps {name} behind a link, which is not followed")
        node = node[key]
    if not isinstance(node, h5py.Dataset) or node.ndim != 1:
        raise ValueError(f"{name} must be a dataset of 1 dimension")
    if node.external or node.is_virtual:
        raise ValueError(f"keeps {name} in another file, which is not followed")
    # Every entry takes a byte at least; without this a few bytes could claim a billion rows.
    if node.shape[0] > file.id.get_filesize():
        raise ValueError(f"{name} claims {node.shape[0]} entries, more than the file has bytes")
    return node


def _required(file: h5py.File, name: str) -> h5py.Dataset:
    found = _find(file, name)
    if found is None:
        raise ValueError(f"has no dataset {name!r}, which SHD and SSC files have")
    return found


def _trains(dataset: h5py.Dataset, name: str, kinds: str) -> list[NDArray[Any]]:
    """Read rows of varying length whose numbers are of one of the numpy `kinds`."""
    base = h5py.check_vlen_dtype(dataset.dtype)
    if base is None or base.kind not in kinds:
        raise ValueError(
            f"{name} must hold rows of varying length of kind {' or '.join(kinds)}, "
            f"not {base or dataset.dtype}"
        )
    rows: list[NDArray[Any]] = []
    size = 0
    # A few at a time: rows may share their storage, so the file's size bounds one row, not all.
    for start in range(0, len(dataset), 16):
        block = dataset[start : start + 16]
        size += sum(row.nbytes for row in block)
        check_bytes(name, size)
        rows.extend(block)
    return rows


def _recordings(file: h5py.File, source: str, n_units: int, sort: bool) -> Recordings:
    labels = _required(file, "labels")[:]
    seconds = _trains(_required(file, "spikes/times"), "spikes/times", "f")
    names = _trains(_required(file, "spikes/units"), "spikes/units", "iu")
    if not len(labels) == len(seconds) == len(names):
        raise ValueError(
            f"has {len(seconds)} rows of spikes/times, {len(names)} of spikes/units and "
            f"{len(labels)} labels"
        )
    offsets = np.concatenate([[0], np.cumsum([row.size for row in seconds], dtype=np.int64)])
    times = np.empty(offsets[-1], np.float32)
    units = np.empty(offsets[-1], names[0].dtype if names else np.uint16)
    for n, (row, name) in enumerate(zip(seconds, names, strict=True)):
        if row.size != name.size:
            raise ValueError(
                f"recording {n} has {row.size} spikes/times but {name.size} spikes/units"
            )
        # Half-precision seconds overflow when multiplied as they are; what overflows even so
        # becomes infinite and is refused below.
        with np.errstate(over="ignore"):
            times[offsets[n] : offsets[n + 1]] = row.astype(np.float64) * 1000
        units[offsets[n] : offsets[n + 1]] = name
    if sort:
        times, units = in_time_order(times, units, offsets)
    speakers, keys = _find(file, "extra/speaker"), _find(file, "extra/keys")
    return Recordings(
        times_ms=times,
        units=units,
        offsets=offsets,
        labels=labels,
        n_units=n_units,
        label_names=() if keys is None else _words(keys),
        speakers=None if speakers is None else speakers[:],
        source=source,
    )


def _words(dataset: h5py.Dataset) -> tuple[str, ...]:
    return tuple(
        word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word)
        for word in dataset[:]
    )
