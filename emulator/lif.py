"""Leaky integrate-and-fire stage."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from datapath import Compare, Format, Leak, Lif
from emulator.fixed import DEEPEST, OVERFLOW, ROUNDING, bound, shift_round
from emulator.kernels import inner
from emulator.kernels.machine import like


class Words(NamedTuple):
    """What a kernel knows of a `Lif`: numbers, so that no chip needs a compilation of its own.

    frac : of a coefficient that multiplies.  rounding : one of `emulator.fixed.ROUNDING`.
    strict : 1 where a membrane at its threshold stays silent, else 0.  overflow : one of
    `emulator.fixed.OVERFLOW`.
    """

    v: Format
    multiply: bool
    settle: bool
    frac: int
    rounding: int
    strict: int
    overflow: int


def words(p: Lif) -> Words:
    """Translate the parameters of the stage."""
    return Words(
        v=p.v,
        multiply=p.leak is Leak.MULTIPLY,
        settle=p.leak is Leak.SETTLE,
        frac=p.coefficient.frac,
        rounding=ROUNDING[p.rounding],
        strict=int(p.compare is Compare.GT),
        overflow=OVERFLOW[p.overflow],
    )


@inner
def decayed(v, coefficient, p):
    """Leak the state `v`; p : Words, of this block or of another one that leaks."""
    if p.multiply:
        return shift_round(like(v * coefficient, v), p.frac, p.rounding)
    lost = shift_round(v, min(coefficient, DEEPEST), p.rounding)
    if p.settle:
        lost = like(lost + (lost == 0) * ((v > 0) - like(v < 0, v)), v)
    return v - lost * (coefficient != 0)


@inner
def advance(p, first, last, v, i, threshold, bias, coefficient, readout, zero, total, u):
    """Advance the membranes `first` to `last - 1` by one tick.

    p : Words.  v : int64[n], updated in place; or int32[n], if that holds every product and sum, as
    `threshold`, `bias`, `coefficient`, `total` and `u` then are too.  total, u : written: the sums
    before and after `lif.overflow`.  The other arguments are those of `lif`.

    Returns
    -------
    Number of neurons that fired, which are those with `v != u`, and that saturated.
    """
    # Unsigned: an index that might count from the end would cost these loops their vectors.
    begin, end = np.uint64(first), np.uint64(last)
    spikes, beyond = v.dtype.type(0), v.dtype.type(0)
    for n in range(begin, end):
        total[n] = decayed(v[n], coefficient[n], p) + i[n] + bias[n]
    for n in range(begin, end):
        u[n] = bound(total[n], p.v, p.overflow)
        beyond = like(beyond + (u[n] != total[n]), u[n])
        fired = (u[n] >= like(threshold[n] + p.strict, u[n])) & (not readout)
        spikes = like(spikes + fired, u[n])
        v[n] = u[n] - fired * (u[n] if zero else threshold[n])
    return spikes, beyond


@cache
def lif(p: Lif):
    """Compile `step(v, i, threshold, bias, coefficient, readout, zero, u, fired, saturated)`.

    Parameters
    ----------
    p : Lif
        Datapath parameters, frozen into the kernel as constants.

    Returns
    -------
    step : function
        One tick of a population.  `v`, int64[n], is updated in place from the sums `i` and the
        parameters `threshold`, `bias` and `coefficient`, int64[n]; the sums before the reset `u`,
        int64[n], `fired` and `saturated`, bool[n], are written.  `readout`: never fires.
        `zero`: a spike sets the membrane to 0 instead of subtracting the threshold.
    """
    frozen = words(p)

    @njit
    def step(v, i, threshold, bias, coefficient, readout, zero, u, fired, saturated):
        total = np.empty_like(u)
        n = v.shape[0]
        advance(frozen, 0, n, v, i, threshold, bias, coefficient, readout, zero, total, u)
        for k in range(n):
            fired[k], saturated[k] = v[k] != u[k], u[k] != total[k]

    return step
