"""Weighted delivery into the ring of accumulators."""

from functools import cache

from numba import njit

from datapath import Synapse


@cache
def synapse(p: Synapse):
    """Compile the two sides of a ring of accumulators, int64[slots, n], never overflowing.

    Parameters
    ----------
    p : Synapse
        Datapath parameters, frozen into the kernels as constants.

    Returns
    -------
    deliver : function
        `deliver(acc, t, weights, delays, count, scale, resolution)` adds one row: `count` spikes
        of one source at tick `t`, `weights` and `delays` int64[n].
    collect : function
        `collect(acc, t, out)` moves the sums of tick `t` to `out`, int64[n], and empties them.
    """
    last = p.slots - 1

    @njit
    def deliver(acc, t, weights, delays, count, scale, resolution):
        for j in range(weights.shape[0]):
            acc[(t + (delays[j] << resolution)) & last, j] += (weights[j] * count) << scale

    @njit
    def collect(acc, t, out):
        for j in range(out.shape[0]):
            out[j] = acc[t & last, j]
            acc[t & last, j] = 0

    return deliver, collect
