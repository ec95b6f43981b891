"""Single updates of currents, worked out by hand from docs/datapath.md."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Current, Format, Leak, Order, Overflow, Rounding
from datapath.catalog import TINY, TINY_CURRENT, TINY_LEARN
from datapath.schema import chip_from_json, chip_to_json
from emulator.chip import run
from emulator.current import current
from sim.images import random_counts, random_image
from tests.oracle import flow

MULTIPLY = Current(
    i=Format(8),
    leak=Leak.MULTIPLY,
    coefficient=Format(3, 2, signed=False),
    rounding=Rounding.FLOOR,
    order=Order.LEAK_FIRST,
    overflow=Overflow.SATURATE,
)
THREE = Format(3, signed=False)
SETTLE = replace(MULTIPLY, leak=Leak.SETTLE, coefficient=Format(4, signed=False))


def step(p, i, received=0, coefficient=2):
    """One current, one tick: (what enters the membrane, did not fit)."""
    state, sums, leak = (np.array([n], np.int64) for n in (i, received, coefficient))
    beyond = np.zeros(1, np.bool_)
    current(p)(state, sums, leak, beyond)
    assert state == sums, "the membrane sees the new current"
    return int(state[0]), bool(beyond[0])


def test_leaks_before_the_sum_enters_or_after():
    # Half of 20, and 9 on top; half of 29 = 14.5.
    assert step(MULTIPLY, 20, 9) == (19, False)
    assert step(replace(MULTIPLY, order=Order.SUM_FIRST), 20, 9) == (14, False)


@pytest.mark.parametrize(
    ("rounding", "halves"),
    [(Rounding.FLOOR, [-3, 1]), (Rounding.ZERO, [-2, 1]), (Rounding.NEAREST, [-2, 2])],
)
def test_multiplying_leak_rounds(rounding, halves):
    assert [step(replace(MULTIPLY, rounding=rounding), i)[0] for i in (-5, 3)] == halves


def test_settling_leak_always_reaches_zero():
    # A quarter of 3 is 0 by the floor: one LSB all the same; of -3 it is -1.
    assert [step(SETTLE, i)[0] for i in (3, 1, 0, -1, -3, 9)] == [2, 0, 0, 0, -2, 7]
    zero = replace(SETTLE, rounding=Rounding.ZERO)
    assert [step(zero, i)[0] for i in (3, -3, -9)] == [2, -2, -7]
    shift = replace(SETTLE, leak=Leak.SHIFT)
    assert [step(shift, i)[0] for i in (3, 1, -3)] == [3, 1, -2]
    assert [step(SETTLE, i, coefficient=0)[0] for i in (3, -3)] == [3, -3]


@pytest.mark.parametrize(
    ("overflow", "above", "below", "least"),
    [
        (Overflow.SATURATE, 127, -128, (-128, False)),
        (Overflow.SYMMETRIC, 127, -127, (-127, True)),
        (Overflow.WRAP, 130 - 256, 256 - 130, (-128, False)),
    ],
)
def test_sum_out_of_range(overflow, above, below, least):
    p = replace(MULTIPLY, overflow=overflow)
    assert step(p, 100, 30, coefficient=4) == (above, True)
    assert step(p, -100, -30, coefficient=4) == (below, True)
    assert step(p, -100, -28, coefficient=4) == least
    assert step(p, 100, 27, coefficient=4) == (127, False)


def test_late_sum_leaks_before_it_is_bounded():
    # 200 does not fit, and half of it does.
    assert step(replace(MULTIPLY, order=Order.SUM_FIRST), 100, 100) == (100, False)


def test_every_small_current_is_that_of_the_oracle():
    i, received = (n.ravel() for n in np.meshgrid(np.arange(-32, 32), np.arange(-80, 81)))
    for order in Order:
        for overflow in Overflow:
            for rounding in Rounding:
                for leak, words in ((MULTIPLY, (1, 3, 7)), (SETTLE, (0, 1, 6))):
                    fmt = Format(3, leak.coefficient.frac, signed=False)
                    p = replace(leak, i=Format(6), coefficient=fmt, order=order, rounding=rounding)
                    p = replace(p, overflow=overflow)
                    for coefficient in words:
                        state, sums = i.astype(np.int64), received.astype(np.int64)
                        beyond = np.zeros(len(state), np.bool_)
                        current(p)(state, sums, np.full_like(state, coefficient), beyond)
                        rows = zip(i.tolist(), received.tolist(), strict=True)
                        want = [flow(a, b, coefficient, p) for a, b in rows]
                        got = list(zip(state.tolist(), beyond.tolist(), strict=True))
                        assert got == want, f"{p}, {coefficient}"


def test_a_recording_starts_without_current():
    image = random_image(np.random.default_rng(1), TINY_CURRENT, 12)
    counts = np.full((2, 12, image.channels), TINY_CURRENT.axon.count.max)
    counts[1] = np.minimum(random_counts(np.random.default_rng(2), image, 1)[0], 1)
    # Without records, so that one thread runs both.
    both, alone = run(image, counts), run(image, counts[1:])
    assert (both.scores[1:] == alone.scores).all()
    for name, fired in alone.spike_counts.items():
        assert (both.spike_counts[name][1:] == fired).all(), name


def test_a_neuron_whose_current_and_membrane_are_out_of_range_counts_once():
    # A current that leaves 11 bits ends far outside a membrane of 8.
    p = replace(
        TINY_CURRENT.current, overflow=Overflow.SATURATE, leak=Leak.SHIFT, coefficient=THREE
    )
    chip = replace(TINY_CURRENT, current=p, lif=replace(TINY_CURRENT.lif, v=Format(8)))
    image = random_image(np.random.default_rng(1), chip, 12)
    counts = np.full((1, 12, image.channels), chip.axon.count.max)
    got = run(image, counts, record="saturated")
    assert sum(flags.sum() for flags in got.saturated.values()) > 20
    for name, flags in got.saturated.items():
        assert got.saturations[name] == [flags.sum()], name


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: replace(TINY_LEARN, current=TINY_CURRENT.current),
            "a chip with synaptic currents does not learn, .*: leave out learn or current",
        ),
        (lambda: replace(MULTIPLY, i=Format(8, signed=False)), "current.i must be signed"),
        (
            lambda: replace(MULTIPLY, order="late"),
            "must be 'leak-first' or 'sum-first', not 'late'",
        ),
        (
            lambda: replace(MULTIPLY, coefficient=Format(3, signed=False)),
            "current.coefficient must hold the number 1: frac must be between 1 and 2, not 0",
        ),
        (
            lambda: replace(SETTLE, coefficient=Format(5, signed=False)),
            "current.coefficient must be narrower: a shift by 31 leaves nothing of",
        ),
        (
            lambda: replace(MULTIPLY, i=Format(48), coefficient=Format(15, 13, signed=False)),
            "current.i and current.coefficient must have at most 62 bits together, not 63",
        ),
        (
            lambda: replace(
                TINY,
                synapse=replace(TINY.synapse, acc=Format(48)),
                current=replace(
                    MULTIPLY, order=Order.SUM_FIRST, coefficient=Format(14, 13, signed=False)
                ),
            ),
            "must have at most 61 bits together where sums leak, not 62",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_an_image_says_how_currents_leak_where_there_are_some():
    image = random_image(np.random.default_rng(1), TINY_CURRENT, 12)
    first, *others = image.populations
    with pytest.raises(ValueError, match="n0: current_coefficient must say how its current leaks"):
        replace(image, populations=(replace(first, current_coefficient=None), *others))
    with pytest.raises(ValueError, match="built without synaptic currents"):
        replace(image, chip=TINY)
    with pytest.raises(ValueError, match=r"n0: current_coefficient\[0\] = 128 does not fit"):
        replace(image, populations=(replace(first, current_coefficient=128), *others))


def test_chips_of_before_keep_their_json():
    document = chip_to_json(TINY)
    assert "current" not in document
    assert "overflow" not in document["lif"]
    assert chip_from_json(document) == TINY
    there = chip_to_json(TINY_CURRENT)
    assert there["current"]["order"] == "leak-first"
    assert there["lif"]["overflow"] == "symmetric"
    assert chip_from_json(there) == TINY_CURRENT
