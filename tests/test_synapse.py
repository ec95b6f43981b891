"""Deliveries, worked out by hand from docs/datapath.md."""

import numpy as np

from datapath.catalog import TINY
from emulator.synapse import synapse

DELIVER, COLLECT = synapse(TINY.synapse)


def integers(*values):
    return np.array(values, np.int64)


def deliver(acc, t, weights, delays, *, count=1, scale=0, resolution=0):
    DELIVER(acc, t, integers(*weights), integers(*delays), count, scale, resolution)


def collected(acc, t):
    out = np.full(acc.shape[1], 99)
    COLLECT(acc, t, out)
    return out.tolist()


def test_every_synapse_arrives_after_its_own_delay():
    acc = np.zeros((8, 3), np.int64)
    deliver(acc, 6, [5, -7, 15], [0, 1, 7])
    assert [collected(acc, t) for t in range(6, 14)] == [
        [5, 0, 0],
        [0, -7, 0],
        *[[0] * 3] * 5,
        [0, 0, 15],
    ]
    assert not acc.any()


def test_count_multiplies_and_scale_shifts():
    # (-3 * 7) << 2 = -84, 2 * 7 << 2 = 56.
    acc = np.zeros((8, 2), np.int64)
    deliver(acc, 0, [-3, 2], [0, 0], count=7, scale=2)
    assert collected(acc, 0) == [-84, 56]


def test_delay_words_are_counted_in_the_resolution():
    # Words 0, 1 and 3 of two ticks each: 0, 2 and 6 ticks.
    acc = np.zeros((8, 3), np.int64)
    deliver(acc, 5, [1, 2, 3], [0, 1, 3], resolution=1)
    assert [collected(acc, t) for t in (5, 7, 11)] == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]


def test_rows_add_up_without_saturation():
    # Far beyond 12 bits of the membrane: 16 * 8 * 7 << 3 would be, and nothing is cut here.
    acc = np.zeros((8, 1), np.int64)
    for _ in range(16):
        deliver(acc, 0, [15], [0], count=7, scale=3)
    assert collected(acc, 0) == [13440]


def test_collecting_empties_the_slot_only():
    acc = np.zeros((8, 1), np.int64)
    deliver(acc, 2, [4], [0])
    deliver(acc, 2, [9], [1])
    assert collected(acc, 2) == [4]
    assert collected(acc, 2) == [0]
    assert collected(acc, 3) == [9]
