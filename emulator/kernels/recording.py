"""One recording, tick by tick."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.kernels import inner, kernel
from emulator.kernels.deliver import (
    carry_over,
    collect,
    enqueue,
    scatter,
    scatter_segment,
    spread,
    sum_rows,
)
from emulator.kernels.events import sort_events
from emulator.kernels.tables import (
    AHEAD,
    AXONS,
    BLOCK,
    COST,
    DENDRITES,
    FACTOR,
    FIRST,
    INCOMING,
    INPUT,
    IS_READOUT,
    IS_ZERO,
    LIMIT,
    PLACE,
    PRE,
    QUEUE,
    ROWS,
    SEGMENT,
    SIZE,
    SOURCES,
    STRIDE,
    SYNAPSES,
    Integers,
)
from emulator.lif import advance
from emulator.readout import judge


class Results(NamedTuple):
    """What the kernels report of every recording.

    Neurons are counted as in `Tables`, projections as in the image.
    """

    classes: Integers  # [recording]
    scores: Integers  # [recording, class]
    events: Integers  # [recording]
    spike_counts: Integers  # [recording, neuron]
    deliveries: Integers  # [recording, projection]
    saturations: Integers  # [recording, population]
    score_saturations: Integers  # [recording]
    cycles: Integers  # [recording, tick]
    saturated_ticks: NDArray[np.bool_]  # [recording, tick]


V, U, TOTAL = range(3)
"""Rows of a trace: membranes, sums, and sums before saturation."""


@inner
def list_spikes(v, u, first, last, spikes, counts):
    """List the neurons from `first` to `last - 1` that fired, numbered from `first`, and count."""
    begin, end, listed = np.uint64(first), np.uint64(last), np.uint64(first)
    for n in range(begin, end):
        # Written in any case, and kept if it fired: a branch would often be guessed wrong.
        spikes[listed] = n - begin
        listed += np.uint64(v[n] != u[n])
    for k in range(begin, listed):
        counts[begin + np.uint64(spikes[k])] += 1


@inner
def keep(v, u, total, scores, trace, scores_trace, t):
    """Write down tick `t`."""
    for n in range(v.shape[0]):
        trace[V, t, n] = v[n]
        trace[U, t, n] = u[n]
        trace[TOTAL, t, n] = total[n]
    for k in range(scores.shape[0]):
        scores_trace[t, k] = scores[k]


@inner
def look_ahead(
    populations, projections, synapse_weights, synapse_offsets, ahead, width, begin, end,
    start, channel, count, channel_start, event_tick, event_count,
):  # fmt: skip
    """Deliver the input of ticks `begin` to `end - 1` to where synaptic delays let it arrive."""
    sort_events(begin, end, start, channel, count, channel_start, event_tick, event_count)
    for p in range(populations.shape[0] - 1):
        for q in range(populations[p, INCOMING], populations[p + 1, INCOMING]):
            if projections[q, PRE] == INPUT and projections[q, SYNAPSES] >= 0:
                scatter_segment(
                    synapse_weights, synapse_offsets, projections[q, SYNAPSES],
                    populations[p, SIZE], channel_start, event_tick, event_count,
                    ahead, populations[p, AHEAD], width,
                )  # fmt: skip


@inner
def deliver(
    projections, q, sources, counts, begin, end, largest, size, first, here, width,
    row_weights, synapse_weights, synapse_offsets, dendrite_offsets, part, late, now, ahead,
):  # fmt: skip
    """Deliver sources[begin:end], `counts` times each, over projection `q`.

    first, size : of the neurons it reaches.  here, width : this tick in their delayed sums, and the
    distance of its blocks.
    """
    if projections[q, SYNAPSES] >= 0:
        # Synapses of input events have been served ahead.
        if projections[q, PRE] != INPUT:
            scatter(
                synapse_weights, synapse_offsets, projections[q, SYNAPSES], projections[q, SOURCES],
                size, sources, begin, end, ahead, here, width,
            )  # fmt: skip
        return
    to_dendrites = projections[q, DENDRITES] >= 0
    sum_rows(
        row_weights, projections[q, ROWS], projections[q, STRIDE], projections[q, FACTOR],
        projections[q, LIMIT], sources, counts, begin, end, largest, part,
        late if to_dendrites else now, 0 if to_dendrites else first,
    )  # fmt: skip
    if to_dendrites:
        spread(late, size, dendrite_offsets, projections[q, DENDRITES], ahead, here)


@kernel
def recordings(
    lif, score, clocks, turn, span, populations, projections, threshold, bias, coefficient,
    row_weights, synapse_weights, synapse_offsets, dendrite_offsets, axon_ticks,
    v, total, u, now, spikes, ones, fired, part, late, ahead, queued, queue_source, queue_count,
    channel_start, event_tick, event_count,
    classes, scores, events, spike_counts, deliveries, saturations, score_saturations, cycles,
    saturated_ticks, first_recording, starts, channel, count, largest, trace, scores_trace,
):  # fmt: skip
    """Run recordings.

    The arguments are the fields of `Tables`, `Scratch` and `Results`, and: the number of the first
    recording; its events and those of the next ones, as `list_events` wrote them; int64[3, steps,
    neurons] and int64[steps, classes], written tick by tick for the last recording unless empty.
    """
    steps, width = cycles.shape[1], span * BLOCK
    for s in range(starts.shape[0]):
        r, start = first_recording + s, starts[s]
        v[:] = 0
        ahead[:] = 0
        fired[:] = 0
        queued[:] = 0
        events[r] = start[steps] - start[0]
        for t in range(steps):
            step = t & (SEGMENT - 1)
            if step == 0 and ahead.shape[0]:
                carry_over(ahead, width, width - SEGMENT * BLOCK)
                look_ahead(
                    populations, projections, synapse_weights, synapse_offsets, ahead, width,
                    t, min(t + SEGMENT, steps), start, channel, count,
                    channel_start, event_tick, event_count,
                )  # fmt: skip
            cycles[r, t] = clocks
            for q in range(projections.shape[0]):
                if projections[q, PRE] == INPUT and projections[q, QUEUE] >= 0:
                    enqueue(
                        axon_ticks, projections[q, AXONS], projections[q, SOURCES], t,
                        channel, count, start[t], start[t + 1], projections[q, QUEUE], queued[q],
                        queue_source, queue_count,
                    )  # fmt: skip
            for p in range(populations.shape[0] - 1):
                first, size = populations[p, FIRST], populations[p, SIZE]
                here = populations[p, AHEAD] + step * BLOCK
                for q in range(populations[p, INCOMING], populations[p + 1, INCOMING]):
                    pre = projections[q, PRE]
                    sources, counts, begin, end = spikes, ones, 0, 0
                    if projections[q, QUEUE] >= 0:
                        slot = t & (turn - 1)
                        sources, counts = queue_source, queue_count
                        begin = projections[q, QUEUE] + slot * projections[q, SOURCES]
                        end = begin + queued[q, slot]
                        queued[q, slot] = 0
                    elif pre == INPUT:
                        sources, counts, begin, end = channel, count, start[t], start[t + 1]
                    else:
                        # One later in the order still has the spikes of the last tick.
                        begin = populations[pre, FIRST]
                        end = begin + fired[pre]
                    deliver(
                        projections, q, sources, counts, begin, end, largest if pre == INPUT else 1,
                        size, first, here, width, row_weights, synapse_weights, synapse_offsets,
                        dendrite_offsets, part, late, now, ahead,
                    )  # fmt: skip
                    deliveries[r, projections[q, PLACE]] += end - begin
                    cycles[r, t] += (end - begin) * projections[q, COST]
                if populations[p, AHEAD] >= 0:
                    collect(ahead, here, width, now, first, size)
                fired[p], beyond = advance(
                    lif, first, first + size, v, now, threshold, bias, coefficient,
                    populations[p, IS_READOUT] != 0, populations[p, IS_ZERO] != 0, total, u,
                )  # fmt: skip
                now[first : populations[p + 1, FIRST]] = 0
                saturations[r, p] += beyond
                saturated_ticks[r, t] |= beyond > 0
                if fired[p]:
                    list_spikes(v, u, first, first + size, spikes, spike_counts[r])
                    for q in range(projections.shape[0]):
                        if projections[q, PRE] == p and projections[q, QUEUE] >= 0:
                            enqueue(
                                axon_ticks, projections[q, AXONS], projections[q, SOURCES], t,
                                spikes, ones, first, first + fired[p],
                                projections[q, QUEUE], queued[q], queue_source, queue_count,
                            )  # fmt: skip
                if populations[p, IS_READOUT]:
                    classes[r], beyond = judge(scores[r], v[first : first + size], score)
                    score_saturations[r] += beyond
                    saturated_ticks[r, t] |= beyond > 0
            if trace.shape[0]:
                keep(v, u, total, scores[r], trace, scores_trace, t)
