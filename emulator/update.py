"""Gradients become steps of weights and delays."""

from functools import cache

from numba import njit

from datapath import Format, Learn
from emulator.fixed import NEAREST, ZERO, next_random, shift_round, stochastic_round
from emulator.kernels import inner


@inner
def limited(x, limit):
    """Clamp the gradient `x` to plus and minus `2**limit - 1`."""
    most = (1 << limit) - 1
    return min(max(x, -most), most)


@inner
def moved(word, fraction, bits, x, rate, shift, r, low, high):
    """Take a step against the gradient `x` from a master word, its low `bits` being the fraction.

    Words stay between `low` and `high`.
    """
    master = (word << bits) + fraction - stochastic_round(x * rate, shift, r)
    return min(max(master, low << bits), ((high + 1) << bits) - 1)


@inner
def rounding(r, shift, nearest):
    """Return what decides a shift by `shift`: the random `r`, or one half."""
    return (1 << shift) >> 1 if nearest else r


@inner
def kept(gradient, keep):
    """Return what stays of a gradient: 0, or `keep` > 0 as a shift of the share that goes."""
    return shift_round((gradient << keep) - gradient, keep, ZERO)


@inner
def of_synapse(weight, gradient, sign_of_weight, scale):
    """Return the gradient of a synaptic delay, which acts through the weight."""
    factor = (weight > 0) - (weight < 0) if sign_of_weight else weight
    return shift_round(factor * gradient, scale, NEAREST)


@cache
def update(weight: Format, p: Learn):
    """Compile one step of a weight, of a synaptic delay and of an axonal one.

    Parameters
    ----------
    weight : Format
        Of the weights.
    p : Learn
        Datapath parameters; both are frozen into the kernels as constants.

    Returns
    -------
    weights : function
        `weights(word, fraction, gradient, random, limit, rate, shift, keep, nearest)`.
    synaptic : function
        `synaptic(word, fraction, gradient, random, weight, sign_of_weight, scale, limit, rate,
        shift, keep, largest, nearest)`, `weight` being that before its own update.
    axonal : function
        `axonal(word, fraction, gradient, random, limit, rate, shift, keep, largest, nearest)`.

        `word`, `fraction`, `gradient` and `random` are int64[lanes], all updated in place: every
        lane draws, then moves.  The others are numbers, but `weight`, int64[lanes].
    """
    low, high = weight.min, weight.max
    of_weight, of_delay = p.weight_fraction.width, p.delay_fraction.width

    @njit
    def move(n, word, fraction, gradient, random, bits, x, rate, shift, keep, low, high, nearest):
        random[n] = next_random(random[n])
        r = rounding(random[n], shift, nearest)
        master = moved(word[n], fraction[n], bits, x, rate, shift, r, low, high)
        word[n], fraction[n] = master >> bits, master & ((1 << bits) - 1)
        gradient[n] = kept(gradient[n], keep)

    @njit
    def weights(word, fraction, gradient, random, limit, rate, shift, keep, nearest):
        for n in range(word.shape[0]):
            x = limited(gradient[n], limit)
            move(
                n, word, fraction, gradient, random, of_weight, x, rate, shift, keep, low, high,
                nearest,
            )  # fmt: skip

    @njit
    def synaptic(
        word, fraction, gradient, random, weight, sign_of_weight, scale, limit, rate, shift, keep,
        largest, nearest,
    ):  # fmt: skip
        for n in range(word.shape[0]):
            x = limited(of_synapse(weight[n], gradient[n], sign_of_weight, scale), limit)
            move(
                n, word, fraction, gradient, random, of_delay, x, rate, shift, keep, 0, largest,
                nearest,
            )  # fmt: skip

    @njit
    def axonal(word, fraction, gradient, random, limit, rate, shift, keep, largest, nearest):
        for n in range(word.shape[0]):
            x = limited(gradient[n], limit)
            move(
                n, word, fraction, gradient, random, of_delay, x, rate, shift, keep, 0, largest,
                nearest,
            )  # fmt: skip

    return weights, synaptic, axonal
