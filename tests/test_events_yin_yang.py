"""The Yin-Yang data set: its geometry, and that it is the published one."""

import hashlib

import numpy as np
import pytest

from events import yin_yang
from events.yin_yang import PARTS, classify

YANG, YIN, DOT = range(3)

# SHA-256 of coordinates x, y (float64) and then classes (uint8) of the files at
# https://github.com/lkriener/yin_yang_data_set, publication_data.
PUBLISHED = {
    "train": "f2518bdd022a0d39636efd85a3534161b7b6337a8bf7f965e188504a673bd18c",
    "validation": "87733e307ba9ba54b9a09905c128764623c04edede37003dab2510353df4db62",
    "test": "67238795b78e42d6d17676a902a547d797e23a3ef7e509100a9e1e9c5e163c8e",
}


@pytest.mark.parametrize("part", PARTS)
def test_points_are_the_published_ones(part):
    number, seed = PARTS[part]
    points, labels = yin_yang.points(number, seed=seed)
    held = points.astype("<f8").tobytes() + labels.astype("u1").tobytes()
    assert hashlib.sha256(held).hexdigest() == PUBLISHED[part]


@pytest.mark.parametrize(
    ("x", "y", "label"),
    [
        (0.25, 0.5, DOT), (0.75, 0.5, DOT), (0.5, 0.5, YIN), (0.5, 0.9, YIN), (0.5, 0.1, YANG),
        # Around the left dot yin, around the right one yang, above and below.
        (0.25, 0.35, YIN), (0.25, 0.65, YIN), (0.75, 0.35, YANG), (0.75, 0.65, YANG),
        # The edges: a dot is open, the heads around it are closed.
        (0.25, 0.59, DOT), (0.25, 0.61, YIN), (0.0, 0.5, YIN), (0.25, 0.25, YIN),
        (0.25, 0.24, YANG), (0.75, 0.75, YANG), (0.75, 0.76, YIN),
    ],
)  # fmt: skip
def test_known_points(x, y, label):
    assert classify(x, y) == label


def test_half_a_turn_swaps_yin_and_yang():
    x, y = np.random.default_rng(0).random((2, 5000))
    here, there = classify(x, y), classify(1 - x, 1 - y)
    assert (here == np.array([YIN, YANG, DOT])[there]).all()


def test_dots_are_8_percent_of_the_disc():
    grid = (np.arange(1000) + 0.5) / 1000
    x, y = np.meshgrid(grid, grid)
    labels = classify(x, y)[(x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25]
    # 2 r^2 / R^2, and the rest in halves.
    assert np.bincount(labels) / labels.size == pytest.approx([0.46, 0.46, 0.08], abs=1e-3)


def test_coordinates_are_times():
    drawn = yin_yang.draw(50, seed=3)
    points, labels = yin_yang.points(50, seed=3)
    assert (drawn.labels == labels).all()
    assert drawn.label_names == ("yang", "yin", "dot")
    for n, (x, y) in enumerate(points):
        times, units = drawn.events(n)
        assert sorted(units) == [0, 1, 2, 3]
        back = (times[units.argsort()].astype(float) - 1.5) / 18.5
        assert back == pytest.approx([x, y, 1 - x, 1 - y], abs=1e-6)


def test_a_seed_is_a_set_of_points():
    a, b, c = (yin_yang.draw(20, seed=seed) for seed in (1, 1, 2))
    assert (a.times_ms == b.times_ms).all()
    assert (a.times_ms != c.times_ms).any()
    assert a.source == "Yin-Yang, 20 points, seed 1"


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="there must be at least 1 point, not 0"):
        yin_yang.draw(0, seed=1)
    with pytest.raises(ValueError, match="seed must be between 0 and 4294967295, not -1"):
        yin_yang.draw(1, seed=-1)
