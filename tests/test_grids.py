"""Training for the integers of a chip: rounded forwards, straight through backwards."""

from dataclasses import replace

import numpy as np
import pytest

from learn import Examples, Grid, Grids, Rule, classify, make_network, train
from learn.gradient import Parameters
from learn.grids import Rounded
from model import Delay, Input, Lif, Network, Projection, Readout
from quant import Own, Search, quantize
from ranvier.defaults import OPTIONS
from ranvier.tuning import finetune


def pair():
    """Two channels with axonal delays of up to 11 steps, one neuron, one readout."""
    first = np.array([[1.0, -0.4]])
    return Network(
        10.0,
        10,
        (Input("in", 2, 2), Lif("hidden", 1, 0.5, 1.0, 0.0), Readout("out", 1, 0.5, 0.0)),
        (
            Projection("first", "in", "hidden", first, Delay.AXONAL, np.array([4.0, 9.0]), 11),
            Projection("last", "hidden", "out", np.array([[0.7]]), Delay.NONE, 0.0, 0),
        ),
    )


GRIDS = Grids(
    {
        "first": Grid(np.array([0.25]), 3, age=0, largest=3, resolution=2),
        "last": Grid(np.array([0.5]), 4, age=0, largest=0, resolution=0),
    },
    {"hidden": np.array([0.125]), "out": np.array([0.5])},
    bias_bits=3,
)


def masters(weights, delays, bias):
    return Parameters(*(np.array(values, np.float32) for values in (weights, delays, bias)))


def test_a_forward_pass_sees_the_nearest_numbers_that_the_words_hold():
    # 3 bits of 0.25: -1 ... 0.75.  Delay words of 4 steps: 0, 4, 8 (12 is beyond 11).
    given = masters([1.0, -0.4, 0.7], [5.9, 11.0, 0.0], [0.2, 9.0])
    weights, delays, bias = Rounded(pair(), GRIDS).numbers(given)
    assert weights.tolist() == [0.75, -0.5, 0.5]
    assert delays.tolist() == [4, 8, 0]
    assert bias.tolist() == [0.25, 1.5]
    assert given.weights[0] == 1


def test_masters_stay_within_their_words():
    given = masters([1.0, -9.0, 0.7], [5.9, 11.0, 0.0], [-9.0, 9.0])
    Rounded(pair(), GRIDS).clamp(given)
    assert given.weights == pytest.approx([0.75, -1.0, 0.7])
    assert given.delays == pytest.approx([5.9, 8, 0])
    assert given.bias == pytest.approx([-0.375, 1.5])


def test_masters_move_below_the_unit_and_the_network_by_whole_units(task):
    # Steps of 0.001 in units of 0.25: nothing changes until they have added up.
    network, examples = task
    grids = Grids(
        {p.name: Grid(np.full(len(p.weights), 0.25), 4, 0, 15, 0) for p in network.projections},
        {p.name: np.full(p.size, 0.25) for p in network.populations[1:]},
        bias_bits=8,
    )
    rule = Rule(weight_rate=1e-3, delay_rate=0.0, bias_rate=0.0, batch=12)
    still = train(network, examples, rule, epochs=1, seed=0, grids=grids).network
    moved = train(network, examples, replace(rule, weight_rate=0.1), epochs=6, seed=0, grids=grids)
    for before, now, later in zip(
        network.projections, still.projections, moved.network.projections, strict=True
    ):
        near = np.rint(before.weights * 4).clip(-8, 7) / 4
        assert (now.weights != near).mean() < 0.1
        assert (later.weights != near).any()
        assert np.array_equal(later.weights * 4, np.rint(later.weights * 4))


@pytest.fixture(scope="module")
def task():
    """Return a trained network, and 12 recordings: which of three groups of channels is active."""
    network = make_network(
        channels=6, hidden=(5,), classes=3, steps=20, dt_ms=10.0, seed=1, max_delay=9
    )
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    counts = rng.poisson(0.05, (12, 20, 6))
    for n, label in enumerate(labels):
        counts[n, :, 2 * label : 2 * label + 2] += rng.poisson(0.7, (20, 2))
    examples = Examples(counts.clip(max=7), labels)
    rule = Rule(weight_rate=0.02, batch=4)
    return train(network, examples, rule, epochs=15, seed=0).network, examples


def test_a_tuned_network_is_that_of_its_chip(task):
    network, examples = task
    own = {"hidden_to_readout": Own(weight_bits=5)}
    options = replace(OPTIONS, weight_bits=3, delay_bits=2, own=own, search=Search.WEIGHTS)
    rule = Rule(weight_rate=0.005, batch=4)
    tuned = finetune(network, examples, rule, options=options, epochs=10, seed=0)
    assert len(tuned.history) == 10
    for p in tuned.loss.projections:
        assert p.max_error < 1e-12
        assert not p.clipped
        assert {steps for steps, _ in p.moved} == {0}
    assert all(p.lossless for p in tuned.loss.populations)
    assert np.abs(tuned.image.projections[0].weights).max() <= 4
    assert np.abs(tuned.image.projections[1].weights).max() <= 16
    assert (tuned.network.projections[0].weights != network.projections[0].weights).any()
    again, _ = quantize(tuned.network, chip=None, options=options, calibration=examples.counts)
    assert all(
        np.array_equal(a.weights, b.weights)
        for a, b in zip(again.projections, tuned.image.projections, strict=True)
    )
    assert (classify(tuned.network, examples.counts) == examples.labels).mean() > 0.9


def test_a_run_with_grids_continues_to_the_same_bits_and_is_no_run_without(task, tmp_path):
    network, examples = task
    units = {p.name: Grid(np.full(len(p.weights), 0.1), 4, 0, 15, 0) for p in network.projections}
    biases = {p.name: np.full(p.size, 0.01) for p in network.populations[1:]}
    grids = Grids(units, biases, 16)

    def run(grids, path, stop=None):
        def progress(epoch):
            if epoch.number == stop:
                raise KeyboardInterrupt

        return train(
            network, examples, Rule(), epochs=3, seed=0, grids=grids, checkpoint=path,
            progress=progress,
        )  # fmt: skip

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(grids, path, stop=1)
    with pytest.raises(ValueError, match="belongs to a run with grids '"):
        run(None, path)
    through = run(grids, tmp_path / "other").network
    for p, q in zip(run(grids, path).network.projections, through.projections, strict=True):
        assert np.array_equal(p.weights, q.weights)
        assert np.array_equal(p.delays, q.delays)


def test_refuses_grids_of_another_network():
    network = pair()
    grid = GRIDS.projections["first"]
    for projections, biases, sentence in (
        ({"first": grid}, GRIDS.biases, "grids must name last"),
        (
            {"first": grid, "last": Grid(np.ones(2), 4, 0, 0, 0)},
            GRIDS.biases,
            r"last: unit must have shape \(1,\), not \(2,\)",
        ),
        (GRIDS.projections, {"out": np.ones(1)}, "hidden: biases must have 1 positive units"),
    ):
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            Rounded(network, Grids(projections, biases, 8))
    for changed, sentence in (
        ({"unit": np.zeros(1)}, "unit must be positive numbers, one per post neuron"),
        ({"weight_bits": 1}, "weight_bits must be at least 2, not 1"),
        ({"age": -1}, "age must be at least 0, not -1"),
    ):
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            replace(grid, **changed)


def test_tuning_does_not_prune(task):
    network, examples = task
    with pytest.raises(ValueError, match=r"^prune must be 0: tuning would bring pruned weights"):
        finetune(network, examples, Rule(), options=replace(OPTIONS, prune=0.5), epochs=1, seed=0)


def test_training_and_held_out_recordings_see_the_rounded_network(task):
    # At a unit of 1000 every weight and bias is 0: all classes stay alike, and class 0 wins.
    network, examples = task
    units = {p.name: Grid(np.full(len(p.weights), 1e3), 4, 0, 15, 0) for p in network.projections}
    biases = {p.name: np.full(p.size, 1e3) for p in network.populations[1:]}
    grids = Grids(units, biases, 8)
    result = train(network, examples, Rule(), epochs=1, seed=0, grids=grids, held_out=examples)
    (epoch,) = result.history
    assert epoch.loss == pytest.approx(np.log(3), rel=1e-6)
    assert epoch.held_out_accuracy == pytest.approx(1 / 3)
    assert not any(p.weights.any() for p in result.network.projections)
