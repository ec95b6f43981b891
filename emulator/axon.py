"""Spike history of every source."""

from functools import cache

from numba import njit

from datapath import Axon
from emulator.fixed import saturate


@cache
def axon(p: Axon):
    """Compile the two sides of a history of counts, int64[sources, depth], depth a power of two.

    Parameters
    ----------
    p : Axon
        Datapath parameters, frozen into the kernels as constants.

    Returns
    -------
    receive : function
        `receive(history, t, channel, count)` adds `count` events to what `channel` received in
        tick `t`, saturating in `p.count`; returns whether the sum was out of range.
    read : function
        `read(history, t, source, ticks)` returns the count `ticks` ticks ago, `ticks < depth`.
    """
    fmt = p.count

    @njit
    def receive(history, t, channel, count):
        slot = t & (history.shape[1] - 1)
        total = history[channel, slot] + count
        history[channel, slot] = saturate(total, fmt)
        return history[channel, slot] != total

    @njit
    def read(history, t, source, ticks):
        return history[source, (t - ticks) & (history.shape[1] - 1)]

    return receive, read
