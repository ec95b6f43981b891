"""EventProp on one recording after another: forwards as `model.simulate`, backwards in time.

What the recursions of `model.network.Lif` sample at the end of every step is a membrane V with

    V' = log(alpha) V + gain I + drive bias,    I' = log(alpha_syn) I,

where an event that arrives in step n raises I by its weight at time n, and step n ends at n + 1.
A crossing of the threshold lies somewhere within its step.  Backwards, everything is the exact
derivative of that crossing and of everything it causes; that the grid sends a spike, and empties
the membrane, a fraction of a step beside the crossing counts as a constant of the spike.

Forwards in float64 with the arithmetic of the simulation, for the same spikes.  What is kept of a
recording are its spikes and its readouts; adjoints live in a ring as long as the longest delay.
"""

import math

import numpy as np
from numba import njit

from learn.adjoint import (
    DRIVE,
    FLOOR,
    GAIN,
    LEAK,
    LEAK_SYN,
    LEARN,
    LEARN_DELAYS,
    RATE_STRENGTH,
    RATE_TARGET,
    STEPWISE,
)
from model.kernels.simulation import deliver
from model.layout import (
    ALPHA,
    ALPHA_SYN,
    BIAS,
    DELAY,
    EMITTER,
    INPUT,
    KIND,
    NEURONS,
    OUT,
    OUT_END,
    PER_POST,
    PER_PRE,
    POST,
    READOUT,
    SIZE,
    START,
    STRICT,
    THRESHOLD,
    WEIGHT,
    ZERO_RESET,
)


@njit
def response(s, a, b, leak, leak_syn):
    """Return V at time s of a current of 1 at time 0; a, b : alpha and alpha_syn."""
    if a == b:
        return s * math.exp((s - 1) * leak)
    return (math.exp(s * leak) - math.exp(s * leak_syn)) / (a - b)


@njit
def ramp(s, a, leak):
    """Return V at time s of a bias of 1 since time 0."""
    return s if a == 1 else (math.exp(s * leak) - 1) / (a - 1)


@njit
def crossing(neurons, j, v, i):
    """Find where a membrane that ends a step at its threshold, or above it, has crossed it.

    v, i : V and I at the start of the step, v below the threshold.

    Returns
    -------
    Time since the start of the step, in it, and V' there, just before the reset.
    """
    a, b = neurons[ALPHA, j], neurons[ALPHA_SYN, j]
    leak, leak_syn = neurons[LEAK, j], neurons[LEAK_SYN, j]
    threshold, bias = neurons[THRESHOLD, j], neurons[BIAS, j]
    low, high, s = 0.0, 1.0, 0.5
    # V has one crossing only, as a sum of two exponentials that starts below and ends above it.
    for _ in range(60):
        above = (
            math.exp(s * leak) * v + response(s, a, b, leak, leak_syn) * i
            + ramp(s, a, leak) * bias - threshold
        )  # fmt: skip
        if above < 0:
            low = s
        else:
            high = s
        rise = (
            leak * (above + threshold) + neurons[GAIN, j] * math.exp(s * leak_syn) * i
            + neurons[DRIVE, j] * bias
        )  # fmt: skip
        step = s - above / rise if rise > 0 else -1.0
        if not low < step < high:
            step = 0.5 * (low + high)
        moved, s = abs(step - s), step
        if moved < 1e-12:
            break
    rise = (
        leak * threshold + neurons[GAIN, j] * math.exp(s * leak_syn) * i
        + neurons[DRIVE, j] * bias
    )  # fmt: skip
    return s, rise


@njit
def forward(populations, projections, neurons, weights, steps, counts, shift, u, current, ring, y,
            emitted, first, fired, at, rises, peaks, heights):  # fmt: skip
    """Run a recording; see `learn.adjoint.Scratch`.

    Returns
    -------
    Number of spikes; if there are too many, one more than there is room for, and it has stopped.
    """
    last, slots = counts.shape[0], ring.shape[1]
    ring[:] = 0
    u[:] = 0
    current[:] = 0
    emitted[:] = 0
    peaks[:] = 0
    heights[:] = -math.inf
    n = 0
    for t in range(last):
        slot = t & (slots - 1)
        first[t] = n
        for p in range(populations.shape[0]):
            kind, start = populations[p, KIND], populations[p, START]
            if kind == INPUT:
                channels = np.int64(populations[p, NEURONS])
                for channel in range(channels):
                    i = channel + shift
                    if counts[t, channel] != 0 and 0 <= i < channels:
                        emitted[populations[p, EMITTER] + i] += counts[t, channel]
                        deliver(populations, projections, weights, steps, p, np.uint64(i),
                                np.int64(counts[t, channel]), t, last, ring, 0)  # fmt: skip
                continue
            for i in range(populations[p, NEURONS]):
                j = start + i
                before = u[j]
                drive = neurons[ALPHA_SYN, j] * current[j] + ring[0, slot, j]
                current[j] = drive
                v = neurons[ALPHA, j] * before + drive + neurons[BIAS, j]
                ring[0, slot, j] = 0.0
                if kind == READOUT:
                    y[t, i] = v
                elif v > neurons[THRESHOLD, j] or (
                    v == neurons[THRESHOLD, j] and not populations[p, STRICT]
                ):
                    if n == fired.shape[0]:
                        return n + 1
                    fired[n] = j
                    at[n], rises[n] = crossing(neurons, j, before, drive)
                    n += 1
                    emitted[populations[p, EMITTER] + i] += 1
                    v = 0.0 if populations[p, ZERO_RESET] else v - neurons[THRESHOLD, j]
                    deliver(populations, projections, weights, steps, p, i, 1, t, last, ring,
                            0)  # fmt: skip
                elif v > heights[j]:
                    heights[j], peaks[j] = v, t
                u[j] = v
    first[last] = n
    return n


@njit
def judge(y, label, stepwise, errors):
    """Write the loss's derivative by y of every step; see `learn.eventprop.Objective`.

    Returns
    -------
    class (argmax of y summed over steps) and loss.
    """
    last, classes = y.shape
    total = np.zeros(classes)
    for t in range(last):
        for k in range(classes):
            total[k] += y[t, k]
    best = 0
    for k in range(classes):
        if total[k] > total[best]:
            best = k
    loss = 0.0
    for t in range(last if stepwise else 1):
        top, norm = -math.inf, 0.0
        for k in range(classes):
            # The mean takes the place of the only step there is.
            total[k] = y[t, k] if stepwise else total[k] / last
            top = max(top, total[k])
        loss += top - total[label]
        for k in range(classes):
            total[k] = math.exp(total[k] - top)
            norm += total[k]
        loss += math.log(norm)
        for k in range(classes):
            errors[t, k] = (total[k] / norm - (k == label)) / last
    if not stepwise:
        for t in range(1, last):
            for k in range(classes):
                errors[t, k] = errors[0, k]
        return best, loss
    return best, loss / last


@njit
def credit(populations, projections, weights, steps, p, i, count, t, last, ring, learn_delays, gw,
           gd):  # fmt: skip
    """Add the gradient of what `count` events caused, emitted at step `t` by neuron `i` of `p`.

    ring : float32[slots, neurons, 2], at the step of an arrival the loss's derivative by a current
    that comes then, and by the time at which a current of 1 comes.

    Returns
    -------
    The loss's derivative by the time at which the events were emitted.
    """
    slots = ring.shape[0] - 1
    total = np.float32(0)
    for q in range(populations[p, OUT], populations[p, OUT_END]):
        size = projections[q, SIZE]
        start = populations[projections[q, POST], START]
        w = projections[q, WEIGHT] + i * size
        d = projections[q, DELAY] + i * projections[q, PER_PRE]
        learned = learn_delays and projections[q, PER_PRE] + projections[q, PER_POST] > 0
        if projections[q, PER_POST] == 0:
            due = t + steps[d]
            if due <= last:
                slot, moved = due & slots, np.float32(0)
                for j in range(size):
                    gw[w + j] += count * ring[slot, start + j, 0]
                    moved += weights[w + j] * ring[slot, start + j, 1]
                moved *= count
                total += moved
                if learned:
                    gd[d] += moved
        else:
            for j in range(size):
                due = t + steps[d + j]
                if due <= last:
                    slot = due & slots
                    gw[w + j] += count * ring[slot, start + j, 0]
                    moved = count * weights[w + j] * ring[slot, start + j, 1]
                    total += moved
                    if learned:
                        gd[d + j] += moved
    return total


@njit
def step_back(neurons, kind, start, size, t, peaks, silent, pull, errors, state, kept, ring, gb):
    """Take a population's adjoints from the end of step `t` to its start, as if nothing fired.

    state : float64[2, neurons], the loss's derivative by V and by I.  kept : the same, of before.
    silent : bool[neurons].  pull : derivative by the membrane's peak where nothing fired.
    """
    slot = t & (ring.shape[0] - 1)
    for i in range(size):
        j = start + i
        v, c = state[0, j], state[1, j]
        if kind == READOUT:
            v += errors[t, i]
        elif pull != 0 and silent[j] and peaks[j] == t:
            v += pull
        kept[0, j], kept[1, j] = v, c
        gb[j] += v
        c = neurons[ALPHA_SYN, j] * c + v
        v = neurons[ALPHA, j] * v
        state[0, j], state[1, j] = v, c
        # Later or earlier than the readout's sample at its time: the mean of both.
        sampled = 0.5 * errors[t - 1, i] if kind == READOUT and t > 0 else 0.0
        ring[slot, j, 0] = c
        ring[slot, j, 1] = -(neurons[GAIN, j] * (v + sampled) + neurons[LEAK_SYN, j] * c)


@njit
def step_back_fired(neurons, j, s, rise, emission, pull, floor, t, state, kept, ring, gb):
    """Take the adjoints of a neuron back that has fired in step `t`, `s` after its start.

    emission : derivative by the time of the spike, as others see it.  pull : by V at the crossing.
    """
    a, b = neurons[ALPHA, j], neurons[ALPHA_SYN, j]
    leak, leak_syn = neurons[LEAK, j], neurons[LEAK_SYN, j]
    slot, rest = t & (ring.shape[0] - 1), 1 - s
    v, c = kept[0, j], kept[1, j]
    gb[j] += (ramp(rest, a, leak) - 1) * v
    c = math.exp(rest * leak_syn) * c + response(rest, a, b, leak, leak_syn) * v
    v = math.exp(rest * leak) * v
    after = rise - leak * neurons[THRESHOLD, j]
    v = (after * v - emission) / max(rise, floor) + pull
    gb[j] += ramp(s, a, leak) * v
    c = math.exp(s * leak_syn) * c + response(s, a, b, leak, leak_syn) * v
    v = math.exp(s * leak) * v
    state[0, j], state[1, j] = v, c
    ring[slot, j, 0] = c
    ring[slot, j, 1] = -(neurons[GAIN, j] * v + leak_syn * c)


@njit
def backward(populations, projections, neurons, weights, steps, counts, shift, choices, amounts,
             first, fired, at, rises, peaks, emitted, errors, state, kept, silent, ring, gw, gd,
             gb):  # fmt: skip
    """Add the gradient of a recording that has run forwards."""
    last, learn_delays = counts.shape[0], choices[LEARN_DELAYS] != 0
    strength, target = amounts[RATE_STRENGTH], amounts[RATE_TARGET]
    state[:] = 0
    ring[last & (ring.shape[0] - 1)] = 0
    for p in range(populations.shape[0]):
        if populations[p, KIND] == INPUT:
            continue
        for i in range(populations[p, NEURONS]):
            j = populations[p, START] + i
            if populations[p, KIND] == READOUT:
                # What comes at the very end, too late for the last sample, could be earlier.
                ring[last & (ring.shape[0] - 1), j, 1] = (
                    -0.5 * neurons[GAIN, j] * errors[last - 1, i]
                )
            else:
                silent[j] = emitted[populations[p, EMITTER] + i] == 0
    for t in range(last - 1, -1, -1):
        n = first[t + 1] - 1
        for p in range(populations.shape[0] - 1, -1, -1):
            kind, start = populations[p, KIND], np.int64(populations[p, START])
            size = np.int64(populations[p, NEURONS])
            if kind == INPUT:
                for channel in range(size):
                    i = channel + shift
                    if counts[t, channel] != 0 and 0 <= i < size:
                        credit(populations, projections, weights, steps, p, np.uint64(i),
                               np.float32(counts[t, channel]), t, last, ring, learn_delays, gw,
                               gd)  # fmt: skip
                continue
            step_back(neurons, kind, start, size, t, peaks, silent, -strength * target, errors,
                      state, kept, ring, gb)  # fmt: skip
            while kind != READOUT and n >= first[t] and fired[n] >= start:
                i = np.uint64(fired[n] - start)
                emission = credit(populations, projections, weights, steps, p, i, np.float32(1), t,
                                  last, ring, learn_delays, gw, gd)  # fmt: skip
                much = strength * (emitted[populations[p, EMITTER] + i] - target)
                step_back_fired(neurons, fired[n], at[n], rises[n], emission, much, amounts[FLOOR],
                                t, state, kept, ring, gb)  # fmt: skip
                n -= 1


@njit(nogil=True)
def work(populations, projections, neurons, weights, steps, choices, amounts, counts, labels,
         chosen, shifts, u, current, ring, y, emitted, first, fired, at, rises, peaks, heights,
         errors, state, kept, silent, adjoints, gw, gd, gb, losses, classes, spikes, worker,
         workers):  # fmt: skip
    """Run this worker's share of the recordings `chosen`; see `learn.adjoint.Adjoint.run`.

    Their gradients gather in a number of partial sums that does not depend on `workers`.

    Returns
    -------
    Whether there was room for the spikes of every recording; if not, nothing written counts.
    """
    for partial in range(worker, gw.shape[0], workers):
        gw[partial] = 0
        gd[partial] = 0
        gb[partial] = 0
        spikes[partial] = 0
        for n in range(partial, chosen.shape[0], gw.shape[0]):
            r = chosen[n]
            many = forward(
                populations, projections, neurons, weights, steps, counts[r], shifts[n], u,
                current, ring, y, emitted, first, fired, at, rises, peaks, heights,
            )  # fmt: skip
            if many > fired.shape[0]:
                return False
            classes[n], losses[n] = judge(y, labels[r], choices[STEPWISE] != 0, errors)
            if choices[LEARN]:
                backward(
                    populations, projections, neurons, weights, steps, counts[r], shifts[n],
                    choices, amounts, first, fired, at, rises, peaks, emitted, errors, state, kept,
                    silent, adjoints, gw[partial], gd[partial], gb[partial],
                )  # fmt: skip
            for e in range(emitted.shape[0]):
                spikes[partial, e] += emitted[e]
    return True
