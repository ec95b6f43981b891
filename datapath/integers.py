"""Arrays of integers: given by anybody, kept as read-only int64, refused if they do not fit."""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datapath.format import Format

Integers = NDArray[np.int64]


def whole(name: str, value: SupportsIndex) -> int:
    """`value` as a plain int."""
    try:
        return int(operator.index(value))
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None


def integers(owner: str, name: str, value: ArrayLike, shape: tuple[int, ...]) -> Integers:
    """Read-only int64 copy of `value`, a scalar being spread over `shape`."""
    given = np.asarray(value)
    if given.dtype.kind not in "iub":
        raise ValueError(f"{owner}: {name} must hold integers, not {given.dtype}")
    if given.dtype.kind == "u" and given.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"{owner}: {name} = {given.max()} does not fit 64 bits")
    array = np.full(shape, given) if given.ndim == 0 else given.astype(np.int64)
    if array.shape != shape:
        raise ValueError(f"{owner}: {name} must have shape {shape}, not {array.shape}")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


def fit(owner: str, name: str, array: Integers, fmt: Format) -> None:
    """Refuse the first integer outside `fmt`, by name and index."""
    bad = np.flatnonzero((array < fmt.min) | (array > fmt.max))
    if bad.size:
        where = ", ".join(str(int(n)) for n in np.unravel_index(int(bad[0]), array.shape))
        index = f"[{where}]" if where else ""
        raise ValueError(f"{owner}: {name}{index} = {array.flat[bad[0]]} does not fit {fmt}")
