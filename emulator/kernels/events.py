"""Counts as lists of events."""

import numpy as np
from numba import types
from numba.extending import intrinsic

from emulator.kernels import inner, kernel

GATHER = np.uint64(0x0102040810204080)
"""Multiplying a word of eight bytes 0 or 1 by this brings them together in its top byte."""


AT_ONCE = 4
"""Positions that `list_set` writes in any case, before it looks whether there are so many."""


@intrinsic
def trailing_zeros(typingctx, word):
    """Position of the lowest set bit of `word`, uint64; 64 if there is none."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], context.get_constant(types.boolean, 0))

    return types.uint64(types.uint64), code


@intrinsic
def set_bits(typingctx, word):
    """Count the set bits of `word`, uint64."""

    def code(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), code


@inner
def list_set(words, positions, n):
    """Append to the first `n` positions those of the bytes of `words` that are 1; return how many.

    words : uint64, in whole groups of eight; their bytes are 0 or 1.  positions : with room for
    AT_ONCE more.
    """
    at = np.uint64(n)
    for first in range(np.uint64(0), np.uint64(words.shape[0]), np.uint64(8)):
        # Sixty-four bytes become one word, whose few set bits are listed without a branch each.
        bits = np.uint64(0)
        for k in range(np.uint64(8)):
            byte = (words[first + k] * GATHER) >> np.uint64(56)
            bits |= byte << (np.uint64(8) * k)
        last = at + set_bits(bits)
        while True:
            for k in range(np.uint64(AT_ONCE)):
                positions[at + k] = np.uint64(8) * first + trailing_zeros(bits)
                bits &= bits - np.uint64(1)
            if bits == 0:
                break
            at += np.uint64(AT_ONCE)
        at = last
    return np.int64(at)


@kernel
def list_events(counts, active, words, starts, channel, count):
    """List what is not zero, recording by recording, tick by tick, in the order of the channels.

    counts : integers[recordings, steps, channels].  active : uint8, scratch for the channels of a
    tick, in whole groups of 64; `words` is the same memory.  starts : int64[recordings, steps + 1],
    channel, count : int64[events], written.

    Returns
    -------
    All counts, or-ed: no less than the largest, and negative if one is negative.
    """
    n, united = 0, 0
    for r in range(counts.shape[0]):
        for t in range(counts.shape[1]):
            starts[r, t] = n
            for c in range(counts.shape[2]):
                active[c] = counts[r, t, c] != 0
            last = list_set(words, channel, n)
            for e in range(np.uint64(n), np.uint64(last)):
                count[e] = counts[r, t, np.uint64(channel[e])]
                united |= count[e]
            n = last
        starts[r, counts.shape[1]] = n
    return united


@inner
def sort_events(begin, end, start, channel, count, channel_start, event_tick, event_count):
    """List the events of ticks `begin` to `end - 1` by channel, with ticks since `begin`.

    channel_start : uint64[channels + 1], event_tick : uint64, event_count : int64, written.
    """
    channel_start[:] = 0
    for e in range(np.uint64(start[begin]), np.uint64(start[end])):
        channel_start[np.uint64(channel[e])] += np.uint64(1)
    # Every start is at first the end, and moves down as the events come from the last on.
    for c in range(1, channel_start.shape[0]):
        channel_start[c] += channel_start[c - 1]
    for t in range(end - 1, begin - 1, -1):
        for e in range(np.uint64(start[t]), np.uint64(start[t + 1])):
            c = np.uint64(channel[e])
            at = channel_start[c] - np.uint64(1)
            channel_start[c] = at
            event_tick[at], event_count[at] = t - begin, count[e]
