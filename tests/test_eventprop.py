"""EventProp: its gradients against finite differences of a network in continuous time."""

from dataclasses import replace

import numba
import numpy as np
import pytest

import emulator.chip
from learn import EventProp, Examples, make_network, train_eventprop
from learn.eventprop import adjoint
from model import Input, Lif, Network, Projection, Readout, simulate
from model.layout import rebuild
from quant import Search, quantize
from ranvier.defaults import OPTIONS
from ranvier.tuning import finetune

EXACT = EventProp(smallest_rise=0.0)

# ------------------------------------------------------------------ the network in continuous time


def psp(time, a, b):
    """V of a current of 1 since time 0, by the closed form; 0 before."""
    late = np.maximum(time, 0)
    return np.where(time > 0, (a**late - b**late) / (a - b), 0.0)


def ramp(time, a):
    """V of a bias of 1 since time 0."""
    return time if a == 1 else (a**time - 1) / (a - 1)


class Continuous:
    """A network whose spikes are those of the grid, each as far from its crossing as there.

    A spike of step n leaves at n + (crossing - crossing on the grid), and the membrane is moved by
    a constant at n + 1.  Membranes are sums over all arrivals and spikes: nothing is integrated.
    """

    def __init__(self, network, counts):
        ran = simulate(network, counts[None], record=["spikes", "membranes"])
        self.network = network
        names = [p.name for p in network.populations]
        events = [(n, names.index(network.input.name), i) for n, i in np.argwhere(counts)]
        spikes = [
            (n, names.index(h), j) for h, s in ran.spikes.items() for n, j in np.argwhere(s[0])
        ]
        # Input events first, then spikes in the order in which the network is updated.
        self.step, self.population, self.neuron = np.array(events + sorted(spikes)).T
        self.count = np.ones(len(self.step))
        self.count[: len(events)] = [counts[n, i] for n, _, i in events]
        self.inputs = len(events)
        self.base, self.moved = np.zeros(len(self.step)), np.zeros(len(self.step))
        self.crossed = self.base
        for k in range(self.inputs, len(self.step)):
            n, p, j = self.step[k], self.population[k], self.neuron[k]
            came = self.arrivals(network, p, j, k)
            threshold = network.populations[p].threshold[j]
            times = n + np.arange(9) / 8
            above = [self.membrane(network, p, j, t, k, came) >= threshold - 1e-12 for t in times]
            self.base[k] = self.cross(network, k, times[above.index(True)])
            self.moved[k] = ran.membranes[names[p]][0, n, j]
            self.moved[k] -= self.membrane(network, p, j, n + 1, k, came, self.base[k])

    def arrivals(self, network, p, j, before):
        """-> times and weights of what arrives at neuron j of population p, of events `before`."""
        names = [q.name for q in network.populations]
        whens, weights = [], []
        for q, was in zip(network.projections, self.network.projections, strict=True):
            if q.post == names[p]:
                of = np.flatnonzero(self.population[:before] == names.index(q.pre))
                i = self.neuron[of]
                more = q.delays - was.delays
                more = more[:, None] if q.delay == "dendritic" else more
                lag = (self.network.steps_of(was) + more)[j, i]
                whens.append(self.step[of] + self.crossed[of] - self.base[of] + lag)
                weights.append(q.weights[j, i] * self.count[of])
        return np.concatenate(whens), np.concatenate(weights)

    def membrane(self, network, p, j, t, before, came, now=None):
        """V of a neuron at time t, before the reset of spike `before`, or after it, if at `now`."""
        q = network.populations[p]
        a = q.alpha[j]
        v = came[1] @ psp(t - came[0], a, q.alpha_syn[j]) + q.bias[j] * ramp(t, a)
        own = (self.population[:before] == p) & (self.neuron[:before] == j)
        for k in np.flatnonzero(own):
            v -= q.threshold[j] * a ** (t - self.crossed[k])
            v += self.moved[k] * a ** (t - self.step[k] - 1)
        return v if now is None else v - q.threshold[j] * a ** (t - now)

    def cross(self, network, k, start):
        """Time near `start` of the crossing that is spike k, by the rule of the secant."""
        p, j = self.population[k], self.neuron[k]
        came, threshold = self.arrivals(network, p, j, k), network.populations[p].threshold[j]

        def above(t):
            return self.membrane(network, p, j, t, k, came) - threshold

        old, new = start - 1e-4, start
        below, here = above(old), above(new)
        while abs(here) > 1e-13 and here != below:
            old, new = new, new - here * (new - old) / (here - below)
            below, here = here, above(new)
        return new

    def readout(self, network):
        """y of every step, of a network that differs little."""
        self.crossed = self.base.copy()
        for k in range(self.inputs, len(self.step)):
            self.crossed[k] = self.cross(network, k, self.base[k])
        last = network.readout
        p = network.populations.index(last)
        t, y = np.arange(1, network.steps + 1), []
        for j in range(last.size):
            whens, weights = self.arrivals(network, p, j, len(self.step))
            passed = psp(t - whens[:, None], last.alpha[j], last.alpha_syn[j])
            y.append(weights @ passed + last.bias[j] * ramp(t, last.alpha[j]))
        return np.transpose(y)


def cross_entropy(y, label, objective):
    if objective == "mean":
        y = y.mean(axis=0, keepdims=True)
    return (np.log(np.exp(y).sum(axis=1)) - y[:, label]).mean()


def gradient(network, counts, label, rule):
    """The kernel's, as a network of numbers."""
    engine = adjoint(network, rule)
    examples = Examples(counts[None], np.array([label]))
    one, still = np.arange(1), np.zeros(1, np.int64)
    outcome = engine.run(engine.initial, examples, one, still, learn=True)
    return outcome.gradient, outcome


def numbers(network):
    """Weights, delays and bias in the layout's order."""
    initial = adjoint(network, EXACT).layout
    return [initial.weights.copy(), initial.delays.copy(), initial.neurons[1].copy()]


def differences(network, counts, label, by=1e-6):
    """Central differences of both objectives by all weights, delays and biases."""
    truth = Continuous(network, counts)
    # The grid's network and the one in continuous time are one, spike for spike.
    assert truth.readout(network) == pytest.approx(
        simulate(network, counts[None], record=["readout"]).readout[0], abs=1e-10
    )
    start = numbers(network)
    result = {objective: [np.zeros_like(x) for x in start] for objective in ("mean", "steps")}
    for kind, n in ((k, n) for k in range(3) for n in range(start[k].size)):
        moved = [x.copy() for x in start]
        for sign in (1, -1):
            moved[kind][n] = start[kind][n] + sign * by
            y = truth.readout(rebuild(network, *moved))
            for objective, found in result.items():
                found[kind][n] += sign * cross_entropy(y, label, objective) / (2 * by)
    return result


def net(delay="synaptic", hidden=(3,), recurrent=None, seed=0, steps=40, **changes):
    rng = np.random.default_rng(seed)
    populations = [Input("input", 3, 3)]
    projections = []

    def join(pre, post, mode, mean, least):
        shape = {"none": (), "axonal": pre.size, "dendritic": post.size,
                 "synaptic": (post.size, pre.size)}[mode]  # fmt: skip
        d = np.full(shape, float(least)) if mode == "none" else rng.uniform(least, 8, shape)
        w = rng.normal(mean, 0.1, (post.size, pre.size))
        # What the kernel holds: a weight that is not a float32 would make another crossing.
        w, d = w.astype(np.float32), np.asarray(d).astype(np.float32)
        name = f"{pre.name}_{post.name}"
        projections.append(
            Projection(name, pre.name, post.name, w, mode, d, least if mode == "none" else 9)
        )

    for n, size in enumerate(hidden):
        post = Lif(
            f"h{n}", size, alpha=rng.uniform(0.85, 0.95, size), threshold=rng.uniform(0.8, 1, size),
            bias=rng.uniform(0, 0.02, size).astype(np.float32), reset=changes.get("reset", "zero"),
            compare=changes.get("compare", ">="), alpha_syn=rng.uniform(0.6, 0.8, size),
        )  # fmt: skip
        join(populations[-1], post, delay, 0.3, 0)
        if recurrent:
            join(post, post, recurrent, 0.1, 1)
        populations.append(post)
    readout = Readout("readout", 2, [0.95, 0.9], [0.0, 0.015625], [0.6, 0.7])
    join(populations[-1], readout, "dendritic" if delay == "axonal" else "none", 0, 0)
    counts = (rng.random((steps, 3)) < 0.15).astype(np.uint8)
    counts[3, 1] = 2
    network = Network(1.0, steps, (*populations, readout), tuple(projections))
    return network, counts


CASES = {
    "synaptic": {"steps": 32},
    "axonal, subtract, above": {"delay": "axonal", "reset": "subtract", "compare": ">"},
    "dendritic": {"delay": "dendritic", "seed": 1},
    "recurrent": {"hidden": (2,), "recurrent": "synaptic", "seed": 2, "steps": 32},
    "two hidden": {"hidden": (2, 2), "recurrent": "axonal", "seed": 3, "steps": 24},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradient_is_the_finite_difference(case):
    network, counts = net(**case)
    for objective, wanted in differences(network, counts, 1).items():
        found, outcome = gradient(network, counts, 1, replace(EXACT, objective=objective))
        assert (outcome.emitted[3:] > 0).all()
        assert (outcome.emitted[3:] > 1).any()
        layout = adjoint(network, EXACT).layout
        wanted[1][layout.smallest_delays == layout.largest_delays] = 0
        for name, g, fd in zip(found._fields, found, wanted, strict=True):
            assert g == pytest.approx(fd, rel=1e-3, abs=1e-5 * np.abs(fd).max()), name


def test_gradient_approaches_that_of_exact_spike_times_as_steps_shrink():
    arrivals = np.array([0.0, 3.0, 4.0, 12.0, 14.0, 15.0, 30.0, 31.0])
    inputs = np.arange(8) % 2
    weights, delays = np.array([1.3, 1.1]), np.array([1.0, 2.5])

    def loss(weights, delays):
        """Cross-entropy of two readouts, averaged over 60 units of time; no grid."""
        came = (arrivals + delays[inputs])[:, None]

        def v(t):
            passed = np.maximum(t - came, 0)
            return weights[inputs] @ (np.exp(-passed / 20) - np.exp(-passed / 5)) - sum(
                np.exp(-(t - k) / 20) for k in spikes
            )

        spikes = []
        while True:
            grid = np.arange(spikes[-1] + 1e-6 if spikes else 0, 60, 0.01)
            above = np.flatnonzero(v(grid) >= 1)
            if not above.size:
                break
            low, high = grid[above[0] - 1], grid[above[0]]
            for _ in range(50):
                middle = (low + high) / 2
                low, high = (middle, high) if v(np.array([middle]))[0] < 1 else (low, middle)
            spikes.append(high)
        left = 60 - np.array(spikes)
        area = 20 * (1 - np.exp(-left / 20)) - 5 * (1 - np.exp(-left / 5))
        y = np.array([0.5, -0.5]) * area.sum() / 60
        return np.log(np.exp(y).sum()) - y[0], len(spikes)

    assert loss(weights, delays)[1] == 5
    shifts = 1e-6 * np.eye(2)
    exact = np.concatenate(
        [
            [(loss(weights + e, delays)[0] - loss(weights - e, delays)[0]) / 2e-6 for e in shifts],
            [(loss(weights, delays + e)[0] - loss(weights, delays - e)[0]) / 2e-6 for e in shifts],
        ]
    )

    errors = []
    for per_unit in (4, 32, 256, 2048):
        a, b = np.exp(-1 / (20 * per_unit)), np.exp(-1 / (5 * per_unit))
        steps = 60 * per_unit
        network = Network(
            1.0,
            steps,
            (
                Input("in", 2, 2),
                Lif("h", 1, a, 1.0, 0.0, "zero", ">=", b),
                Readout("o", 2, a, 0, b),
            ),
            (
                Projection("p", "in", "h", [weights * (a - b)], "axonal", delays * per_unit, steps),
                Projection("q", "h", "o", np.array([[0.5], [-0.5]]) * (a - b), "none", 0, 0),
            ),
        )
        counts = np.zeros((steps, 2), np.uint8)
        counts[np.rint(arrivals * per_unit).astype(int), inputs] = 1
        found, outcome = gradient(network, counts, 0, EXACT)
        assert outcome.emitted.tolist() == [4, 4, 5]
        g = np.concatenate([found.weights[:2] * (a - b), found.delays[:2] * per_unit])
        errors.append(np.abs(g / exact - 1).max())
    # The grid sends spikes up to a step late: an error of first order in the step.
    assert errors[0] > 3 * errors[1] > 9 * errors[2] > 27 * errors[3]
    assert errors[3] < 1e-3


# ------------------------------------------------------------------------------- spikes and counts


def run(network, examples, rule=None, learn=True):
    engine = adjoint(network, EXACT if rule is None else rule)
    everything, still = np.arange(len(examples)), np.zeros(len(examples), np.int64)
    return engine.run(engine.initial, examples, everything, still, learn=learn), engine


def test_spikes_and_readouts_are_those_of_the_simulation():
    network, _ = net(hidden=(6, 5), recurrent="synaptic", seed=4)
    counts = np.random.default_rng(0).poisson(0.2, (7, 40, 3)).astype(np.uint8)
    outcome, engine = run(network, Examples(counts, np.zeros(7, int)), learn=False)
    told = simulate(network, counts, record=["readout"])
    assert outcome.classes.tolist() == told.classes.tolist()
    fired = [told.spike_counts[name].sum(axis=0) for name in ("h0", "h1")]
    assert outcome.emitted[3:].tolist() == np.concatenate(fired).tolist()
    y = next(s.y for s in engine._scratch if (s.y == told.readout[-1]).all())
    assert cross_entropy(y, 0, "mean") == pytest.approx(outcome.losses[-1] / 40)
    assert not any(sums.any() for sums in outcome.gradient)


def test_makes_room_for_any_number_of_spikes():
    network, counts = net()
    busy = replace(network.populations[1], bias=2.0)
    network = replace(network, populations=(network.input, busy, network.readout), steps=200)
    counts = np.tile(counts, (5, 1))
    outcome, engine = run(network, Examples(counts[None], np.array([0])))
    assert outcome.emitted[3:].tolist() == [200, 200, 200]
    assert max(s.fired.size for s in engine._scratch) == 640


def test_ring_is_all_that_grows_with_the_longest_delay():
    rooms = []
    for most in (64, 256):
        network = make_network(
            channels=5, hidden=[7], classes=3, steps=400, dt_ms=1.0, tau_syn_ms=5.0,
            delay="synaptic", max_delay=most, seed=0,
        )  # fmt: skip
        first, last = network.projections
        first = replace(first, delays=np.full((7, 5), float(most)))
        network = replace(network, projections=(first, last))
        _, engine = run(network, Examples(np.zeros((1, 400, 5), int), np.array([0])))
        rooms.append(engine.scratch_bytes / engine._workers)
    # Slots for 64 are 128, for 256 are 512; a float64 and two float32 for each of 10 neurons.
    assert rooms[1] - rooms[0] == (512 - 128) * 10 * 16


def test_silent_neuron_is_pulled_where_its_membrane_is_largest():
    network, counts = net()
    quiet = replace(network.populations[1], threshold=50.0, bias=0.0)
    network = replace(network, populations=(network.input, quiet, network.readout))
    rule = EventProp(rate_strength=0.25, rate_target=4.0)
    (found, *_), outcome = gradient(network, counts, 0, rule)
    assert not outcome.emitted[3:].any()
    highest = simulate(network, counts[None], record=["membranes"]).membranes["h0"][0].max(axis=0)
    start = numbers(network)
    for n in range(9):
        moved = start[0].copy()
        moved[n] += 1e-6
        other = simulate(
            rebuild(network, moved, *start[1:]), counts[None], record=["membranes"]
        ).membranes["h0"]
        rise = (other[0].max(axis=0) - highest).sum() / 1e-6
        # Each neuron lacks four spikes.
        assert found[n] == pytest.approx(-0.25 * 4 * rise, rel=1e-4)


def test_neuron_is_pulled_at_each_of_its_spikes():
    # One neuron, far from the readout: an event of weight 1 makes it fire once, in step 2.
    a, b = 0.5, 0.25
    network = Network(
        1.0,
        6,
        (Input("in", 1, 1), Lif("h", 1, a, 1.2, 0.0, "zero", ">=", b), Readout("o", 2, a, 0.0, b)),
        (
            Projection("p", "in", "h", [[1.0]], "none", 0, 0),
            Projection("q", "h", "o", np.zeros((2, 1)), "none", 0, 0),
        ),
    )
    counts = np.zeros((6, 1), np.uint8)
    counts[2:4] = 1
    found, outcome = gradient(
        network, counts, 0, replace(EXACT, rate_strength=0.5, rate_target=3.0)
    )
    assert outcome.emitted.tolist() == [2, 1]
    # V is 1 after step 2; it crosses in step 3, where it is linear in both weights.
    times = np.linspace(0, 1, 100001)
    v = psp(1 + times, a, b) + psp(times, a, b)
    assert found.weights[0] == pytest.approx(0.5 * (1 - 3) * v[np.argmax(v >= 1.2)], rel=1e-4)


# ---------------------------------------------------------------------------------------- learning


def sequences(gap, steps):
    """Class 0: the first channel, and `gap` steps later the second; class 1: the reverse."""
    counts = np.zeros((2, steps, 2), np.uint8)
    counts[0, [0, gap], [0, 1]] = 1
    counts[1, [0, gap], [1, 0]] = 1
    return Examples(counts, np.array([0, 1]))


def test_two_by_two_sequences_from_the_worst_start():
    # Each detector starts with the delays of the other, so that it answers to the wrong sequence.
    a, b, slow = np.exp(-1 / 20), np.exp(-1 / 5), np.exp(-1 / 200)
    network = Network(
        1.0,
        100,
        (
            Input("in", 2, 2),
            Lif("h", 2, a, 1.0, 0.0, "zero", ">=", b),
            Readout("o", 2, slow, 0.0, b),
        ),
        (
            Projection("p", "in", "h", np.full((2, 2), 0.2), "synaptic", [[0, 10], [10, 0]], 40),
            Projection("q", "h", "o", np.eye(2), "none", 0, 0),
        ),
    )
    examples = sequences(10, 100)
    assert simulate(network, examples.counts).classes.tolist() == [1, 0]
    rule = EventProp(weight_rate=0.0, bias_rate=0.0, delay_rate=1.0, batch=1)
    result = train_eventprop(network, examples, rule, epochs=20, seed=0)
    right = [epoch.train_accuracy for epoch in result.history]
    assert right[0] == 0
    assert right[8:] == 12 * [1.0]
    assert simulate(result.network, examples.counts).classes.tolist() == [0, 1]
    before, after = result.network.projections[0].delays
    assert before[0] - before[1] > 5
    assert after[1] - after[0] > 5


def toy(seed=0, recordings=96):
    """Three classes of four channels that a tiny network learns in a few epochs."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, recordings)
    counts = rng.poisson(0.1, (recordings, 24, 4))
    for r, label in enumerate(labels):
        counts[r, 2:10, label] += 1
    return Examples(counts, labels)


def quick(**changes):
    network = make_network(
        channels=4, hidden=[6, 5], classes=3, steps=24, dt_ms=1.0, tau_ms=8.0, tau_syn_ms=3.0,
        reset="zero", delay="synaptic", max_delay=6, recurrent="axonal", seed=2,
    )  # fmt: skip
    first = network.projections[0]
    first = replace(first, weights=np.abs(6 * first.weights))
    network = replace(network, projections=(first, *network.projections[1:]))
    rule = EventProp(batch=16, weight_rate=0.02, rate_strength=1e-3, channel_shift=1)
    arguments = {"rule": rule, "epochs": 3, "seed": 7, "held_out": toy(1, 30), **changes}
    return train_eventprop(network, toy(), **arguments)


def same(a, b):
    return a.history == b.history and all(
        (p.weights == q.weights).all() and (p.delays == q.delays).all()
        for p, q in zip(a.network.projections, b.network.projections, strict=True)
    )


def test_learns():
    rule = EventProp(batch=16, weight_rate=0.02, rate_strength=1e-3)
    result = quick(rule=rule, epochs=12)
    assert result.history[0].train_accuracy < 0.6
    assert max(epoch.held_out_accuracy for epoch in result.history) > 0.9
    # The network that comes out is one like any other, and does what the trainer saw.
    chosen = result.history[result.network.provenance["epoch"] - 1]
    right = simulate(result.network, toy(1, 30).counts).classes == toy(1, 30).labels
    assert right.mean() == chosen.held_out_accuracy
    assert chosen.spike_rates.keys() == {"hidden1", "hidden2"}
    assert chosen.sigma is None


def test_a_network_is_tuned_for_the_integers_of_a_chip_with_currents():
    rule = EventProp(batch=16, weight_rate=0.02, rate_strength=1e-3)
    network, held_out = quick(rule=rule, epochs=12).network, toy(1, 30)
    options = replace(OPTIONS, weight_bits=2, delay_bits=1, search=Search.WEIGHTS)
    tuned = finetune(
        network, toy(), rule, options=options, epochs=12, seed=0, held_out=held_out
    )  # fmt: skip
    assert tuned.network.provenance["trainer"] == "eventprop"
    for p in tuned.loss.projections:
        assert p.max_error < 1e-12
        assert not p.clipped
        assert {steps for steps, _ in p.moved} == {0}
    assert np.abs(tuned.image.projections[0].weights).max() <= 2
    assert tuned.image.chip.current is not None
    rounded, _ = quantize(network, chip=None, options=options, calibration=toy().counts)
    before, after = (
        (emulator.chip.run(image, held_out.counts).classes == held_out.labels).mean()
        for image in (rounded, tuned.image)
    )
    assert after > before


def test_does_not_depend_on_the_number_of_threads(monkeypatch):
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(numba, "get_num_threads", lambda n=threads: n)
        results.append(quick())
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_another_seed_is_another_run():
    assert not same(quick(), quick(seed=8))


def test_stops_and_continues_to_the_same_bits(tmp_path):
    class Stop(Exception):
        pass

    def stop(epoch):
        if epoch.number == 2:
            raise Stop

    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        quick(checkpoint=path, progress=stop)
    assert same(quick(checkpoint=path), quick())
    with pytest.raises(ValueError, match=r"belongs to a run with rule.channel_shift 1, not 0"):
        quick(checkpoint=path, rule=EventProp(batch=16, weight_rate=0.02, rate_strength=1e-3))


# ---------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": "first"}, "objective must be one of mean, steps, not 'first'"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"smallest_rise": -1.0}, "smallest_rise must be a number of at least 0, not -1.0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and less than 1, not 1.0"),
    ],
)
def test_refuses_a_choice(changes, said):
    with pytest.raises(ValueError, match=said):
        EventProp(**changes)


def test_refuses_neurons_without_currents():
    network = make_network(channels=4, hidden=[5], classes=3, steps=24, dt_ms=1.0, seed=0)
    said = r"hidden: alpha_syn\[0\] = 0, but EventProp needs membranes and synaptic currents"
    with pytest.raises(ValueError, match=said):
        train_eventprop(network, toy(), EventProp(), epochs=1, seed=0)
