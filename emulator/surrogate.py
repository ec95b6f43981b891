"""Surrogate derivatives and error levels, looked up while a recording runs."""

from functools import cache

import numpy as np
from numba import njit

from datapath import Learn
from emulator.fixed import NEAREST, shift_round
from emulator.kernels import inner


@inner
def look_up(table, distance, shift):
    """Return the entry for `distance`, the last one for what is beyond."""
    return table[np.uint64(min(distance >> shift, table.shape[0] - 1))]


@inner
def derive(table, shift, u, threshold, first, last, out):
    """Look up the derivatives of neurons `first` to `last - 1`."""
    for n in range(np.uint64(first), np.uint64(last)):
        out[n] = look_up(table, abs(u[n] - threshold[n]), shift)


@inner
def level(table, shift, one, y, first, last, out):
    """Look up the errors of readouts `first` to `last - 1`, `one` being the number 1.

    Returns their sum.
    """
    largest = y[first]
    for n in range(first, last):
        largest = max(largest, y[n])
    total = 0
    for n in range(first, last):
        out[n] = look_up(table, largest - y[n], shift)
        total += out[n]
    power = 0
    while 2 * total >= (3 * one) << power:
        power += 1
    total = 0
    for n in range(first, last):
        out[n] = shift_round(out[n], power, NEAREST)
        total += out[n]
    return total


@cache
def surrogate(p: Learn):
    """Compile the two look-ups and the activity counter.

    Parameters
    ----------
    p : Learn
        Datapath parameters, frozen into the kernels as constants.

    Returns
    -------
    derivatives : function
        `derivatives(table, shift, u, threshold, out)` looks up the derivative of every neuron from
        the sum before its reset; `table` int64[p.entries], the others int64[n], `out` written.
    levels : function
        `levels(table, shift, y, out)` looks up the errors of all readouts from their membranes
        `y`, int64[classes], and divides them by the power of two next to their sum; returns what
        their sum is then.
    count : function
        `count(activity, fired)` counts spikes, int64[n] in `p.activity`, saturating; bool[n].
    """
    one, most = p.lookup.max, p.activity.max

    @njit
    def derivatives(table, shift, u, threshold, out):
        derive(table, shift, u, threshold, 0, u.shape[0], out)

    @njit
    def levels(table, shift, y, out):
        return level(table, shift, one, y, 0, y.shape[0], out)

    @njit
    def count(activity, fired):
        for n in range(activity.shape[0]):
            activity[n] = min(activity[n] + fired[n], most)

    return derivatives, levels, count
