"""Single credits, worked out by hand from docs/datapath.md."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Format
from datapath.catalog import TINY_LEARN
from emulator.credit import credit

LEARN = replace(TINY_LEARN.learn, weight_gradient=Format(6), delay_gradient=Format(8))
WEIGHTS, DELAYS, AXON = range(3)


def words(*values):
    return np.array(values, np.int64)


def add(kind, gradient, count, seen):
    """Gradients of a row, and whether one was beyond."""
    row = words(*gradient)
    beyond = credit(LEARN)[kind](row, count, words(*seen))
    return row.tolist(), bool(beyond)


def axon(gradient, count, weights, slopes, scale):
    out = words(gradient)
    beyond = credit(LEARN)[AXON](out, count, words(*weights), words(*slopes), scale)
    return int(out[0]), bool(beyond)


def test_every_synapse_sees_the_signal_of_its_neuron():
    assert add(WEIGHTS, [1, 2, 3], 2, [5, -5, 0]) == ([11, -8, 3], False)
    assert add(DELAYS, [1, 2, 3], 2, [50, -50, 0]) == ([101, -98, 3], False)


@pytest.mark.parametrize(("kind", "most"), [(WEIGHTS, 31), (DELAYS, 127)])
def test_gradients_saturate(kind, most):
    assert add(kind, [most - 1, 1 - most], 1, [1, -2]) == ([most, -most - 1], False)
    assert add(kind, [most - 1, 0], 1, [2, 0]) == ([most, 0], True)
    assert add(kind, [0, -most], 1, [0, -2]) == ([0, -most - 1], True)


def test_credit_of_an_axon_is_rounded_before_it_is_counted():
    # 3 * 5 + 2 * -4 = 7; 7 / 2 = 3.5 goes up to 4, three times.
    assert axon(1, 3, [3, 2], [5, -4], 1) == (13, False)
    # -7 / 2 = -3.5 goes up to -3.
    assert axon(1, 3, [-3, -2], [5, -4], 1) == (-8, False)


def test_credit_of_an_axon_saturates():
    assert axon(120, 1, [7], [1], 0) == (127, False)
    assert axon(120, 1, [8], [1], 0) == (127, True)
    assert axon(-120, 1, [-9], [1], 0) == (-128, True)


def test_sum_of_an_axon_is_exact():
    # 2 * 2**30 cancels, and 16 is left.
    assert axon(0, 1, [2, -2, 16], [2**30, 2**30, 1], 0) == (16, False)
