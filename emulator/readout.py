"""Score of every class, and the winner."""

from functools import cache

from numba import njit

from datapath import Readout
from emulator.fixed import saturate
from emulator.kernels import inner


@inner
def judge(scores, v, fmt):
    """Add the readout membranes `v` to `scores`: (winner, number of sums out of range)."""
    winner = 0
    beyond = 0
    for k in range(scores.shape[0]):
        total = scores[k] + v[k]
        scores[k] = saturate(total, fmt)
        beyond += scores[k] != total
        if scores[k] > scores[winner]:
            winner = k
    return winner, beyond


@cache
def readout(p: Readout):
    """Compile `step(scores, v)`.

    Parameters
    ----------
    p : Readout
        Datapath parameters, frozen into the kernel as constants.

    Returns
    -------
    step : function
        Adds the membranes `v` to `scores`, both int64[classes], saturating in `p.score`; returns
        the winner, the smallest class with the largest score, and whether a sum was out of range.
    """
    fmt = p.score

    @njit
    def step(scores, v):
        winner, beyond = judge(scores, v, fmt)
        return winner, beyond > 0

    return step
