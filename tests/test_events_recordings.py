"""Data sets of events and of counts: what they hold, refuse, count and cut off."""

import re

import numpy as np
import pytest

import events.recordings
from events import UNLABELLED, Counts, Recordings, join


def recordings(**changes):
    fields = {
        "times_ms": np.array([0.0, 9.999, 10.0, 25.0, 3.0, 3.0]),
        "units": np.array([0, 4, 5, 9, 1, 2]),
        "offsets": np.array([0, 4, 4, 6]),
        "labels": np.array([1, 0, UNLABELLED]),
        "n_units": 10,
        "label_names": ("no", "yes"),
        "speakers": np.array([7, 7, 8]),
        "source": "by hand",
    }
    return Recordings(**(fields | changes))


def binned(data, **changes):
    return data.binned(**({"units_per_channel": 5, "dt_ms": 10.0, "steps": 3} | changes))


def test_an_event_counts_in_the_step_and_channel_it_falls_into():
    counts = binned(recordings())
    assert counts.counts[0].tolist() == [[2, 0], [0, 1], [0, 1]]
    assert counts.counts[1].tolist() == [[0, 0]] * 3
    assert counts.counts[2].tolist() == [[2, 0], [0, 0], [0, 0]]
    assert counts.counts.dtype == np.uint8
    assert (counts.steps, counts.channels, counts.dt_ms) == (3, 2, 10.0)
    assert counts.labels.tolist() == [1, 0, -1]
    assert counts.speakers.tolist() == [7, 7, 8]
    assert (counts.label_names, counts.source) == (("no", "yes"), "by hand")


def test_the_last_channel_may_have_fewer_units():
    assert binned(recordings(), units_per_channel=4).counts[0].tolist() == [
        [1, 1, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]


def test_events_after_the_last_step_are_reported():
    counts = binned(recordings(), steps=1)
    assert counts.late.tolist() == [2, 0, 0]
    assert counts.excess.tolist() == [0, 0, 0]
    assert counts.cut == (
        "2 events of 1 recordings after step 1 and 0 events of 0 recordings above the largest "
        "count were cut off (33.3 % of 6)"
    )


def test_counts_above_the_largest_are_reported():
    counts = binned(recordings(), maximum=1)
    assert counts.counts.max() == 1
    assert counts.excess.tolist() == [1, 0, 1]


@pytest.mark.parametrize("events", [255, 256])
def test_a_count_fills_its_byte_and_no_more(events):
    data = recordings(
        times_ms=np.zeros(events), units=np.zeros(events, int), offsets=[0, 0, 0, events]
    )
    counts = binned(data, steps=1)
    assert counts.counts[2, 0, 0] == 255
    assert counts.excess.tolist() == [0, 0, events - 255]


def test_binning_agrees_with_counting_one_by_one():
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 300, 500)).astype(np.float32)
    units = rng.integers(0, 17, 500)
    data = Recordings(times, units, np.array([0, 500]), np.array([0]), 17)
    counts = data.binned(units_per_channel=3, dt_ms=7.5, steps=30)
    want = np.zeros((30, 6), int)
    for t, u in zip(times.tolist(), units.tolist(), strict=True):
        if int(t // 7.5) < 30:
            want[int(t // 7.5), u // 3] += 1
    assert np.array_equal(counts.counts[0], want)
    assert counts.late[0] == 500 - want.sum()


def test_selection_keeps_events_with_their_recording():
    data = recordings()
    for which in ([2, 0], np.array([2, 0])):
        chosen = data.select(which)
        assert chosen.units.tolist() == [1, 2, 0, 4, 5, 9]
        assert chosen.offsets.tolist() == [0, 2, 6]
        assert chosen.labels.tolist() == [-1, 1]
        assert chosen.speakers.tolist() == [8, 7]
    assert data.select(np.array([False, True, False])).times_ms.size == 0
    times, units = data.events(2)
    assert (times.tolist(), units.tolist()) == ([3.0, 3.0], [1, 2])


def test_counts_are_selected_without_their_neighbours():
    counts = binned(recordings(), steps=1)
    chosen = counts.select(np.array([True, False, True]))
    assert chosen.counts[:, 0].tolist() == [[2, 0], [2, 0]]
    assert (chosen.late.tolist(), chosen.speakers.tolist()) == ([2, 0], [7, 8])
    assert counts.select(slice(0, 1)).counts.base is not None


def test_counts_are_cut_and_padded_like_events():
    events, long = recordings(), binned(recordings(), steps=5)
    for steps in (1, 3, 6):
        short = binned(long, steps=steps, maximum=1)
        assert np.array_equal(short.counts, binned(events, steps=steps, maximum=1).counts)
        assert np.array_equal(short.late, binned(events, steps=steps).late)
        assert np.array_equal(short.excess, binned(events, steps=steps, maximum=1).excess)


def test_what_is_cut_off_adds_up():
    twice = binned(binned(recordings(), steps=2), steps=1)
    assert twice.late.tolist() == [2, 0, 0]
    limited = binned(binned(recordings(), maximum=1), maximum=1)
    assert limited.excess.tolist() == [1, 0, 1]


def test_joined_data_sets_follow_one_another():
    one, two = binned(recordings()), binned(recordings(speakers=None))
    both = join([one, one])
    assert len(both) == 6
    assert both.speakers.tolist() == [7, 7, 8, 7, 7, 8]
    assert join([one, two]).speakers is None
    with pytest.raises(ValueError, match=r"^there is nothing to join$"):
        join([])
    with pytest.raises(ValueError, match=r"^steps must be equal to join data sets, not 3 and 4$"):
        join([one, binned(recordings(), steps=4)])


def test_nothing_can_be_changed_afterwards():
    times = np.array([0.0, 1, 2, 3, 1, 2], np.float32)
    data = recordings(times_ms=times)
    counts = binned(data)
    for array in (data.times_ms, data.units, data.labels, counts.counts, counts.late):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 1
    times[0] = 0  # the caller's own array stays the caller's


REFUSED = {
    "times_ms[1] = nan in recording 0 must be between 0 and 1073741824": {
        "times_ms": [0, np.nan, 1, 2, 0, 1]
    },
    "times_ms[5] = -0.5 in recording 2 must be between 0 and": {"times_ms": [0, 0, 0, 0, 0, -0.5]},
    "times_ms[5] = inf in recording 2 must be between 0 and": {"times_ms": [0, 0, 0, 0, 0, np.inf]},
    "times_ms[5] = 4.0 in recording 2 comes after 5.0; sort the events of each recording": {
        "times_ms": [0, 1, 2, 3, 5, 4.0]
    },
    "times_ms must be one row of numbers, not <U1 of shape (6,)": {"times_ms": list("abcdef")},
    "units must be one row of integers, not float64 of shape (6,)": {"units": np.zeros(6)},
    "there are 6 times_ms but 5 units": {"units": np.zeros(5, int)},
    "units[3] = 10 in recording 0 must be between 0 and 9": {"units": [0, 0, 0, 10, 0, 0]},
    "units[4] = -1 in recording 2 must be between 0 and 9": {"units": [0, 0, 0, 0, -1, 0]},
    "offsets must run from 0 to the 6 events, not 0 .. 5": {"offsets": [0, 4, 4, 5]},
    "offsets must run from 0 to the 6 events, not 1 .. 6": {"offsets": [1, 4, 4, 6]},
    "offsets must run from 0 to the 6 events, not empty": {"offsets": np.zeros(0, int)},
    "offsets[2] = 3 must not be below offsets[1] = 4": {"offsets": [0, 4, 3, 6]},
    "labels[1] = 2 must be between -1 and 1": {"labels": [0, 2, 0]},
    "labels[2] = -2 must be between -1 and 1": {"labels": [0, 1, -2]},
    "labels has 2 entries for 3 recordings": {"labels": [0, 1]},
    "labels must be one row of integers, not float64 of shape (3,)": {"labels": np.zeros(3)},
    "speakers[0] = -1 must be between 0 and": {"speakers": [-1, 0, 0]},
    "speakers has 1 entries for 3 recordings": {"speakers": [1]},
    "n_units must be between 1 and 65536, not 0": {"n_units": 0},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_impossible_recordings_are_refused(sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        recordings(**REFUSED[sentence])


def test_recordings_may_start_over_but_not_go_back():
    assert len(recordings(times_ms=[5, 6, 7, 8, 0, 1])) == 3
    assert len(recordings(times_ms=[5, 0, 1, 2, 3, 4], offsets=[0, 1, 6, 6])) == 3
    with pytest.raises(ValueError, match=r"^times_ms\[1\] = 5 in recording 0 comes after 6;"):
        recordings(times_ms=[6, 5, 7, 8, 0, 1])


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [
        ("units_per_channel", 0, "units_per_channel must be at least 1, not 0"),
        ("dt_ms", 0.0, "dt_ms must be a positive number, not 0.0"),
        ("dt_ms", np.nan, "dt_ms must be a positive number, not nan"),
        ("steps", 0, "steps must be at least 1, not 0"),
        ("maximum", 256, "maximum must be between 1 and 255, not 256"),
        ("steps", 1 << 40, "3 x 1099511627776 x 2 counts would take 6.14e+03 GiB, more than"),
    ],
)
def test_impossible_bins_are_refused(argument, value, sentence):
    for data in (recordings(), binned(recordings())):
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
            binned(data, **{argument: value})


def test_counts_cannot_change_their_bins():
    with pytest.raises(ValueError, match=r"cannot become counts of 5 units per 5.0 ms; start from"):
        binned(binned(recordings()), dt_ms=5.0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"counts": np.zeros((3, 3, 2))}, "counts must be uint8 of shape"),
        ({"counts": np.zeros((3, 0, 2), np.uint8)}, "counts must be uint8 of shape"),
        ({"n_units": 11}, "11 units at 5 per channel do not make 2 channels"),
        ({"late": [0]}, "late has 1 entries for 3 recordings"),
        ({"excess": [0, -1, 0]}, r"excess\[1\] = -1 must be between 0 and"),
        ({"labels": [0, 5, 0]}, r"labels\[1\] = 5 must be between -1 and 1"),
    ],
)
def test_impossible_counts_are_refused(changes, sentence):
    good = binned(recordings())
    fields = {name: getattr(good, name) for name in Counts.__dataclass_fields__}
    with pytest.raises(ValueError, match=f"^{sentence}"):
        Counts(**(fields | changes))


def test_the_limit_is_on_what_is_allocated(monkeypatch):
    monkeypatch.setattr(events.recordings, "MAX_BYTES", 18)
    assert binned(recordings()).counts.size == 18
    with pytest.raises(ValueError, match="3 x 4 x 2 counts would take"):
        binned(recordings(), steps=4)
