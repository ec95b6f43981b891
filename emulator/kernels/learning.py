"""The sweep back over one recording, the gradients it leaves, and the steps they become."""

import numpy as np

from datapath.timing import CREDIT, PASSED
from emulator.credit import add_credit
from emulator.fixed import NEAREST, like, next_random, shift_round
from emulator.kernels import inner, kernel, pasted
from emulator.kernels.recording import U, V
from emulator.kernels.rules import (
    AGE,
    AXONS,
    BEGIN,
    COEFFICIENT,
    COST,
    DELAY_LIMIT,
    DELAY_RATE,
    DELAY_SCALE,
    DELAY_SHIFT,
    DELAYS,
    DRIVE_SHIFT,
    FEEDBACK,
    FEW,
    IS_READOUT,
    IS_SYNAPTIC,
    LARGEST,
    LEARNS,
    PAIR,
    PASSABLE,
    POST,
    RESOLUTION,
    SIGNAL_SHIFT,
    SIZE,
    SOURCE,
    SOURCES,
    STRENGTH,
    SYNAPSES,
    TARGET,
    WEIGHT_LIMIT,
    WEIGHT_RATE,
    WEIGHT_SHIFT,
    WEIGHTS,
)
from emulator.signal import feed_back, filter_signals
from emulator.slope import derive_row
from emulator.surrogate import derive, level
from emulator.update import kept, limited, moved, of_synapse, rounding

TRAINS = 64
"""Spike trains that all neurons see in turn: few, so that they stay in the nearest cache."""


@pasted
def look_back(rules, s, trace):
    """Look up the derivatives and the errors of every tick, and count spikes."""
    s.activity[:] = 0
    for p in range(rules.populations.shape[0]):
        first = rules.populations[p, BEGIN]
        last = first + rules.populations[p, SIZE]
        for t in range(trace.shape[1]):
            v, u, out = trace[V, t], trace[U, t], s.looked_up[t]
            if rules.populations[p, IS_READOUT]:
                s.level_sums[t] = level(
                    rules.levels, rules.error_shift, rules.formats.one, v, first, last, out
                )
            elif rules.populations[p, LEARNS]:
                derive(rules.surrogate, rules.surrogate_shift, u, rules.threshold, first, last, out)
                for n in range(np.uint64(first), np.uint64(last)):
                    s.activity[n] += v[n] != u[n]
    for n in range(s.activity.shape[0]):
        s.activity[n] = min(s.activity[n], rules.formats.activity)


@pasted
def count_fed(rules, looked_up, p):
    """Count the neurons of population `p` that a tick's errors are fed back to."""
    fed, first = 0, rules.populations[p, BEGIN]
    for n in range(np.uint64(first), np.uint64(first + rules.populations[p, SIZE])):
        fed += looked_up[n] != 0
    return fed


@inner
def find_readout(rules):
    """Return the number of the readout population."""
    for p in range(rules.populations.shape[0]):
        if rules.populations[p, IS_READOUT]:
            return p
    return 0


@pasted
def sweep_signals(rules, feedback, s, label):
    """Filter all signals against time; return how many neurons were fed, and if one was beyond."""
    fed, beyond, reader = 0, False, find_readout(rules)
    begin, classes = rules.populations[reader, BEGIN], rules.populations[reader, SIZE]
    for t in range(s.looked_up.shape[0] - 1, -1, -1):
        looked_up, signals = s.looked_up[t], s.signals[t]
        for k in range(classes):
            s.drive[begin + k] = looked_up[begin + k] - s.level_sums[t] * (k == label)
        # The readout first, then the others.
        for turn in range(rules.populations.shape[0]):
            p = reader if turn == 0 else turn - (turn <= reader)
            first = rules.populations[p, BEGIN]
            last = first + rules.populations[p, SIZE]
            if not rules.populations[p, LEARNS]:
                continue
            if turn:
                fed += count_fed(rules, looked_up, p)
                feed_back(
                    feedback, rules.populations[p, FEEDBACK], signals, begin, classes, looked_up,
                    s.activity, rules.populations[p, TARGET], rules.populations[p, STRENGTH],
                    rules.populations[p, DRIVE_SHIFT], first, last, s.total, s.drive,
                )  # fmt: skip
            beyond |= filter_signals(
                s.filtered[t + 1], s.drive, rules.populations[p, COEFFICIENT],
                rules.formats.coefficient, rules.populations[p, SIGNAL_SHIFT],
                rules.formats.filtered, rules.formats.signal, first, last,
                s.filtered[t], signals,
            )  # fmt: skip
    return fed, beyond


@pasted
def turn_signals(rules, s, n):
    """Copy the signals of neuron `n` to its row; return the largest."""
    row, at, largest = np.uint64(n), np.uint64(rules.taps.shape[0]), 0
    for t in range(np.uint64(s.signals.shape[0])):
        s.signal_rows[row, at + t] = s.signals[t, row]
        largest = max(largest, abs(s.signals[t, row]))
    return largest


@inner
def largest_of(rows, row, first, ticks, live):
    """Find the largest of a row, and the ticks at which it is not 0."""
    n, at, largest = np.uint64(row), np.uint64(first), 0
    for tau in range(np.uint64(ticks)):
        x = np.int64(rows[n, at + tau])
        largest = max(largest, abs(x))
        live[tau] |= x != 0
    return largest


@pasted
def pair_rows(s, n):
    """Write signals and slopes of neuron `n` side by side into words."""
    row = np.uint64(n)
    for t in range(np.uint64(s.pairs.shape[1])):
        s.pairs[row, t] = (np.int64(s.slope_rows[row, t]) << PAIR) + s.signal_rows[row, t]


@pasted
def sweep_slopes(rules, s):
    """Derive all signals in time; return whether one was out of range."""
    taps, beyond, ticks = rules.taps.shape[0], False, s.live.shape[1]
    s.live[:] = 0
    for p in range(rules.populations.shape[0]):
        if not rules.populations[p, LEARNS]:
            continue
        first = rules.populations[p, BEGIN]
        for n in range(first, first + rules.populations[p, SIZE]):
            turn_signals(rules, s, n)
            beyond |= derive_row(
                s.signal_rows, n, taps, taps + ticks, rules.taps, rules.formats.tap,
                rules.formats.slope, s.total, s.slope_rows,
            )  # fmt: skip
            s.largest_signal[n] = largest_of(s.signal_rows, n, taps, ticks, s.live[p])
            s.largest_slope[n] = largest_of(s.slope_rows, n, taps, ticks, s.live[p])
            pair_rows(s, n)
    return beyond


@inner
def list_times(s, source, t, count):
    """Write down `count` spikes of a source in tick `t`, as far as there is room."""
    i, first = np.uint64(source), s.times[source]
    for k in range(first, min(first + count, FEW)):
        s.spikes[i, np.uint64(k)] = t
    s.times[i] = first + count


@pasted
def list_trains(rules, s, channels, trace, starts, channel, count):
    """Write down the spikes of every source, tick by tick, how many there are and the first few."""
    s.trains[:channels] = 0
    s.times[:] = 0
    for t in range(trace.shape[1]):
        for e in range(starts[t], starts[t + 1]):
            s.trains[channel[e], t] = count[e]
            list_times(s, channel[e], t, count[e])
        for p in range(rules.populations.shape[0]):
            first = rules.populations[p, BEGIN]
            for n in range(np.uint64(first), np.uint64(first + rules.populations[p, SIZE])):
                fired = trace[V, t, n] != trace[U, t, n]
                s.trains[np.uint64(channels) + n, np.uint64(t)] = fired
                if fired:
                    list_times(s, channels + n, t, 1)


@inner
def axon_ticks(rules, ticks, q, i):
    """Ticks from a spike of source `i` to the reading of its history."""
    if rules.projections[q, AXONS] >= 0:
        return ticks[rules.projections[q, SYNAPSES] + i]
    return rules.projections[q, AGE]


@pasted
def credit_clocks(rules, ticks, s, q):
    """Clocks of the credit of projection `q`, which learns."""
    p, last, rows, clocks = rules.projections[q, POST], s.live.shape[1], 0, 0
    late = not rules.projections[q, PASSABLE]
    for tau in range(last):
        if late or s.live[p, tau]:
            clocks += CREDIT + rules.projections[q, SOURCES]
        else:
            clocks += PASSED
    for i in range(rules.projections[q, SOURCES]):
        source = np.uint64(rules.projections[q, SOURCE] + i)
        later = axon_ticks(rules, ticks, q, i)
        for t in range(np.uint64(max(0, min(s.signals.shape[0], last - later)))):
            rows += (s.trains[source, t] != 0) & (late | (s.live[p, t + np.uint64(later)] != 0))
    return clocks + rows * rules.projections[q, COST]


@kernel
def sweep(rules, feedback, ticks, s, trace, starts, channel, count, channels, label):
    """Sweep back over the recording of `trace`, whose events are those of `starts`.

    Returns
    -------
    Clocks of its LEARN, and whether a filtered signal, a signal or a slope was out of range.
    """
    look_back(rules, s, trace)
    fed, beyond = sweep_signals(rules, feedback, s, label)
    beyond |= sweep_slopes(rules, s)
    list_trains(rules, s, channels, trace, starts, channel, count)
    clocks = rules.learn_clocks + s.live.shape[1] * rules.step_clocks
    clocks += trace.shape[1] * rules.signal_clocks + fed * rules.feedback_clocks
    for q in range(rules.projections.shape[0]):
        if rules.projections[q, WEIGHTS] or rules.projections[q, DELAYS]:
            clocks += credit_clocks(rules, ticks, s, q)
    return clocks, beyond


@inner
def correlate(trains, source, rows, neuron, first, zero):
    """Sum what the spikes of a source let a neuron see, its row beginning at `first`.

    zero : of a type that holds the sum.
    """
    i, n, at = np.uint64(source), np.uint64(neuron), np.uint64(first)
    for t in range(np.uint64(trains.shape[1])):
        zero = like(zero + trains[i, t] * rows[n, at + t], zero)
    return zero


@inner
def correlate_both(trains, source, rows, others, neuron, first, zero):
    """Do so for two kinds of rows in one pass; return both sums."""
    i, n, at, other = np.uint64(source), np.uint64(neuron), np.uint64(first), zero
    for t in range(np.uint64(trains.shape[1])):
        zero = like(zero + trains[i, t] * rows[n, at + t], zero)
        other = like(other + trains[i, t] * others[n, at + t], other)
    return zero, other


@inner
def correlate_few(spikes, source, times, pairs, neuron, first, zero):
    """Do so for the few ticks of `spikes`; return the sums of signals and of slopes."""
    i, n, at, total = np.uint64(source), np.uint64(neuron), np.uint64(first), 0
    for k in range(np.uint64(times)):
        total += pairs[n, at + spikes[i, k]]
    signal = like(total, zero)
    return signal, like((total - signal) >> PAIR, zero)


@inner
def credit_spikes(trains, source, rows, neuron, first, gradients, at, fmt):
    """Give a synapse its credit spike by spike, the last one first, saturating on the way.

    Returns whether its gradient was out of range.
    """
    beyond = False
    for t in range(trains.shape[1] - 1, -1, -1):
        if trains[source, t]:
            amount = np.int64(trains[source, t]) * rows[neuron, first + t]
            beyond |= add_credit(gradients, at, amount, fmt)
    return beyond


@inner
def credit_sum(total, change, narrow, trains, source, rows, neuron, first, gradients, at, fmt):
    """Give a synapse its credit, which is `total` if nothing on the way to it is out of range.

    change : no sum of credits is larger.  narrow : nor is one that the type of `total` holds.
    Returns whether its gradient was out of range.
    """
    if change < narrow and abs(gradients[at]) + change < 1 << (fmt.width - 1):
        gradients[at] += total
        return False
    return credit_spikes(trains, source, rows, neuron, np.int64(first), gradients, at, fmt)


@inner
def credit_row(rules, master, s, first, end, neuron, row, signal_most, slope_most):
    """Give the synapses of sources `first` to `end - 1` and one neuron the credit of a recording.

    row : of the synapses in `master`.  signal_most, slope_most : the largest of the neuron, 0 if it
    teaches nothing.  Returns whether a gradient was out of range.
    """
    beyond, begin, at, n = False, np.uint64(first), np.uint64(row), np.uint64(neuron)
    spare, narrow = np.uint64(rules.taps.shape[0]), 1 << (8 * s.sums.itemsize - 1)
    zero, paired = s.sums.dtype.type(0), s.pairs.shape[1] > 0
    for i in range(begin, np.uint64(end)):
        if not s.times[i]:
            continue
        synapse = at + i - begin
        column, signal, slope = spare + np.uint64(master.ticks[synapse]), zero, zero
        if paired and s.times[i] <= FEW:
            signal, slope = correlate_few(s.spikes, i, s.times[i], s.pairs, n, column, zero)
        elif signal_most and slope_most:
            signal, slope = correlate_both(
                s.trains, i, s.signal_rows, s.slope_rows, n, column, zero
            )
        elif signal_most:
            signal = correlate(s.trains, i, s.signal_rows, n, column, zero)
        else:
            slope = correlate(s.trains, i, s.slope_rows, n, column, zero)
        if signal_most:
            beyond |= credit_sum(
                signal, s.times[i] * signal_most, narrow, s.trains, i, s.signal_rows, n, column,
                master.weight_gradients, synapse, rules.formats.weight_gradient,
            )  # fmt: skip
        if slope_most:
            beyond |= credit_sum(
                slope, s.times[i] * slope_most, narrow, s.trains, i, s.slope_rows, n, column,
                master.delay_gradients, synapse, rules.formats.delay_gradient,
            )  # fmt: skip
    return beyond


@pasted
def credit_neuron(rules, master, s, q, j, begin, end):
    """Give the synapses of sources `begin` to `end - 1` of projection `q` and neuron `j` theirs."""
    n = rules.populations[rules.projections[q, POST], BEGIN] + j
    source = rules.projections[q, SOURCE]
    row = rules.projections[q, SYNAPSES] + j * rules.projections[q, SOURCES] + begin
    delays = rules.projections[q, DELAYS] and rules.projections[q, IS_SYNAPTIC]
    signal_most = s.largest_signal[n] if rules.projections[q, WEIGHTS] else 0
    slope_most = s.largest_slope[n] if delays else 0
    if not (signal_most or slope_most):
        return False
    return credit_row(
        rules, master, s, source + begin, source + end, n, row, signal_most, slope_most
    )


@pasted
def credit_axon(rules, master, s, q, i, total):
    """Give the delay of axon `i` its credit; total : scratch, of every tick."""
    p, sources, beyond = rules.projections[q, POST], rules.projections[q, SOURCES], False
    source, ticks = rules.projections[q, SOURCE] + i, np.uint64(s.signals.shape[0])
    later = np.uint64(rules.taps.shape[0] + axon_ticks(rules, master.ticks, q, i))
    for t in range(ticks):
        total[t] = 0
    for j in range(rules.populations[p, SIZE]):
        weight = master.weights[rules.projections[q, SYNAPSES] + j * sources + i]
        n = np.uint64(rules.populations[p, BEGIN] + j)
        for t in range(ticks):
            total[t] += weight * s.slope_rows[n, later + t]
    for t in range(s.signals.shape[0] - 1, -1, -1):
        if s.trains[source, t]:
            amount = shift_round(total[t], rules.projections[q, DELAY_SCALE], NEAREST)
            beyond |= add_credit(
                master.axon_gradients, rules.projections[q, AXONS] + i,
                s.trains[source, t] * amount, rules.formats.delay_gradient,
            )  # fmt: skip
    return beyond


@kernel
def credit(rules, master, s, total, part, parts):
    """Give one of `parts` of all synapses and axons their credit for a recording.

    total : int64, scratch, of every tick.  Returns whether a gradient was out of range.
    """
    beyond = False
    for q in range(rules.projections.shape[0]):
        size = rules.populations[rules.projections[q, POST], SIZE]
        sources = rules.projections[q, SOURCES]
        for begin in range(0, sources, TRAINS):
            end = min(begin + TRAINS, sources)
            for j in range(size * part // parts, size * (part + 1) // parts):
                beyond |= credit_neuron(rules, master, s, q, j, begin, end)
        if rules.projections[q, DELAYS] and rules.projections[q, AXONS] >= 0:
            for i in range(sources * part // parts, sources * (part + 1) // parts):
                if s.times[rules.projections[q, SOURCE] + i]:
                    beyond |= credit_axon(rules, master, s, q, i, total)
    return beyond


@inner
def draw(random, lane):
    """Draw from the generator of a lane."""
    random[lane] = next_random(random[lane])
    return random[lane]


@pasted
def move_weight(rules, master, q, at, r):
    """Move the weight at `at`; return what it was."""
    weight, bits = master.weights[at], rules.formats.weight_bits
    shift = rules.projections[q, WEIGHT_SHIFT]
    to = moved(
        weight, master.weight_fractions[at], bits,
        limited(master.weight_gradients[at], rules.projections[q, WEIGHT_LIMIT]),
        rules.projections[q, WEIGHT_RATE], shift, rounding(r, shift, rules.nearest),
        rules.formats.weight_min, rules.formats.weight_max,
    )  # fmt: skip
    master.weights[at], master.weight_fractions[at] = to >> bits, to & ((1 << bits) - 1)
    master.weight_gradients[at] = kept(master.weight_gradients[at], rules.keep_weights)
    return weight


@inner
def move_delay(rules, delays, fractions, gradients, q, at, x, r):
    """Move the delay at `at` against `x`."""
    bits, shift = rules.formats.delay_bits, rules.projections[q, DELAY_SHIFT]
    to = moved(
        delays[at], fractions[at], bits, limited(x, rules.projections[q, DELAY_LIMIT]),
        rules.projections[q, DELAY_RATE], shift, rounding(r, shift, rules.nearest),
        0, rules.projections[q, LARGEST],
    )  # fmt: skip
    delays[at], fractions[at] = to >> bits, to & ((1 << bits) - 1)
    gradients[at] = kept(gradients[at], rules.keep_delays)


@pasted
def update_synapses(rules, master, q):
    """Move the weights and synaptic delays of projection `q`, those that learn."""
    size = rules.populations[rules.projections[q, POST], SIZE]
    weights, synaptic = rules.projections[q, WEIGHTS], rules.projections[q, IS_SYNAPTIC]
    delays, scale = rules.projections[q, DELAYS] and synaptic, rules.projections[q, DELAY_SCALE]
    sources, first = rules.projections[q, SOURCES], rules.projections[q, SYNAPSES]
    for i in range(sources):
        # Lanes past the last neuron draw, and stay what they are.
        for j in range(-(-size // rules.lanes) * rules.lanes):
            lane, at = j % rules.lanes, first + min(j, size - 1) * sources + i
            weight = master.weights[at]
            if weights:
                r = draw(master.random, lane)
                if j < size:
                    move_weight(rules, master, q, at, r)
            if delays:
                r = draw(master.random, lane)
                if j < size:
                    x = of_synapse(weight, master.delay_gradients[at], rules.sign_of_weight, scale)
                    move_delay(
                        rules, master.delays, master.delay_fractions, master.delay_gradients,
                        q, at, x, r,
                    )  # fmt: skip
                    late = master.delays[at] << rules.projections[q, RESOLUTION]
                    master.ticks[at] = rules.projections[q, AGE] + late


@pasted
def update_axons(rules, master, q):
    """Move the axonal delays of projection `q`."""
    sources = rules.projections[q, SOURCES]
    for i in range(sources):
        at = rules.projections[q, AXONS] + i
        r = draw(master.random, 0)
        move_delay(
            rules, master.axon_delays, master.axon_fractions, master.axon_gradients,
            q, at, master.axon_gradients[at], r,
        )  # fmt: skip
        late = master.axon_delays[at] << rules.projections[q, RESOLUTION]
        for j in range(rules.populations[rules.projections[q, POST], SIZE]):
            synapse = rules.projections[q, SYNAPSES] + j * sources + i
            master.ticks[synapse] = rules.projections[q, AGE] + late


@kernel
def update(rules, master):
    """Turn all gradients into steps."""
    for q in range(rules.projections.shape[0]):
        if rules.projections[q, WEIGHTS] or (
            rules.projections[q, DELAYS] and rules.projections[q, IS_SYNAPTIC]
        ):
            update_synapses(rules, master, q)
        if rules.projections[q, DELAYS] and rules.projections[q, AXONS] >= 0:
            update_axons(rules, master, q)
