"""Spikes become sums: rows of weights, delayed sums of dendrites and synapses, queues of axons.

Indices are unsigned where a loop is to become vector instructions: the compiler gives up on one
that might count from the end.
"""

import numpy as np

from emulator.kernels import inner
from emulator.kernels.machine import LANES, add_rows
from emulator.kernels.tables import BLOCK


@inner
def sum_rows(
    weights, rows, stride, factor, limit, sources, counts, begin, end, largest, out, first
):
    """out[first + j] += factor * sum of counts[e] * weights[sources[e], j], begin <= e < end.

    limit : rows whose sum the type of a weight holds.  largest : no count is larger; where it is 1
    they are not read.
    """
    for e in range(begin, end, limit):
        stop = min(end, e + limit)
        for j in range(0, stride, LANES):
            add_rows(weights, rows + j, stride, sources, e, stop, factor, out, first + j)
    if largest > 1:
        for e in range(np.uint64(begin), np.uint64(end)):
            if counts[e] > 1:
                more = factor * (counts[e] - 1)
                for j in range(0, stride, LANES):
                    add_rows(weights, rows + j, stride, sources, e, e + 1, more, out, first + j)


@inner
def spread(late, size, offsets, first, ahead, here):
    """Move the sums `late` of `size` neurons to where their dendrites let them arrive.

    ahead : delayed sums, those of this tick and population from `here` on.
    """
    base, place = np.uint64(here), np.uint64(first)
    for j in range(np.uint64(size)):
        ahead[base + offsets[place + j]] += late[j]
        late[j] = 0


@inner
def scatter(
    weights, offsets, first, next_source, next_block, size, sources, begin, end, ahead, here, span
):
    """Add the synapses of sources[begin:end] to the delayed sums of `size` neurons.

    ahead, here : as above.  span : from one block of neurons to the next.
    """
    for e in range(begin, end):
        k, base = np.uint64(first + sources[e] * next_source), np.uint64(here)
        for _ in range(0, size, BLOCK):
            for j in range(np.uint64(BLOCK)):
                ahead[base + offsets[k + j]] += weights[k + j]
            k += np.uint64(next_block)
            base += np.uint64(span)


@inner
def scatter_segment(
    weights, offsets, first, size, channel_start, ticks, more, several, ahead, here, span
):
    """Add the synapses of all events of a segment to the delayed sums of `size` neurons.

    channel_start, ticks, more : the events as `sort_events` lists them, in units of BLOCK, and
    `several` of them with more than one spike.

    A block of neurons at a time, so that its sums stay in the cache; a channel at a time and four
    of its events, so that a synapse is read once for all of them.
    """
    base, k = np.uint64(here), np.uint64(first)
    one, four, block = np.uint64(1), np.uint64(4), np.uint64(BLOCK)
    for _ in range(0, size, BLOCK):
        for n in range(several):
            at, a = k + np.uint64(more[0, n]) * block, base + np.uint64(more[1, n])
            for j in range(block):
                ahead[a + offsets[at + j]] += weights[at + j] * more[2, n]
        for channel in range(np.uint64(channel_start.shape[0] - 1)):
            e, end = channel_start[channel], channel_start[channel + one]
            while e + four <= end:
                f, g = e + np.uint64(2), e + np.uint64(3)
                a, b, c, d = (
                    base + ticks[e],
                    base + ticks[e + one],
                    base + ticks[f],
                    base + ticks[g],
                )
                for j in range(block):
                    at, w = offsets[k + j], weights[k + j]
                    ahead[a + at] += w
                    ahead[b + at] += w
                    ahead[c + at] += w
                    ahead[d + at] += w
                e += four
            while e < end:
                a = base + ticks[e]
                for j in range(block):
                    ahead[a + offsets[k + j]] += weights[k + j]
                e += one
            k += block
        base += np.uint64(span)


@inner
def carry_over(ahead, span, kept):
    """Move the last `kept` of every `span` delayed sums to its start, and empty the rest."""
    for first in range(0, ahead.shape[0], span):
        for k in range(first, first + kept):
            ahead[k] = ahead[k + span - kept]
        ahead[first + kept : first + span] = 0


@inner
def collect(ahead, here, span, now, first, size):
    """Add the delayed sums of `size` neurons that are due in this tick to `now` from `first` on."""
    base, n = np.uint64(here), np.uint64(first)
    for _ in range(0, size, BLOCK):
        for j in range(np.uint64(BLOCK)):
            now[n + j] += ahead[base + j]
        base += np.uint64(span)
        n += np.uint64(BLOCK)


@inner
def enqueue(
    axon_ticks, axons, pre, t, sources, counts, begin, end, queue, queued, queue_source, queue_count
):
    """Send sources[begin:end] of tick `t` on their way.

    axons : start of the ticks of the `pre` axons.  queue : start of their queue [tick][pre], whose
    lengths are `queued`, int64[ticks].
    """
    for e in range(begin, end):
        source = sources[e]
        slot = (t + axon_ticks[axons + source]) & (queued.shape[0] - 1)
        at = queue + slot * pre + queued[slot]
        queue_source[at], queue_count[at] = source, counts[e]
        queued[slot] += 1
