"""Float simulation: events are delivered into a ring of future currents, row by row.

A delay is bound at emission: what is emitted at step t over a delay of n steps is added to the
ring's slot of step t + n, which is read and cleared when the post population is updated.
"""

import numpy as np
from numba import njit, prange

from model.layout import (
    ALPHA,
    ALPHA_SYN,
    BIAS,
    DELAY,
    INPUT,
    KIND,
    NEURONS,
    OUT,
    OUT_END,
    PER_POST,
    PER_PRE,
    POST,
    READOUT,
    SIZE,
    START,
    STRICT,
    THRESHOLD,
    WEIGHT,
    ZERO_RESET,
)


@njit
def deliver(populations, projections, weights, steps, p, i, count, t, last, ring, worker):
    """Add `count` events, emitted at step `t` by neuron `i` of population `p`, to the ring.

    ring : float64[workers, slots, neurons], currents still to come; slots is a power of two.
    """
    slots = ring.shape[1] - 1
    for q in range(populations[p, OUT], populations[p, OUT_END]):
        size = projections[q, SIZE]
        start = populations[projections[q, POST], START]
        w = projections[q, WEIGHT] + i * size
        d = projections[q, DELAY] + i * projections[q, PER_PRE]
        # Due after the last step is never: such an event must not wrap around the ring.
        if projections[q, PER_POST] == 0:
            due = t + steps[d]
            if due < last:
                for j in range(size):
                    ring[worker, due & slots, start + j] += weights[w + j] * count
        else:
            for j in range(size):
                due = t + steps[d + j]
                if due < last:
                    ring[worker, due & slots, start + j] += weights[w + j] * count


@njit
def recording(
    populations, projections, neurons, weights, steps, counts, u, current, ring, scores, fired,
    spikes, membranes, readout, r, worker,
):  # fmt: skip
    """Simulate recording `r` with the scratch memory of `worker`; other arguments as in `batch`."""
    last, slots = counts.shape[1], ring.shape[1]
    for slot in range(slots):
        for j in range(u.shape[1]):
            u[worker, j] = 0.0
            current[worker, j] = 0.0
            ring[worker, slot, j] = 0.0
    for t in range(last):
        slot = t & (slots - 1)
        for p in range(populations.shape[0]):
            kind, start = populations[p, KIND], populations[p, START]
            for i in range(populations[p, NEURONS]):
                j = start + i
                count = 0
                if kind == INPUT:
                    count = counts[r, t, i]
                else:
                    drive = neurons[ALPHA_SYN, j] * current[worker, j] + ring[worker, slot, j]
                    current[worker, j] = drive
                    v = neurons[ALPHA, j] * u[worker, j] + drive + neurons[BIAS, j]
                    ring[worker, slot, j] = 0.0
                    if kind == READOUT:
                        scores[r, i] += v
                        if readout.shape[1] != 0:
                            readout[r, t, i] = v
                    elif v > neurons[THRESHOLD, j] or (
                        v == neurons[THRESHOLD, j] and not populations[p, STRICT]
                    ):
                        count = 1
                        v = 0.0 if populations[p, ZERO_RESET] else v - neurons[THRESHOLD, j]
                        fired[r, j] += 1
                        if spikes.shape[1] != 0:
                            spikes[r, t, j] = True
                    u[worker, j] = v
                    if membranes.shape[1] != 0:
                        membranes[r, t, j] = v
                if count != 0:
                    deliver(
                        populations, projections, weights, steps, p, i, count, t, last, ring, worker
                    )


@njit(parallel=True)
def batch(
    populations, projections, neurons, weights, steps, counts, u, current, ring, scores, fired,
    spikes, membranes, readout,
):  # fmt: skip
    """Simulate recordings, each by one thread, so that no result depends on their number.

    populations ... weights : see `Layout`.  steps : uint32[delays].
    counts : int32[R, T, channels].
    u, current : float64[workers, neurons] and ring : float64[workers, slots, neurons], scratch.
    scores : float64[R, readouts] and fired : int64[R, neurons], zeros, added to.
    spikes : bool[R, T, neurons], membranes : float64[R, T, neurons] after the reset, and
    readout : float64[R, T, readouts], zeros, written; T = 0 where it is not wanted.
    """
    for k in prange(ring.shape[0]):
        # prange counts in unsigned integers, for which every kernel would be compiled again.
        worker = np.int64(k)
        for r in range(worker, counts.shape[0], ring.shape[0]):
            recording(
                populations, projections, neurons, weights, steps, counts, u, current, ring, scores,
                fired, spikes, membranes, readout, r, worker,
            )  # fmt: skip
