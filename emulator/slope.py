"""Smoothed derivative of the learning signals in time."""

from functools import cache

from numba import njit

from datapath import Learn
from emulator.fixed import NEAREST, saturate, shift_round
from emulator.kernels import inner


@inner
def derive_signals(signals, middle, taps, frac, fmt, first, last, total, out):
    """Derive the signals of neurons `first` to `last - 1` at row `middle` of `signals`.

    signals : int64[ticks, neurons], with as many rows before and behind as there are `taps`.
    total : scratch.  out : written, in `fmt`.  Returns whether one was out of range.
    """
    total[first:last] = 0
    for u in range(1, taps.shape[0] + 1):
        for n in range(first, last):
            total[n] += taps[u - 1] * (signals[middle + u, n] - signals[middle - u, n])
    beyond = False
    for n in range(first, last):
        rounded = shift_round(total[n], frac, NEAREST)
        out[n] = saturate(rounded, fmt)
        beyond |= out[n] != rounded
    return beyond


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
        total, n = out.copy(), out.shape[0]
        return derive_signals(window, taps.shape[0], taps, frac, fmt, 0, n, total, out)

    return step
