from dataclasses import asdict, replace

import numba
import numpy as np
import pytest

from learn import Examples, Rule, classify, make_network, train
from learn.feedback import FEEDBACK, LINK_DELAY, POPULATION
from learn.gradient import Gradient
from learn.optimizer import Descent
from learn.rule import Optimizer, Taps, fold, half_taps
from model import Compare, Input, Lif, Network, Projection, Readout, Reset, simulate
from model.layout import rebuild

# ------------------------------------------------------------------------------------------- taps


def test_taps_by_hand():
    assert half_taps(Taps.CENTRAL, 9.0).tolist() == [0.5]
    assert half_taps(Taps.HAT, 2.0).tolist() == [1 / 9, 1 / 9]
    gauss = half_taps(Taps.GAUSS, 1.0)
    density = np.exp(-(np.arange(-3, 4) ** 2) / 2)
    assert gauss == pytest.approx([1, 2, 3] * density[4:] / density.sum())


def test_folded_taps_sum_to_zero_for_every_delay():
    # Delay v above the smallest one: taps at -v (all the earlier ones, too), -v + 1, ..., K.
    half = np.array([0.3, 0.2, 0.1])
    folded = fold(half)
    assert folded == pytest.approx([-0.6, -0.6, -0.3, -0.1])
    for v in range(4):
        assert folded[v] - half[: max(v - 1, 0)].sum() + half.sum() == pytest.approx(0, abs=1e-15)


# --------------------------------------------------------- the rule, slowly, with state per synapse


def run_slowly(network, counts):
    """-> by population: emitted [T, size], membrane before the reset [T, size]; dense, float64."""
    emitted = {p.name: np.zeros((network.steps, p.size)) for p in network.populations}
    before = {p.name: np.zeros((network.steps, p.size)) for p in network.populations}
    u = {p.name: np.zeros(p.size) for p in network.populations}
    for t in range(network.steps):
        for p in network.populations:
            if isinstance(p, Input):
                emitted[p.name][t] = counts[t]
                continue
            v = p.alpha * u[p.name] + p.bias
            for projection in network.projections:
                if projection.post == p.name:
                    due = t - network.steps_of(projection)
                    column = np.broadcast_to(np.arange(due.shape[1]), due.shape)
                    s = emitted[projection.pre][np.maximum(due, 0), column] * (due >= 0)
                    v = v + (projection.weights * s).sum(axis=1)
            before[p.name][t] = v
            if isinstance(p, Lif):
                z = (v >= p.threshold).astype(float)
                emitted[p.name][t] = z
                v = v * (1 - z) if p.reset is Reset.ZERO else v - p.threshold * z
            u[p.name] = v
    return emitted, before


def tap_of(rule, sigma, delay, floor):
    """{u: c_u} for a delay of `delay` steps: what lies before the smallest delay acts there."""
    half = half_taps(rule.taps, sigma)
    taps = {}
    for u in range(-len(half), len(half) + 1):
        at = max(u, floor - delay)
        taps[at] = taps.get(at, 0.0) + (0.0 if u == 0 else np.sign(u) * half[abs(u) - 1])
    return taps


def signal_to(network, population, err, feedback):
    """L[t, j]: the error that reaches a hidden neuron."""
    if population in feedback:
        return err @ feedback[population]
    late = np.concatenate([err, np.zeros_like(err)])
    signal = np.zeros((network.steps, network.population(population).size))
    for projection in network.projections:
        if (projection.pre, projection.post) == (population, network.readout.name):
            for k, j in np.ndindex(projection.weights.shape):
                n = network.steps_of(projection)[k, j]
                signal[:, j] += projection.weights[k, j] * late[n : n + network.steps, k]
    return signal


def errors(y, label, rule):
    """Error of every readout in every step, from its membranes y [T, classes]."""
    behind = y.max(axis=1, keepdims=True) - y
    if rule.error == "softmax":
        level = np.exp(-behind)
        level = level / level.sum(axis=1, keepdims=True)
    else:
        scaled = behind / rule.error_width
        level = np.exp(-scaled) if rule.error == "exponential" else np.maximum(0, 1 - scaled)
        total = level.sum(axis=1, keepdims=True)
        # 1.5 to 3 is next to 2, 3 to 6 to 4: the power of two by logarithm, not by counting.
        level = level / 2 ** np.maximum(0, np.floor(np.log2(total / 1.5)) + 1)
    level[:, label] -= level.sum(axis=1)
    return level


def explicit(network, counts, label, rule, sigma, feedback):
    """Gradient of one recording, each eligibility passing the readout's filter.

    -> by projection: of weights [post, pre], of each synapse's delay [post, pre].
    """
    emitted, before = run_slowly(network, counts)
    y, kappa = before[network.readout.name], network.readout.alpha[0]
    err = errors(y, label, rule)
    gradients = {}
    for projection in network.projections:
        post = network.population(projection.post)
        v, keep, leak = before[post.name], np.full(before[post.name].shape, post.alpha), 0.0
        psi, signal, push = np.ones_like(v), err, np.zeros(post.size)
        if isinstance(post, Lif):
            psi = np.exp(-(((v - post.threshold) / rule.surrogate_width) ** 2) / 2)
            signal = signal_to(network, post.name, err, feedback)
            rates = emitted[post.name].mean(axis=0)
            push = rule.rate_strength * (rates - rule.rate_target)
            leak = kappa if rule.eligibility == "deferred" else 0.0
            if rule.reset_path and post.reset is Reset.ZERO:
                keep *= (v < post.threshold) - v * psi
            elif rule.reset_path:
                keep *= 1 - post.threshold * psi
        n, z = network.steps_of(projection), emitted[projection.pre]
        gw, gd = np.zeros(n.shape), np.zeros(n.shape)
        for j, i in np.ndindex(n.shape):
            taps = tap_of(rule, sigma, int(n[j, i]), network.min_delay(projection))
            late = np.concatenate([np.zeros(50), z[:, i]])
            late = late[50 - n[j, i] :][: network.steps]
            drive = np.zeros(network.steps)
            for u, c in taps.items():
                drive += (
                    c * np.concatenate([np.zeros(50), z[:, i]])[50 - n[j, i] - u :][: len(drive)]
                )
            trace = filtered = np.zeros(2)
            for t in range(network.steps):
                trace = (keep[t - 1, j] if t else 0.0) * trace + [late[t], drive[t]]
                filtered = leak * filtered + psi[t, j] * trace
                # The rate's error is of the spikes themselves: no readout filters it.
                gw[j, i] += signal[t, j] * filtered[0] + push[j] * psi[t, j] * trace[0]
                gd[j, i] += signal[t, j] * filtered[1] + push[j] * psi[t, j] * trace[1]
        w = projection.weights
        gradients[projection.name] = gw, gd * (np.sign(w) if rule.sign_of_weight else w)
    return gradients


def tiny(delay="axonal", recurrent=None, hidden=(5,), reset=Reset.SUBTRACT, readout_alpha=0.75):
    """A busy little network whose membranes, on a grid of 1/64, are nearly exact in float32."""
    net = make_network(
        channels=4,
        hidden=hidden,
        classes=3,
        steps=16,
        dt_ms=1.0,
        tau_ms=1 / np.log(2),
        readout_alpha=readout_alpha,
        delay=delay,
        max_delay=6,
        recurrent=recurrent,
        seed=3,
    )
    projections = tuple(
        replace(p, weights=np.round(p.weights * 64 * (8 if p.pre == "input" else 1)) / 64)
        for p in net.projections
    )
    populations = tuple(
        replace(p, reset=reset, alpha=0.5) if isinstance(p, Lif) else p for p in net.populations
    )
    return replace(net, projections=projections, populations=populations)


def busy(network, recordings=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = (recordings, network.steps, network.input.size)
    counts = rng.poisson(0.5, shape).astype(np.uint8)
    return Examples(counts, rng.integers(0, network.readout.size, recordings))


def of_kernel(network, rule, examples, sigma):
    """Gradient and driver; the gradient is laid out as a network's weights and delays."""
    gradient = Gradient(network, rule, seed=0)
    everything, still = np.arange(len(examples)), np.zeros(len(examples), np.int64)
    outcome = gradient.run(gradient.initial, examples, everything, still, sigma)
    return rebuild(network, *outcome.gradient), gradient


def assert_equals_explicit(network, rule, sigma=2.0):
    examples = busy(network)
    found, gradient = of_kernel(network, rule, examples, sigma)
    feedback = {}
    for row in gradient.links.rows.tolist():
        p = network.populations[row[POPULATION]]
        if row[LINK_DELAY] == gradient.layout.delays.size:
            block = gradient.links.weights[row[FEEDBACK] :][: p.size * network.readout.size]
            feedback[p.name] = block.reshape(-1, p.size).astype(float)
    expected = {p.name: (0.0, 0.0) for p in network.projections}
    for counts, label in zip(examples.counts, examples.labels, strict=True):
        for name, (gw, gd) in explicit(network, counts, label, rule, sigma, feedback).items():
            expected[name] = expected[name][0] + gw, expected[name][1] + gd
    for p in found.projections:
        gw, gd = expected[p.name]
        assert np.abs(gw).max() > 1e-3
        assert p.weights == pytest.approx(gw, rel=1e-5, abs=2e-5 * np.abs(gw).max())
        if p.delay != "none":
            gd = {"axonal": gd.sum(0), "dendritic": gd.sum(1), "synaptic": gd}[p.delay]
            assert np.abs(gd).max() > 1e-3
            assert p.delays == pytest.approx(gd, rel=1e-5, abs=2e-5 * np.abs(gd).max())


@pytest.mark.parametrize("delay", ["none", "axonal", "dendritic", "synaptic"])
def test_deferred_form_equals_the_filtered_eligibility(delay):
    assert_equals_explicit(tiny(delay), Rule())


@pytest.mark.parametrize("recurrent", ["none", "axonal", "dendritic", "synaptic"])
def test_deferred_form_of_recurrent_projections(recurrent):
    assert_equals_explicit(tiny(recurrent=recurrent), Rule(taps="hat"))


@pytest.mark.parametrize("reset", Reset)
def test_deferred_form_with_the_reset_path(reset):
    assert_equals_explicit(tiny("synaptic", reset=reset), Rule(reset_path=True))


@pytest.mark.parametrize(
    "rule",
    [
        Rule(eligibility="instantaneous"),
        Rule(feedback="random"),
        Rule(sign_of_weight=True),
        Rule(taps="central"),
        Rule(rate_strength=3.0, rate_target=0.1),
        Rule(surrogate_width=1.0),
        Rule(error="exponential", error_width=0.7),
        Rule(error="linear", error_width=2.0),
    ],
    ids=lambda rule: str({n: v for n, v in asdict(rule).items() if v != getattr(Rule(), n)}),
)
def test_options_do_what_they_say(rule):
    assert_equals_explicit(tiny(recurrent="axonal"), rule)


def test_deeper_populations_get_random_feedback():
    assert_equals_explicit(tiny(hidden=(4, 6), recurrent="axonal"), Rule())


def test_a_readout_without_leak():
    assert_equals_explicit(tiny(readout_alpha=1.0), Rule())


@pytest.mark.parametrize("delay", ["axonal", "dendritic", "synaptic"])
def test_delays_between_hidden_population_and_readout(delay):
    net = tiny()
    first, last = net.projections
    shape = {"axonal": 5, "dendritic": 3, "synaptic": (3, 5)}[delay]
    delays = np.random.default_rng(0).uniform(0, 5, shape)
    skip = Projection(
        "skip", "input", "readout", np.arange(12).reshape(3, 4) / 32, "axonal", [0, 1, 2, 9], 9
    )
    last = replace(last, delay=delay, delays=delays, max_delay=5)
    assert_equals_explicit(replace(net, projections=(first, last, skip)), Rule())


# ------------------------------------------------------------------------------ finite differences


def linear(delays, weights, steps=60):
    """Input and readout alone, for which nothing is approximated but the derivative by a delay."""
    post, pre = weights.shape
    return Network(
        1.0,
        steps,
        (Input("input", pre, pre), Readout("readout", post, 0.9, 0.0)),
        (Projection("p", "input", "readout", weights, "synaptic", delays, 30),),
    )


def loss_of(network, examples):
    y = simulate(network, examples.counts, record=["readout"]).readout
    y = y - y.max(axis=2, keepdims=True)
    log = y - np.log(np.exp(y).sum(axis=2, keepdims=True))
    return -log[np.arange(len(y)), :, examples.labels].sum()


def linear_case():
    rng = np.random.default_rng(5)
    network = linear(rng.integers(8, 20, (3, 12)).astype(float), rng.normal(0, 0.5, (3, 12)))
    return network, Examples((rng.random((40, 60, 12)) < 0.05).astype(int), rng.integers(0, 3, 40))


def moved(network, field, at, by):
    (p,) = network.projections
    array = getattr(p, field).copy()
    array[at] += by
    return replace(network, projections=(replace(p, **{field: array}),))


def difference(network, examples, field, by):
    """Central differences of the loss, [post, pre]."""
    result = np.zeros(network.projections[0].weights.shape)
    for at in np.ndindex(result.shape):
        up, down = (loss_of(moved(network, field, at, s * by), examples) for s in (1, -1))
        result[at] = (up - down) / (2 * by)
    return result


@pytest.mark.parametrize(("taps", "sigma"), [("gauss", 1.0), ("hat", 2.0), ("central", 1.0)])
def test_delay_gradient_points_along_the_finite_difference(taps, sigma):
    network, examples = linear_case()
    found, _ = of_kernel(network, Rule(taps=taps), examples, sigma)
    g, fd = (
        found.projections[0].delays.ravel(),
        difference(network, examples, "delays", 1.0).ravel(),
    )
    assert g @ fd / np.linalg.norm(g) / np.linalg.norm(fd) > 0.95


def test_weight_gradient_is_the_finite_difference():
    network, examples = linear_case()
    found, _ = of_kernel(network, Rule(delay_rate=0.0), examples, 1.0)
    fd = difference(network, examples, "weights", 1e-5)
    assert found.projections[0].weights == pytest.approx(fd, rel=1e-4, abs=1e-4 * np.abs(fd).max())


# ---------------------------------------------------------------------------------------- learning


def volleys(delays, recordings, steps, rng):
    """Class 0: one event per channel, so that they meet after `delays`; class 1: at random."""
    counts = np.zeros((recordings, steps, len(delays)), np.uint8)
    labels = rng.integers(0, 2, recordings)
    for r, label in enumerate(labels):
        meeting = rng.integers(delays.max(), steps - 8)
        times = rng.integers(0, steps - 8, len(delays)) if label else meeting - delays
        counts[r, times, np.arange(len(delays))] = 1
    return Examples(counts, labels)


def test_recovers_delays_from_six_steps_off():
    rng = np.random.default_rng(0)
    true = rng.integers(12, 24, 10)
    start = true + 6.0 * np.tile([-1, 1], 5)
    network = Network(
        1.0,
        48,
        (Input("in", 10, 10), Lif("hidden", 1, 0.5, 1.0, 0.0), Readout("out", 2, 0.9, [0.0, 0.03])),
        (
            Projection("d", "in", "hidden", np.full((1, 10), 0.15), "axonal", start, 40),
            Projection("o", "hidden", "out", [[1.0], [-1.0]], "none", 0, 0),
        ),
    )
    rule = Rule(weight_rate=0.0, bias_rate=0.0, delay_rate=0.3, batch=32)
    result = train(network, volleys(true, 256, 48, rng), rule, epochs=16, seed=0)
    learned = result.network.projections[0].delays - true
    # Only differences matter: a volley may meet earlier or later as a whole.
    assert np.abs(start - true - np.median(start - true)).mean() == 6
    assert np.abs(learned - np.median(learned)).mean() < 0.5
    assert result.history[-1].train_accuracy > 0.95


def toy(seed=0, recordings=96):
    """Three classes of four channels that a tiny network learns in a few epochs."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, recordings)
    counts = rng.poisson(0.1, (recordings, 16, 4))
    for r, label in enumerate(labels):
        counts[r, 2:8, label] += 1
    return Examples(counts, labels)


def quick(**changes):
    rule = Rule(batch=16, weight_rate=0.02, bias_rate=0.002)
    arguments = {"rule": rule, "epochs": 4, "seed": 7, "held_out": toy(1, 30), **changes}
    return train(tiny(recurrent="axonal"), toy(), **arguments)


def same(a, b):
    return a.history == b.history and all(
        (p.weights == q.weights).all() and (p.delays == q.delays).all()
        for p, q in zip(a.network.projections, b.network.projections, strict=True)
    )


def test_learns():
    history = quick(epochs=12).history
    assert history[0].train_accuracy < 0.6
    assert max(epoch.held_out_accuracy for epoch in history) > 0.9


def test_keeps_the_epoch_that_held_out_best():
    result = quick(epochs=12)
    accuracies = [epoch.held_out_accuracy for epoch in result.history]
    chosen = result.network.provenance["epoch"]
    assert accuracies[chosen - 1] == max(accuracies)
    assert max(accuracies[: chosen - 1], default=0) < max(accuracies)
    right = classify(result.network, toy(1, 30).counts) == toy(1, 30).labels
    assert right.mean() == max(accuracies)


def test_without_held_out_takes_the_last_epoch():
    assert quick(held_out=None).network.provenance["epoch"] == 4


def test_does_not_depend_on_the_number_of_threads(monkeypatch):
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(numba, "get_num_threads", lambda n=threads: n)
        results.append(quick(rule=Rule(batch=33, channel_shift=1)))
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_another_seed_is_another_run():
    assert not same(quick(), quick(seed=8))


def test_stops_and_continues_to_the_same_bits(tmp_path):
    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(checkpoint=tmp_path / "run.npz", progress=stop)
    told = []
    continued = quick(checkpoint=tmp_path / "run.npz", progress=told.append)
    assert [epoch.number for epoch in told] == [3, 4]
    assert same(continued, quick())
    assert same(quick(checkpoint=tmp_path / "run.npz"), continued)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    quick(epochs=1, checkpoint=tmp_path / "run.npz")
    with pytest.raises(ValueError, match=r"run\.npz: belongs to a run with seed 7, not 8"):
        quick(epochs=1, checkpoint=tmp_path / "run.npz", seed=8)
    (tmp_path / "run.npz").write_bytes((tmp_path / "run.npz").read_bytes()[:-99])
    with pytest.raises(ValueError, match=r"run\.npz: is not a complete npz file"):
        quick(epochs=1, checkpoint=tmp_path / "run.npz")


def test_the_sign_of_a_running_mean_by_hand():
    values = np.zeros(3, np.float32)
    descent = Descent(Optimizer.SIGN, values, momentum=0.5)
    descent.step(np.array([4, -1, 0], np.float32), 0.25, 1)
    assert values.tolist() == [-0.25, 0.25, 0]
    # Means 1, -0.25, 0 and then 0.5 * 1 - 0.5 * 3 = -1, ...: the sign turns with the mean.
    descent.step(np.array([-1, -1, 1], np.float32), 0.25, 2)
    assert values.tolist() == [-0.5, 0.5, -0.25]
    descent.step(np.array([-3, 4, -3], np.float32), 0.25, 3)
    assert values.tolist() == [-0.25, 0.25, 0]


def test_a_rate_of_zero_leaves_its_numbers():
    before = tiny(recurrent="axonal")
    rule = Rule(weight_rate=0.0, bias_rate=0.0, delay_rate=0.1, batch=16)
    after = train(before, toy(), rule, epochs=1, seed=0).network
    for p, q in zip(before.projections, after.projections, strict=True):
        assert (q.weights == p.weights.astype(np.float32)).all()
        assert p.delay == "none" or (q.delays != p.delays).any()
    assert (after.readout.bias == 0).all()


def test_delays_stay_in_their_bounds():
    rule = Rule(delay_rate=50.0, batch=16)
    after = train(tiny(recurrent="synaptic"), toy(), rule, epochs=2, seed=0).network
    for p in after.projections:
        assert p.delays.min() >= after.min_delay(p)
        assert p.delays.max() <= p.max_delay


@pytest.mark.parametrize("delay", ["axonal", "dendritic", "synaptic"])
@pytest.mark.parametrize("reset", Reset)
def test_training_and_simulation_see_the_same(delay, reset):
    net = tiny(delay, recurrent=delay, hidden=(5, 6), reset=reset)
    examples = busy(net, recordings=200)
    gradient = Gradient(net, Rule(), seed=0)
    every, still = np.arange(200), np.zeros(200, np.int64)
    seen = gradient.run(gradient.initial, examples, every, still, sigma=None)
    activity = simulate(net, examples.counts)
    fired = np.concatenate([counts.sum(axis=0) for counts in activity.spike_counts.values()])
    assert fired[:5].sum() > 1000
    assert fired[5:].sum() > 1000
    assert (seen.emitted[4:] == fired).all()
    assert (seen.classes == activity.classes).all()
    assert (classify(net, examples.counts) == activity.classes).all()


def test_a_shift_moves_channels_and_loses_the_edge():
    net = tiny()
    examples = busy(net, recordings=1)
    gradient = Gradient(net, Rule(), seed=0)
    once = np.zeros(1, np.int64)
    shifted = Examples(np.zeros_like(examples.counts), examples.labels)
    shifted.counts[:, :, 1:] = examples.counts[:, :, :-1]
    a = gradient.run(gradient.initial, examples, once, once + 1, sigma=2.0)
    b = gradient.run(gradient.initial, shifted, once, once, sigma=2.0)
    assert (a.gradient.weights == b.gradient.weights).all()
    assert (a.emitted == b.emitted).all()


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"taps": "forward"}, "taps must be one of gauss, hat, central, not 'forward'"),
        ({"weight_rate": -1.0}, "weight_rate must be a number of at least 0, not -1.0"),
        ({"delay_rate": np.nan}, "delay_rate must be a number of at least 0, not nan"),
        ({"sigma_end": 0.0}, "sigma_end must be a positive number, not 0.0"),
        ({"error": "hinge"}, "error must be one of softmax, exponential, linear, not 'hinge'"),
        ({"error_width": 0.0}, "error_width must be a positive number, not 0.0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and less than 1, not 1.0"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"channel_shift": -1}, "channel_shift must be at least 0, not -1"),
    ],
)
def test_refuses_a_rule(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Rule(**changes)


@pytest.mark.parametrize(
    ("counts", "labels", "sentence"),
    [
        (np.zeros((2, 16)), [0, 0], r"counts must be integers of shape .* not float64 of shape"),
        (np.full((1, 16, 4), 256), [0], "counts must be between 0 and 255, not 256"),
        (np.zeros((2, 16, 4), int), [0], "labels must be 2 integers, one for each recording"),
    ],
)
def test_refuses_examples(counts, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        Examples(counts, labels)


def test_refuses_examples_that_do_not_fit_the_network():
    with pytest.raises(ValueError, match=r"\(recordings, 16 steps, 4 channels\), not \(1, 9, 4\)"):
        train(tiny(), Examples(np.zeros((1, 9, 4), int), [0]), Rule(), epochs=1, seed=0)
    with pytest.raises(ValueError, match=r"labels\[0\] = 3 must be between 0 and 2, the last"):
        train(tiny(), Examples(np.zeros((1, 16, 4), int), [3]), Rule(), epochs=1, seed=0)
    with pytest.raises(ValueError, match="epochs must be at least 1, not 0"):
        train(tiny(), busy(tiny()), Rule(), epochs=0, seed=0)


# ---------------------------------------------------------------------------------- make_network


def test_makes_the_network_it_was_asked_for():
    net = make_network(
        channels=140,
        units=700,
        hidden=(24, 16),
        classes=20,
        steps=100,
        dt_ms=10.0,
        seed=0,
        delay="synaptic",
        recurrent="none",
    )
    assert [(p.name, p.size) for p in net.populations] == [
        ("input", 140),
        ("hidden1", 24),
        ("hidden2", 16),
        ("readout", 20),
    ]
    assert [(p.name, p.delay, p.max_delay) for p in net.projections] == [
        ("input_to_hidden1", "synaptic", 40),
        ("hidden1_to_hidden1", "none", 1),
        ("hidden1_to_hidden2", "synaptic", 40),
        ("hidden2_to_hidden2", "none", 1),
        ("hidden2_to_readout", "none", 0),
    ]
    assert net.population("hidden1").alpha[0] == np.exp(-10 / 15)
    assert 19 < net.projections[0].delays.mean() < 21


def test_zero_delays_are_the_smallest_possible():
    net = make_network(
        channels=4, hidden=[3], classes=2, steps=9, dt_ms=1.0, seed=0, delays="zero",
        recurrent="axonal",
    )  # fmt: skip
    assert [p.delays.max() for p in net.projections] == [0, 1, 0]


def test_refuses_networks():
    with pytest.raises(ValueError, match="delays must be 'random' or 'zero', not 'one'"):
        make_network(channels=4, hidden=[3], classes=2, steps=9, dt_ms=1.0, seed=0, delays="one")
    with pytest.raises(ValueError, match="hidden must name the size of at least one"):
        make_network(channels=4, hidden=[], classes=2, steps=9, dt_ms=1.0, seed=0)


def test_refuses_neurons_without_a_trace():
    plain = tiny()
    hidden = plain.population("hidden")
    for other, sentence in (
        (replace(hidden, alpha_syn=0.5), "no traces for synaptic currents: alpha_syn must be 0"),
        (replace(hidden, compare=Compare.GT), "hidden: the three-factor trainer compares with >="),
    ):
        swapped = tuple(other if p is hidden else p for p in plain.populations)
        with pytest.raises(ValueError, match=sentence):
            train(replace(plain, populations=swapped), toy(), Rule(), epochs=1, seed=0)


def test_first_weights_from_the_input_have_the_scale_they_are_told():
    same = {"channels": 4, "hidden": (30,), "classes": 3, "steps": 9, "dt_ms": 1.0, "seed": 5}
    usual, wide = make_network(**same), make_network(**same, input_scale=0.8)
    into, out = wide.projections
    assert into.weights == pytest.approx(10 * usual.projections[0].weights)
    assert (out.weights == usual.projections[1].weights).all()


@pytest.mark.parametrize("mode", ["axonal", "dendritic", "synaptic"])
def test_delays_of_the_weakest_weights_are_drawn_anew(mode):
    network = tiny(mode)
    still = Rule(weight_rate=0, delay_rate=0, bias_rate=0, redrawn=0.4)
    into, _ = network.projections
    worth = {"axonal": abs(into.weights).sum(0), "dendritic": abs(into.weights).sum(1)}.get(
        mode, abs(into.weights)
    )
    weakest = worth <= np.sort(worth.ravel())[int(0.4 * worth.size) - 1]
    seen = []
    for epochs in (1, 2, 4):
        result = train(network, busy(network), still, epochs=epochs, seed=1)
        delays = result.network.projections[0].delays.reshape(worth.shape)
        before = into.delays.reshape(worth.shape).astype(np.float32)
        assert (delays[~weakest] == before[~weakest]).all()
        assert delays.min() >= 0
        assert delays.max() <= 6
        seen.append(delays)
        # What is drawn after the last epochs would have no time to learn.
        assert (delays[weakest] != before[weakest]).all() == (epochs > 1)
    assert len(np.unique(seen[1])) > weakest.sum() / 2
    none = train(network, busy(network), replace(still, redrawn=0.0), epochs=4, seed=1)
    assert (none.network.projections[0].delays == into.delays.astype(np.float32)).all()


def test_a_share_of_more_than_everything_is_refused():
    with pytest.raises(ValueError, match=r"redrawn must be between 0 and 1, not 1\.5"):
        Rule(redrawn=1.5)
