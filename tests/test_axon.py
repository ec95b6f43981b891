"""Histories, worked out by hand from docs/datapath.md."""

import numpy as np
import pytest

from datapath.catalog import TINY
from emulator.axon import axon

RECEIVE, READ = axon(TINY.axon)


@pytest.fixture
def history():
    """Two channels, eight ticks deep."""
    return np.zeros((2, 8), np.int64)


def test_reads_what_came_so_many_ticks_ago(history):
    RECEIVE(history, 3, 1, 5)
    RECEIVE(history, 4, 1, 2)
    assert [READ(history, 10, 1, age) for age in range(8)] == [0, 0, 0, 0, 0, 0, 2, 5]
    assert READ(history, 3, 1, 0) == 5
    assert READ(history, 3, 0, 0) == 0


def test_slot_is_the_tick_modulo_the_depth(history):
    RECEIVE(history, 13, 0, 1)
    assert history[0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    assert READ(history, 20, 0, 7) == 1


def test_events_of_a_tick_add_up_and_saturate_once(history):
    # Three bits count to 7: 3 + 4 fits, one more does not.
    assert not RECEIVE(history, 0, 0, 3)
    assert not RECEIVE(history, 0, 0, 4)
    assert RECEIVE(history, 0, 0, 1)
    assert READ(history, 0, 0, 0) == 7
    assert RECEIVE(history, 0, 0, 7)
    assert READ(history, 0, 0, 0) == 7
