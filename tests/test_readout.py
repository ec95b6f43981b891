"""Scores and winners, worked out by hand from docs/datapath.md."""

from dataclasses import replace

import numpy as np

from datapath import Format
from datapath.catalog import TINY
from emulator.readout import readout

STEP = readout(replace(TINY.readout, score=Format(8)))


def step(scores, v):
    scores = np.array(scores, np.int64)
    winner, saturated = STEP(scores, np.array(v, np.int64))
    return scores.tolist(), winner, saturated


def test_scores_add_up_and_the_largest_wins():
    assert step([1, 2, 3], [5, -2, 2]) == ([6, 0, 5], 0, False)


def test_the_smallest_of_equals_wins():
    assert step([0, 0, 0, 0], [-1, 4, 4, 4])[1] == 1
    assert step([0, 0], [0, 0])[1] == 0


def test_winner_may_be_negative():
    assert step([-50, -50], [-10, -9]) == ([-60, -59], 1, False)


def test_score_saturates_and_ties_at_the_top():
    assert step([120, 126, -120], [7, 2, -9]) == ([127, 127, -128], 0, True)
    assert step([120, 126], [7, 1]) == ([127, 127], 0, False)
