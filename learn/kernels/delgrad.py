"""First spikes and their derivatives, in closed form, on one recording after another.

In units of a step, with a and b a neuron's alpha and alpha_syn, a membrane is a sum over arrivals
at times t_k, before the first spike:

    V(t) = sum w_k kernel(t - t_k),    kernel(s) = (a^s - b^s) / (a - b),   or s a^(s - 1) if a = b

Between two arrivals V is given by its own value and the current's at the first of them, and where
it rises to the threshold follows from a quadratic equation in a^s if b = a^2 (the membrane's time
constant is twice that of the current), or from Lambert's W if b = a.
"""

import math

from numba import njit

from learn.first_spikes import (
    ALPHA_SHARED,
    ALPHA_SYN_SHARED,
    FLOOR,
    HORIZON,
    LEAK,
    LEARN,
    LEARN_DELAYS,
    MARGIN,
    OBJECTIVE,
    OUTPUT_PULL,
    PULL,
    SHIFT,
    UNIT,
)
from model.layout import (
    DELAY,
    EMITTER,
    NEURONS,
    PER_POST,
    PER_PRE,
    POST,
    SIZE,
    START,
    THRESHOLD,
    WEIGHT,
)

ROUNDING = 1e-9


@njit
def lambert(z):
    """Return the principal branch of Lambert's W, y exp(y) = z, for -1/e <= z < 0."""
    p = math.sqrt(max(2 * (1 + math.e * z), 0.0))
    if p < 1e-4:
        # Next to the branch point the equation is flat, and the series exact.
        return -1 + p * (1 - p * (1 / 3 - p * 11 / 72))
    y = -1 + p * (1 - p * (1 / 3 - p * (11 / 72 - p * 43 / 540))) if p < 1 else z * (1 - z)
    for _ in range(20):
        grown = math.exp(y)
        off = y * grown - z
        step = off / (grown * (y + 1) - (y + 2) * off / (2 * y + 2))
        y -= step
        if abs(step) <= 1e-16 * abs(y):
            break
    return y


@njit
def decayed(s, amounts):
    """Return a^s and b^s, of which the second needs no exponential of its own."""
    left = math.exp(s * amounts[LEAK])
    if amounts[ALPHA_SHARED] == amounts[ALPHA_SYN_SHARED]:
        return left, left
    return left, left * left


@njit
def kernel(s, left, left_syn, amounts):
    """Return V at time s of a weight of 1 that has arrived at time 0; see `decayed`."""
    a, b = amounts[ALPHA_SHARED], amounts[ALPHA_SYN_SHARED]
    if a == b:
        return s * left / a
    return (left - left_syn) / (a - b)


@njit
def slope(s, left, left_syn, amounts):
    """Return the derivative of `kernel`."""
    a, b, leak = amounts[ALPHA_SHARED], amounts[ALPHA_SYN_SHARED], amounts[LEAK]
    if a == b:
        return (1 + s * leak) * left / a
    return leak * (left - 2 * left_syn) / (a - b)


@njit
def crossing(v, i, threshold, amounts):
    """Return when V, now v below the threshold, rises to it with current i; inf if never."""
    if i <= 0:
        return math.inf
    a, b, leak = amounts[ALPHA_SHARED], amounts[ALPHA_SYN_SHARED], amounts[LEAK]
    if a == b:
        z = threshold * a * leak / i * math.exp(v * a * leak / i)
        if z < -1 / math.e:
            return math.inf
        return lambert(z) / leak - v * a / i
    # V = all x - part x^2 with x = a^s.
    part = i / (a - b)
    every = v + part
    root = every * every - 4 * part * threshold
    if every <= 0 or root < 0:
        return math.inf
    return math.log((every + math.sqrt(root)) / (2 * part)) / leak


@njit
def peak(v, i, last, amounts):
    """Return when, until `last`, V is largest, and V there; now it is v with current i."""
    a, b, leak = amounts[ALPHA_SHARED], amounts[ALPHA_SYN_SHARED], amounts[LEAK]
    s = 0.0
    if i > 0 and a == b:
        s = -1 / leak - v * a / i
    elif i > 0:
        part = i / (a - b)
        every = v + part
        s = math.log(every / (2 * part)) / leak if every > 0 else math.inf
    s = min(max(s, 0.0), last)
    left, left_syn = decayed(s, amounts)
    return s, v * left + i * kernel(s, left, left_syn, amounts)


@njit
def sift(due, order, k, end):
    """Let entry k of a heap, earliest `due` first, sink to its place; all below it are heaps."""
    time, which = due[k], order[k]
    while True:
        child = 2 * k + 1
        if child >= end:
            break
        if child + 1 < end and due[child + 1] < due[child]:
            child += 1
        if due[child] >= time:
            break
        due[k], order[k] = due[child], order[child]
        k = child
    due[k], order[k] = time, which


@njit
def first_spike(due, order, many, threshold, amounts, arriving):
    """Find the first spike of a neuron.

    due : float64[many], times of arrivals, destroyed; order : their number among `arriving`, what
    each adds to the current.

    Returns
    -------
    Time of the spike, inf if there is none before the horizon; time and height of the largest V
    before it.
    """
    horizon = amounts[HORIZON]
    for k in range(many // 2 - 1, -1, -1):
        sift(due, order, k, many)
    v, i, now = 0.0, 0.0, 0.0
    when, height = 0.0, 0.0
    while many > 0 and due[0] < horizon:
        time, which = due[0], order[0]
        many -= 1
        due[0], order[0] = due[many], order[many]
        sift(due, order, 0, many)
        passed = time - now
        left, left_syn = decayed(passed, amounts)
        v = v * left + i * kernel(passed, left, left_syn, amounts)
        i = i * left_syn + arriving[which]
        now = time
        free = min(due[0] if many > 0 else horizon, horizon) - now
        s = crossing(v, i, threshold, amounts)
        # An arrival in the very moment of the crossing leaves a root that rounding makes negative.
        if -ROUNDING < s < free:
            return now + max(s, 0.0), when, height
        s, top = peak(v, i, free, amounts)
        if top > height:
            when, height = now + s, top
    return math.inf, when, height


@njit
def listen(populations, projections, neurons, weights, delays, q, amounts, first, sources, times,
           units, counts, due, order, arriving, fired, peaks, heights):  # fmt: skip
    """Find the first spikes of the population that projection `q` leads to, and what peaks.

    Its sources are the entries first .. sources of times, units and counts.
    """
    size, start = projections[q, SIZE], populations[projections[q, POST], START]
    for j in range(size):
        many = 0
        for e in range(first, sources):
            i = units[e]
            d = projections[q, DELAY] + i * projections[q, PER_PRE] + j * projections[q, PER_POST]
            time = times[e] + delays[d]
            if time < amounts[HORIZON]:
                due[many], order[many] = time, many
                arriving[many] = counts[e] * weights[projections[q, WEIGHT] + i * size + j]
                many += 1
        n = start + j
        fired[n], peaks[n], heights[n] = first_spike(
            due, order, many, neurons[THRESHOLD, n], amounts, arriving
        )


@njit
def judge(spikes, label, objective, amounts, errors):
    """Write the loss's derivative by the time of every output's spike; see `Objective`.

    spikes : first spikes of the outputs, inf where there is none.

    Returns
    -------
    class (the first to fire, -1 if none does) and loss.
    """
    unit, margin, horizon = amounts[UNIT], amounts[MARGIN], amounts[HORIZON]
    best = 0
    for k in range(spikes.shape[0]):
        errors[k] = 0.0
        if spikes[k] < spikes[best]:
            best = k
    own, top = min(spikes[label], horizon), min(spikes[best], horizon)
    loss, norm = 0.0, 0.0
    if objective == SHIFT:
        for k in range(spikes.shape[0]):
            if k != label and spikes[k] < horizon:
                off = (spikes[k] - own) / unit - margin
                loss += off * off
                errors[k] = 2 * off / unit
                errors[label] -= 2 * off / unit
    else:
        for k in range(spikes.shape[0]):
            errors[k] = math.exp((top - min(spikes[k], horizon)) / (unit * margin))
            norm += errors[k]
        loss = math.log(norm) + (own - top) / (unit * margin)
        for k in range(spikes.shape[0]):
            errors[k] = ((k == label) - errors[k] / norm) / (unit * margin)
    return (best if spikes[best] < horizon else -1), loss


@njit
def credit(populations, projections, neurons, weights, delays, q, amounts, pull, learn_delays,
           first, sources, times, units, counts, blame, fired, peaks, errors, gw, gd):  # fmt: skip
    """Add the gradient of the population that projection `q` leads to.

    errors : the loss's derivative by its spikes [size].  blame : the same by the times of its
    sources, written.
    """
    size, start = projections[q, SIZE], populations[projections[q, POST], START]
    for e in range(first, sources):
        blame[e] = 0.0
    for j in range(size):
        n = start + j
        time, rise = fired[n], 0.0
        silent = time == math.inf
        if silent:
            time = peaks[n]
        d0 = projections[q, DELAY] + j * projections[q, PER_POST]
        learned = learn_delays and projections[q, PER_PRE] + projections[q, PER_POST] > 0
        for e in range(first, sources):
            s = time - times[e] - delays[d0 + units[e] * projections[q, PER_PRE]]
            if s > 0:
                w = weights[projections[q, WEIGHT] + units[e] * size + j]
                left, left_syn = decayed(s, amounts)
                rise += counts[e] * w * slope(s, left, left_syn, amounts)
        # The loss's derivative by V: at the spike, or where V was largest.
        by_v = -pull / neurons[THRESHOLD, n] if silent else -errors[j] / max(rise, amounts[FLOOR])
        for e in range(first, sources):
            d = d0 + units[e] * projections[q, PER_PRE]
            s = time - times[e] - delays[d]
            if s > 0:
                w = projections[q, WEIGHT] + units[e] * size + j
                left, left_syn = decayed(s, amounts)
                gw[w] += by_v * counts[e] * kernel(s, left, left_syn, amounts)
                if not silent:
                    moved = -by_v * counts[e] * weights[w] * slope(s, left, left_syn, amounts)
                    blame[e] += moved
                    if learned:
                        gd[d] += moved


@njit(nogil=True)
def work(populations, projections, neurons, chain, weights, delays, choices, amounts, counts,
         labels, chosen, shifts, times, units, many, blame, due, order, arriving, fired, peaks,
         heights, errors, bounds, gw, gd, losses, classes, spikes, worker, workers):  # fmt: skip
    """Run this worker's share of the recordings `chosen`; see `learn.first_spikes.FirstSpikes`.

    Their gradients gather in a number of partial sums that does not depend on `workers`.
    """
    for partial in range(worker, gw.shape[0], workers):
        gw[partial] = 0
        gd[partial] = 0
        spikes[partial] = 0
        for n in range(partial, chosen.shape[0], gw.shape[0]):
            r = chosen[n]
            end = 0
            for t in range(counts.shape[1]):
                for channel in range(counts.shape[2]):
                    i = channel + shifts[n]
                    if counts[r, t, channel] != 0 and 0 <= i < counts.shape[2]:
                        times[end], units[end], many[end] = t, i, counts[r, t, channel]
                        spikes[partial, i] += counts[r, t, channel]
                        end += 1
            bounds[0] = 0
            for c in range(chain.shape[0]):
                q = chain[c]
                bounds[c + 1] = end
                listen(populations, projections, neurons, weights, delays, q, amounts, bounds[c],
                       end, times, units, many, due, order, arriving, fired, peaks,
                       heights)  # fmt: skip
                p = projections[q, POST]
                for j in range(populations[p, NEURONS]):
                    time = fired[populations[p, START] + j]
                    if time < math.inf:
                        times[end], units[end], many[end] = time, j, 1
                        spikes[partial, populations[p, EMITTER] + j] += 1
                        end += 1
            out = projections[chain[-1], POST]
            first = populations[out, START]
            classes[n], losses[n] = judge(
                fired[first : first + populations[out, NEURONS]], labels[r], choices[OBJECTIVE],
                amounts, errors,
            )  # fmt: skip
            if not choices[LEARN]:
                continue
            for c in range(chain.shape[0] - 1, -1, -1):
                pull = amounts[OUTPUT_PULL if c == chain.shape[0] - 1 else PULL]
                credit(populations, projections, neurons, weights, delays, chain[c], amounts, pull,
                       choices[LEARN_DELAYS], bounds[c], bounds[c + 1], times, units, many, blame,
                       fired, peaks, errors, gw[partial], gd[partial])  # fmt: skip
                if c > 0:
                    for e in range(bounds[c], bounds[c + 1]):
                        errors[units[e]] = blame[e]
