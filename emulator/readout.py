"""Score of every class, and the winner."""

from functools import cache

import numpy as np
from numba import njit

from datapath import Readout
from emulator.fixed import saturate
from emulator.kernels import inner


@inner
def add_scores(scores, v, first, fmt):
    """Add the membranes from `first` on; return how many sums were out of range."""
    beyond, begin = 0, np.uint64(first)
    for k in range(np.uint64(scores.shape[0])):
        total = scores[k] + v[begin + k]
        scores[k] = saturate(total, fmt)
        beyond += scores[k] != total
    return beyond


@inner
def winner_of(scores):
    """Find the smallest class with the largest score."""
    winner = 0
    for k in range(scores.shape[0]):
        if scores[k] > scores[winner]:
            winner = k
    return winner


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
        beyond = add_scores(scores, v, 0, fmt)
        return winner_of(scores), beyond > 0

    return step
