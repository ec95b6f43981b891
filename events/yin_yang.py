"""The Yin-Yang data set: which part of the symbol a point is in, told by the times of four spikes.

Points are drawn by the equations of Kriener, Goeltz and Petrovici (The Yin-Yang dataset, NICE 2022,
arXiv 2102.08211): a disc of radius R around (R, R) with a dot of radius r around each of (R / 2, R)
and (3 R / 2, R), in [0, 1] x [0, 1].  Coordinates become times as in DelGrad (Goeltz et al., Nature
Communications 16:8245, 2025): x, y, 1 - x and 1 - y are one spike each, from 0.15 to 2 synaptic
time constants after the start, of 10 ms here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from events.recordings import Recordings

PARTS = {"train": (5000, 42), "validation": (1000, 41), "test": (1000, 40)}
"""Points and seed of each part; these give the very points that its authors have published."""

# The authors' files number them like this; their names for 0 and 1 vary, the numbers do not.
LABELS = ("yang", "yin", "dot")
DISC, DOT = 0.5, 0.1
"""Radii."""

TAU_SYN_MS = 10.0
EARLIEST_MS, LATEST_MS = 0.15 * TAU_SYN_MS, 2.0 * TAU_SYN_MS
"""Times of the coordinates 0 and 1."""

UNITS = 4


def classify(x: ArrayLike, y: ArrayLike) -> NDArray[np.int64]:
    """Return the classes of points in the disc, of the shape of `x` and `y`."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    right = np.sqrt((x - 1.5 * DISC) ** 2 + (y - DISC) ** 2)
    left = np.sqrt((x - 0.5 * DISC) ** 2 + (y - DISC) ** 2)
    yin = (
        (right <= DOT) | ((left > DOT) & (left <= 0.5 * DISC)) | ((y > DISC) & (right > 0.5 * DISC))
    )
    return np.where((right < DOT) | (left < DOT), 2, yin).astype(np.int64)


def points(number: int, *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw `number` points, classes evenly: coordinates float64[number, 2] and classes.

    Raises
    ------
    ValueError
        There is less than one point, or `seed` is not between 0 and 2**32 - 1.
    """
    if number < 1:
        raise ValueError(f"there must be at least 1 point, not {number}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be between 0 and {2**32 - 1}, not {seed}")
    # The old generator, whose stream is frozen: the authors' seeds give the authors' points.
    rng = np.random.RandomState(seed)
    drawn = np.empty((number, 2))
    labels = np.empty(number, np.int64)
    for n in range(number):
        wanted = rng.randint(len(LABELS))
        while True:
            x, y = rng.rand(2) * 2 * DISC
            if np.sqrt((x - DISC) ** 2 + (y - DISC) ** 2) > DISC:
                continue
            if classify(x, y) == wanted:
                break
        drawn[n], labels[n] = (x, y), wanted
    return drawn, labels


def draw(number: int, *, seed: int) -> Recordings:
    """Draw `number` recordings of 4 units, each of which fires once.

    Raises
    ------
    ValueError
        See `points`.
    """
    drawn, labels = points(number, seed=seed)
    times = EARLIEST_MS + np.hstack([drawn, 1 - drawn]) * (LATEST_MS - EARLIEST_MS)
    order = times.argsort(axis=1, kind="stable")
    return Recordings(
        times_ms=np.take_along_axis(times, order, axis=1).ravel().astype(np.float32),
        units=order.ravel().astype(np.uint16),
        offsets=UNITS * np.arange(number + 1),
        labels=labels,
        n_units=UNITS,
        label_names=LABELS,
        source=f"Yin-Yang, {number} points, seed {seed}",
    )


def part(name: str) -> Recordings:
    """Draw one of `PARTS`."""
    number, seed = PARTS[name]
    return draw(number, seed=seed)
