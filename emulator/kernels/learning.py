"""The sweep back over one recording, the gradients it leaves, and the steps they become."""

import numpy as np

from datapath.timing import CREDIT, PASSED
from emulator.credit import add_credit, axon_credit
from emulator.fixed import next_random
from emulator.kernels import inner, kernel
from emulator.kernels.recording import U, V
from emulator.kernels.rules import (
    AGE,
    AXONS,
    BEGIN,
    BLOCK,
    COEFFICIENT,
    COST,
    DELAY_LIMIT,
    DELAY_RATE,
    DELAY_SCALE,
    DELAY_SHIFT,
    DELAYS,
    DRIVE_SHIFT,
    FEEDBACK_ROWS,
    HALF,
    IS_READOUT,
    IS_SYNAPTIC,
    LARGEST,
    LEARNS,
    PACKED,
    PASSABLE,
    POST,
    RESOLUTION,
    SIGNAL_SHIFT,
    SIZE,
    SOURCE,
    SOURCES,
    STRENGTH,
    STRIDE,
    SYNAPSES,
    TARGET,
    WEIGHT_LIMIT,
    WEIGHT_RATE,
    WEIGHT_SHIFT,
    WEIGHTS,
)
from emulator.signal import driven, excess, fed_back, filter_signals
from emulator.slope import derive_signals
from emulator.surrogate import derive, level
from emulator.update import kept, limited, moved, of_synapse


@inner
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
                for n in range(first, last):
                    s.activity[n] += v[n] != u[n]
    for n in range(s.activity.shape[0]):
        s.activity[n] = min(s.activity[n], rules.formats.activity)


@inner
def drive_neurons(rules, weights, s, p, signals, reader, classes, looked_up):
    """Write the drives of the hidden population `p`; return how many neurons were fed back to."""
    first, fed = rules.populations[p, BEGIN], 0
    for n in range(first, first + rules.populations[p, SIZE]):
        s.drive[n] = 0
        if looked_up[n]:
            row = rules.populations[p, FEEDBACK_ROWS] + (n - first) * rules.feedback_stride
            error = fed_back(weights, row, signals, reader, classes) + excess(
                s.activity[n], rules.populations[p, TARGET], rules.populations[p, STRENGTH]
            )
            s.drive[n] = driven(looked_up[n], error, rules.populations[p, DRIVE_SHIFT])
            fed += 1
    return fed


@inner
def pass_filter(rules, s, p, t):
    """Filter the drives of population `p`; return whether anything was out of range."""
    first = rules.populations[p, BEGIN]
    last = first + rules.populations[p, SIZE]
    for n in range(first, last):
        s.filtered[t, n] = s.filtered[t + 1, n]
    return filter_signals(
        s.drive, rules.populations[p, COEFFICIENT], rules.formats.coefficient,
        rules.populations[p, SIGNAL_SHIFT], rules.formats.filtered, rules.formats.signal,
        first, last, s.filtered[t], s.signals[rules.taps.shape[0] + t],
    )  # fmt: skip


@inner
def sweep_signals(rules, weights, s, label):
    """Filter all signals against time; return how many neurons were fed, and if one was beyond."""
    fed, beyond, reader = 0, False, 0
    for p in range(rules.populations.shape[0]):
        if rules.populations[p, IS_READOUT]:
            reader = p
    if not rules.populations[reader, LEARNS]:
        return fed, beyond
    first, classes = rules.populations[reader, BEGIN], rules.populations[reader, SIZE]
    for t in range(s.looked_up.shape[0] - 1, -1, -1):
        looked_up, signals = s.looked_up[t], s.signals[rules.taps.shape[0] + t]
        for k in range(classes):
            s.drive[first + k] = looked_up[first + k] - s.level_sums[t] * (k == label)
        beyond |= pass_filter(rules, s, reader, t)
        for p in range(rules.populations.shape[0]):
            if p != reader and rules.populations[p, LEARNS]:
                fed += drive_neurons(rules, weights, s, p, signals, first, classes, looked_up)
                beyond |= pass_filter(rules, s, p, t)
    return fed, beyond


@inner
def sweep_slopes(rules, s):
    """Derive all signals in time; return whether one was out of range."""
    taps, beyond = rules.taps.shape[0], False
    for p in range(rules.populations.shape[0]):
        if rules.populations[p, LEARNS]:
            first = rules.populations[p, BEGIN]
            last = first + rules.populations[p, SIZE]
            for tau in range(s.live.shape[1]):
                beyond |= derive_signals(
                    s.signals, taps + tau, rules.taps, rules.formats.tap, rules.formats.slope,
                    first, last, s.total, s.slopes[taps + tau],
                )  # fmt: skip
    return beyond


@inner
def pack(rules, s):
    """Pack signals and slopes; find the largest of a block, and when a population has any."""
    taps, ticks = rules.taps.shape[0], s.packed.shape[0] // (s.largest_signal.shape[0] * BLOCK)
    s.largest_signal[:] = 0
    s.largest_slope[:] = 0
    s.live[:] = 0
    for p in range(rules.populations.shape[0]):
        if not rules.populations[p, LEARNS]:
            continue
        first = rules.populations[p, BEGIN]
        for n in range(first, first + rules.populations[p, SIZE], BLOCK):
            block = rules.populations[p, PACKED] + (n - first) // BLOCK
            signal, slope = 0, 0
            for tau in range(s.live.shape[1]):
                at, united = (block * ticks + tau) * BLOCK, 0
                for lane in range(BLOCK):
                    g, d = s.signals[taps + tau, n + lane], s.slopes[taps + tau, n + lane]
                    s.packed[at + lane] = (d << HALF) + g
                    signal, slope = max(signal, abs(g)), max(slope, abs(d))
                    united |= g | d
                s.live[p, tau] |= united != 0
            s.largest_signal[block], s.largest_slope[block] = signal, slope


@inner
def sort_spikes(rules, s, channels, trace, starts, channel, count):
    """List the spikes of a recording by source, in rising ticks."""
    start = s.start
    start[:] = 0
    s.times[:] = 0
    for e in range(starts[0], starts[starts.shape[0] - 1]):
        start[channel[e]] += 1
        s.times[channel[e]] += count[e]
    for p in range(rules.populations.shape[0]):
        first = rules.populations[p, BEGIN]
        for t in range(trace.shape[1]):
            for n in range(first, first + rules.populations[p, SIZE]):
                fired = trace[V, t, n] != trace[U, t, n]
                start[channels + n] += fired
                s.times[channels + n] += fired
    # Every start is at first the end, and moves down as the spikes come from the last on.
    for i in range(1, start.shape[0]):
        start[i] += start[i - 1]
    for t in range(trace.shape[1] - 1, -1, -1):
        for e in range(starts[t], starts[t + 1]):
            at = start[channel[e]] - 1
            start[channel[e]] = at
            s.tick[at], s.count[at] = t, count[e]
        for p in range(rules.populations.shape[0]):
            first = rules.populations[p, BEGIN]
            for n in range(first, first + rules.populations[p, SIZE]):
                if trace[V, t, n] != trace[U, t, n]:
                    at = start[channels + n] - 1
                    start[channels + n] = at
                    s.tick[at], s.count[at] = t, 1


@inner
def axon_ticks(rules, master, q, i):
    """Ticks from a spike of source `i` to the reading of its history."""
    age = rules.projections[q, AGE]
    if rules.projections[q, AXONS] >= 0:
        delay = master.axon_delays[rules.projections[q, AXONS] + i]
        age += delay << rules.projections[q, RESOLUTION]
    return age


@inner
def credit_clocks(rules, master, s, q):
    """Clocks of the credit of projection `q`, which learns."""
    p, last, clocks = rules.projections[q, POST], s.live.shape[1], 0
    late = not rules.projections[q, PASSABLE]
    for tau in range(last):
        if late or s.live[p, tau]:
            clocks += CREDIT + rules.projections[q, SOURCES]
        else:
            clocks += PASSED
    for i in range(rules.projections[q, SOURCES]):
        source, later = rules.projections[q, SOURCE] + i, axon_ticks(rules, master, q, i)
        for e in range(s.start[source], s.start[source + 1]):
            tau = np.int64(s.tick[e]) + later
            if tau < last and (late or s.live[p, tau]):
                clocks += rules.projections[q, COST]
    return clocks


@kernel
def sweep(rules, master, s, trace, starts, channel, count, channels, label):
    """Sweep back over the recording of `trace`, whose events are those of `starts`.

    Returns
    -------
    Clocks of its LEARN, and whether a filtered signal, a signal or a slope was out of range.
    """
    look_back(rules, s, trace)
    fed, beyond = sweep_signals(rules, master.weights, s, label)
    beyond |= sweep_slopes(rules, s)
    pack(rules, s)
    sort_spikes(rules, s, channels, trace, starts, channel, count)
    clocks = rules.learn_clocks + s.live.shape[1] * rules.step_clocks
    clocks += trace.shape[1] * rules.signal_clocks + fed * rules.feedback_clocks
    for q in range(rules.projections.shape[0]):
        if rules.projections[q, WEIGHTS] or rules.projections[q, DELAYS]:
            clocks += credit_clocks(rules, master, s, q)
    return clocks, beyond


@inner
def has_room(gradients, row, most, fmt):
    """Whether no gradient of a block can be out of range on the way, changing by `most`."""
    largest = 0
    for lane in range(BLOCK):
        largest = max(largest, abs(gradients[row + lane]))
    return largest + most < 1 << (fmt.width - 1)


@inner
def add_packed(packed, base, offsets, row, tick, count, begin, end, total):
    """total[lane] = sum of the packed words that spikes `begin` to `end - 1` let a block see."""
    block, k, at = np.uint64(BLOCK), np.uint64(row), np.uint64(base)
    for lane in range(block):
        total[lane] = 0
    e, four, one = np.uint64(begin), np.uint64(4), np.uint64(1)
    stop = np.uint64(end)
    while e + four <= stop:
        f, g = e + np.uint64(2), e + np.uint64(3)
        a, b = at + tick[e] * block, at + tick[e + one] * block
        c, d = at + tick[f] * block, at + tick[g] * block
        times = count[e], count[e + one], count[f], count[g]
        for lane in range(block):
            o = offsets[k + lane]
            total[lane] += (
                packed[a + o] * times[0] + packed[b + o] * times[1]
                + packed[c + o] * times[2] + packed[d + o] * times[3]
            )  # fmt: skip
        e += four
    while e < stop:
        a, once = at + tick[e] * block, count[e]
        for lane in range(block):
            total[lane] += packed[a + offsets[k + lane]] * once
        e += one


@inner
def unpack(rules, master, q, row, total):
    """Add the packed sums `total` to the gradients of a block."""
    for lane in range(BLOCK):
        signal = (total[lane] << HALF) >> HALF
        if rules.projections[q, WEIGHTS]:
            master.weight_gradients[row + lane] += signal
        if rules.projections[q, DELAYS] and rules.projections[q, IS_SYNAPTIC]:
            master.delay_gradients[row + lane] += (total[lane] - signal) >> HALF


@inner
def credit_spikes(rules, master, s, q, row, first, later, begin, end):
    """Give spikes `begin` to `end - 1`, last ones first, the credit of a block, one by one."""
    beyond, taps = False, rules.taps.shape[0]
    for e in range(end - 1, begin - 1, -1):
        for lane in range(BLOCK):
            tick = taps + np.int64(s.tick[e]) + later + master.offsets[row + lane] // BLOCK
            if rules.projections[q, WEIGHTS]:
                amount = s.count[e] * s.signals[tick, first + lane]
                beyond |= add_credit(
                    master.weight_gradients, row + lane, amount, rules.formats.weight_gradient
                )
            if rules.projections[q, DELAYS] and rules.projections[q, IS_SYNAPTIC]:
                amount = s.count[e] * s.slopes[tick, first + lane]
                beyond |= add_credit(
                    master.delay_gradients, row + lane, amount, rules.formats.delay_gradient
                )
    return beyond


@inner
def credit_block(rules, master, s, q, block):
    """Give the synapses of a block of neurons their credit."""
    p, beyond, part = rules.projections[q, POST], False, s.part
    first, own = rules.populations[p, BEGIN] + block * BLOCK, rules.populations[p, PACKED] + block
    ticks = s.packed.shape[0] // (s.largest_signal.shape[0] * BLOCK)
    delays = rules.projections[q, DELAYS] and rules.projections[q, IS_SYNAPTIC]
    for i in range(rules.projections[q, SOURCES]):
        source = rules.projections[q, SOURCE] + i
        begin, end = s.start[source], s.start[source + 1]
        if begin == end:
            continue
        row = rules.projections[q, SYNAPSES] + i * rules.projections[q, STRIDE] + block * BLOCK
        later = axon_ticks(rules, master, q, i)
        signal, slope = (
            s.times[source] * s.largest_signal[own],
            s.times[source] * s.largest_slope[own],
        )
        room = signal >> (HALF - 1) == 0 and slope >> (HALF - 1) == 0
        if rules.projections[q, WEIGHTS]:
            room &= has_room(master.weight_gradients, row, signal, rules.formats.weight_gradient)
        if delays:
            room &= has_room(master.delay_gradients, row, slope, rules.formats.delay_gradient)
        if room:
            base = (own * ticks + later) * BLOCK
            add_packed(s.packed, base, master.offsets, row, s.tick, s.count, begin, end, part)
            unpack(rules, master, q, row, part)
        else:
            beyond |= credit_spikes(rules, master, s, q, row, first, later, begin, end)
    return beyond


@inner
def credit_axon(rules, master, s, q, i):
    """Give the delay of axon `i` its credit."""
    p, beyond, taps = rules.projections[q, POST], False, rules.taps.shape[0]
    source, later = rules.projections[q, SOURCE] + i, axon_ticks(rules, master, q, i)
    row = rules.projections[q, SYNAPSES] + i * rules.projections[q, STRIDE]
    for e in range(s.start[source + 1] - 1, s.start[source] - 1, -1):
        slopes = s.slopes[taps + np.int64(s.tick[e]) + later]
        amount = axon_credit(
            master.weights, row, slopes, rules.populations[p, BEGIN], rules.populations[p, SIZE],
            rules.projections[q, DELAY_SCALE],
        )  # fmt: skip
        beyond |= add_credit(
            master.axon_gradients, rules.projections[q, AXONS] + i, s.count[e] * amount,
            rules.formats.delay_gradient,
        )  # fmt: skip
    return beyond


@kernel
def credit(rules, master, s, part, parts):
    """Give one of `parts` of all synapses and axons their credit for a recording.

    Returns whether a gradient was out of range.
    """
    beyond = False
    for q in range(rules.projections.shape[0]):
        if rules.projections[q, WEIGHTS] or (
            rules.projections[q, DELAYS] and rules.projections[q, IS_SYNAPTIC]
        ):
            blocks = rules.projections[q, STRIDE] // BLOCK
            for block in range(blocks * part // parts, blocks * (part + 1) // parts):
                beyond |= credit_block(rules, master, s, q, block)
        if rules.projections[q, DELAYS] and rules.projections[q, AXONS] >= 0:
            sources = rules.projections[q, SOURCES]
            for i in range(sources * part // parts, sources * (part + 1) // parts):
                beyond |= credit_axon(rules, master, s, q, i)
    return beyond


@inner
def draw(random, lane):
    """Draw from the generator of a lane."""
    random[lane] = next_random(random[lane])
    return random[lane]


@inner
def move_weight(rules, master, q, at, r):
    """Move the weight at `at`; return what it was."""
    weight, bits = master.weights[at], rules.formats.weight_bits
    to = moved(
        weight, master.weight_fractions[at], bits,
        limited(master.weight_gradients[at], rules.projections[q, WEIGHT_LIMIT]),
        rules.projections[q, WEIGHT_RATE], rules.projections[q, WEIGHT_SHIFT], r,
        rules.formats.weight_min, rules.formats.weight_max,
    )  # fmt: skip
    master.weights[at], master.weight_fractions[at] = to >> bits, to & ((1 << bits) - 1)
    master.weight_gradients[at] = kept(master.weight_gradients[at], rules.keep_weights)
    return weight


@inner
def move_delay(rules, delays, fractions, gradients, q, at, x, r):
    """Move the delay at `at` against `x`."""
    bits = rules.formats.delay_bits
    to = moved(
        delays[at], fractions[at], bits, limited(x, rules.projections[q, DELAY_LIMIT]),
        rules.projections[q, DELAY_RATE], rules.projections[q, DELAY_SHIFT], r,
        0, rules.projections[q, LARGEST],
    )  # fmt: skip
    delays[at], fractions[at] = to >> bits, to & ((1 << bits) - 1)
    gradients[at] = kept(gradients[at], rules.keep_delays)


@inner
def update_synapses(rules, master, q):
    """Move the weights and synaptic delays of projection `q`, those that learn."""
    size = rules.populations[rules.projections[q, POST], SIZE]
    weights, synaptic = rules.projections[q, WEIGHTS], rules.projections[q, IS_SYNAPTIC]
    delays, scale = rules.projections[q, DELAYS] and synaptic, rules.projections[q, DELAY_SCALE]
    for i in range(rules.projections[q, SOURCES]):
        row = rules.projections[q, SYNAPSES] + i * rules.projections[q, STRIDE]
        # Lanes past the last neuron draw, and stay what they are.
        for j in range(-(-size // rules.lanes) * rules.lanes):
            lane, at = j % rules.lanes, row + j
            weight = master.weights[row + min(j, size - 1)]
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
                    master.offsets[at] = late * BLOCK + j % BLOCK


@kernel
def update(rules, master):
    """Turn all gradients into steps."""
    for q in range(rules.projections.shape[0]):
        if rules.projections[q, WEIGHTS] or (
            rules.projections[q, DELAYS] and rules.projections[q, IS_SYNAPTIC]
        ):
            update_synapses(rules, master, q)
        if rules.projections[q, DELAYS] and rules.projections[q, AXONS] >= 0:
            for i in range(rules.projections[q, SOURCES]):
                at = rules.projections[q, AXONS] + i
                r = draw(master.random, 0)
                move_delay(
                    rules, master.axon_delays, master.axon_fractions, master.axon_gradients,
                    q, at, master.axon_gradients[at], r,
                )  # fmt: skip
