"""The emulated chip that learns against a slow oracle, against itself, and worked out by hand."""

import numpy as np
import pytest

from emulator.learn import RECORDS, learn
from sim.images import (
    random_counts,
    random_image,
    random_labels,
    random_learning,
    random_learning_chip,
)
from tests.oracle_learning import Pupil

STATE = ("weight_fractions", "weight_gradients", "delay_fractions", "delay_gradients")


def draw(seed, recordings=4, lanes=None):
    """A random image, input and labels."""
    rng = np.random.default_rng(seed)
    chip = random_learning_chip(rng, lanes or 1 << seed % 4)
    steps = int(rng.integers(1, chip.learn.steps))
    image = random_learning(rng, random_image(rng, chip, steps))
    counts = np.minimum(random_counts(rng, image, recordings), chip.axon.count.max)
    return image, counts, random_labels(rng, image, recordings)


def assert_same(got, want):
    """Compare everything that learning can change."""
    assert got.learning.random.tolist() == want.learning.random.tolist()
    for p, q in zip(got.projections, want.projections, strict=True):
        assert p.weights.tolist() == q.weights.tolist(), p.name
        assert p.delays.tolist() == q.delays.tolist(), p.name
    rules = zip(got.learning.projections, want.learning.projections, strict=True)
    for p, (a, b) in zip(got.projections, rules, strict=True):
        for name in STATE:
            assert getattr(a, name).tolist() == getattr(b, name).tolist(), f"{p.name}: {name}"


def check(image, counts, labels, batch):
    """Compare everything with the oracle."""
    got = learn(image, counts, labels, batch=batch, record=RECORDS)
    pupil, updates = Pupil(image), []
    for r, (recording, label) in enumerate(zip(counts.tolist(), labels.tolist(), strict=True)):
        outcome, lesson = pupil.take(recording, label)
        said = f"recording {r}"
        assert got.classes[r] == outcome.winner, said
        assert got.scores[r].tolist() == outcome.scores, said
        assert got.cycles[r].tolist() == outcome.cycles, said
        assert got.event_cycles[r] == outcome.event_cycles, said
        assert got.clear_cycles[r] == outcome.clear_cycles, said
        assert got.saturated_ticks[r].tolist() == outcome.saturated_ticks, said
        for name, spikes in got.spike_counts.items():
            assert spikes[r].tolist() == np.sum(outcome.spikes[name], axis=0).tolist(), said
        assert got.learn_saturated[r] == lesson.saturated, said
        if label >= 0:
            for kind in RECORDS:
                for name, values in getattr(got, kind).items():
                    want = getattr(lesson, kind)[name]
                    assert values[r].tolist() == [want[t] for t in sorted(want)], f"{said}: {kind}"
        assert got.learn_cycles[r] == lesson.cycles, said
        if (r + 1) % batch == 0 or r + 1 == len(counts):
            updates.append(pupil.update())
    assert got.update_cycles.tolist() == updates
    assert_same(got.image, pupil.now())
    return got


@pytest.mark.parametrize("seed", range(40))
def test_random_images_against_the_oracle(seed):
    check(*draw(seed), batch=1 + seed % 3)
