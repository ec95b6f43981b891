"""Single steps of the learning signal, worked out by hand from docs/datapath.md."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Format
from datapath.catalog import TINY_LEARN
from emulator.signal import signal

LEARN = replace(
    TINY_LEARN.learn,
    coefficient=Format(4, 3, signed=False),
    filtered=Format(7),
    signal=Format(5),
)


def words(*values):
    return np.array(values, np.int64)


def step(filtered, drive, coefficient=8, shift=0):
    """One neuron, one tick: (filtered, signal, beyond)."""
    f, out = words(filtered), words(0)
    beyond = signal(LEARN)[2](f, words(drive), coefficient, shift, out)
    return int(f[0]), int(out[0]), bool(beyond)


def drives(looked_up, feedback, signals, *, activity=0, target=0, strength=0, shift=0):
    out = words(0)
    signal(LEARN)[1](
        words(looked_up), words(feedback), words(*signals), words(activity), target, strength,
        shift, out,
    )  # fmt: skip
    return int(out[0])


def test_errors_of_a_tick_add_up_to_nothing():
    drive = words(0, 0, 0)
    signal(LEARN)[0](words(15, 4, 1), 20, 1, drive)
    assert drive.tolist() == [15, -16, 1]


def test_feedback_is_a_sum_of_products():
    # 3 * (2 * 5 - 4 * 7) = -54.
    assert drives(3, [2, -4], [5, 7]) == -54


def test_drive_is_rounded_towards_zero():
    # 54 / 16 = 3.375.
    assert drives(3, [2, -4], [5, 7], shift=4) == -3
    assert drives(3, [-2, 4], [5, 7], shift=4) == 3
    assert drives(3, [-2, 4], [5, 7], shift=31) == 0


@pytest.mark.parametrize(
    ("strength", "drive"),
    # (5 - 2) << (strength - 1), times 3.
    [(0, 0), (1, 9), (2, 18), (15, 9 << 14)],
)
def test_spikes_beyond_the_target_are_an_error(strength, drive):
    assert drives(3, [0], [1], activity=5, target=2, strength=strength) == drive


def test_spikes_below_the_target_count_negative():
    assert drives(1, [1], [4], activity=0, target=3, strength=2) == 4 - 6


@pytest.mark.parametrize(
    ("filtered", "coefficient", "rest"),
    # 7 * 3 / 8 = 2.625, and 5 / 8.
    [(7, 3, 2), (-7, 3, -2), (5, 1, 0), (-5, 1, 0), (-7, 8, -7), (63, 0, 0)],
)
def test_filter_forgets_towards_zero(filtered, coefficient, rest):
    assert step(filtered, 0, coefficient, shift=2)[0] == rest


def test_drive_is_added_after_the_filter():
    assert step(8, 5, coefficient=4) == (9, 9, False)


def test_filtered_signal_saturates():
    assert step(63, 1, shift=2) == (63, 15, True)
    assert step(63, 0, shift=2) == (63, 15, False)
    assert step(-64, -1, shift=2) == (-64, -16, True)
    assert step(-64, 0, shift=2) == (-64, -16, False)


def test_signal_saturates_and_the_filtered_one_goes_on():
    assert step(15, 1) == (16, 15, True)
    assert step(-16, -1) == (-17, -16, True)
    assert step(-16, 0) == (-16, -16, False)


def test_signal_is_rounded_towards_zero():
    # 7 / 4 and -7 / 4.
    assert step(7, 0, shift=2) == (7, 1, False)
    assert step(-7, 0, shift=2) == (-7, -1, False)
