"""The emulated chip that learns against a slow oracle, against itself, and worked out by hand."""

from dataclasses import replace

import numba
import numpy as np
import pytest

from datapath import (
    Delay,
    Format,
    Image,
    Kind,
    Learning,
    Population,
    PopulationRule,
    Projection,
    ProjectionRule,
    Reset,
)
from datapath.catalog import TINY_LEARN
from emulator.chip import run
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


@pytest.fixture
def two_threads():
    before = numba.get_num_threads()
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    yield
    numba.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("seed", range(100, 108))
def test_threads_change_nothing(seed):
    image, counts, labels = draw(seed, recordings=7)
    parallel = learn(image, counts, labels, batch=5, record=RECORDS)
    numba.set_num_threads(1)
    alone = learn(image, counts, labels, batch=5, record=RECORDS)
    assert_same(parallel.image, alone.image)
    assert parallel.learn_saturated.tolist() == alone.learn_saturated.tolist()
    assert parallel.learn_cycles.tolist() == alone.learn_cycles.tolist()
    for name in alone.signals:
        assert parallel.signals[name].tolist() == alone.signals[name].tolist()
        assert parallel.slopes[name].tolist() == alone.slopes[name].tolist()


@pytest.mark.parametrize("seed", range(200, 204))
def test_answers_are_those_of_a_run(seed):
    image, counts, labels = draw(seed)
    got, want = learn(image, counts, labels, batch=len(counts)), run(image, counts)
    assert got.scores.tolist() == want.scores.tolist()
    assert got.classes.tolist() == want.classes.tolist()
    assert got.cycles.tolist() == want.cycles.tolist()
    assert got.event_cycles.tolist() == want.event_cycles.tolist()
    assert got.clear_cycles.tolist() == want.clear_cycles.tolist()
    assert got.saturated_ticks.tolist() == want.saturated_ticks.tolist()


@pytest.mark.parametrize("seed", range(300, 304))
def test_batches_can_be_learned_one_by_one(seed):
    image, counts, labels = draw(seed, recordings=6)
    whole, part = learn(image, counts, labels, batch=2).image, image
    for first in range(0, 6, 2):
        part = learn(part, counts[first : first + 2], labels[first : first + 2], batch=2).image
    assert_same(part, whole)


def test_wide_chips_against_the_oracle():
    for seed in range(400, 404):
        image, counts, labels = draw(seed)
        synapse = replace(image.chip.synapse, acc=Format(48))
        wide = replace(image.chip.learn, signal=Format(20), slope=Format(20), filtered=Format(30))
        chip = replace(image.chip, synapse=synapse, learn=wide)
        check(replace(image, chip=chip), counts, labels, batch=2)


CHIP = replace(
    TINY_LEARN,
    synapse=replace(TINY_LEARN.synapse, acc=Format(32)),
    learn=replace(
        TINY_LEARN.learn,
        filtered=Format(20),
        signal=Format(15),
        slope=Format(16),
        tap=Format(4, signed=False),
        weight_gradient=Format(24),
        delay_gradient=Format(24),
        weight_fraction=Format(14, signed=False),
    ),
)


def rule(shape=(), **given):
    words = {"weights": False, "delays": False, "largest": 0, "delay_scale": 0}
    words |= {"weight_limit": 31, "weight_rate": 1, "weight_shift": 0}
    words |= {"delay_limit": 31, "delay_rate": 1, "delay_shift": 0}
    state = dict.fromkeys(STATE, np.zeros(shape, np.int64))
    return ProjectionRule(**(words | state | given))


def chain(delays, *, coefficient=32, taps=(2,), steps=20):
    """Channel 0 drives a hidden neuron; the synapses of the others have no weight, but learn."""
    channels = 1 + len(delays)
    weights = np.zeros((1, channels), np.int64)
    weights[0, 0] = 9
    hidden = Population("hidden", Kind.LIF, 1, 8, 0, 60, Reset.ZERO, False)
    out = Population("out", Kind.READOUT, 2, 1, 0, 64, Reset.SUBTRACT, False)
    delays = np.array([[0, *delays]])
    ends = np.array([[3], [-2]])
    own = PopulationRule(True, None, coefficient, 4, 0, 0, 0)
    return Image(
        chip=CHIP,
        input_name="in",
        channels=channels,
        units=channels,
        dt_us=1000,
        steps=steps,
        populations=(hidden, out),
        projections=(
            Projection("ih", "in", "hidden", weights, 0, Delay.SYNAPTIC, delays, 0),
            Projection("ho", "hidden", "out", ends, 0, Delay.NONE, 0, 0),
        ),
        learning=Learning(
            surrogate=[20, 15, 10, 8, 6, 4, 2, 0],
            levels=[31, 16, 8, 4, 2, 1, 0, 0],
            surrogate_shift=1,
            error_shift=1,
            taps=np.array(taps, np.int64),
            keep_weights=1,
            keep_delays=1,
            sign_of_weight=False,
            nearest=False,
            random=[1, 2],
            populations=(own, replace(own, coefficient=16)),
            projections=(
                rule(delays.shape, weights=True, delays=True, largest=7),
                replace(rule((2, 1)), delay_fractions=0, delay_gradients=0),
            ),
        ),
    )


def same_spikes(image, seed=0):
    """Input in which all channels but the first get the same spikes."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((1, image.steps, image.channels), np.int64)
    counts[0, :, 0] = rng.random(image.steps) < 0.5
    counts[0, :, 1:] = (rng.random(image.steps) < 0.4)[:, None] * 2
    return counts


def weight_gradients(image, changed):
    """What weight master words have lost."""
    bits = image.chip.learn.weight_fraction.width
    before, after = image.projections[0].weights << bits, changed.projections[0].weights << bits
    return (before - after - changed.learning.projections[0].weight_fractions)[0]


def test_sweep_back_gives_what_traces_would():
    # Without decay the filter sums all drives that come later, a trace all spikes that came before:
    # sum over s of z[s] G[s + n] is the sum over t of drive[t] X[t - n].
    image = chain([1, 3, 7])
    counts = same_spikes(image)
    got = learn(image, counts, [1], batch=1, record=["filtered"])
    assert not got.learn_saturated[0]
    filtered = np.append(got.filtered["hidden"][0, :, 0], 0)
    drive = filtered[:-1] - filtered[1:]
    assert np.count_nonzero(drive) > 5
    for i, n in enumerate((0, 1, 3, 7)):
        trace = np.append(np.zeros(n, np.int64), np.cumsum(counts[0, :, i]))[: image.steps]
        assert weight_gradients(image, got.image)[i] == (drive * trace).sum()


def test_gradient_of_a_delay_is_that_of_the_weight_later_less_earlier():
    # With the one tap of a central difference, twice as large so that half of it stays.
    image = chain([2, 3, 4], coefficient=20)
    got = learn(image, same_spikes(image), [1], batch=1)
    assert not got.learn_saturated[0]
    earlier, _, later = weight_gradients(image, got.image)[1:]
    stays = got.image.learning.projections[0].delay_gradients
    assert stays[0, 2] == later - earlier != 0


def test_recording_of_no_ticks_teaches_nothing():
    image = chain([1])
    got = learn(image, np.zeros((2, 0, 2), np.int64), [0, 1], batch=1)
    assert got.image.projections[0].weights.tolist() == image.projections[0].weights.tolist()
    assert got.update_cycles.size == 2


def test_recording_without_label_changes_nothing():
    image = chain([1, 2])
    got = learn(image, same_spikes(image), [-1], batch=1)
    assert got.learn_cycles.tolist() == [0]
    assert weight_gradients(image, got.image).tolist() == [0, 0, 0]


def test_last_batch_may_be_shorter():
    image = chain([1])
    counts = np.repeat(same_spikes(image), 5, axis=0)
    seen = []
    got = learn(image, counts, [0] * 5, batch=2, progress=seen.append)
    assert len(got.update_cycles) == 3
    assert sum(seen) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": [2]}, r"labels: recording 0 has 2, and a label is 0 to 1, or -1 for none"),
        ({"labels": [-2]}, r"recording 0 has -2"),
        ({"labels": [0, 1]}, r"labels must be 1 integers, one per recording"),
        ({"labels": [0.5]}, r"labels must be 1 integers, one per recording, not float64"),
        ({"batch": 0}, r"batch must be at least 1, not 0"),
        ({"counts": np.zeros((1, 32, 2), np.int64)}, r"have 32 steps, and learn.steps = 32 remem"),
        ({"counts": np.full((1, 3, 2), 8)}, r"axon.count takes 0 to 7"),
        ({"counts": np.zeros((1, 3, 5), np.int64)}, r"counts must have shape"),
        ({"record": ["spikes"]}, r"record takes filtered, signals, slopes, not 'spikes'"),
    ],
)
def test_refuses(change, said):
    given = {"counts": np.zeros((1, 4, 2), np.int64), "labels": [0], "batch": 1, "record": ()}
    given |= change
    with pytest.raises(ValueError, match=said):
        learn(chain([1]), given.pop("counts"), given.pop("labels"), **given)


def test_refuses_an_image_without_rules():
    image = replace(chain([1]), learning=None)
    with pytest.raises(ValueError, match="learning: the image has no rules to learn by"):
        learn(image, np.zeros((1, 4, 2), np.int64), [0], batch=1)


def test_refuses_records_beyond_memory():
    image = chain([1])
    counts = np.broadcast_to(np.zeros((1, 1, 1), np.int64), (1 << 26, 20, 2))
    labels = np.broadcast_to(np.zeros(1, np.int64), 1 << 26)
    with pytest.raises(ValueError, match="learn fewer recordings at a time"):
        learn(image, counts, labels, batch=1, record=RECORDS)
