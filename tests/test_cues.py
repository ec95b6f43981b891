"""The task of cue accumulation."""

import numpy as np
import pytest

from events.cues import CUE_STEPS, CUES, GO_STEPS, GROUP, PAUSE_STEPS, STEPS, cue_accumulation


def sides(counts):
    """Which side each cue of a trial was on, by the events alone: int[trials, cues]."""
    found = np.zeros((len(counts), CUES), int)
    for n in range(CUES):
        window = counts[:, n * (CUE_STEPS + PAUSE_STEPS) :][:, :CUE_STEPS]
        left = window[:, :, :GROUP].sum(axis=(1, 2))
        right = window[:, :, GROUP : 2 * GROUP].sum(axis=(1, 2))
        assert ((left == 0) != (right == 0)).all()
        found[:, n] = right > 0
    return found


def test_the_label_is_the_side_of_most_cues():
    data = cue_accumulation(200, seed=3)
    assert data.counts.shape == (200, 150, 40)
    right = sides(data.counts).sum(axis=1)
    assert (data.labels == (right > CUES / 2)).all()
    assert {4, 5, 6, 7} <= set(right) | set(CUES - right)
    assert 80 <= data.labels.sum() <= 120


def test_nothing_is_said_between_the_last_cue_and_the_go_signal():
    data = cue_accumulation(20, seed=0)
    after = CUES * (CUE_STEPS + PAUSE_STEPS)
    assert not data.counts[:, after : STEPS - GO_STEPS, : 3 * GROUP].any()
    go = data.counts[:, STEPS - GO_STEPS :, 2 * GROUP : 3 * GROUP]
    assert go.mean() == pytest.approx(0.4, abs=0.02)
    assert data.counts[:, :, 3 * GROUP :].mean() == pytest.approx(0.05, abs=0.005)


def test_a_seed_is_a_set_of_trials():
    a, b, c = (cue_accumulation(5, seed=seed) for seed in (1, 1, 2))
    assert (a.counts == b.counts).all()
    assert (a.counts != c.counts).any()


def test_no_trials_are_refused():
    with pytest.raises(ValueError, match="trials must be at least 1, not 0"):
        cue_accumulation(0, seed=0)
