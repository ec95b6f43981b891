"""Spikes become sums: rows of weights, delayed sums of dendrites and synapses, queues of axons.

Indices are unsigned where a loop is to become vector instructions: the compiler gives up on one
that might count from the end.
"""

import numpy as np

from emulator.kernels import inner
from emulator.kernels.machine import like
from emulator.kernels.tables import BLOCK, FEW

PASS = 8
"""Rows that are added up at a time."""


@inner
def add_rows(weights, rows, stride, sources, begin, end, part):
    """part[j] += sum of weights[source, j] over sources[begin:end], a multiple of PASS of them."""
    for e in range(begin, end, PASS):
        # So many rows per pass: the sum is loaded and stored once for all of them.
        a = np.uint64(rows + sources[e] * stride)
        b = np.uint64(rows + sources[e + 1] * stride)
        c = np.uint64(rows + sources[e + 2] * stride)
        d = np.uint64(rows + sources[e + 3] * stride)
        f = np.uint64(rows + sources[e + 4] * stride)
        g = np.uint64(rows + sources[e + 5] * stride)
        h = np.uint64(rows + sources[e + 6] * stride)
        i = np.uint64(rows + sources[e + 7] * stride)
        for j in range(np.uint64(stride)):
            part[j] += (
                weights[a + j] + weights[b + j] + weights[c + j] + weights[d + j]
                + weights[f + j] + weights[g + j] + weights[h + j] + weights[i + j]
            )  # fmt: skip


@inner
def add_few_rows(weights, rows, stride, factor, none, sources, begin, end, out, first):
    """out[first + j] += factor * sum of weights[source, j] over sources[begin:end].

    none : a source whose row is zeros.
    """
    base = np.uint64(first)
    for e in range(begin, end, FEW):
        # Behind the last one is nothing, without a branch.
        a = np.uint64(rows + sources[e] * stride)
        b = np.uint64(rows + (none + (sources[e + 1] - none) * (e + 1 < end)) * stride)
        c = np.uint64(rows + (none + (sources[e + 2] - none) * (e + 2 < end)) * stride)
        d = np.uint64(rows + (none + (sources[e + 3] - none) * (e + 3 < end)) * stride)
        for j in range(np.uint64(stride)):
            x = weights[a + j] + weights[b + j] + weights[c + j] + weights[d + j]
            out[base + j] += factor * like(x, weights[a])


@inner
def sum_rows(
    weights, rows, stride, factor, limit, none, sources, counts, begin, end, largest, part, out,
    first,
):  # fmt: skip
    """out[first + j] += factor * sum of counts[e] * weights[sources[e], j], begin <= e < end.

    limit : rows whose sum the type of a weight holds, at least FEW.  none : a source whose row is
    zeros.  largest : no count is larger; where it is 1 they are not read.  part : zeros of the type
    of a weight, scratch.
    """
    width, base, e = np.uint64(stride), np.uint64(first), begin
    while min(limit, end - e) >= PASS:
        # Many rows are first summed in their own narrow type, as long as it holds them.
        stop = e + min(limit, end - e) // PASS * PASS
        add_rows(weights, rows, stride, sources, e, stop, part)
        for j in range(width):
            out[base + j] += factor * part[j]
            part[j] = 0
        e = stop
    add_few_rows(weights, rows, stride, factor, none, sources, e, end, out, first)
    if largest > 1:
        for e in range(begin, end):
            if counts[e] > 1:
                a, k = np.uint64(rows + sources[e] * stride), factor * (counts[e] - 1)
                for j in range(width):
                    out[base + j] += k * weights[a + j]


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
def scatter_segment(weights, offsets, first, size, channel_start, ticks, counts, ahead, here, span):
    """Add the synapses of all events of a segment to the delayed sums of `size` neurons.

    channel_start, ticks, counts : the events as `sort_events` lists them.

    A block of neurons at a time, so that its sums stay in the cache; a channel at a time and four
    of its events, so that a synapse is read once for all of them.
    """
    base, k = np.uint64(here), np.uint64(first)
    one, four, block = np.uint64(1), np.uint64(4), np.uint64(BLOCK)
    for _ in range(0, size, BLOCK):
        for channel in range(np.uint64(channel_start.shape[0] - 1)):
            e, end = channel_start[channel], channel_start[channel + one]
            while e + four <= end:
                a, b = base + ticks[e] * block, base + ticks[e + one] * block
                f, g = e + np.uint64(2), e + np.uint64(3)
                c, d = base + ticks[f] * block, base + ticks[g] * block
                times = counts[e], counts[e + one], counts[f], counts[g]
                for j in range(block):
                    at, w = offsets[k + j], weights[k + j]
                    ahead[a + at] += w * times[0]
                    ahead[b + at] += w * times[1]
                    ahead[c + at] += w * times[2]
                    ahead[d + at] += w * times[3]
                e += four
            while e < end:
                a, once = base + ticks[e] * block, counts[e]
                for j in range(block):
                    ahead[a + offsets[k + j]] += weights[k + j] * once
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
