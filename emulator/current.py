"""Synaptic current between accumulators and membrane."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from datapath import Current, Format, Leak, Order
from emulator.fixed import OVERFLOW, ROUNDING, bound
from emulator.kernels import inner
from emulator.kernels.machine import like
from emulator.lif import decayed


class Words(NamedTuple):
    """What a kernel knows of a `Current`, in numbers.

    frac, rounding, overflow : as in `emulator.lif.Words`.  late : whether the sum leaks as well.
    """

    i: Format
    multiply: bool
    settle: bool
    frac: int
    rounding: int
    late: bool
    overflow: int


def words(p: Current) -> Words:
    """Translate the parameters of the block."""
    return Words(
        i=p.i,
        multiply=p.leak is Leak.MULTIPLY,
        settle=p.leak is Leak.SETTLE,
        frac=p.coefficient.frac,
        rounding=ROUNDING[p.rounding],
        late=p.order is Order.SUM_FIRST,
        overflow=OVERFLOW[p.overflow],
    )


@inner
def flow(p, first, last, i, received, coefficient, beyond):
    """Advance the currents `first` to `last - 1` by one tick.

    p : Words.  i, coefficient : int64[n]; the currents, updated in place, and their leaks.
    received : the sums of this tick, replaced by the new currents, which its type holds.
    beyond : bool[n], written: whether the new current did not fit.

    Returns
    -------
    Number of currents that did not fit.
    """
    lost = 0
    for n in range(np.uint64(first), np.uint64(last)):
        if p.late:
            total = decayed(i[n] + received[n], coefficient[n], p)
        else:
            total = decayed(i[n], coefficient[n], p) + received[n]
        i[n] = bound(total, p.i, p.overflow)
        received[n] = like(i[n], received[n])
        beyond[n] = i[n] != total
        lost += beyond[n]
    return lost


@cache
def current(p: Current):
    """Compile `step(i, received, coefficient, beyond)`.

    Parameters
    ----------
    p : Current
        Datapath parameters, frozen into the kernel as constants.

    Returns
    -------
    step : function
        One tick of a population.  `i`, int64[n], is updated in place from the sums `received`,
        int64[n], which it replaces, and the leaks `coefficient`, int64[n]; `beyond`, bool[n], is
        written: whether a new current did not fit `p.i`.
    """
    frozen = words(p)

    @njit
    def step(i, received, coefficient, beyond):
        flow(frozen, 0, i.shape[0], i, received, coefficient, beyond)

    return step
