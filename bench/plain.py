"""A straightforward kernel for one network: what the emulator is measured against."""

import numpy as np
from numba import njit

SLOTS = 64


@njit(nogil=True)
def plain(
    counts, w_in, w_rec, w_out, delays, synaptic, threshold, coefficient, top, spikes, scores
):
    """Run recordings of a recurrent layer and a readout, event by event and row by row.

    counts : uint8[recordings, steps, channels].  w_in, w_rec, w_out : int32[pre, post].
    delays : int64[channels, hidden] if `synaptic`, else the first column counts, in ticks.
    threshold : of the hidden layer.  coefficient : of both leaks, over 256.  top : the largest
    membrane.  spikes : bool[recordings, steps, hidden] and scores : int64[recordings, classes],
    zeros, written.
    """
    channels, hidden, classes = w_in.shape[0], w_rec.shape[0], w_out.shape[1]
    acc = np.zeros((SLOTS, hidden), np.int32)
    v, y = np.zeros(hidden, np.int32), np.zeros(classes, np.int32)
    current = np.zeros(classes, np.int32)
    fired = np.zeros(hidden, np.int64)
    for r in range(counts.shape[0]):
        acc[:] = 0
        v[:] = 0
        y[:] = 0
        active = 0
        for t in range(counts.shape[1]):
            now = t & (SLOTS - 1)
            for c in range(channels):
                n = counts[r, t, c]
                if n == 0:
                    continue
                if synaptic:
                    for j in range(hidden):
                        acc[(t + delays[c, j]) & (SLOTS - 1), j] += w_in[c, j] * n
                else:
                    slot = (t + delays[c, 0]) & (SLOTS - 1)
                    for j in range(hidden):
                        acc[slot, j] += w_in[c, j] * n
            for k in range(active):
                for j in range(hidden):
                    acc[now, j] += w_rec[fired[k], j]
            active = 0
            for j in range(hidden):
                u = ((v[j] * coefficient + 128) >> 8) + acc[now, j]
                u = min(max(u, -top - 1), top)
                acc[now, j] = 0
                if u >= threshold:
                    u -= threshold
                    fired[active] = j
                    active += 1
                    spikes[r, t, j] = True
                v[j] = u
            current[:] = 0
            for k in range(active):
                for j in range(classes):
                    current[j] += w_out[fired[k], j]
            for j in range(classes):
                u = ((y[j] * coefficient + 128) >> 8) + current[j]
                y[j] = min(max(u, -top - 1), top)
                scores[r, j] += y[j]
