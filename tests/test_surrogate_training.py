"""Training with surrogate gradients: delays, neurons and networks as modules."""

import gc
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from learn import Examples, make_network
from learn.surrogate import Kernel, Rewiring, Surrogate
from learn.surrogate.delays import DelayedLinear, spread
from learn.surrogate.network import SpikingNetwork
from learn.surrogate.train import train_surrogate
from model import (
    Compare,
    Delay,
    Input,
    Lif,
    Network,
    Projection,
    Readout,
    Reset,
    load,
    save,
    simulate,
)
from ranvier.cli import main

STEPS = 30
# Tests run side by side.
torch.set_num_threads(1)


def events(*shape, seed=0, rate=0.2):
    return np.random.default_rng(seed).poisson(rate, shape).astype(np.uint8)


def made(mode, least, kernel, sigma, compact):
    torch.manual_seed(0)
    return DelayedLinear(
        7, 5, delay=mode, max_delay=12, min_delay=least, kernel=kernel, sigma=sigma, compact=compact
    ).double()


def stepped(module, x):
    """What arrives, step by step over a delay line."""
    line, rows = module.line(*x.shape[:2]), []
    for now in x.unbind(1):
        if module.min_delay == 0:
            line.emit(now)
        rows.append(line.arrive())
        if module.min_delay == 1:
            line.emit(now)
    return torch.stack(rows, 1)


def whole(module, x):
    """What arrives, from the kernels as a formula says them; one synapse after another."""
    low, high = module.min_delay, module.max_delay
    delays = module.delays.detach().numpy()
    post, pre = module.weight.shape
    delays = np.broadcast_to(
        delays[:, None] if module.delay == "dendritic" else delays, (post, pre)
    )
    width = 0 if module.delay == "none" else module.sigma
    y = np.zeros((*x.shape[:2], post))
    for j in range(post):
        for i in range(pre):
            d, taps = delays[j, i], {}
            for n in range(low, high + 1):
                away = abs(n - d)
                if width == 0:
                    taps[n] = float(n == np.rint(d))
                elif module.kernel == "hat":
                    taps[n] = max(0.0, 1 + width - away)
                elif away <= max(1, 3 * width):
                    taps[n] = math.exp(-((away / width) ** 2) / 2)
            scale = module.weight[j, i].item() / sum(taps.values())
            for n, tap in taps.items():
                y[:, n:, j] += scale * tap * x[:, : STEPS - n, i]
    return y


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("sigma", [0.0, 0.5, 2.3])
@pytest.mark.parametrize("mode", list(Delay))
@pytest.mark.parametrize("kernel", list(Kernel))
def test_every_way_over_a_delay_gives_the_formula_and_one_gradient(kernel, mode, sigma, least):
    counts = events(3, STEPS, 7).astype(float)
    gradients = []
    for compact in (False, True):
        for way in (DelayedLinear.forward, stepped):
            module = made(mode, least, kernel, sigma, compact)
            x = torch.from_numpy(counts).requires_grad_()
            y = way(module, x)
            np.testing.assert_allclose(y.detach(), whole(module, counts), atol=1e-8)
            (y * torch.cos(torch.arange(y.numel()).double()).reshape(y.shape)).sum().backward()
            gradients.append([x.grad, module.weight.grad, module.delays.grad])
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            assert (one is None and (two is None or not two.any())) or torch.allclose(one, two)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("kernel", list(Kernel))
@pytest.mark.parametrize("mode", ["axonal", "dendritic", "synaptic"])
def test_gradients_are_those_of_finite_differences(mode, kernel, compact):
    module = made(mode, 0, kernel, 1.3, compact)
    x = torch.from_numpy(events(1, 16, 7).astype(float)).requires_grad_()

    def arrived(weight, delays, x):
        state = {"weight": weight, "delays": delays}
        return torch.func.functional_call(module, state, (x,))

    # Away from lags, where hats have their corners, and from the ends, where delays are clamped.
    delays = (module.delays.detach().clamp(3, 9).floor() + 0.4).requires_grad_()
    assert torch.autograd.gradcheck(arrived, (module.weight, delays, x), nondet_tol=0)


def test_hat_is_that_of_delrec():
    # max(0, s - |t - (1 + d)|) / s**2 with s = 1 + sigma, which sums to 1 for a whole s.
    lags, s = torch.arange(20.0), 4.0
    d = torch.tensor([7.25, 8.0])
    expected = torch.relu(s - (lags - (1 + d)[:, None]).abs()) / s**2
    assert torch.allclose(spread(1 + d, lags, s - 1, Kernel.HAT), expected)


def test_hat_of_width_nearly_0_interpolates_and_width_0_rounds_half_to_even():
    lags = torch.arange(5.0)
    near = spread(torch.tensor([1.25]), lags, 1e-6, Kernel.HAT)
    assert torch.allclose(near, torch.tensor([[0, 0.75, 0.25, 0, 0]]), atol=1e-5)
    at = spread(torch.tensor([1.5, 2.5]), lags, 0, Kernel.HAT)
    assert at.argmax(-1).tolist() == [2, 2]


def test_narrow_gauss_has_no_delay_without_taps():
    taps = spread(torch.tensor([1.5, 2.0]), torch.arange(5.0), 0.01, Kernel.GAUSS)
    assert taps.tolist() == [[0, 0.5, 0.5, 0, 0], [0, 0, 1, 0, 0]]


def test_impossible_delays_are_refused():
    with pytest.raises(ValueError, match="max_delay must be at least min_delay = 1 >= 0, not 0"):
        DelayedLinear(2, 2, min_delay=1, max_delay=0)


# ---------------------------------------------------------------------------- networks as modules


def network(seed=0, currents=False, reset=Reset.SUBTRACT, compare=Compare.GE, backward=True):
    """Two hidden populations with every delay mode: a skip, a loop in each, one back."""
    rng = np.random.default_rng(seed)
    sizes = {"in": 6, "a": 8, "b": 7, "out": 4}

    def neurons(name):
        n = sizes[name]
        given = {"alpha": rng.uniform(0.5, 0.95, n), "bias": rng.normal(0, 0.02, n)}
        given["alpha_syn"] = rng.uniform(0.3, 0.8, n) if currents else np.zeros(n)
        return given

    def hidden(name):
        return Lif(
            name, sizes[name], threshold=rng.uniform(0.5, 1, sizes[name]), reset=reset,
            compare=compare, **neurons(name),
        )  # fmt: skip

    populations = (
        Input("in", 6, 6), hidden("a"), hidden("b"), Readout("out", 4, **neurons("out"))
    )  # fmt: skip
    joined = [
        ("in", "a", Delay.SYNAPTIC, 0), ("in", "b", Delay.AXONAL, 0),
        ("a", "b", Delay.DENDRITIC, 0),
        ("a", "a", Delay.SYNAPTIC, 1), ("b", "b", Delay.AXONAL, 1), ("b", "out", Delay.NONE, 0),
        ("a", "out", Delay.SYNAPTIC, 0),
    ]  # fmt: skip
    if backward:
        joined.append(("b", "a", Delay.SYNAPTIC, 1))
    projections = []
    for pre, post, mode, least in joined:
        shape = {
            "none": (), "axonal": (sizes[pre],), "dendritic": (sizes[post],),
            "synaptic": (sizes[post], sizes[pre]),
        }[mode]  # fmt: skip
        projections.append(
            Projection(
                f"{pre}.{post}",
                pre,
                post,
                rng.normal(0, 0.5, (sizes[post], sizes[pre])),
                mode,
                rng.uniform(least, 9, shape),
                9,
            )
        )
    return Network(1.0, STEPS, populations, tuple(projections))


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("compare", list(Compare))
@pytest.mark.parametrize("reset", list(Reset))
@pytest.mark.parametrize("currents", [False, True])
def test_spikes_of_the_module_are_those_of_its_network(currents, reset, compare, backward, compact):
    module = SpikingNetwork(network(1, currents, reset, compare, backward), compact=compact)
    module.sigma = 0.0
    out = module.to_network()
    counts = events(20, STEPS, 6)
    with torch.no_grad():
        ran = module.run(torch.from_numpy(counts).double())
    expected = simulate(out, counts, record=["spikes", "readout"])
    for name, spikes in expected.spikes.items():
        assert 0.02 < spikes.mean() < 0.9
        assert (ran[name].numpy() == spikes).all()
    assert (ran["out"].numpy() == expected.readout).all()


def test_network_survives_the_module_and_its_file(tmp_path):
    first = SpikingNetwork(network()).to_network()
    save(first, tmp_path / "n.npz")
    again = SpikingNetwork(load(tmp_path / "n.npz")).to_network()
    for one, two in zip(first.projections, again.projections, strict=True):
        assert (one.weights == two.weights).all()
        assert (one.delays == two.delays).all()
        assert (first.steps_of(one) == again.steps_of(two)).all()
    for one, two in zip(first.populations[1:], again.populations[1:], strict=True):
        assert (one.alpha == two.alpha).all()
        assert (one.bias == two.bias).all()


class Spike(torch.autograd.Function):
    """A step, whose derivative is a bell."""

    @staticmethod
    def forward(ctx, v, scale):
        ctx.save_for_backward(v)
        ctx.scale = scale
        return (v >= 0).to(v.dtype)

    @staticmethod
    def backward(ctx, by_z):
        (v,) = ctx.saved_tensors
        return by_z * ctx.scale * torch.exp(-0.5 * (v / 0.5) ** 2), None


def plain(module, net, counts, reset_path, scale):
    """The network, one step after another, from what has been emitted in all steps before."""
    sent = {"in": list(counts.unbind(1))}
    u = {p.name: 0.0 for p in net.populations}
    current = dict(u)
    for t in range(STEPS):
        for p in net.populations[1:]:
            got = 0.0
            for q in net.projections:
                if q.post != p.name:
                    continue
                m = module.projection(q.name)
                taps = m.taps()
                taps = taps[:, None] if q.delay == "dendritic" else taps
                kernel = (m.weight[..., None] * taps).expand(*m.weight.shape, m.lags)
                for n in range(m.lags):
                    if t - n - m.min_delay >= 0:
                        got = got + sent[q.pre][t - n - m.min_delay] @ kernel[..., n].T
            neurons = module.population(p.name)
            current[p.name] = neurons.alpha_syn * current[p.name] + got
            v = neurons.alpha * u[p.name] + current[p.name] + neurons.bias
            if isinstance(p, Lif):
                z = Spike.apply(v - neurons.threshold, scale)
                gone = z if reset_path else z.detach()
                v = v * (1 - gone) if p.reset == "zero" else v - neurons.threshold * gone
            u[p.name] = v
            sent.setdefault(p.name, []).append(z if isinstance(p, Lif) else v)
    return torch.stack(sent["out"], 1)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize(
    ("reset", "reset_path", "scale"), [("zero", True, 1.0), ("subtract", False, 0.3)]
)
@pytest.mark.parametrize("backward", [False, True])
def test_gradients_are_those_of_a_plain_loop(backward, reset, reset_path, scale, compact):
    net = network(2, currents=True, reset=Reset(reset), backward=backward)
    module = SpikingNetwork(net, kernel="hat", compact=compact)
    module.sigma = 1.5
    for name in ("a", "b"):
        module.neurons(name).reset_path = reset_path
        module.neurons(name).surrogate_scale = scale
    counts = torch.from_numpy(events(2, STEPS, 6)).double()
    found = []
    for y in (module(counts), plain(module, net, counts, reset_path, scale)):
        module.zero_grad()
        (y * torch.cos(torch.arange(y.numel()).double()).reshape(y.shape)).sum().backward()
        found.append([p.grad.clone() for p in module.parameters() if p.requires_grad])
    for one, two in zip(*found, strict=True):
        assert one.any()
        assert torch.allclose(one, two)


@pytest.mark.parametrize("compact", [False, True])
def test_a_pass_leaves_nothing_behind(compact, monkeypatch):
    net = network(2, backward=True)
    module = SpikingNetwork(net, compact=compact)
    made = []

    def line(self, recordings, steps, make=DelayedLinear.line):
        new = make(self, recordings, steps)
        made.append(weakref.ref(new._coming if compact else new))
        return new

    monkeypatch.setattr(DelayedLinear, "line", line)
    gc.disable()
    try:
        module(torch.from_numpy(events(2, STEPS, 6)).double()).sum().backward()
        assert made
        assert [one() for one in made] == [None] * len(made)
    finally:
        gc.enable()


# --------------------------------------------------------------------------------------- training


def task(recordings=120, channels=4, seed=3):
    """Which of two channels fires first, by 6 steps; others are noise."""
    rng = np.random.default_rng(seed)
    counts = (rng.random((recordings, STEPS, channels)) < 0.01).astype(np.uint8)
    labels = rng.integers(0, 2, recordings)
    for r, label in enumerate(labels):
        at = rng.integers(2, 12)
        counts[r, at, label] += 3
        counts[r, at + 6, 1 - label] += 3
    return Examples(counts, labels)


def start(**changed):
    sizes = {"channels": 4, "hidden": [10], "classes": 2, "steps": STEPS}
    net = make_network(
        **{**sizes, "dt_ms": 1.0, "tau_ms": 4.0, "max_delay": 10, "seed": 1, **changed}
    )
    bigger = [
        replace(p, weights=p.weights * 10) if p.pre == "input" else p for p in net.projections
    ]
    return replace(net, projections=tuple(bigger))


@pytest.mark.parametrize("objective", ["mean", "steps"])
@pytest.mark.parametrize("kernel", list(Kernel))
@pytest.mark.parametrize(("delay", "recurrent"), [("synaptic", None), ("axonal", "synaptic")])
def test_training_learns_an_order_by_delays(delay, recurrent, kernel, objective):
    examples, held_out = task(), task(seed=4)
    rule = Surrogate(batch=10, weight_rate=2e-2, kernel=kernel, objective=objective)
    first = start(delay=delay, recurrent=recurrent)
    result = train_surrogate(first, examples, rule, epochs=12, seed=0, held_out=held_out)
    classes = simulate(result.network, held_out.counts).classes
    assert (classes == held_out.labels).mean() == max(e.held_out_accuracy for e in result.history)
    assert (classes == held_out.labels).mean() > 0.9
    assert [e.sigma for e in result.history][::11] == pytest.approx([4.0, 0.1])
    for p, q in zip(first.projections, result.network.projections, strict=True):
        assert (p.delay == Delay.NONE) == (p.delays == q.delays).all()
        assert q.delays.min() >= first.min_delay(p)
        assert q.delays.max() <= q.max_delay


@pytest.mark.parametrize(
    "changed", [{"surrogate_scale": 1.0}, {"surrogate_width": 0.2}, {"reset_path": True}]
)
def test_what_is_said_of_spikes_reaches_the_neurons(changed):
    def moved(rule):
        first = start()
        result = train_surrogate(first, task(20), rule, epochs=1, seed=0)
        return result.network.projections[0].weights - first.projections[0].weights

    plain = Surrogate(batch=20, optimizer="sgd", weight_rate=1.0, delay_rate=0.0)
    one, other = moved(plain), moved(replace(plain, **changed))
    assert one.any()
    assert (one != other).any()
    if "surrogate_scale" in changed:
        # One hidden layer: a common factor of its gradients.
        assert other == pytest.approx(one / plain.surrogate_scale, rel=1e-3, abs=1e-5)


def test_delays_alone_find_those_of_a_teacher():
    # One neuron that does not fire is a sum of delayed traces: only delays can make it equal.
    rng = np.random.default_rng(0)
    teacher, began = rng.integers(4, 17, 12).astype(float), None
    module = DelayedLinear(12, 1, max_delay=20, sigma=4.0)
    with torch.no_grad():
        module.weight.fill_(0.3)
        module.delays.copy_(
            torch.tensor(teacher + rng.choice([-5, -3, 3, 5], 12)).clamp(0, 20)[None]
        )
        began = (module.delays[0] - torch.tensor(teacher)).abs().mean()
    descent = torch.optim.Adam([module.delays], lr=0.15)
    x = torch.from_numpy(events(16, 60, 12, rate=0.08)).float()
    true = torch.stack([torch.roll(x[..., i], int(n), 1) for i, n in enumerate(teacher)], 2)
    for n, i in zip(teacher, range(12), strict=True):
        true[:, : int(n), i] = 0
    wanted = 0.3 * true.sum(2, keepdim=True)
    for step in range(300):
        module.sigma = 4.0 * (0.5 / 4.0) ** (step / 299)
        descent.zero_grad()
        ((module(x) - wanted) ** 2).sum().backward()
        descent.step()
    assert began > 3
    assert (module.delays[0].round() - torch.tensor(teacher)).abs().mean() < 0.5


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path):
    rule = Surrogate(
        batch=20, channel_shift=1, connections=0.5, active_delays=0.5, rewiring="rigl",
        rate_strength=0.1,
    )  # fmt: skip
    first, examples, path = start(delay="synaptic"), task(60), tmp_path / "c"

    def run(checkpoint, progress):
        return train_surrogate(
            first, examples, rule, epochs=4, seed=5, checkpoint=checkpoint, progress=progress
        )

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    uninterrupted = run(None, None)
    with pytest.raises(KeyboardInterrupt):
        run(path, stop)
    numbers = []
    again = run(path, lambda epoch: numbers.append(epoch.number))
    assert numbers == [3, 4]
    assert again.history == uninterrupted.history
    for p, q in zip(again.network.projections, uninterrupted.network.projections, strict=True):
        assert (p.weights == q.weights).all()
        assert (p.delays == q.delays).all()
    other = replace(rule, connections=0.6)
    with pytest.raises(ValueError, match=r"belongs to a run with rule.connections 0.5, not 0.6"):
        train_surrogate(first, examples, other, epochs=4, seed=5, checkpoint=path)


@pytest.mark.parametrize("rewiring", list(Rewiring))
@pytest.mark.parametrize("delay", ["axonal", "dendritic", "synaptic"])
def test_no_more_synapses_and_delays_than_told(delay, rewiring):
    rule = Surrogate(
        batch=20, weight_rate=5e-2, connections=0.4, active_delays=0.5, rewiring=rewiring
    )
    first = start(delay=delay, recurrent="synaptic", channels=10)
    seen = []
    examples = task(60, channels=10)
    made = train_surrogate(first, examples, rule, epochs=4, seed=0).network
    for p in made.projections:
        if p.post == "readout":
            assert p.weights.all()
            continue
        share = round(0.4 * p.weights.size)
        assert np.count_nonzero(p.weights) <= share
        assert np.count_nonzero(p.weights) >= 0.8 * share
        could = share if p.delay is Delay.SYNAPTIC else p.delays.size
        active = p.delays != made.min_delay(p)
        assert 0 < active.sum() <= round(0.5 * could)
        if p.delay is Delay.SYNAPTIC:
            seen.append(p.weights != 0)
    fixed = train_surrogate(first, examples, replace(rule, rewiring="fixed"), epochs=1, seed=0)
    kept = [p.weights != 0 for p in fixed.network.projections if p.delay is Delay.SYNAPTIC]
    moved = any((one != two).any() for one, two in zip(seen, kept, strict=True))
    assert moved == (rewiring is not Rewiring.FIXED)


def test_rate_strength_pulls_at_the_number_of_spikes():
    rates = []
    for strength in (0.0, 10.0):
        rule = Surrogate(batch=5, weight_rate=3e-2, rate_strength=strength, rate_target=0.0)
        rates.append(train_surrogate(start(), task(60), rule, epochs=4, seed=0).history[-1])
    assert rates[1].spike_rates["hidden"] < 0.5 * rates[0].spike_rates["hidden"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("kernel", "box", "kernel must be one of hat, gauss, not 'box'"),
        ("sigma_end", 0.0, "sigma_end must be a positive number, not 0.0"),
        ("surrogate_scale", 0.0, "surrogate_scale must be a positive number, not 0.0"),
        ("connections", 0.0, "connections must be above 0: a network needs synapses"),
        ("active_delays", 1.5, "active_delays must be between 0 and 1, not 1.5"),
        ("rewiring", "set", "rewiring must be one of fixed, rigl, deep-r, not 'set'"),
        ("batch", 0, "batch must be at least 1, not 0"),
    ],
)
def test_impossible_choices_are_refused(field, value, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        Surrogate(**{field: value})


def run(arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], standalone_mode=False)


def test_command_trains_a_network_that_quantizes(tmp_path):
    train = ["train", "digits:train", "--rule", "surrogate", "--hidden", 8]
    train += ["--epochs", 1, "--batch", 128, "--connections", 0.5]
    ran = run([*train, "--delay", "synaptic", "--rewiring", "rigl", "-o", tmp_path / "n.npz"])
    assert not ran.exception, ran.exception
    made = load(tmp_path / "n.npz")
    assert made.provenance["trainer"] == "surrogate"
    assert made.provenance["rule.rewiring"] == "rigl"
    assert (made.projections[0].weights == 0).mean() == pytest.approx(0.5, abs=0.05)
    ran = run(["quantize", tmp_path / "n.npz", "-o", tmp_path / "n.ranvier"])
    assert not ran.exception, ran.exception


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--smallest-rise", 1],
            "--smallest-rise is an option of --rule eventprop and --rule delgrad, not",
        ),
        (["--sigma-end", 0], "sigma_end must be a positive number, not 0.0"),
        (["--device", "nowhere"], "device 'nowhere'"),
    ],
)
def test_command_refuses_what_the_rule_does_not_have(tmp_path, arguments, said):
    output = tmp_path / "n.npz"
    ran = run(["train", "digits:train", "--rule", "surrogate", *arguments, "-o", output])
    assert said in str(ran.exception)
    assert not output.exists()
