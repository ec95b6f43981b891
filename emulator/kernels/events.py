"""Counts as lists of events."""

import numpy as np

from emulator.kernels import inner, kernel
from emulator.kernels.machine import like, set_bits, set_items, trailing_zeros

AT_ONCE = 4
"""Positions that `list_set` writes in any case, before it looks whether there are so many."""


@inner
def list_bits(bits, first, positions, at):
    """Write the positions of the set `bits` of a word, and `first`, to positions[at:].

    positions : with room for AT_ONCE more.

    Returns
    -------
    Where the next ones go.
    """
    end = at + set_bits(bits)
    while True:
        # A few at once, because a branch for each costs more than writing some too many.
        for k in range(np.uint64(AT_ONCE)):
            positions[at + k] = first + trailing_zeros(bits)
            bits &= bits - np.uint64(1)
        if bits == 0:
            return end
        at += np.uint64(AT_ONCE)


@kernel
def list_events(counts, active, words, starts, channel, count):
    """List what is not zero, recording by recording, tick by tick, in the order of the channels.

    counts : integers[recordings, steps, channels].  active : uint8[64], zeros, scratch; `words` is
    the same memory.  starts : int64[recordings, steps + 1], channel : uint32[events],
    count : int64[events], written.

    Returns
    -------
    All counts, or-ed: no less than the largest, and negative if one is negative.
    """
    n, united, group = np.uint64(0), 0, np.uint64(64)
    channels = np.uint64(counts.shape[2])
    whole = channels // group * group
    for r in range(counts.shape[0]):
        for t in range(counts.shape[1]):
            starts[r, t] = n
            last, row = n, np.uint64(r * counts.shape[1] + t) * channels
            for c in range(np.uint64(0), whole, group):
                last = list_bits(set_items(counts, row + c), c, channel, last)
            for c in range(channels - whole):
                active[c] = counts[r, t, whole + c] != 0
            last = list_bits(set_items(active, np.uint64(0)), whole, channel, last)
            seen = counts.dtype.type(0)
            for c in range(channels):
                seen = like(seen | counts[r, t, c], seen)
            count[n:last] = 1
            if seen > 1:
                for e in range(n, last):
                    count[e] = counts[r, t, channel[e]]
            united |= seen
            n = last
        starts[r, counts.shape[1]] = n
    return united


@inner
def sort_events(begin, end, start, channel, count, unit, channel_start, event_tick, more):
    """List the events of ticks `begin` to `end - 1` by channel.

    channel_start : uint64[channels + 1], written.  event_tick : uint64, written, ticks since
    `begin` times `unit`.  more : int64[3, events], written for those of more than one spike: the
    channel, the same tick, and how many more.

    Returns
    -------
    How many of `more` there are.
    """
    channel_start[:] = 0
    for e in range(np.uint64(start[begin]), np.uint64(start[end])):
        channel_start[np.uint64(channel[e])] += np.uint64(1)
    # Every start is at first the end, and moves down as the events come from the last on.
    for c in range(1, channel_start.shape[0]):
        channel_start[c] += channel_start[c - 1]
    several = 0
    for t in range(end - 1, begin - 1, -1):
        for e in range(np.uint64(start[t]), np.uint64(start[t + 1])):
            c = np.uint64(channel[e])
            at = channel_start[c] - np.uint64(1)
            channel_start[c], event_tick[at] = at, (t - begin) * unit
            if count[e] > 1:
                more[0, several], more[1, several] = channel[e], (t - begin) * unit
                more[2, several] = count[e] - 1
                several += 1
    return several
