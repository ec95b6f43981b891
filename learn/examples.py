"""Labelled recordings as plain arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model import Network

Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Recordings and their classes.

    counts : uint8[recordings, steps, channels], events per step and channel.
    labels : int64[recordings], classes from 0.
    """

    counts: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        counts, labels = np.asarray(self.counts), np.asarray(self.labels)
        if counts.ndim != 3 or counts.dtype.kind not in "iu":
            raise ValueError(
                "counts must be integers of shape (recordings, steps, channels), "
                f"not {counts.dtype} of shape {counts.shape}"
            )
        if counts.size and (counts.min() < 0 or counts.max() > 255):
            worst = counts.min() if counts.min() < 0 else counts.max()
            raise ValueError(f"counts must be between 0 and 255, not {worst}")
        if labels.shape != counts.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be {counts.shape[0]} integers, one for each recording, "
                f"not {labels.dtype} of shape {labels.shape}"
            )
        object.__setattr__(self, "counts", np.ascontiguousarray(counts, np.uint8))
        object.__setattr__(self, "labels", np.ascontiguousarray(labels, np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: ArrayLike) -> Examples:
        """Return the recordings that `chosen`, a mask or indices, selects."""
        return Examples(self.counts[np.asarray(chosen)], self.labels[np.asarray(chosen)])

    def check(self, network: Network) -> None:
        """Refuse recordings that do not fit the input, steps and readout of `network`."""
        shape = (network.steps, network.input.size)
        if self.counts.shape[1:] != shape:
            raise ValueError(
                f"counts must have shape (recordings, {shape[0]} steps, {shape[1]} channels), "
                f"not {self.counts.shape}"
            )
        bad = np.flatnonzero((self.labels < 0) | (self.labels >= network.readout.size))
        if bad.size:
            raise ValueError(
                f"labels[{bad[0]}] = {self.labels[bad[0]]} must be between 0 and "
                f"{network.readout.size - 1}, the last readout"
            )

    def digest(self) -> str:
        """Return the SHA-256 of counts and labels, in hexadecimal."""
        sha = hashlib.sha256(str(self.counts.shape).encode())
        sha.update(self.counts.data)
        sha.update(self.labels.data)
        return sha.hexdigest()


def shifted(counts: Counts, shifts: NDArray[np.int64]) -> Counts:
    """Return counts with the channels of each recording moved; what leaves the array is lost.

    counts : integers[recordings, steps, channels].  shifts : int64[recordings], upwards.
    """
    if not shifts.any():
        return counts
    channels = np.arange(counts.shape[2])[None] - shifts[:, None]
    inside = (channels >= 0) & (channels < counts.shape[2])
    moved = np.take_along_axis(counts, np.where(inside, channels, 0)[:, None], 2)
    result: Counts = moved * inside[:, None]
    return result
