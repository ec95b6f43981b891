"""Counts as lists of events."""

import numpy as np
from numba import types
from numba.extending import intrinsic

from emulator.kernels import inner, kernel

GATHER = np.uint64(0x0102040810204080)
"""Multiplying a word of eight bytes 0 or 1 by this brings them together in its top byte."""


@intrinsic
def trailing_zeros(typingctx, word):
    """Position of the lowest set bit of `word`, uint64, not 0."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], context.get_constant(types.boolean, 1))

    return types.uint64(types.uint64), code


@kernel
def list_events(counts, most, active, words, starts, channel, count):
    """List what is not zero, recording by recording, tick by tick, in the order of the channels.

    counts : integers[recordings, steps, channels].  active : uint8, scratch for the channels of a
    tick, in whole groups of 64; `words` is the same memory.  starts : int64[recordings, steps + 1],
    channel, count : int64[events], written.

    Returns
    -------
    The largest count, at least 1, and the first recording with one that is not in 0 to `most`, or
    -1.
    """
    n, largest = 0, 1
    for r in range(counts.shape[0]):
        for t in range(counts.shape[1]):
            starts[r, t] = n
            for c in range(counts.shape[2]):
                active[c] = counts[r, t, c] != 0
            # Sixty-four channels become one word, whose set bits are few: no branch per channel.
            for first in range(0, words.shape[0], 8):
                bits = np.uint64(0)
                for k in range(8):
                    byte = (words[first + k] * GATHER) >> np.uint64(56)
                    bits |= byte << np.uint64(8 * k)
                while bits:
                    c = 8 * first + np.int64(trailing_zeros(bits))
                    bits &= bits - np.uint64(1)
                    value = np.int64(counts[r, t, c])
                    if value < 0 or value > most:
                        return largest, r
                    largest = max(largest, value)
                    channel[n], count[n] = c, value
                    n += 1
        starts[r, counts.shape[1]] = n
    return largest, -1


@inner
def sort_events(begin, end, start, channel, count, channel_start, event_tick, event_count):
    """List the events of ticks `begin` to `end - 1` by channel, with ticks since `begin`."""
    channel_start[:] = 0
    for e in range(start[begin], start[end]):
        channel_start[channel[e]] += 1
    # Every start is at first the end, and moves down as the events come from the last on.
    for c in range(1, channel_start.shape[0]):
        channel_start[c] += channel_start[c - 1]
    for t in range(end - 1, begin - 1, -1):
        for e in range(start[t], start[t + 1]):
            channel_start[channel[e]] -= 1
            at = channel_start[channel[e]]
            event_tick[at], event_count[at] = t - begin, count[e]
