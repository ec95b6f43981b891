"""Single look-ups, worked out by hand from docs/datapath.md."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Format
from datapath.catalog import TINY_LEARN
from emulator.surrogate import surrogate

LEARN = replace(TINY_LEARN.learn, lookup=Format(4, signed=False), activity=Format(2, signed=False))
TABLE = np.array([15, 9, 4, 1], np.int64)


def derivatives(u, threshold, shift):
    out = np.zeros(len(u), np.int64)
    threshold = np.full(len(u), threshold)
    surrogate(LEARN)[0](TABLE, shift, np.array(u, np.int64), threshold, out)
    return out.tolist()


def levels(y, shift, table=TABLE, learn=LEARN):
    """Errors and their sum."""
    out = np.zeros(len(y), np.int64)
    total = surrogate(learn)[1](np.array(table, np.int64), shift, np.array(y, np.int64), out)
    return out.tolist(), int(total)


def test_derivative_falls_on_both_sides_of_the_threshold():
    # Distances 9, 7, 4, 3, 0, 1, 3, 4, 7, 9, 100, halved and halved again.
    u = [-1, 1, 4, 5, 8, 9, 11, 12, 15, 17, 108]
    assert derivatives(u, threshold=8, shift=2) == [4, 9, 9, 15, 15, 15, 15, 9, 9, 4, 1]


def test_last_entry_holds_for_what_is_beyond():
    assert derivatives([0, 3, 4, 5000], threshold=0, shift=0) == [15, 1, 1, 1]


def test_shift_may_leave_nothing_of_a_distance():
    assert derivatives([-(2**30), 2**30], threshold=1, shift=31) == [15, 15]


def test_errors_are_as_large_as_the_table_where_their_sum_is_near_one():
    # Distances 0, 2 and 7; 2 * (15 + 4 + 1) = 40 < 3 * 15 = 45.
    assert levels([5, 3, -2], shift=0) == ([15, 4, 1], 20)


@pytest.mark.parametrize(
    ("classes", "errors"),
    [
        # 30 per class against 45, 90, 180 and 360, of which 6 classes reach three.
        (1, 15),
        (2, 8),
        (3, 4),
        (5, 4),
        (6, 2),
    ],
)
def test_errors_are_divided_by_the_power_of_two_next_to_their_sum(classes, errors):
    assert levels([7] * classes, shift=3) == ([errors] * classes, errors * classes)


def test_largest_membrane_may_be_negative():
    assert levels([-9, -10, -8], shift=0) == ([5, 2, 8], 15)


def test_errors_may_all_be_zero():
    assert levels([3, 4], shift=0, table=[0, 0]) == ([0, 0], 0)


def test_table_of_one_bit():
    narrow = replace(LEARN, lookup=Format(1, signed=False))
    # 2 * 3 = 6 reaches 3 and 6, so that 1 / 4 is rounded to 0.
    assert levels([1, 1, 1], shift=0, table=[1, 0], learn=narrow) == ([0, 0, 0], 0)


def test_activity_saturates():
    activity, fired = np.zeros(3, np.int64), np.array([True, False, True])
    for want in ([1, 0, 1], [2, 0, 2], [3, 0, 3], [3, 0, 3]):
        surrogate(LEARN)[2](activity, fired)
        assert activity.tolist() == want
