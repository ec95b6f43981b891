"""Events over taps around their delays, and back: no memory grows with the longest delay.

A synapse from i to j has taps at W neighbouring lags from first[i, j] on, taps[i, j, W], its weight
included.  What is due after the last step never arrives.
"""

from numba import njit


@njit(nogil=True)
def deliver(x, begin, taps, first, line):
    """Add what the events of some steps bring to `line`.

    x : float[recordings, steps of x, pre], the first step being `begin`.
    taps : float[pre, post, W].  first : int32[pre, post].
    line : float[recordings, post, steps], what arrives.
    """
    last = line.shape[2]
    for r in range(x.shape[0]):
        for s in range(x.shape[1]):
            for i in range(x.shape[2]):
                count = x[r, s, i]
                if count == 0:
                    continue
                for j in range(first.shape[1]):
                    due = begin + s + first[i, j]
                    for u in range(min(taps.shape[2], last - due)):
                        line[r, j, due + u] += count * taps[i, j, u]


@njit(nogil=True)
def collect(x, begin, taps, first, by_line, by_taps, by_x):
    """Add the derivatives by taps, and by x where it is wanted.

    by_line : float[recordings, post, steps], of the loss by what arrives.
    by_taps : as taps.  by_x : as x, or without elements.
    """
    last = by_line.shape[2]
    for r in range(x.shape[0]):
        for s in range(x.shape[1]):
            for i in range(x.shape[2]):
                count = x[r, s, i]
                if count != 0:
                    for j in range(first.shape[1]):
                        due = begin + s + first[i, j]
                        for u in range(min(taps.shape[2], last - due)):
                            by_taps[i, j, u] += count * by_line[r, j, due + u]
                if by_x.size != 0:
                    total = by_x[r, s, i]
                    for j in range(first.shape[1]):
                        due = begin + s + first[i, j]
                        for u in range(min(taps.shape[2], last - due)):
                            total += taps[i, j, u] * by_line[r, j, due + u]
                    by_x[r, s, i] = total
