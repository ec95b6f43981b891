"""What to feed a block: corners first, then seeded random."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datapath import Format

Integers = NDArray[np.int64]


def corners(fmt: Format, *extra: int) -> tuple[int, ...]:
    """Return the corners of `fmt`, and `extra` values with their neighbours, as far as they fit."""
    near = {n + d for n in extra for d in (-1, 0, 1)} | set(fmt.corners)
    return tuple(sorted(n for n in near if fmt.holds(n)))


def noise(rng: np.random.Generator, fmt: Format, size: int | tuple[int, ...]) -> Integers:
    """Draw int64[size] in `fmt`: a third corners, the rest uniform."""
    anywhere = rng.integers(fmt.min, fmt.max, size, endpoint=True)
    return np.where(rng.random(size) < 1 / 3, rng.choice(corners(fmt), size), anywhere)


def pairs(fmt: Format, *extra: int) -> Integers:
    """Return every ordered pair of corners, one after the other: int64[N] in `fmt`.

    A block with state meets every corner right after every other.
    """
    values = corners(fmt, *extra)
    return np.array([*itertools.chain.from_iterable(itertools.product(values, values))], np.int64)


def grid(*columns: Sequence[int]) -> Integers:
    """Return every combination of the values of `columns`: int64[N, columns]."""
    return np.array([*itertools.product(*columns)], np.int64)
