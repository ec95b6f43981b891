"""Learning signals: errors, fed back and filtered against time."""

from functools import cache

from numba import njit

from datapath import Learn
from emulator.fixed import ZERO, saturate, shift_round
from emulator.kernels import inner


@inner
def excess(activity, target, strength):
    """Return what a neuron that fired `activity` times adds to its fed-back error."""
    return ((activity - target) << strength) >> 1 if strength else 0


@inner
def fed_back(weights, row, signals, first, classes):
    """Sum the signals of the readouts, from `first` on, by the weights from `row` on."""
    total = 0
    for k in range(classes):
        total += weights[row + k] * signals[first + k]
    return total


@inner
def driven(looked_up, error, shift):
    """Return the drive of a neuron from its surrogate derivative and its fed-back error."""
    return shift_round(looked_up * error, shift, ZERO)


@inner
def filter_signals(drive, coefficient, frac, shift, wide, fmt, first, last, filtered, out):
    """Filter the drives of neurons `first` to `last - 1`; return whether one was out of range.

    wide, fmt : formats of `filtered`, updated in place, and of the signals `out`.
    """
    beyond = False
    for n in range(first, last):
        total = shift_round(filtered[n] * coefficient, frac, ZERO) + drive[n]
        filtered[n] = saturate(total, wide)
        narrowed = shift_round(filtered[n], shift, ZERO)
        out[n] = saturate(narrowed, fmt)
        beyond |= (filtered[n] != total) | (out[n] != narrowed)
    return beyond


@cache
def signal(p: Learn):
    """Compile the errors of readouts, the drives of neurons and the filter of both.

    Parameters
    ----------
    p : Learn
        Datapath parameters, frozen into the kernels as constants.

    Returns
    -------
    errors : function
        `errors(levels, total, label, drive)` writes the drives of all readouts, int64[classes],
        `total` being the sum of the levels.
    drives : function
        `drives(looked_up, feedback, signals, activity, target, strength, shift, drive)` writes the
        drives of hidden neurons, int64[n], from their derivatives, the feedback weights,
        int64[n, classes], the signals of the readouts, int64[classes], and their activity.
    step : function
        `step(filtered, drive, coefficient, shift, out)` filters, int64[n] each, `filtered` in
        place; writes the signals `out` and returns whether anything was out of range.
    """
    frac, wide, fmt = p.coefficient.frac, p.filtered, p.signal

    @njit
    def errors(levels, total, label, drive):
        for k in range(drive.shape[0]):
            drive[k] = levels[k] - total * (k == label)

    @njit
    def drives(looked_up, feedback, signals, activity, target, strength, shift, drive):
        for j in range(drive.shape[0]):
            error = fed_back(feedback[j], 0, signals, 0, signals.shape[0])
            error += excess(activity[j], target, strength)
            drive[j] = driven(looked_up[j], error, shift)

    @njit
    def step(filtered, drive, coefficient, shift, out):
        n = drive.shape[0]
        return filter_signals(drive, coefficient, frac, shift, wide, fmt, 0, n, filtered, out)

    return errors, drives, step
