"""Learning signals: errors, fed back and filtered against time."""

from functools import cache

import numpy as np
from numba import njit

from datapath import Learn
from emulator.fixed import ZERO, saturate, shift_round
from emulator.kernels import inner


@inner
def feed_back(
    feedback, row, signals, reader, classes, looked_up, activity, target, strength, shift,
    first, last, total, drive,
):  # fmt: skip
    """Drive neurons `first` to `last - 1` by the signals of the readouts, from `reader` on.

    feedback : the weights [class][neuron] from `row` on.  total : scratch.  drive : written.
    """
    begin, end = np.uint64(first), np.uint64(last)
    for n in range(begin, end):
        total[n] = (((activity[n] - target) << strength) >> 1) * (strength > 0)
    for k in range(classes):
        at, g = np.uint64(row + k * (last - first)), signals[reader + k]
        for n in range(begin, end):
            total[n] += feedback[at + n - begin] * g
    for n in range(begin, end):
        drive[n] = shift_round(looked_up[n] * total[n], shift, ZERO)


@inner
def filter_signals(before, drive, coefficient, frac, shift, wide, fmt, first, last, after, out):
    """Filter the drives of neurons `first` to `last - 1`; return whether one was out of range.

    before, after : filtered signals, in the format `wide`.  out : signals, in `fmt`, written.
    """
    beyond = 0
    for n in range(np.uint64(first), np.uint64(last)):
        total = shift_round(before[n] * coefficient, frac, ZERO) + drive[n]
        after[n] = saturate(total, wide)
        narrowed = shift_round(after[n], shift, ZERO)
        out[n] = saturate(narrowed, fmt)
        beyond |= (after[n] ^ total) | (out[n] ^ narrowed)
    return beyond != 0


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
        n, classes = feedback.shape
        rows, total = feedback.T.copy().ravel(), np.empty_like(drive)
        feed_back(
            rows, 0, signals, 0, classes, looked_up, activity, target, strength, shift,
            0, n, total, drive,
        )  # fmt: skip

    @njit
    def step(filtered, drive, coefficient, shift, out):
        n = drive.shape[0]
        return filter_signals(
            filtered, drive, coefficient, frac, shift, wide, fmt, 0, n, filtered, out
        )

    return errors, drives, step
