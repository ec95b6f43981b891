"""One recording, tick by tick."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.current import flow
from emulator.kernels import inner, kernel, pasted
from emulator.kernels.deliver import (
    carry_over,
    collect,
    enqueue,
    scatter,
    scatter_segment,
    spread,
    sum_rows,
)
from emulator.kernels.events import list_bits, sort_events
from emulator.kernels.machine import set_items
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
    NEXT_BLOCK,
    NEXT_SOURCE,
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
from emulator.readout import add_scores, winner_of


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


V, U, BEYOND = range(3)
"""Rows of a trace: membranes, sums, and whether a sum did not fit."""


@inner
def list_spikes(v, u, first, size, active, words, spikes, counts):
    """List those of `size` neurons that fired, numbered from `first`, and count.

    active : uint8, scratch, in whole groups of 64.
    """
    begin, end = np.uint64(first), np.uint64(first + size)
    active[:] = 0
    for n in range(begin, end):
        active[n - begin] = v[n] != u[n]
    last = begin
    for n in range(np.uint64(0), end - begin, np.uint64(64)):
        last = list_bits(set_items(active, n), n, spikes, last)
    for k in range(begin, last):
        counts[begin + np.uint64(spikes[k])] += 1


@inner
def keep(v, u, total, beyond, scores, trace, scores_trace, t):
    """Write down tick `t`."""
    for n in range(v.shape[0]):
        trace[V, t, n] = v[n]
        trace[U, t, n] = u[n]
        trace[BEYOND, t, n] = beyond[n] | (u[n] != total[n])
    for k in range(scores.shape[0]):
        scores_trace[t, k] = scores[k]


@inner
def look_ahead(
    populations, projections, synapse_weights, synapse_offsets, channel_start, event_tick, more,
    several, ahead, width,
):  # fmt: skip
    """Deliver the input events of a segment to where their synaptic delays let them arrive."""
    for p in range(populations.shape[0] - 1):
        for q in range(populations[p, INCOMING], populations[p + 1, INCOMING]):
            if projections[q, PRE] == INPUT and projections[q, SYNAPSES] >= 0:
                scatter_segment(
                    synapse_weights, synapse_offsets, projections[q, SYNAPSES],
                    populations[p, SIZE], channel_start, event_tick, more, several,
                    ahead, populations[p, AHEAD], width,
                )  # fmt: skip


@pasted
def deliver(
    projections, q, sources, counts, begin, end, largest, size, first, here, width,
    row_weights, synapse_weights, synapse_offsets, dendrite_offsets, late, now, ahead,
):  # fmt: skip
    """Deliver sources[begin:end], `counts` times each and no more than `largest`, over `q`.

    first, size : of the neurons it reaches.  here : this tick in their delayed sums.  width : from
    one block of these to the next.
    """
    if projections[q, SYNAPSES] < 0:
        to_dendrites = projections[q, DENDRITES] >= 0
        sum_rows(
            row_weights, projections[q, ROWS], projections[q, STRIDE], projections[q, FACTOR],
            projections[q, LIMIT], sources, counts, begin, end, largest,
            late if to_dendrites else now, 0 if to_dendrites else first,
        )  # fmt: skip
        if to_dendrites:
            spread(late, size, dendrite_offsets, projections[q, DENDRITES], ahead, here)
    elif projections[q, PRE] != INPUT:
        scatter(
            synapse_weights, synapse_offsets, projections[q, SYNAPSES], projections[q, NEXT_SOURCE],
            projections[q, NEXT_BLOCK], size, sources, begin, end, ahead, here, width,
        )  # fmt: skip


@kernel
def recordings(
    current, lif, score, clocks, turn, span, populations, projections, threshold, bias, coefficient,
    current_coefficient, row_weights, synapse_weights, synapse_offsets, dendrite_offsets,
    axon_ticks, v, total, u, now, i, beyond, spikes, ones, fired, active, words, late, ahead,
    queued, queue_source, queue_count, channel_start, event_tick, more,
    classes, scores, events, spike_counts, deliveries, saturations, score_saturations, cycles,
    saturated_ticks, first_recording, starts, channel, count, largest, trace, scores_trace,
):  # fmt: skip
    """Run recordings.

    The arguments are the fields of `Tables`, `Scratch` and `Results`, and: the number of the first
    recording; its events and those of the next ones, as `list_events` wrote them; a number no count
    is larger than; int64[3, steps, neurons] and int64[steps, classes], written tick by tick for the
    last recording unless empty.
    """
    steps, width = cycles.shape[1], span * BLOCK
    for s in range(starts.shape[0]):
        r, start = first_recording + s, starts[s]
        v[:] = 0
        i[:] = 0
        ahead[:] = 0
        fired[:] = 0
        queued[:] = 0
        cycles[r] = clocks
        events[r] = start[steps] - start[0]
        for t in range(steps):
            step = t & (SEGMENT - 1)
            if step == 0 and ahead.shape[0]:
                carry_over(ahead, width, width - SEGMENT * BLOCK)
                several = sort_events(
                    t, min(t + SEGMENT, steps), start, channel, count, BLOCK,
                    channel_start, event_tick, more,
                )  # fmt: skip
                look_ahead(
                    populations, projections, synapse_weights, synapse_offsets,
                    channel_start, event_tick, more, several, ahead, width,
                )  # fmt: skip
            for p in range(populations.shape[0] - 1):
                first, size = populations[p, FIRST], populations[p, SIZE]
                here = populations[p, AHEAD] + step * BLOCK
                for q in range(populations[p, INCOMING], populations[p + 1, INCOMING]):
                    pre = projections[q, PRE]
                    if pre == INPUT:
                        sources, counts, begin, end = channel, count, start[t], start[t + 1]
                    else:
                        # One later in the order, or this one, still has the last tick's spikes.
                        sources, counts, begin = spikes, ones, populations[pre, FIRST]
                        end = begin + fired[pre]
                    if projections[q, QUEUE] >= 0:
                        enqueue(
                            axon_ticks, projections[q, AXONS], projections[q, SOURCES], t,
                            sources, counts, begin, end, projections[q, QUEUE], queued[q],
                            queue_source, queue_count,
                        )  # fmt: skip
                        slot = t & (turn - 1)
                        sources, counts = queue_source, queue_count
                        begin = projections[q, QUEUE] + slot * projections[q, SOURCES]
                        end = begin + queued[q, slot]
                        queued[q, slot] = 0
                    deliver(
                        projections, q, sources, counts, begin, end, largest, size, first, here,
                        width, row_weights, synapse_weights, synapse_offsets, dendrite_offsets,
                        late, now, ahead,
                    )  # fmt: skip
                    deliveries[r, projections[q, PLACE]] += end - begin
                    cycles[r, t] += (end - begin) * projections[q, COST]
                if populations[p, AHEAD] >= 0:
                    collect(ahead, here, width, now, first, size)
                leaked = 0
                if current is not None:
                    leaked = flow(current, first, first + size, i, now, current_coefficient, beyond)
                fired[p], lost = advance(
                    lif, first, first + size, v, now, threshold, bias, coefficient,
                    populations[p, IS_READOUT] != 0, populations[p, IS_ZERO] != 0, total, u,
                )  # fmt: skip
                now[first : first + size] = 0
                for n in range(first, first + size * (leaked > 0)):
                    lost += beyond[n] & (u[n] == total[n])
                saturations[r, p] += lost
                if fired[p]:
                    list_spikes(v, u, first, size, active, words, spikes, spike_counts[r])
                if populations[p, IS_READOUT]:
                    out_of_range = add_scores(scores[r], v, first, score)
                    score_saturations[r] += out_of_range
                    lost += out_of_range
                saturated_ticks[r, t] |= lost > 0
            if trace.shape[0]:
                keep(v, u, total, beyond, scores[r], trace, scores_trace, t)
        classes[r] = winner_of(scores[r])
