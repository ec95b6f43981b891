"""Single updates, worked out by hand from docs/datapath.md."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Compare, Format, Leak, Lif, Overflow, Rounding
from emulator.lif import lif

MULTIPLY = Lif(
    v=Format(8),
    bias=Format(8),
    leak=Leak.MULTIPLY,
    coefficient=Format(3, 2, signed=False),
    rounding=Rounding.FLOOR,
    compare=Compare.GE,
    overflow=Overflow.SATURATE,
)
SHIFT = replace(MULTIPLY, leak=Leak.SHIFT, coefficient=Format(4, signed=False))
ONE = {MULTIPLY: 4, SHIFT: 0}


def step(p, v, i=0, *, threshold=127, bias=0, coefficient=None, readout=False, zero=False):
    """One neuron, one tick: (v after the reset, u before it, fired, saturated)."""
    coefficient = ONE.get(p, 4) if coefficient is None else coefficient
    state, *words = (np.array([n], np.int64) for n in (v, i, threshold, bias, coefficient))
    u, fired, saturated = np.zeros(1, np.int64), np.zeros(1, np.bool_), np.zeros(1, np.bool_)
    lif(p)(state, *words, readout, zero, u, fired, saturated)
    return int(state[0]), int(u[0]), bool(fired[0]), bool(saturated[0])


@pytest.mark.parametrize(
    ("rounding", "quarters"),
    [
        # 3 / 4 of -5 = -3.75, -2 = -1.5, 2 = 1.5 and 6 = 4.5.
        (Rounding.FLOOR, [-4, -2, 1, 4]),
        (Rounding.ZERO, [-3, -1, 1, 4]),
        (Rounding.NEAREST, [-4, -1, 2, 5]),
    ],
)
def test_multiplying_leak_rounds(rounding, quarters):
    p = replace(MULTIPLY, rounding=rounding)
    assert [step(p, v, coefficient=3)[0] for v in (-5, -2, 2, 6)] == quarters


@pytest.mark.parametrize(
    ("rounding", "rest"),
    [
        # -7 - round(-7 / 4 = -1.75), and 6 - round(6 / 4 = 1.5).
        (Rounding.FLOOR, [-5, 5]),
        (Rounding.ZERO, [-6, 5]),
        (Rounding.NEAREST, [-5, 4]),
    ],
)
def test_shifting_leak_rounds_what_is_lost(rounding, rest):
    p = replace(SHIFT, rounding=rounding)
    assert [step(p, v, coefficient=2)[0] for v in (-7, 6)] == rest


def test_coefficient_of_one_does_not_leak():
    for p, one in ONE.items():
        assert p.one == one
        assert [step(p, v)[0] for v in (-128, -1, 0, 1, 126)] == [-128, -1, 0, 1, 126]


def test_shift_past_the_width_leaves_the_sign():
    # 15 places: nothing of 100 is lost, and -1 of -100 by the floor.
    assert step(SHIFT, 100, coefficient=15)[0] == 100
    assert step(SHIFT, -100, coefficient=15)[0] == -99
    assert step(replace(SHIFT, rounding=Rounding.ZERO), -100, coefficient=15)[0] == -100


def test_saturates_the_whole_sum_once():
    assert step(SHIFT, 100, 100, bias=-100, threshold=120) == (100, 100, False, False)
    assert step(SHIFT, -100, -1000, bias=10) == (-128, -128, False, True)


def test_saturates_before_comparing():
    assert step(SHIFT, 100, 100, threshold=127) == (0, 127, True, True)


def test_leaks_before_comparing():
    # Half of 80 is below 50, 80 is not.
    assert step(MULTIPLY, 80, coefficient=2, threshold=50) == (40, 40, False, False)


def test_threshold_itself_fires_or_not():
    strict = replace(MULTIPLY, compare=Compare.GT)
    assert [step(MULTIPLY, v, threshold=50)[2] for v in (49, 50, 51)] == [False, True, True]
    assert [step(strict, v, threshold=50)[2] for v in (49, 50, 51)] == [False, False, True]


def test_reset_subtracts_or_empties():
    assert step(MULTIPLY, 70, threshold=50) == (20, 70, True, False)
    assert step(MULTIPLY, 70, threshold=50, zero=True) == (0, 70, True, False)
    assert step(MULTIPLY, 40, threshold=50, zero=True) == (40, 40, False, False)


def test_spike_at_the_threshold_leaves_nothing():
    for zero in (False, True):
        assert step(MULTIPLY, 50, threshold=50, zero=zero) == (0, 50, True, False)


def test_readout_never_fires():
    assert step(MULTIPLY, 126, threshold=1, readout=True) == (126, 126, False, False)


def test_neurons_do_not_mix():
    v = np.array([10, 20, -30], np.int64)
    i, threshold, bias = np.array([[0, 40, 0], [100, 50, 1], [1, 0, 2]], np.int64)
    coefficient = np.array([4, 4, 2], np.int64)
    u, fired, saturated = np.zeros(3, np.int64), np.zeros(3, np.bool_), np.ones(3, np.bool_)
    lif(MULTIPLY)(v, i, threshold, bias, coefficient, False, False, u, fired, saturated)
    assert u.tolist() == [11, 60, -13]
    assert v.tolist() == [11, 10, -13]
    assert fired.tolist() == [False, True, False]
    assert not saturated.any()


def test_product_must_fit_64_bits():
    wide = replace(MULTIPLY, v=Format(48), coefficient=Format(14, 13, signed=False))
    # -2**47 * (2**14 - 1) >> 13, and the same with the smallest step of the coefficient.
    assert step(wide, -(2**47), coefficient=2**13)[0] == -(2**47)
    assert step(wide, 2**47 - 1, coefficient=2**14 - 1)[1:] == (2**47 - 1, True, True)
    assert step(wide, -(2**47), coefficient=1)[0] == -(2**34)
    with pytest.raises(ValueError, match="must have at most 62 bits together, not 63"):
        replace(wide, coefficient=Format(15, 13, signed=False))
