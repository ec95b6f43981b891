"""Smoothed derivative of the learning signals in time."""

from functools import cache

import numpy as np
from numba import njit

from datapath import Learn
from emulator.fixed import NEAREST, saturate, shift_round
from emulator.kernels import inner


@inner
def derive_row(signals, row, first, last, taps, frac, fmt, total, out):
    """Derive the signals of one neuron in columns `first` to `last - 1`.

    signals : [neuron][tick], with as many columns before and behind as there are `taps`.
    total : scratch of `last - first`.  out : written, in `fmt`, at the same places.
    Returns whether a slope was out of range.
    """
    n, begin, ticks = np.uint64(row), np.uint64(first), np.uint64(last - first)
    for k in range(ticks):
        total[k] = 0
    for u in range(np.uint64(1), np.uint64(taps.shape[0] + 1)):
        c, later, earlier = taps[u - np.uint64(1)], begin + u, begin - u
        for k in range(ticks):
            total[k] += c * (np.int64(signals[n, later + k]) - signals[n, earlier + k])
    beyond = 0
    for k in range(ticks):
        rounded = shift_round(total[k], frac, NEAREST)
        slope = saturate(rounded, fmt)
        out[n, begin + k] = slope
        beyond |= slope ^ rounded
    return beyond != 0


@cache
def slope(p: Learn):
    """Compile `step(window, taps, out)`.

    Parameters
    ----------
    p : Learn
        Datapath parameters, frozen into the kernel as constants.

    Returns
    -------
    step : function
        Derives the signals in the middle of `window`, int64[2 * K + 1, n] in rising ticks, with
        `taps`, int64[K]; writes `out`, int64[n], and returns whether one was out of range.
    """
    frac, fmt = p.tap.frac, p.slope

    @njit
    def step(window, taps, out):
        middle, beyond = taps.shape[0], False
        rows, total = window.T.copy(), np.zeros(1, np.int64)
        slopes = np.zeros_like(rows)
        for n in range(out.shape[0]):
            beyond |= derive_row(rows, n, middle, middle + 1, taps, frac, fmt, total, slopes)
            out[n] = slopes[n, middle]
        return beyond

    return step
