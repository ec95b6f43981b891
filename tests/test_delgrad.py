"""DelGrad: first spikes against membranes that are sums, gradients against finite differences."""

import math
from dataclasses import replace
from functools import cache, partial
from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import lambertw

from events import yin_yang
from learn import DelGrad, Examples, make_first_spike_network, train_delgrad
from learn.delgrad import first_spikes
from learn.kernels.delgrad import lambert
from model import Compare, Delay, Projection, Reset, simulate
from model.importers import Settings, import_network
from model.layout import rebuild
from tests.torch_writer import Module, write_torch

STEPS, CHANNELS, CLASSES = 600, 5, 3
EXACT = DelGrad(pull=0.0, output_pull=0.0, smallest_rise=0.0)


def drawn(ratio, mode, hidden=(6, 4), seed=4):
    """A network with delays of up to 1 synaptic time constant, and three recordings."""
    network = make_first_spike_network(
        channels=CHANNELS, hidden=hidden, classes=CLASSES, steps=STEPS, dt_ms=0.1, seed=seed,
        tau_ms=10.0 * ratio, delay=mode, max_delay=100,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    counts = np.zeros((3, STEPS, CHANNELS), np.uint8)
    for recording, channel in product(range(3), range(CHANNELS)):
        # One channel fires twice, another two events at once.
        for step in rng.integers(5, 200, 1 + (channel == 1)):
            counts[recording, step, channel] = 1 + (channel == 2)
    return network, Examples(counts, np.arange(3))


# ------------------------------------------------------------------ membranes as sums, an oracle


def answer(s, a, b):
    """V at time s of a weight of 1 at time 0."""
    late = np.maximum(s, 0)
    return late * a ** (late - 1) if a == b else (a**late - b**late) / (a - b)


class Sums:
    """First spikes of one recording: the first crossing on a fine grid, then a root."""

    def __init__(self, network, counts):
        self.network, self.last = network, network.steps
        step, self.channel = np.nonzero(counts)
        self.step, self.count = step.astype(float), counts[step, self.channel].astype(float)
        self.near = {}

    def layers(self, network):
        joined = [p for p in network.projections if p.pre != p.post and p.post != "readout"]
        times, units, counts = self.step, self.channel, self.count
        found = []
        for p in joined:
            lag = p.delays[:, None] if p.delay is Delay.DENDRITIC else p.delays
            lag = np.broadcast_to(lag, p.weights.shape)
            post = network.population(p.post)
            fired = np.array(
                [
                    self.first(p.name, j, post, times + lag[j, units], counts * p.weights[j, units])
                    for j in range(post.size)
                ]
            )
            found.append(fired)
            units = np.flatnonzero(fired < np.inf)
            times, counts = fired[units], np.ones(units.size)
        return found

    def first(self, name, j, post, times, weights):
        """The first spike; near that of the network before, once there was one."""
        a, b = post.alpha[j], post.alpha_syn[j]
        a = b if a == pytest.approx(b, rel=1e-9) else a

        def above(t):
            return float(weights @ answer(t - times, a, b)) - post.threshold[j]

        if (name, j) not in self.near:
            grid = np.linspace(0, self.last, 20 * self.last + 1)
            v = weights @ answer(grid - times[:, None], a, b) if times.size else 0 * grid
            over = np.flatnonzero(v > post.threshold[j])
            self.near[name, j] = np.inf
            if over.size:
                self.near[name, j] = brentq(above, *grid[over[0] - 1 : over[0] + 1], xtol=1e-13)
        old = self.near[name, j]
        if old == np.inf:
            return old
        # By the rule of the secant, from the spike of the network before.
        new = old + 1e-5
        below, here = above(old), above(new)
        while abs(here) > 1e-14 and here != below:
            old, new = new, new - here * (new - old) / (here - below)
            below, here = here, above(new)
        return new


def loss_of(times, label, objective, network, margin):
    """The objective, as its words say."""
    t = times * -math.log(network.population("output").alpha_syn[0])
    last = network.steps * -math.log(network.population("output").alpha_syn[0])
    if objective == "softmax":
        x = -np.minimum(t, last) / margin
        return math.log(np.exp(x - x[label]).sum())
    others = [t[k] for k in range(len(t)) if k != label and t[k] < np.inf]
    return sum((other - min(t[label], last) - margin) ** 2 for other in others)


def found(network, examples, rule, learn=True):
    engine = first_spikes(network, rule)
    chosen, still = np.arange(len(examples)), np.zeros(len(examples), np.int64)
    layout = engine.layout
    return engine.find(layout.weights, layout.delays, examples, chosen, still, learn=learn)


CASES = list(product((1, 2), ("none", "axonal", "dendritic", "synaptic")))


@pytest.mark.parametrize(("ratio", "mode"), CASES)
def test_losses_and_classes_are_those_of_summed_membranes(ratio, mode):
    network, examples = drawn(ratio, mode)
    outputs = [Sums(network, counts).layers(network)[-1] for counts in examples.counts]
    for objective in ("softmax", "shift"):
        rule = replace(EXACT, objective=objective)
        here = found(network, examples, rule)
        theirs = [
            loss_of(times, label, objective, network, rule.margin)
            for times, label in zip(outputs, examples.labels, strict=True)
        ]
        assert here.losses == pytest.approx(theirs, rel=1e-8, abs=1e-10)
        firsts = [t.argmin() if t.min() < np.inf else -1 for t in outputs]
        assert here.classes.tolist() == firsts


@pytest.mark.parametrize(("ratio", "mode"), CASES)
def test_gradients_are_finite_differences_of_summed_membranes(ratio, mode):
    network, examples = drawn(ratio, mode)
    rules = [replace(EXACT, objective=objective) for objective in ("softmax", "shift")]
    exact = [found(network, examples, rule) for rule in rules]
    layout = first_spikes(network, EXACT).layout
    truths = [Sums(network, counts) for counts in examples.counts]
    for truth in truths:
        truth.layers(network)

    def losses(weights, delays):
        other = rebuild(network, weights, delays, layout.neurons[1])
        times = [truth.layers(other)[-1] for truth in truths]
        labelled = list(zip(times, examples.labels, strict=True))
        return np.array(
            [sum(loss_of(t, k, r.objective, network, r.margin) for t, k in labelled) for r in rules]
        )

    rng = np.random.default_rng(0)
    for name, step in (("weights", 1e-6), ("delays", 1e-4)):
        analytic = np.array([getattr(g, name) for g in exact])
        if mode == "none" and name == "delays":
            assert not analytic.any()
            continue
        # The largest ones, which say most, and others drawn.
        large = np.abs(analytic).argsort(axis=1)[:, -4:].ravel()
        scale = np.abs(analytic).max(axis=1)
        for n in {*large.tolist(), *rng.integers(0, analytic.shape[1], 6).tolist()}:
            moved = []
            for k in (-2, -1, 1, 2):
                values = {"weights": layout.weights.copy(), "delays": layout.delays.copy()}
                values[name][n] += k * step
                moved.append(losses(**values))
            slope = (8 * (moved[2] - moved[1]) - (moved[3] - moved[0])) / (12 * step)
            assert analytic[:, n] == pytest.approx(slope, rel=1e-6, abs=1e-7 * scale.min())


def test_all_arrivals_later_are_the_spike_as_much_later():
    network, examples = drawn(2, "synaptic", hidden=(6,))
    here = found(network, examples, replace(EXACT, objective="shift"))
    layout = first_spikes(network, EXACT).layout
    # The objective has differences of output times only: a delay more everywhere into one layer.
    last = slice(30 + 1, 30 + 1 + 18)
    assert layout.delays.size == last.stop + 2
    assert here.delays[last].reshape(6, 3).sum() == pytest.approx(0, abs=1e-12)
    assert np.abs(here.delays[last]).max() > 1e-3


def test_lambert_is_lamberts():
    z = -np.exp(-1 - np.logspace(-9, 2, 200))
    assert [lambert(x) for x in z] == pytest.approx(lambertw(z).real, rel=1e-9)
    assert lambert(-1 / math.e) == pytest.approx(-1, abs=1e-7)


# ------------------------------------------------------------------ one neuron, by hand


def single(weights, times, ratio=2, **rule):
    """What is found for two outputs, one with these weights, of channels that fire at `times`."""
    network = make_first_spike_network(
        channels=len(times), hidden=(1,), classes=2, steps=200, dt_ms=1.0, seed=0,
        tau_syn_ms=20.0, tau_ms=20.0 * ratio, delay="none", max_delay=0,
    )  # fmt: skip
    layout = first_spikes(network, EXACT).layout
    w = layout.weights.copy()
    w[: len(times)] = weights
    network = rebuild(network, w, layout.delays, layout.neurons[1])
    counts = np.zeros((1, 200, len(times)), np.uint8)
    for channel, time in enumerate(times):
        counts[0, time, channel] = 1
    return found(network, Examples(counts, np.array([0])), replace(DelGrad(), **rule))


def test_a_spike_needs_a_membrane_that_reaches_the_threshold():
    a, b = math.exp(-1 / 40), math.exp(-1 / 20)
    # The largest value of (a^s - b^s) / (a - b) with b = a^2 is 1/4 over a - b.
    least = 4 * (a - b)
    assert single([least * 0.999], [0]).emitted[1] == 0
    assert single([least * 1.001], [0]).emitted[1] == 1
    # With a peak at s = 40 log 2 = 27.7, two halves 20 apart do not reach what they do at once.
    assert single([least * 0.501, least * 0.501], [0, 0]).emitted[2] == 1
    assert single([least * 0.501, least * 0.501], [0, 20]).emitted[2] == 0


def test_an_inhibition_in_time_prevents_the_spike():
    for ratio in (1, 2):
        assert single([1.0, -2.0], [10, 10], ratio).emitted[2] == 0
        assert single([1.0, -2.0], [10, 150], ratio).emitted[2] == 1


def test_what_stays_silent_is_pulled_by_its_peak():
    a, b = math.exp(-1 / 40), math.exp(-1 / 20)
    weight = 2 * (a - b)
    here = single([weight], [0], pull=0.5)
    assert here.classes[0] == -1
    # The peak of a weight of 1 is 1/4 over a - b, wherever its weight is.
    assert here.weights[0] == pytest.approx(-0.5 / 4 / (a - b), rel=1e-12)
    assert single([weight], [0], pull=0.0).weights[0] == 0
    # Only inhibited: the largest membrane is that before anything came.
    assert single([-weight], [0], pull=0.5).weights[0] == 0


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_pull_is_by_the_largest_of_all_membranes(ratio):
    a, b = math.exp(-1 / 20 / ratio), math.exp(-1 / 20)
    weights, times = np.array([0.04, 0.03, -0.04]), np.array([0, 18, 90])
    t = np.linspace(0, 200, 200001)
    v = weights @ answer(t - times[:, None], a, b)
    assert 0.3 < v.max() < 1
    here = single(weights, times, ratio)
    assert here.weights[:3] == pytest.approx(-answer(t[v.argmax()] - times, a, b), rel=1e-3)
    assert here.weights[2] == pytest.approx(0, abs=1e-3)


def test_an_arrival_in_the_moment_of_the_crossing_leaves_the_spike_where_it_is():
    network = make_first_spike_network(
        channels=2, hidden=(1,), classes=2, steps=200, dt_ms=1.0, seed=0, tau_syn_ms=20.0,
        max_delay=100,
    )  # fmt: skip
    engine = first_spikes(network, EXACT)
    weights, delays = engine.layout.weights.copy(), engine.layout.delays.copy()
    counts = np.zeros((1, 200, 2), np.uint8)
    counts[0, 0] = 1
    examples, one, still = Examples(counts, np.zeros(1, int)), np.zeros(1, int), np.zeros(1, int)
    a, b = math.exp(-1 / 40), math.exp(-1 / 20)
    for weight in np.linspace(4.1, 40, 300) * (a - b):
        part = weight / (a - b)
        crossing = math.log((part + math.sqrt(part**2 - 4 * part)) / (2 * part)) / math.log(a)
        weights[:2], delays[:2] = (weight, 0.3), (0, crossing)
        found = engine.find(weights, delays, examples, one, still, learn=False)
        assert found.emitted[2] == 1, f"weight {weight}"


# ------------------------------------------------------------------ the network of steps


@cache
def points(name, number, dt_ms, steps):
    counts = yin_yang.part(name).binned(units_per_channel=1, dt_ms=dt_ms, steps=steps)
    return Examples(counts.counts[:number], counts.labels[:number])


def start(mode="synaptic", **changed):
    given = {
        "channels": 4, "hidden": (10,), "classes": 3, "steps": 240, "dt_ms": 0.2, "seed": 1,
        "delay": mode, "max_delay": 50,
    }  # fmt: skip
    return make_first_spike_network(**{**given, **changed})


@pytest.fixture(scope="module")
def learned():
    examples, network = points("train", 2000, 0.2, 240), start()
    return examples, train_delgrad(network, examples, DelGrad(batch=50), epochs=12, seed=0)


def test_learns_yin_yang(learned):
    _, result = learned
    assert result.history[-1].train_accuracy > 0.9
    assert result.network.provenance["trainer"] == "delgrad"
    test = points("test", 1000, 0.2, 240)
    exact = found(result.network, test, DelGrad(), learn=False).classes
    assert (exact == test.labels).mean() > 0.9
    # In steps it is the same network but for rounding.
    run = simulate(result.network, test.counts)
    assert (run.classes == exact).mean() > 0.95
    assert all(counts.max() == 1 for counts in run.spike_counts.values())


def test_spikes_of_the_steps_are_the_exact_ones(learned):
    examples, result = learned
    network = result.network
    whole = replace(
        network,
        projections=tuple(replace(p, delays=np.rint(p.delays)) for p in network.projections),
    )
    counts = examples.counts[:20]
    run = simulate(whole, counts, record=["spikes"])
    for n in range(len(counts)):
        exact = Sums(whole, counts[n]).layers(whole)[0]
        steps = [np.flatnonzero(s)[0] if s.any() else np.inf for s in run.spikes["hidden"][n].T]
        # A spike is sent in the step in which it falls.
        assert steps == np.floor(exact).tolist()


def test_delays_alone_learn_and_stay_in_their_bounds():
    examples = points("train", 300, 0.2, 240)
    network = start("axonal")
    rule = DelGrad(weight_rate=0.0, delay_rate=1.0, batch=30)
    result = train_delgrad(network, examples, rule, epochs=3, seed=0)
    for was, now in zip(network.projections, result.network.projections, strict=True):
        assert (was.weights.astype(np.float32) == now.weights).all()
        if was.delay is Delay.AXONAL:
            assert (was.delays != now.delays).all()
            assert now.delays.min() >= 0
            assert now.delays.max() <= 50
    assert result.history[-1].loss < result.history[0].loss


def test_training_goes_on_where_it_was_stopped(tmp_path):
    path = tmp_path / "run.npz"
    work = partial(train_delgrad, start(), points("train", 100, 0.2, 240), DelGrad(), epochs=3)
    whole = work(seed=4)

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(seed=4, checkpoint=path, progress=stop)
    rest = work(seed=4, checkpoint=path)
    assert rest.history == whole.history
    for a, b in zip(rest.network.projections, whole.network.projections, strict=True):
        assert (a.weights == b.weights).all()
        assert (a.delays == b.delays).all()


def test_a_weight_and_a_delay_move_alike_at_any_length_of_a_step():
    moved = []
    for dt_ms, steps in ((0.2, 240), (0.1, 480)):
        network = start(dt_ms=dt_ms, steps=steps, max_delay=round(10 / dt_ms))
        rule = DelGrad(batch=300)
        made = train_delgrad(network, points("train", 300, dt_ms, steps), rule, epochs=1, seed=0)
        unit = first_spikes(network, rule).gain
        for was, now in zip(network.projections[:1], made.network.projections[:1], strict=True):
            moved.append((now.weights - was.weights) / unit)
            moved.append((now.delays - was.delays) * dt_ms)
    # The very first update of Adam is one rate for everything that has a gradient.
    assert np.abs(moved[0]).max() == pytest.approx(0.02, rel=1e-3)
    assert np.abs(moved[1]).max() == pytest.approx(0.01 * 10, rel=1e-3)
    assert np.abs(moved[2]).max() == pytest.approx(0.02, rel=1e-3)
    assert np.abs(moved[3]).max() == pytest.approx(0.01 * 10, rel=1e-3)


@pytest.mark.parametrize("mode", ["axonal", "dendritic", "synaptic"])
@pytest.mark.parametrize("ratio", [1, 2])
def test_conventions_are_those_of_imported_files(tmp_path, mode, ratio):
    network = start(mode, tau_ms=10.0 * ratio, once=False)
    given = {"tau_mem": float(ratio), "tau_syn": 1.0, "threshold": 1.0, "leak": 0.0}
    unit = first_spikes(network, DelGrad()).gain
    layers = []
    for p in network.projections[:2]:
        lag = {"axonal": p.delays[:, None], "dendritic": p.delays[None]}.get(mode, p.delays.T)
        layers.append(Module("utils.DelayLayer", {"_delay_parameters": lag * 0.2 / 10}))
        weights = {"weights": p.weights.T / unit}
        layers.append(Module("utils.NeuronLayer", weights, attributes={"neuron_params": given}))
    inner = {str(n): layer for n, layer in enumerate(layers)}
    whole = Module("torch.nn.modules.container.ModuleList", {}, inner)
    path = write_torch(tmp_path / "a.pt", Module("networks.Net", {}, {"layers": whole}))
    settings = Settings(path, {"dt_ms": 0.2, "steps": 240, "tau_syn_ms": 10})
    theirs = import_network(path, settings).network
    for ours, other in zip(network.projections, theirs.projections, strict=True):
        assert other.weights == pytest.approx(ours.weights, rel=1e-12)
        assert other.delays == pytest.approx(ours.delays, rel=1e-12)
        assert other.delay is ours.delay
    for ours, other in zip(network.populations[1:], theirs.populations[1:], strict=True):
        assert other.alpha == pytest.approx(ours.alpha, rel=1e-12)
        assert other.alpha_syn == pytest.approx(ours.alpha_syn, rel=1e-12)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("objective", "mean", "objective must be one of shift, softmax, not 'mean'"),
        ("margin", 0.0, "margin must be a number above 0, not 0.0"),
        ("pull", -1.0, "pull must be a number of at least 0, not -1.0"),
        ("smallest_rise", math.nan, "smallest_rise must be a number of at least 0, not nan"),
        ("weight_rate", -1.0, "weight_rate must be a number of at least 0, not -1.0"),
        ("momentum", 1.0, "momentum must be at least 0 and less than 1, not 1.0"),
        ("batch", 0, "batch must be at least 1, not 0"),
        ("channel_shift", -1, "channel_shift must be at least 0, not -1"),
    ],
)
def test_choices_that_make_no_rule(field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(DelGrad(), **{field: value})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"tau_ms": 15.0}, "tau_ms must be tau_syn_ms, 10, or twice that"),
        ({"tau_syn_ms": 0.0}, "tau_syn_ms must be positive, not 0.0"),
        ({"delays": "none"}, "delays must be 'random' or 'zero', not 'none'"),
        ({"hidden": ()}, "hidden must name the size of at least one hidden population"),
    ],
)
def test_numbers_that_make_no_network(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        start(**changed)


def other(network, name, **changed):
    populations = [replace(p, **changed) if p.name == name else p for p in network.populations]
    return replace(network, populations=tuple(populations))


def test_networks_without_first_spikes_in_closed_form():
    network = start()
    skip = Projection("skip", "input", "output", np.ones((3, 4)), Delay.NONE, np.array(0.0), 0)
    mixed = tuple(
        replace(p, weights=np.ones((3, 3))) if p.name == "output_to_readout" else p
        for p in network.projections
    )
    third = np.array(0.97)
    cases = {
        "output: alpha must be 0.99005 for all neurons alike": other(
            network, "output", alpha=np.array([0.99, 0.98, 0.97])
        ),
        "hidden: neurons with a bias have no": other(network, "hidden", bias=np.full(10, 0.1)),
        "hidden: the membrane's time constant must be once or twice": other(
            other(network, "hidden", alpha=third), "output", alpha=third
        ),
        "input: needs one projection to hidden": replace(
            network, projections=(*network.projections, skip)
        ),
        "output_to_readout: must join each output": replace(network, projections=mixed),
    }
    for sentence, broken in cases.items():
        with pytest.raises(ValueError, match=sentence):
            train_delgrad(broken, points("train", 5, 0.2, 240), DelGrad(), epochs=1, seed=0)


def test_resets_and_comparisons_do_not_matter():
    network, examples = drawn(2, "axonal")
    here = found(network, examples, EXACT)
    for changed in ({"reset": Reset.SUBTRACT}, {"compare": Compare.GT}):
        there = found(other(network, "hidden1", **changed), examples, EXACT)
        assert (here.losses == there.losses).all()
