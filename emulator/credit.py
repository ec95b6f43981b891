"""Gradients of weights and delays: what every spike gets when the signals are known."""

from functools import cache

from numba import njit

from datapath import Learn
from emulator.fixed import NEAREST, saturate, shift_round
from emulator.kernels import inner


@inner
def add_credit(gradient, at, amount, fmt):
    """Add `amount` to the gradient at `at`; return whether the sum was out of range."""
    total = gradient[at] + amount
    gradient[at] = saturate(total, fmt)
    return gradient[at] != total


@cache
def credit(p: Learn):
    """Compile what one source adds to gradients in one tick.

    Parameters
    ----------
    p : Learn
        Datapath parameters, frozen into the kernels as constants.

    Returns
    -------
    weights : function
        `weights(gradient, count, signals)` adds `count` times the signals to the gradients of a
        row of weights, both int64[n]; returns whether one was out of range.
    delays : function
        `delays(gradient, count, slopes)` does so for a row of synaptic delays.
    axon : function
        `axon(gradient, count, weights, slopes, scale)` does so for the delay of one axon,
        `gradient` being int64[1], and `weights` and `slopes` int64[n].
    """
    of_weights, of_delays = p.weight_gradient, p.delay_gradient

    @njit
    def weights(gradient, count, signals):
        beyond = False
        for j in range(gradient.shape[0]):
            beyond |= add_credit(gradient, j, count * signals[j], of_weights)
        return beyond

    @njit
    def delays(gradient, count, slopes):
        beyond = False
        for j in range(gradient.shape[0]):
            beyond |= add_credit(gradient, j, count * slopes[j], of_delays)
        return beyond

    @njit
    def axon(gradient, count, weights, slopes, scale):
        total = 0
        for j in range(slopes.shape[0]):
            total += weights[j] * slopes[j]
        return add_credit(gradient, 0, count * shift_round(total, scale, NEAREST), of_delays)

    return weights, delays, axon
