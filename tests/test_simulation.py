from dataclasses import replace

import numpy as np
import pytest
from numba import get_num_threads, set_num_threads

from model import Compare, Delay, Input, Lif, Network, Projection, Readout, Reset, simulate


def oracle(network, counts):
    """One recording at a time, dense loops, a list of what is due; shares nothing with the kernels.

    -> y [T, readouts], and per population lists of [T, size]: what it emitted, u after reset.
    """
    order = [p.name for p in network.populations]
    u = {p.name: np.zeros(p.size) for p in network.populations}
    current = {p.name: np.zeros(p.size) for p in network.populations}
    emitted = {name: [] for name in order}
    membranes = {name: [] for name in order}
    due = []  # (step, post population, post neuron, weight)
    for t in range(network.steps):
        for p in network.populations:
            if isinstance(p, Input):
                out = counts[t].astype(float)
            else:
                current[p.name] = p.alpha_syn * current[p.name]
                for step, name, j, w in due:
                    if (step, name) == (t, p.name):
                        current[name][j] += w
                u[p.name] = p.alpha * u[p.name] + p.bias + current[p.name]
                out = np.zeros(p.size)
            if isinstance(p, Lif):
                at = u[p.name] == p.threshold
                out = ((u[p.name] > p.threshold) | (at & (p.compare is Compare.GE))).astype(float)
                drop = p.threshold if p.reset is Reset.SUBTRACT else u[p.name]
                u[p.name] = u[p.name] - drop * out
            emitted[p.name].append(out)
            membranes[p.name].append(u[p.name].copy())
            for projection in network.projections:
                if projection.pre != p.name:
                    continue
                earliest = int(order.index(projection.pre) >= order.index(projection.post))
                for j in range(len(projection.weights)):
                    for i in np.flatnonzero(out):
                        d = np.broadcast_to(
                            projection.delays[:, None]
                            if projection.delay is Delay.DENDRITIC
                            else projection.delays,
                            projection.weights.shape,
                        )[j, i]
                        n = max(earliest, min(projection.max_delay, round(d)))
                        w = projection.weights[j, i] * out[i]
                        due.append((t + n, projection.post, j, w))
    y = np.array(membranes[network.readout.name])
    return y, emitted, membranes


def grid(rng, low, high, shape):
    """Sixteenths: sums of them, halved twenty times, are exact in float64."""
    return rng.integers(low * 16, high * 16 + 1, shape) / 16


def projection(rng, sizes, pre, post, delay, max_delay):
    shape = {
        Delay.NONE: (),
        Delay.AXONAL: sizes[pre],
        Delay.DENDRITIC: sizes[post],
        Delay.SYNAPTIC: (sizes[post], sizes[pre]),
    }[delay]
    return Projection(
        name=f"{pre} to {post} {delay}",
        pre=pre,
        post=post,
        weights=grid(rng, -1, 2, (sizes[post], sizes[pre])),
        delay=delay,
        delays=rng.uniform(-1, max_delay + 2, shape),
        max_delay=max_delay,
    )


def network(seed, joins, order=("in", "a", "b", "out"), steps=14):
    rng = np.random.default_rng(seed)
    sizes = {"in": 5, "a": 4, "b": 6, "out": 3}
    made = {
        "in": Input("in", 5, 5),
        "a": Lif("a", 4, [0.5, 0.25, 0, 1], grid(rng, 1, 2, 4), grid(rng, 0, 1, 4) / 16),
        "b": Lif("b", 6, 0.5, 1.5, grid(rng, -1, 1, 6) / 16, Reset.ZERO),
        "out": Readout("out", 3, [0.5, 1, 0.75], grid(rng, -1, 1, 3) / 16),
    }
    projections = tuple(projection(rng, sizes, *join) for join in joins)
    return Network(10.0, steps, tuple(made[name] for name in order), projections)


def with_currents(net, compare):
    """`net` with synaptic currents in a and in the readout, and a membrane compared otherwise."""
    a, out = net.population("a"), net.readout
    made = {
        "a": replace(a, alpha_syn=[0.5, 0, 0.25, 1], compare=compare),
        "out": replace(out, alpha_syn=[0.75, 0, 0.5]),
    }
    return replace(net, populations=tuple(made.get(p.name, p) for p in net.populations))


FEEDFORWARD = [("in", "a", "none", 3), ("a", "b", "none", 1), ("b", "out", "none", 2)]
RECURRENT = [*FEEDFORWARD, ("a", "a", "axonal", 3), ("b", "a", "dendritic", 5)]
CASES = {
    "feed-forward": network(0, FEEDFORWARD),
    "axonal": network(1, [(pre, post, "axonal", 6) for pre, post, *_ in FEEDFORWARD]),
    "dendritic": network(2, [(pre, post, "dendritic", 6) for pre, post, *_ in FEEDFORWARD]),
    "synaptic": network(3, [(pre, post, "synaptic", 6) for pre, post, *_ in FEEDFORWARD]),
    "delays beyond the end": network(
        4, [("in", "a", "synaptic", 40), ("in", "b", "axonal", 40), ("a", "out", "none", 0)]
    ),
    "recurrent": network(5, RECURRENT),
    "skip": network(6, [*RECURRENT, ("in", "out", "axonal", 4), ("in", "b", "synaptic", 7)]),
    "two projections between the same": network(
        7, [*FEEDFORWARD, ("in", "a", "synaptic", 3), ("in", "a", "dendritic", 3)]
    ),
    "against the order": network(8, RECURRENT[:-1], order=("b", "out", "a", "in")),
    "nothing joined": network(9, []),
    "one step": network(10, RECURRENT, steps=1),
    "currents": with_currents(network(11, FEEDFORWARD), Compare.GE),
    "recurrent with currents": with_currents(network(12, RECURRENT), Compare.GT),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_slow_oracle(name):
    net = CASES[name]
    counts = np.random.default_rng(1).poisson(0.4, (3, net.steps, 5)).astype(np.uint8)
    activity = simulate(net, counts, record=("spikes", "membranes", "readout"))
    for r in range(3):
        y, emitted, membranes = oracle(net, counts[r])
        assert (activity.readout[r] == y).all()
        assert (activity.scores[r] == y.sum(axis=0)).all()
        assert activity.classes[r] == y.sum(axis=0).argmax()
        for p in ("a", "b"):
            assert (activity.spikes[p][r] == np.array(emitted[p])).all()
            assert (activity.membranes[p][r] == np.array(membranes[p])).all()
            assert (activity.spike_counts[p][r] == np.sum(emitted[p], axis=0)).all()


def test_the_cases_are_busy():
    # An oracle and a kernel that both stay silent agree, too.
    counts = np.random.default_rng(1).poisson(0.4, (3, 14, 5))
    fired = simulate(CASES["skip"], counts).spike_counts
    assert fired["a"].sum() > 20
    assert fired["b"].sum() > 20


def chain(weight, delay=0.0, alpha=0.5, steps=4, reset=Reset.SUBTRACT):
    """One input, one neuron, one readout without leak."""
    return Network(
        1.0,
        steps,
        (Input("in", 1, 1), Lif("a", 1, alpha, 1.0, 0.0, reset), Readout("out", 1, 0.0, 0.0)),
        (
            Projection("w", "in", "a", [[weight]], "axonal", [delay], 3),
            Projection("out", "a", "out", [[1.0]], "none", 0, 0),
        ),
    )


def events(*counts):
    return np.array(counts, np.uint8).reshape(1, -1, 1)


def test_a_count_multiplies_the_weight():
    u = simulate(chain(0.25), events(3, 0, 0, 0), record=["membranes"]).membranes["a"]
    assert u.ravel().tolist() == [0.75, 0.375, 0.1875, 0.09375]


def test_fires_at_the_threshold_and_resets_before_the_next_leak():
    activity = simulate(chain(1.0), events(2, 0, 0, 0), record=["membranes", "spikes"])
    assert activity.spikes["a"].ravel().tolist() == [True, False, False, False]
    assert activity.membranes["a"].ravel().tolist() == [1.0, 0.5, 0.25, 0.125]
    to_zero = simulate(chain(1.0, reset=Reset.ZERO), events(2, 0, 0, 0), record=["membranes"])
    assert to_zero.membranes["a"].ravel().tolist() == [0, 0, 0, 0]


def test_above_the_threshold_is_not_at_it():
    at = chain(1.0)
    a = replace(at.population("a"), compare=Compare.GT)
    above = replace(at, populations=(at.input, a, at.readout))
    assert list(simulate(above, events(1, 0, 1, 0)).spike_counts["a"][0]) == [1]
    assert list(simulate(at, events(1, 0, 1, 0)).spike_counts["a"][0]) == [2]


def test_a_current_goes_on_driving():
    net = chain(0.5)
    a = replace(net.population("a"), threshold=9.0, alpha_syn=0.5)
    net = replace(net, populations=(net.input, a, net.readout))
    # i = 0.5, 0.25, 0.125, 0.0625;  u = i + u / 2
    u = simulate(net, events(1, 0, 0, 0), record=["membranes"]).membranes["a"][0, :, 0]
    assert list(u) == [0.5, 0.5, 0.375, 0.25]


def test_a_delay_of_two_and_a_half_is_two_steps():
    spikes = simulate(chain(1.0, delay=2.5), events(1, 0, 0, 0), record=["spikes"]).spikes["a"]
    assert spikes.ravel().tolist() == [False, False, True, False]


def test_a_recording_starts_from_rest():
    both = np.concatenate([events(9, 9, 9, 9), events(0, 0, 0, 0)])
    assert simulate(chain(1.0, delay=3), both).spike_counts["a"].tolist() == [[1], [0]]


def test_the_first_of_equal_scores_wins():
    net = Network(1.0, 1, (Input("in", 1, 1), Readout("out", 3, 0.0, [0.0, 1.0, 1.0])), ())
    assert simulate(net, events(0)).classes.tolist() == [1]


def test_does_not_depend_on_the_number_of_threads():
    counts = np.random.default_rng(2).poisson(0.5, (7, 14, 5))
    few, before = [], get_num_threads()
    for threads in (1, before):
        set_num_threads(threads)
        few.append(simulate(CASES["skip"], counts, record=["membranes"]))
    set_num_threads(before)
    assert (few[0].scores == few[1].scores).all()
    assert (few[0].membranes["b"] == few[1].membranes["b"]).all()


def test_tells_progress_in_chunks():
    told = []
    simulate(chain(1.0), np.zeros((300, 4, 1), np.uint8), progress=lambda *x: told.append(x))
    assert told == [(256, 300), (300, 300)]


def test_no_recordings_are_no_results():
    assert simulate(chain(1.0), np.zeros((0, 4, 1), np.uint8)).classes.shape == (0,)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (np.zeros((1, 4, 1)), "counts must be integers, not float64"),
        (np.zeros((1, 5, 1), int), r"shape \(recordings, 4 steps, 1 channels\), not \(1, 5, 1\)"),
        (np.full((1, 4, 1), -1), "counts must be between 0 and 2147483647, not -1"),
    ],
)
def test_refuses_counts_that_do_not_fit(counts, sentence):
    with pytest.raises(ValueError, match=sentence):
        simulate(chain(1.0), counts)


def test_refuses_to_record_what_it_does_not_know():
    with pytest.raises(ValueError, match="not 'spike'"):
        simulate(chain(1.0), events(0, 0, 0, 0), record=["spike"])
