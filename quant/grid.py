"""Numbers that already lie on an integer grid, up to a common factor."""

from __future__ import annotations

import numpy as np

from model.network import Floats

# A number k steps from zero may be off the grid by this share of k: a product rounded to
# float32, twice, is still on it.  (Any two numbers are, on some grid of thousands of steps.)
TOLERANCE = 2.0**-22
# Beyond it the tolerance reaches half a step and everything would lie on the grid.
LARGEST = 1 << 16

# What Euclid's algorithm takes for nothing, of the number at hand: the rounding of float64, which
# finds fine grids, then that of float32, both multiplied by the quotients on the way.
REMAINDERS = (2.0**-30, 2.0**-17)


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
    steps = (_step(magnitudes, share) for share in REMAINDERS)
    return next((step for step in steps if step is not None), None)


def _step(magnitudes: Floats, share: float) -> float | None:
    """Find the step of positive, rising `magnitudes`; a remainder below their `share` is none."""
    if not magnitudes.size:
        return None
    step = float(magnitudes[0])
    for magnitude in magnitudes.tolist():
        step = _gcd(magnitude, step, share * magnitude)
        whole = np.rint(magnitude / step)
        if whole > LARGEST:
            return None
        # The largest value carries the smallest relative error.
        step = magnitude / whole
    return float(step) if on_grid(magnitudes, step) else None


def _gcd(a: float, b: float, tolerance: float) -> float:
    """Euclid's algorithm on real numbers; a remainder within `tolerance` of a multiple is none."""
    while b > tolerance:
        remainder = a % b
        if min(remainder, b - remainder) <= tolerance:
            return b
        a, b = b, remainder
    return b
