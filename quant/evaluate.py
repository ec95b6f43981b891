"""Accuracy of the float network and of its image on the same recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from datapath import Image
from emulator.chip import run
from model import Network, simulate
from quant.calibrate import Counts, taken

Classes = NDArray[np.int64]
Progress = Callable[[int, int], None]

BATCH = 256
"""Recordings between two calls of `progress`."""

Z95 = 1.959964
"""Two-sided 95 % point of the normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Classes of R recordings.

    labels, float_classes, chip_classes : int64[R].  classes : how many there are.
    saturated_counts : input counts beyond what a channel takes in a tick.
    """

    labels: Classes
    float_classes: Classes
    chip_classes: Classes
    classes: int
    saturated_counts: int

    @property
    def float_accuracy(self) -> float:
        """Share of the recordings that the float network classifies rightly."""
        return float((self.float_classes == self.labels).mean())

    @property
    def chip_accuracy(self) -> float:
        """Share of the recordings that the chip classifies rightly."""
        return float((self.chip_classes == self.labels).mean())

    @property
    def agreement(self) -> float:
        """Share of the recordings to which both give the same class."""
        return float((self.chip_classes == self.float_classes).mean())

    @property
    def lost(self) -> tuple[float, float]:
        """Accuracy lost, and half of its 95 % interval, of paired recordings.

        b recordings only the float network has right and c only the chip: (b - c) / R, with the
        standard error sqrt(b + c - (b - c)**2 / R) / R.
        """
        right, still = self.float_classes == self.labels, self.chip_classes == self.labels
        b, c, n = int((right & ~still).sum()), int((still & ~right).sum()), len(self.labels)
        return (b - c) / n, Z95 * sqrt(b + c - (b - c) ** 2 / n) / n

    def confusion(self, classes: Classes) -> NDArray[np.int64]:
        """Count `classes` by label: int64[label, class]."""
        table = np.zeros((self.classes, self.classes), np.int64)
        np.add.at(table, (self.labels, classes), 1)
        return table


def evaluate(
    network: Network,
    image: Image,
    counts: Counts,
    labels: Classes,
    progress: Progress | None = None,
) -> Evaluation:
    """Classify every recording by float simulation and by the emulated chip.

    Counts beyond `axon.count` reach the chip as its largest (`Evaluation.saturated_counts`).

    Parameters
    ----------
    counts : integers[recordings, steps, channels].  labels : integers[recordings].
    progress : called with (recordings done, recordings).

    Raises
    ------
    ValueError
        counts or labels do not fit the network, or there are none.
    """
    labels = checked_labels(labels, len(counts), network.readout.size)
    wanted = np.zeros(len(counts), np.int64)
    got = np.zeros(len(counts), np.int64)
    for first in range(0, len(counts), BATCH):
        part = slice(first, first + BATCH)
        wanted[part] = simulate(network, counts[part]).classes
        got[part] = run(image, taken(image, counts[part])).classes
        if progress is not None:
            progress(min(first + BATCH, len(counts)), len(counts))
    lost = int((counts > image.chip.axon.count.max).sum())
    return Evaluation(labels, wanted, got, network.readout.size, lost)


def checked_labels(labels: Classes, recordings: int, classes: int) -> Classes:
    """Return `labels` as int64, refusing those that fit no recording or no readout."""
    labels = np.asarray(labels)
    if labels.shape != (recordings,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers, one per recording, of shape ({recordings},), not "
            f"{labels.dtype} of shape {labels.shape}"
        )
    if not recordings:
        raise ValueError("an evaluation needs at least one recording")
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise ValueError(f"labels[{bad[0]}] = {labels[bad[0]]} must be between 0 and {classes - 1}")
    return labels.astype(np.int64)


def interval(share: float, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `number` independent trials (Wilson 1927)."""
    z = Z95**2 / number
    centre = (share + z / 2) / (1 + z)
    half = sqrt(z * (share * (1 - share) + z / 4)) / (1 + z)
    return centre - half, centre + half
