"""The three-factor rule on one recording after another, in float32.

A sum over steps of (backwards filtered error x psi) x (delayed trace of the pre neuron) is, with
the membrane's filter moved to the other factor, a sum over the events of the pre neuron: each
event adds one row of the post side's table at the step in which it arrives.  No state per synapse,
no work where nothing was emitted, and alpha may differ from neuron to neuron.

Whatever a loop does not change is read before it: Numba must assume that a store changes it.
"""

import math

import numpy as np
from numba import njit

from learn.feedback import FEEDBACK, LINK_DELAY, PER_NEURON, PER_READOUT, POPULATION
from learn.gradient import (
    DEFERRED,
    ERROR,
    ERROR_WIDTH,
    EXPONENTIAL,
    LEARN,
    LEARN_DELAYS,
    RATE_STRENGTH,
    RATE_TARGET,
    RESET_PATH,
    SIGN_OF_WEIGHT,
    SOFTMAX,
    SURROGATE_WIDTH,
)
from model.layout import (
    ALPHA,
    BIAS,
    DELAY,
    EMITTER,
    INPUT,
    KIND,
    LIF,
    MIN_DELAY,
    NEURONS,
    OUT,
    OUT_END,
    PER_POST,
    PER_PRE,
    POST,
    PRE,
    READOUT,
    SIZE,
    START,
    THRESHOLD,
    WEIGHT,
    ZERO_RESET,
)


@njit
def send(weights, steps, w, d, per_post, size, start, times, events, e, first, end, current):
    """Add a pre neuron's events to the currents of the steps in which they arrive.

    e : its number as an emitter, of whose events `first` to `end` are sent.  w, d : its first
    weight and delay.
    current : float32[T, neurons], from neuron `start`.
    """
    last = current.shape[0]
    for k in range(first, end):
        t, count = np.int64(times[e, k]), events[e, k]
        if per_post == 0:
            due = t + np.int64(steps[d])
            if due < last:
                for j in range(size):
                    current[due, start + j] += count * weights[w + j]
        else:
            for j in range(size):
                due = t + np.int64(steps[d + j])
                if due < last:
                    current[due, start + j] += count * weights[w + j]


@njit
def enter(populations, projections, weights, steps, counts, shift, times, events, emitted, current):
    """List the input's events, channels moved by `shift`, and send all of them."""
    for p in range(populations.shape[0]):
        if populations[p, KIND] != INPUT:
            continue
        channels, first = np.int64(populations[p, NEURONS]), populations[p, EMITTER]
        for t in range(counts.shape[0]):
            for channel in range(channels):
                i = channel + shift
                if counts[t, channel] != 0 and 0 <= i < channels:
                    e = np.int64(first) + i
                    times[e, emitted[e]] = t
                    events[e, emitted[e]] = counts[t, channel]
                    emitted[e] += 1
        for q in range(populations[p, OUT], populations[p, OUT_END]):
            size, start = projections[q, SIZE], populations[projections[q, POST], START]
            for i in range(populations[p, NEURONS]):
                send(
                    weights, steps, projections[q, WEIGHT] + i * size,
                    projections[q, DELAY] + i * projections[q, PER_PRE], projections[q, PER_POST],
                    size, start, times, events, first + i, 0, emitted[first + i], current,
                )  # fmt: skip


@njit
def advance(populations, projections, neurons, weights, steps, times, events, emitted, u, current,
            fresh):  # fmt: skip
    """Run all steps; `current` becomes the membrane before the reset, or the readout's y.

    fresh : uint32[neurons], scratch.
    """
    for t in range(current.shape[0]):
        for p in range(populations.shape[0]):
            kind, start, size = populations[p, KIND], populations[p, START], populations[p, NEURONS]
            if kind == INPUT:
                continue
            first, zero = populations[p, EMITTER], populations[p, ZERO_RESET] != 0
            for j in range(start, start + size):
                v = neurons[ALPHA, j] * u[j] + current[t, j] + neurons[BIAS, j]
                u[j] = v
                current[t, j] = v
            if kind == READOUT:
                continue
            fired = 0
            for j in range(size):
                threshold = neurons[THRESHOLD, start + j]
                if u[start + j] >= threshold:
                    u[start + j] = 0 if zero else u[start + j] - threshold
                    times[first + j, emitted[first + j]] = t
                    events[first + j, emitted[first + j]] = 1
                    emitted[first + j] += 1
                    fresh[fired] = j
                    fired += 1
            for q in range(populations[p, OUT], populations[p, OUT_END]):
                post_size, post_start = (
                    projections[q, SIZE], populations[projections[q, POST], START]
                )  # fmt: skip
                for k in range(fired):
                    i = fresh[k]
                    n = emitted[first + i]
                    send(
                        weights, steps, projections[q, WEIGHT] + i * post_size,
                        projections[q, DELAY] + i * projections[q, PER_PRE],
                        projections[q, PER_POST], post_size, post_start, times, events,
                        first + i, n - 1, n, current,
                    )  # fmt: skip


@njit
def compare(start, end, label, kind, width, current):
    """Turn y of every step into its error, the level of `ErrorKind` number `kind` - target.

    Returns
    -------
    class (argmax of y summed over steps) and cross-entropy summed over steps.
    """
    best, best_score, loss = 0, -math.inf, 0.0
    for k in range(start, end):
        score = 0.0
        for t in range(current.shape[0]):
            score += current[t, k]
        if score > best_score:
            best, best_score = k - start, score
    for t in range(current.shape[0]):
        top, total = current[t, start], np.float32(0)
        for k in range(start, end):
            top = max(top, current[t, k])
        loss += top - current[t, start + label]
        for k in range(start, end):
            e = np.exp(current[t, k] - top)
            current[t, k] = e
            total += e
        loss += math.log(total)
        if kind != SOFTMAX:
            total = np.float32(0)
            for k in range(start, end):
                distance = -math.log(current[t, k]) / width
                level = math.exp(-distance) if kind == EXPONENTIAL else max(0.0, 1 - distance)
                current[t, k] = level
                total += current[t, k]
            # Divided by the power of two next to the sum, a shift in gates.
            power = np.float32(1)
            while total >= np.float32(1.5) * power:
                power *= np.float32(2)
            norm = power
        else:
            norm = total
        for k in range(start, end):
            current[t, k] /= norm
        # What the others have too much of, so that errors add up to 0.
        current[t, start + label] -= total / norm
    return best, loss


@njit
def guide(links, feedback, steps, deferred, readout, classes, p, start, size, half, current, back):
    """Add what reaches population `p` of the readout's error to its rows of `back`."""
    for n in range(links.shape[0]):
        if links[n, POPULATION] != p:
            continue
        per_neuron = links[n, PER_NEURON]
        for t in range(current.shape[0]):
            for k in range(classes):
                d = links[n, LINK_DELAY] + k * links[n, PER_READOUT]
                w = links[n, FEEDBACK] + k * size
                error = back[0, half + t, readout + k] if deferred else current[t, readout + k]
                # Of a later error nothing is known at the time of an instantaneous one.
                emission = half + t - (np.int64(steps[d]) if deferred else 0)
                if per_neuron == 0 or not deferred:
                    if emission >= half:
                        for j in range(size):
                            back[0, emission, start + j] += error * feedback[w + j]
                else:
                    for j in range(size):
                        emission = half + t - np.int64(steps[d + j * per_neuron])
                        if emission >= half:
                            back[0, emission, start + j] += error * feedback[w + j]


@njit
def look_back(neurons, choices, amounts, hidden, zero, start, size, emitted, first, half,
              current, back):  # fmt: skip
    """Filter rows of `back` backwards: back[t] = M[t] psi[t] + alpha back[t + 1].

    On entry a hidden population's rows hold its learning signal M; a readout's are written from
    `current`, with psi = 1.  first : the population's first emitter.
    """
    last = current.shape[0]
    width = np.float32(1) / amounts[SURROGATE_WIDTH]
    strength, target = amounts[RATE_STRENGTH], amounts[RATE_TARGET]
    reset_path = choices[RESET_PATH] != 0
    for t in range(last - 1, -1, -1):
        row = half + t
        if not hidden:
            for j in range(start, start + size):
                back[0, row, j] = current[t, j] + neurons[ALPHA, j] * back[0, row + 1, j]
            continue
        for i in range(size):
            j = start + i
            distance = (current[t, j] - neurons[THRESHOLD, j]) * width
            psi = np.exp(np.float32(-0.5) * distance * distance)
            carry = neurons[ALPHA, j]
            m = back[0, row, j]
            if strength != 0:
                rate = np.float32(emitted[first + i]) / np.float32(last)
                m += strength * (rate - target)
            if reset_path:
                # How much of u is left after the reset, to first order.
                if zero:
                    silent = np.float32(current[t, j] < neurons[THRESHOLD, j])
                    carry *= silent - current[t, j] * psi
                else:
                    carry *= np.float32(1) - neurons[THRESHOLD, j] * psi
            back[0, row, j] = m * psi + carry * back[0, row + 1, j]


@njit
def look_around(half_taps, folded, start, size, last, back, around):
    """Tabulate sum(c_u back[t + u]), the taps before u = -v gathered at -v, for v = 0 ... K."""
    half = half_taps.shape[0]
    for t in range(last + half):
        row, gathered = half + t, folded[0]
        for j in range(size):
            around[0, t, j] = gathered * back[0, row, start + j]
        for u in range(half):
            tap, later = half_taps[u], row + 1 + u
            for j in range(size):
                around[0, t, j] += tap * back[0, later, start + j]
        # One more step ahead moves the gathered taps from -(v - 1) to -v.
        for v in range(1, min(half, t) + 1):
            gathered, earlier = folded[v], row - v
            for j in range(size):
                around[v, t, j] = around[v - 1, t, j] + gathered * (
                    back[0, earlier, start + j] - back[0, earlier + 1, start + j]
                )


@njit
def gather(target, base, table, v, offset, start, size, times, events, e, end):
    """Add the rows of table `v` at events 0 ... end - 1 of emitter `e`, each times its count."""
    for k in range(0, end - 3, 4):
        a, b = offset + np.int64(times[e, k]), offset + np.int64(times[e, k + 1])
        c, d = offset + np.int64(times[e, k + 2]), offset + np.int64(times[e, k + 3])
        x, y, z, w = events[e, k], events[e, k + 1], events[e, k + 2], events[e, k + 3]
        for j in range(size):
            target[base + j] += (
                x * table[v, a, start + j]
                + y * table[v, b, start + j]
                + z * table[v, c, start + j]
                + w * table[v, d, start + j]
            )
    for k in range(end - end % 4, end):
        a, x = offset + np.int64(times[e, k]), events[e, k]
        for j in range(size):
            target[base + j] += x * table[v, a, start + j]


@njit
def credit(weights, steps, w, d, per_post, size, start, floor, learn_delays, sign, times, events, e,
           emitted, half, back, around, row, gw, gd):  # fmt: skip
    """Add the gradient of a pre neuron's weights and delays, w and d being its first ones."""
    last = times.shape[1]
    if learn_delays:
        for j in range(size):
            row[j] = 0
    if per_post == 0:
        n = np.int64(steps[d])
        end = emitted
        while end > 0 and np.int64(times[e, end - 1]) + n >= last:
            end -= 1
        gather(gw, w, back, 0, half + n, start, size, times, events, e, end)
        if learn_delays:
            end = emitted
            while end > 0 and np.int64(times[e, end - 1]) + n >= last + half:
                end -= 1
            v = min(half, n - floor)
            gather(row, w - w, around, v, n, start - start, size, times, events, e, end)
    else:
        for k in range(emitted):
            t, count = np.int64(times[e, k]), events[e, k]
            for j in range(size):
                n = np.int64(steps[d + j])
                if t + n < last:
                    gw[w + j] += count * back[0, half + t + n, start + j]
                if learn_delays and t + n < last + half:
                    row[j] += count * around[min(half, n - floor), t + n, j]
    if learn_delays:
        for j in range(size):
            weight = weights[w + j]
            if sign:
                weight = np.float32(np.sign(weight))
            gd[d + j * per_post] += weight * row[j]


@njit(inline="always")
def backward(populations, projections, neurons, weights, steps, links, feedback, half_taps, folded,
             choices, amounts, readout, times, events, emitted, current, back, around, row, gw, gd,
             gb):  # fmt: skip
    """Add the gradient of a recording that has run forwards."""
    last, half = current.shape[0], half_taps.shape[0]
    for t in range(back.shape[1]):
        for j in range(back.shape[2]):
            back[0, t, j] = 0
    deferred = choices[DEFERRED] != 0
    for pass_ in range(2):
        for p in range(populations.shape[0]):
            start, size = populations[p, START], populations[p, NEURONS]
            hidden = populations[p, KIND] == LIF
            # The readout first: hidden populations need its filtered error.
            if populations[p, KIND] == INPUT or hidden != (pass_ == 1):
                continue
            if hidden:
                guide(links, feedback, steps, deferred, populations[readout, START],
                      populations[readout, NEURONS], p, start, size, half, current,
                      back)  # fmt: skip
            first = populations[p, EMITTER]
            look_back(neurons, choices, amounts, hidden, populations[p, ZERO_RESET] != 0, start,
                      size, emitted, first, half, current, back)  # fmt: skip
            tabulated = False
            for q in range(projections.shape[0]):
                if projections[q, POST] != p:
                    continue
                delays = (
                    choices[LEARN_DELAYS] != 0
                    and projections[q, PER_PRE] + projections[q, PER_POST] > 0
                )
                if delays and not tabulated:
                    look_around(half_taps, folded, start, size, last, back, around)
                    tabulated = True
                first = populations[projections[q, PRE], EMITTER]
                for i in range(populations[projections[q, PRE], NEURONS]):
                    credit(weights, steps, projections[q, WEIGHT] + i * size,
                           projections[q, DELAY] + i * projections[q, PER_PRE],
                           projections[q, PER_POST], size, start,
                           np.int64(projections[q, MIN_DELAY]), delays,
                           choices[SIGN_OF_WEIGHT] != 0,
                           times, events, first + i,
                           emitted[first + i], half, back, around, row, gw, gd)  # fmt: skip
    for t in range(last):
        for j in range(gb.shape[0]):
            gb[j] += back[0, half + t, j]


@njit(inline="always")
def forward(populations, projections, neurons, weights, steps, choices, amounts, counts, label,
            readout, shift, times, events, emitted, u, current, fresh):  # fmt: skip
    """Run a recording; returns its class and its loss, and leaves the errors in `current`."""
    for e in range(emitted.shape[0]):
        emitted[e] = 0
    for j in range(u.shape[0]):
        u[j] = 0
    for t in range(current.shape[0]):
        for j in range(u.shape[0]):
            current[t, j] = 0
    enter(populations, projections, weights, steps, counts, shift, times, events, emitted, current)
    advance(populations, projections, neurons, weights, steps, times, events, emitted, u, current,
            fresh)  # fmt: skip
    start = np.int64(populations[readout, START])
    end = start + np.int64(populations[readout, NEURONS])
    return compare(start, end, label, choices[ERROR], amounts[ERROR_WIDTH], current)


@njit(nogil=True)
def work(populations, projections, neurons, weights, steps, links, feedback, half_taps, folded,
         choices, amounts, readout, counts, labels, chosen, shifts, times, events, emitted, u,
         current, back, around, row, fresh, gw, gd, gb, losses, classes, spikes, worker,
         workers):  # fmt: skip
    """Run this worker's share of the recordings `chosen`; see `Gradient.run`.

    Their gradients gather in a number of partial sums that does not depend on `workers`.
    """
    for partial in range(worker, gw.shape[0], workers):
        for n in range(gw.shape[1]):
            gw[partial, n] = 0
        for n in range(gd.shape[1]):
            gd[partial, n] = 0
        for n in range(gb.shape[1]):
            gb[partial, n] = 0
        for n in range(partial, chosen.shape[0], gw.shape[0]):
            r = chosen[n]
            classes[n], losses[n] = forward(
                populations, projections, neurons, weights, steps, choices, amounts, counts[r],
                labels[r], readout, shifts[n], times, events, emitted, u, current, fresh,
            )  # fmt: skip
            if choices[LEARN]:
                backward(
                    populations, projections, neurons, weights, steps, links, feedback, half_taps,
                    folded, choices, amounts, readout, times, events, emitted, current, back,
                    around, row, gw[partial], gd[partial], gb[partial],
                )  # fmt: skip
            for e in range(emitted.shape[0]):
                spikes[partial, e] += emitted[e]
