"""Numbers that already lie on an integer grid, up to a common factor."""

from __future__ import annotations

import numpy as np

from model.network import Floats

# A number k steps from zero may be off the grid by this share of k: a product rounded to
# float32, twice, is still on it.
TOLERANCE = 2.0**-20
# Beyond it the tolerance reaches half a step and everything would lie on the grid.
LARGEST = 1 << 16


def off_grid(values: Floats, step: float) -> Floats:
    """Return the distance of every value from the grid of `step`, in steps."""
    distance: Floats = np.abs(values / step - np.rint(values / step))
    return distance


def on_grid(values: Floats, step: float) -> bool:
    """Whether every value is a whole number of steps."""
    allowed = TOLERANCE * np.maximum(1.0, np.abs(values / step))
    return bool(np.all(off_grid(values, step) <= allowed))


def common_step(values: Floats) -> float | None:
    """Find the largest step of which every value is a whole multiple.

    Returns
    -------
    The step, positive; None if there is none with which the largest value is at most `LARGEST`
    steps from zero, or if all values are zero.
    """
    magnitudes = np.unique(np.abs(values[values != 0]))
    if not magnitudes.size:
        return None
    step = seen = float(magnitudes[0])
    for magnitude in magnitudes.tolist():
        step = _gcd(magnitude, step, TOLERANCE * magnitude)
        seen = max(seen, magnitude)
        if seen > step * LARGEST:
            return None
        # The largest value seen carries the smallest relative error.
        step = seen / np.rint(seen / step)
    return float(step) if on_grid(magnitudes, step) else None


def _gcd(a: float, b: float, tolerance: float) -> float:
    """Euclid's algorithm on real numbers; a remainder within `tolerance` of a multiple is none."""
    while b > tolerance:
        remainder = a % b
        if min(remainder, b - remainder) <= tolerance:
            return b
        a, b = b, remainder
    return b
