"""Single steps, worked out by hand from docs/datapath.md.

The first two numbers of a generator that starts from 1 are 270369 = 0x42021 and 67634689 =
0x4080601: both end on the bits 0001.
"""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Format
from datapath.catalog import TINY_LEARN
from emulator.update import update

LEARN = replace(
    TINY_LEARN.learn,
    weight_fraction=Format(4, signed=False),
    delay_fraction=Format(3, signed=False),
)
WEIGHT = Format(5)
WEIGHTS, SYNAPTIC, AXONAL = range(3)


def one(value):
    return np.array([value], np.int64)


def weight(word, fraction, gradient, *, limit=31, rate=1, shift=0, keep=0, random=1, near=False):
    """One weight: (word, fraction, gradient)."""
    state = [one(n) for n in (word, fraction, gradient, random)]
    update(WEIGHT, LEARN)[WEIGHTS](*state, limit, rate, shift, keep, near)
    return tuple(int(n[0]) for n in state[:3])


def axonal(word, fraction, gradient, *, rate=1, shift=0, keep=0, limit=31, largest=7, near=False):
    state = [one(n) for n in (word, fraction, gradient, 1)]
    update(WEIGHT, LEARN)[AXONAL](*state, limit, rate, shift, keep, largest, near)
    return tuple(int(n[0]) for n in state[:3])


def synaptic(word, fraction, gradient, behind, *, sign=False, scale=0, limit=31, largest=7):
    state = [one(n) for n in (word, fraction, gradient, 1)]
    update(WEIGHT, LEARN)[SYNAPTIC](
        *state, one(behind), sign, scale, limit, 1, 0, 0, largest, False
    )
    return tuple(int(n[0]) for n in state[:3])


def test_step_is_taken_from_the_master_word():
    # 3 + 5 / 16, that is 53 / 16, less 20 / 16: 33 / 16.
    assert weight(3, 5, 20) == (2, 1, 0)
    # -3 + 5 / 16, that is -43 / 16, and 20 / 16 more: -23 / 16.
    assert weight(-3, 5, -20) == (-2, 9, 0)


def test_rate_and_shift():
    # 5 * 6 = 30, and 1 of the random number's last two bits: 31 >> 2 = 7.
    assert weight(3, 9, 5, rate=6, shift=2) == (3, 2, 0)
    # -30 + 1 = -29, down to -8.
    assert weight(3, 2, -5, rate=6, shift=2) == (3, 10, 0)


@pytest.mark.parametrize(("random", "step"), [(1, 1), (2**31, 0)])
def test_random_number_decides(random, step):
    # 15 / 16 and the last four bits: 0001 make one of it; 2**31 becomes 0x80000000 ^ 0x4000
    # and then its shift by 5, whose last bits are 0000.
    assert weight(0, 5, 15, shift=4, random=random) == (0, 5 - step, 0)


@pytest.mark.parametrize(
    ("gradient", "step"), [(7, 0), (8, 1), (-8, 0), (-9, -1), (23, 1), (24, 2)]
)
def test_nearest_is_not_decided_by_chance(gradient, step):
    # Sixteenths, halves going up; 2**31 would make 8 a 0, and 1 would make 7 a 0, too.
    for random in (1, 2, 2**31):
        assert weight(0, 5, gradient, shift=4, random=random, near=True) == (0, 5 - step, 0)
        assert axonal(2, 5, gradient, shift=4, near=True) == (2, 5 - step, 0)
    assert weight(0, 5, 3, near=True) == (0, 2, 0)


def test_gradient_counts_up_to_its_limit():
    assert weight(0, 8, 100, limit=2) == (0, 5, 0)
    assert weight(0, 8, -100, limit=2) == (0, 11, 0)
    assert weight(0, 8, 2, limit=2) == (0, 6, 0)
    assert weight(0, 8, 100, limit=0) == (0, 8, 0)


def test_weight_stays_in_its_format():
    assert weight(15, 15, -1) == (15, 15, 0)
    assert weight(15, 14, -1) == (15, 15, 0)
    assert weight(-16, 0, 1) == (-16, 0, 0)
    assert weight(-16, 3, 1000) == (-16, 0, 0)


@pytest.mark.parametrize(
    ("keep", "rest"),
    # 0, 1 / 2, 3 / 4 and 7 / 8 of 21, and of -21, towards 0.
    [(0, 0), (1, 10), (2, 15), (3, 18)],
)
def test_mean_of_gradients_goes_on(keep, rest):
    assert weight(0, 0, 21, rate=0, keep=keep) == (0, 0, rest)
    assert weight(0, 0, -21, rate=0, keep=keep) == (0, 0, -rest)


def test_delay_stays_between_nothing_and_the_largest():
    assert axonal(0, 2, 3) == (0, 0, 0)
    assert axonal(5, 7, -1, largest=5) == (5, 7, 0)
    assert axonal(5, 6, -1, largest=5) == (5, 7, 0)
    assert axonal(4, 7, -1, largest=5) == (5, 0, 0)


def test_axon_keeps_a_mean_too():
    assert axonal(4, 7, 8, rate=0, keep=2) == (4, 7, 6)


def test_synaptic_delay_acts_through_its_weight():
    # 4 - 2 * 3 / 8.
    assert synaptic(4, 0, 2, behind=3) == (3, 2, 0)
    assert synaptic(4, 0, 2, behind=-3) == (4, 6, 0)
    assert synaptic(4, 0, 2, behind=0) == (4, 0, 0)


def test_product_is_rounded_to_nearest():
    # 6 / 4 = 1.5 goes up to 2, -1.5 to -1.
    assert synaptic(4, 4, 2, behind=3, scale=2) == (4, 2, 0)
    assert synaptic(4, 4, 2, behind=-3, scale=2) == (4, 5, 0)


def test_sign_of_the_weight():
    assert synaptic(4, 4, 2, behind=15, sign=True) == (4, 2, 0)
    assert synaptic(4, 4, 2, behind=-15, sign=True) == (4, 6, 0)
    assert synaptic(4, 4, 2, behind=0, sign=True) == (4, 4, 0)
    # 2 / 2.
    assert synaptic(4, 4, 2, behind=-15, sign=True, scale=1) == (4, 5, 0)


def test_product_counts_up_to_the_limit():
    assert synaptic(4, 4, 2, behind=3, limit=1) == (4, 3, 0)


def test_every_lane_draws_its_own():
    word, fraction, gradient = (np.zeros(2, np.int64) for _ in range(3))
    random = np.array([1, 2], np.int64)
    update(WEIGHT, LEARN)[WEIGHTS](word, fraction, gradient, random, 3, 1, 0, 0, False)
    assert random.tolist() == [270369, 540738]
