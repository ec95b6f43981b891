"""Derivatives of the learning signal, worked out by hand from docs/datapath.md."""

from dataclasses import replace

import numpy as np

from datapath import Format
from datapath.catalog import TINY_LEARN
from emulator.slope import slope

LEARN = replace(TINY_LEARN.learn, tap=Format(4, 2, signed=False), slope=Format(6))


def step(window, taps, learn=LEARN):
    """One neuron: (slope, beyond)."""
    out = np.zeros(1, np.int64)
    window = np.array(window, np.int64)[:, None]
    beyond = slope(learn)(window, np.array(taps, np.int64), out)
    return int(out[0]), bool(beyond)


def test_constant_has_no_slope():
    assert step([7] * 7, [3, 2, 1]) == (0, False)


def test_line_has_its_slope():
    # (3 * 2 * 1 + 1 * 2 * 2) / 4 = 2.5, and a tie goes up.
    assert step([-2, -1, 0, 1, 2], [3, 1]) == (3, False)
    assert step([2, 1, 0, -1, -2], [3, 1]) == (-2, False)


def test_future_minus_past():
    # 4 * (5 - 2) / 4.
    assert step([2, 9, 5], [4]) == (3, False)


def test_farther_ticks_have_later_taps():
    # 8 * (1 - 0) / 4, the neighbours being equal.
    assert step([0, 3, 0, 3, 1], [1, 8]) == (2, False)


def test_saturates():
    # 8 * 16 / 4 = 32 is one too many, 8 * -16 / 4 = -32 is not.
    assert step([0, 0, 16], [8]) == (31, True)
    assert step([16, 0, 0], [8]) == (-32, False)
    assert step([17, 0, 0], [8]) == (-32, True)


def test_no_taps_no_slope():
    assert step([5], []) == (0, False)


def test_neurons_are_independent():
    out = np.zeros(3, np.int64)
    window = np.array([[0, 1, 2], [0, 0, 0], [4, 5, 7]], np.int64)
    assert not slope(LEARN)(window, np.array([4], np.int64), out)
    assert out.tolist() == [4, 4, 5]
