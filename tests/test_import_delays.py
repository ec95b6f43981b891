"""DCLS and DelRec: their own loops, written out, against what their files become here."""

import numpy as np
import pytest

from model import Delay, Reset, simulate
from model.importers import Settings, Verdict, import_network
from tests.torch_writer import write_torch

STEPS = 60
GIVEN = {
    "dt_ms": 10,
    "steps": STEPS,
    "tau_ms": 20,
    "tau_readout_ms": 40,
    "threshold": 1,
    "reset": "zero",
}


def dyadic(rng, *shape):
    """Numbers whose sums are exact in any order, so that spikes can be compared bit for bit."""
    return (rng.integers(-32, 64, shape) / 64).astype(np.float32)


def norm(rng, size):
    return {
        "weight": rng.uniform(0.5, 1.5, size).astype(np.float32),
        "bias": rng.uniform(-0.2, 0.2, size).astype(np.float32),
        "running_mean": rng.uniform(-0.2, 0.2, size).astype(np.float32),
        "running_var": rng.uniform(0.5, 2, size).astype(np.float32),
        "num_batches_tracked": np.array(7),
    }


def state_dict(**parts):
    return {
        f"{name.replace('_', '.')}.{key}": value
        for name, kept in parts.items()
        for key, value in kept.items()
    }


def read(path, form="auto", **changed):
    given = {key: value for key, value in {**GIVEN, **changed}.items() if value is not None}
    return import_network(path, Settings(path, given), form)


def verdicts(imported):
    return {finding.node: finding.verdict for finding in imported.findings}


# The originals, in the words of their authors' code.


def dcls_kernel(weight, position, size):
    """DCLS's kernel at evaluation: a hat of half width 1 around P + K//2, normalised."""
    outs, ins, taps = weight.shape
    kernel = np.zeros((outs, ins, size))
    for tap in range(taps):
        centre = np.rint(position[0, ..., tap]) + size // 2
        hat = np.maximum(0, 1 - np.abs(np.arange(size) - centre[..., None]))
        kernel += weight[..., tap, None] * hat / hat.sum(axis=-1, keepdims=True)
    return kernel


def conv1d(x, kernel, right=0):
    """A correlation over time after K - 1 zeros in front and `right` behind; x: [T, channels]."""
    size = kernel.shape[2]
    padded = np.pad(x, ((size - 1, right), (0, 0)))
    steps = len(padded) - size + 1
    return np.array([np.einsum("oik,ki->o", kernel, padded[t : t + size]) for t in range(steps)])


def batch_normed(x, kept):
    scaled = (x - kept["running_mean"]) / np.sqrt(kept["running_var"] + 1e-5)
    return kept["weight"] * scaled + kept["bias"]


def lif(x, tau, threshold=1.0, hard=True):
    """SpikingJelly's LIFNode, decay_input=False; returns spikes and membranes before the reset."""
    v, spikes, membranes = np.zeros(x.shape[1]), [], []
    for now in x:
        v = v - v / tau + now
        spike = (v >= threshold).astype(float)
        membranes.append(v)
        v = np.where(spike > 0, 0, v) if hard else v - threshold * spike
        spikes.append(spike)
    return np.array(spikes), np.array(membranes)


def delrec_loop(x, weights, delays, tau, sigma=0.0, p_spread=None, hard=True):
    """DelRec's ring buffer, axonal or synaptic; x: [T, N]; returns spikes."""
    size = len(weights)
    spread = np.full(size, 1 + sigma)
    if p_spread is not None:
        spread = 1 + 2 * sigma / (1 + np.exp(-p_spread.astype(np.float64)))
    length = int(np.ceil(1 + delays.max() + spread.max())) + 1
    support = np.arange(length)
    both = np.broadcast_to(delays, (size, size))
    mask = np.maximum(spread[None, :, None] - np.abs(support - (1.0 + both)[..., None]), 0)
    mask = mask / spread[None, :, None] ** 2
    ring, v, out = np.zeros((size, length)), np.zeros(size), []
    for now in x:
        v = v - v / tau + (now + ring[:, 0])
        spike = (v >= 1).astype(float)
        v = np.where(spike > 0, 0, v) if hard else v - spike
        ring = np.concatenate([ring[:, 1:], np.zeros((size, 1))], axis=1)
        ring[:, : length - 1] += np.einsum("o,io,iol->il", spike, weights, mask)[:, 1:]
        out.append(spike)
    return np.array(out)


def dcls_layer(rng, outs, ins, size, taps=1):
    half = size // 2
    return {
        "weight": dyadic(rng, outs, ins, taps),
        "P": rng.uniform(-half, half, (1, outs, ins, taps)).astype(np.float32),
        "SIG": np.full((1, outs, ins, taps), 0.23, np.float32),
    }


@pytest.mark.parametrize("taps", [1, 2])
@pytest.mark.parametrize("size", [1, 9, 25])
def test_dcls_without_batch_norm_is_bit_equal(tmp_path, size, taps):
    rng = np.random.default_rng(size)
    layers = [dcls_layer(rng, o, i, size, taps) for o, i in ((12, 6), (10, 12), (4, 10))]
    parts = dict(zip(("model_0", "model_3", "model_6"), layers, strict=True))
    path = write_torch(tmp_path / "a.pt", state_dict(**parts))
    imported = read(path, kernel_size=size, right_padding=0)
    assert set(verdicts(imported).values()) == {Verdict.FAITHFUL}
    x = rng.integers(0, 3, (STEPS, 6))
    here = simulate(imported.network, x[None], record=["spikes", "readout"])
    events = x
    for name, layer in zip(("hidden1", "hidden2"), layers, strict=False):
        events, _ = lif(conv1d(events, dcls_kernel(layer["weight"], layer["P"], size)), 2.0)
        assert events.any()
        assert (here.spikes[name][0] == events).all()
    last = conv1d(events, dcls_kernel(layers[2]["weight"], layers[2]["P"], size))
    _, membranes = lif(last, 4.0, threshold=1e8)
    assert here.readout[0] == pytest.approx(membranes)


def test_the_delay_of_a_position_by_hand(tmp_path):
    # K = 5: position -2 is tap 0, the oldest, 4 steps ago; position 2 is tap 4, now.
    position = np.array([-2.0, -0.4, 0.6, 2.0], np.float32).reshape(1, 1, 4, 1)
    layer = {"weight": np.ones((1, 4, 1), np.float32), "P": position}
    last = {"weight": np.ones((1, 1, 1), np.float32), "P": np.zeros((1, 1, 1, 1), np.float32)}
    path = write_torch(tmp_path / "a.pt", state_dict(model_0=layer, model_3=last))
    imported = read(path, kernel_size=5, right_padding=0)
    made = imported.network
    assert made.steps_of(made.projections[0]).tolist() == [[4, 2, 1, 0]]
    assert made.projections[0].delay is Delay.SYNAPTIC
    assert "positions rounded by up to 0.4" in imported.findings[0].reason


def test_batch_norms_biases_and_learned_time_constants(tmp_path):
    rng = np.random.default_rng(0)
    first, second = dcls_layer(rng, 12, 6, 9), dcls_layer(rng, 4, 12, 9)
    first["bias"], kept = dyadic(rng, 12), norm(rng, 12)
    w = np.array(-0.5, np.float32)
    parts = {"model_0": first, "model_1": kept, "model_2": {"w": w}, "model_4": second,
             "model_5": {"w": np.array(1.0, np.float32)}}  # fmt: skip
    path = write_torch(tmp_path / "a.pt", state_dict(**parts))
    imported = read(path, kernel_size=9, right_padding=0, tau_ms=None, tau_readout_ms=None)
    assert imported.verdict is Verdict.FAITHFUL
    x = rng.integers(0, 3, (STEPS, 6))
    here = simulate(imported.network, x[None], record=["spikes", "readout"])
    current = conv1d(x, dcls_kernel(first["weight"], first["P"], 9)) + first["bias"]
    spikes, _ = lif(batch_normed(current, kept), 1 + np.exp(0.5))
    assert spikes.any()
    assert (here.spikes["hidden1"][0] == spikes).all()
    last = conv1d(spikes, dcls_kernel(second["weight"], second["P"], 9))
    _, membranes = lif(last, 1 + np.exp(-1.0), threshold=1e8)
    assert here.readout[0] == pytest.approx(membranes)


def test_silence_behind_a_recording_is_said_and_the_rest_is_the_same(tmp_path):
    rng = np.random.default_rng(1)
    size, right = 9, 4
    layers = [dcls_layer(rng, o, i, size) for o, i in ((12, 6), (10, 12), (4, 10))]
    parts = dict(zip(("model_0", "model_3", "model_6"), layers, strict=True))
    path = write_torch(tmp_path / "a.pt", state_dict(**parts))
    imported = read(path, kernel_size=size, right_padding=right)
    assert verdicts(imported)["steps"] is Verdict.APPROXIMATE
    assert imported.network.steps == STEPS + 3 * right
    x = np.pad(rng.integers(0, 3, (STEPS, 6)), ((0, 3 * right), (0, 0)))
    here = simulate(imported.network, x[None], record=["spikes"])
    events = x[:STEPS]
    for name, layer in zip(("hidden1", "hidden2"), layers, strict=False):
        events, _ = lif(conv1d(events, dcls_kernel(layer["weight"], layer["P"], size), right), 2.0)
        assert len(events) == STEPS + right * int(name[-1])
        same = here.spikes[name][0][: STEPS + right] == events[: STEPS + right]
        assert same.all()


def recurrent_net(rng, delays, **more):
    size = len(delays)
    return {
        "layers_0": {"weight": dyadic(rng, size, 5), "bias": dyadic(rng, size) / 4},
        "layers_2": {
            "recurrent_weights": dyadic(rng, size, size) / 4,
            "recurrent_delays": delays.astype(np.float32),
            **more,
        },
        "layers_5": {"weight": dyadic(rng, 3, size), "bias": dyadic(rng, 3)},
    }


@pytest.mark.parametrize("reset", [Reset.ZERO, Reset.SUBTRACT])
@pytest.mark.parametrize("shape", [(14,), (14, 14)])
@pytest.mark.parametrize("wrapper", ["net", "model"])
def test_delrec_with_whole_delays_is_bit_equal(tmp_path, shape, reset, wrapper):
    rng = np.random.default_rng(4)
    delays = rng.integers(0, 20, shape).astype(np.float32)
    parts = recurrent_net(rng, delays)
    content = {wrapper: state_dict(**parts), "acc": 0.5, "epoch": 3}
    path = write_torch(tmp_path / "best.pth", content)
    imported = read(path, sigma=0, reset=str(reset))
    assert set(verdicts(imported).values()) == {Verdict.FAITHFUL}
    assert imported.network.provenance["import.format"] == "delrec"
    x = rng.integers(0, 3, (STEPS, 5))
    here = simulate(imported.network, x[None], record=["spikes", "readout"])
    current = x @ parts["layers_0"]["weight"].T + parts["layers_0"]["bias"]
    spikes = delrec_loop(
        current, parts["layers_2"]["recurrent_weights"], delays, 2.0, hard=reset is Reset.ZERO
    )
    assert spikes.any()
    assert (here.spikes["hidden1"][0] == spikes).all()
    last = spikes @ parts["layers_5"]["weight"].T + parts["layers_5"]["bias"]
    assert here.readout[0] == pytest.approx(lif(last, 4.0, threshold=1e8)[1])


def test_a_delay_of_nothing_takes_one_step(tmp_path):
    rng = np.random.default_rng(4)
    made = read(
        write_torch(tmp_path / "a.pt", state_dict(**recurrent_net(rng, np.array([0.0, 3.0])))),
        sigma=0,
    ).network
    assert made.steps_of(made.projections[1]).tolist() == [[1, 4], [1, 4]]


@pytest.mark.parametrize("shape", [(14,), (14, 14)])
@pytest.mark.parametrize("sigma", [0.0, 0.059, 0.9])
@pytest.mark.parametrize("spread", [False, True])
def test_a_spread_split_over_synapses_is_the_original(tmp_path, shape, sigma, spread):
    rng = np.random.default_rng(6)
    delays = rng.uniform(0, 12, shape).astype(np.float32)
    more = {"p_spread": rng.normal(size=14).astype(np.float32)} if spread else {}
    parts = recurrent_net(rng, delays, **more)
    path = write_torch(tmp_path / "a.pt", state_dict(**parts))
    imported = read(path, sigma=sigma, fraction="split")
    assert imported.verdict is Verdict.FAITHFUL
    x = rng.integers(0, 3, (STEPS, 5))
    here = simulate(imported.network, x[None], record=["spikes"])
    current = x @ parts["layers_0"]["weight"].T + parts["layers_0"]["bias"]
    rest = parts["layers_2"]
    theirs = delrec_loop(
        current,
        rest["recurrent_weights"],
        delays.astype(np.float64),
        2.0,
        sigma,
        more.get("p_spread"),
    )
    assert (here.spikes["hidden1"][0] == theirs).all()


def test_a_spread_taken_together_is_said_and_keeps_its_mass(tmp_path):
    rng = np.random.default_rng(6)
    parts = recurrent_net(rng, np.array([2.0, 3.25]))
    path = write_torch(tmp_path / "a.pt", state_dict(**parts))
    imported = read(path, sigma=0.5, fraction="round")
    finding = next(f for f in imported.findings if f.node == "layers.2")
    assert finding.verdict is Verdict.APPROXIMATE
    assert finding.reason == (
        "axonal recurrent delays of up to 4.25 steps, each over up to 3 steps, taken together at "
        "one, rounded by up to 0.25"
    )
    made = imported.network.projections[1]
    assert imported.network.steps_of(made)[0].tolist() == [3, 4]
    # s = 1.5: (0.5 + 1.5 + 0.5) / 1.5**2; a quarter off a step, (0.25 + 1.25 + 0.75) / 1.5**2.
    mass = np.array([2.5, 2.25]) / 2.25
    assert made.weights == pytest.approx(parts["layers_2"]["recurrent_weights"] * mass)
    with pytest.raises(ValueError, match=r"fraction \(round or split: .*\) is not in the file"):
        read(path, sigma=0.5)
    with pytest.raises(
        ValueError, match=r"sigma \(width of a delay kernel .*\) is not in the file"
    ):
        read(path)
    wide = read(path, sigma=9, fraction="split")
    assert wide.network is None
    assert "over 14 steps, and 8 projections may" in wide.findings[-1].reason


def test_batch_norms_on_either_side_of_the_neurons(tmp_path):
    rng = np.random.default_rng(8)
    delays = rng.integers(0, 9, 14).astype(np.float32)
    parts, before, after = recurrent_net(rng, delays), norm(rng, 14), norm(rng, 14)
    # The order of the SHD networks, and that of those for SSC.
    first = {"layers_0": parts["layers_0"], "layers_1": before, "layers_2": parts["layers_2"],
             "layers_5": parts["layers_5"]}  # fmt: skip
    other = {**{k: v for k, v in first.items() if k != "layers_1"}, "layers_4": after}
    other = dict(sorted(other.items()))
    x = rng.integers(0, 3, (STEPS, 5))
    current = x @ parts["layers_0"]["weight"].T + parts["layers_0"]["bias"]
    for made, drive, norms in (
        (first, batch_normed(current, before), None),
        (other, current, after),
    ):
        imported = read(write_torch(tmp_path / "a.pt", state_dict(**made)), sigma=0)
        assert imported.verdict is Verdict.FAITHFUL
        here = simulate(imported.network, x[None], record=["spikes", "readout"])
        spikes = delrec_loop(drive, parts["layers_2"]["recurrent_weights"], delays, 2.0)
        assert (here.spikes["hidden1"][0] == spikes).all()
        seen = spikes if norms is None else batch_normed(spikes, norms)
        last = seen @ parts["layers_5"]["weight"].T + parts["layers_5"]["bias"]
        assert here.readout[0] == pytest.approx(lif(last, 4.0, threshold=1e8)[1])


def test_a_batch_norm_behind_neurons_without_recurrence_is_told_by_its_number(tmp_path):
    rng = np.random.default_rng(8)
    first, kept = {"weight": dyadic(rng, 14, 5)}, norm(rng, 14)
    last = dcls_layer(rng, 3, 14, 9)
    # Linear, dropout, neurons, their recorder, batch norm: as the networks for SSC have them.
    parts = {"layers_0": first, "layers_4": kept, "layers_5": last}
    imported = read(
        write_torch(tmp_path / "a.pt", state_dict(**parts)), kernel_size=9, right_padding=0
    )
    assert verdicts(imported)["layers.5"] is Verdict.APPROXIMATE
    assert any("a constant that comes" in finding.reason for finding in imported.findings)
    x = rng.integers(0, 3, (STEPS, 5))
    here = simulate(imported.network, x[None], record=["spikes", "readout"])
    spikes, _ = lif(x @ first["weight"].T, 2.0)
    assert (here.spikes["hidden1"][0] == spikes).all()
    current = conv1d(batch_normed(spikes, kept), dcls_kernel(last["weight"], last["P"], 9))
    theirs = lif(current, 4.0, threshold=1e8)[1]
    # What the constant did in the first eight steps has leaked away.
    assert here.readout[0][-1] == pytest.approx(theirs[-1], rel=1e-3)


def test_a_readout_without_memory_is_asked_for_by_its_time_constant(tmp_path):
    rng = np.random.default_rng(4)
    path = write_torch(tmp_path / "a.pt", state_dict(**recurrent_net(rng, np.zeros(2))))
    assert read(path, sigma=0, tau_readout_ms=0).network.readout.alpha.tolist() == [0, 0, 0]
    with pytest.raises(
        ValueError, match=r"tau_readout_ms \(time constant of the readout\) is not in"
    ):
        read(path, sigma=0, tau_readout_ms=None)
    with pytest.raises(ValueError, match="tau_ms = 5 must be at least dt_ms = 10, one step"):
        read(path, sigma=0, tau_ms=5)


@pytest.mark.parametrize(
    ("part", "changed", "sentence"),
    [
        (
            "layers_2",
            {"recurrent_delays": np.array([-1.0, 2.0])},
            "recurrent_delays are from -1 to 2, not from 0",
        ),
        (
            "layers_2",
            {"recurrent_delays": np.array([np.nan, 2.0])},
            "recurrent_delays holds nan, which no",
        ),
        (
            "layers_2",
            {"recurrent_delays": np.ones(5)},
            r"recurrent_delays of shape \(5,\) do not fit",
        ),
        ("layers_2", {"recurrent_weights": np.ones((2, 3))}, "do not fit weights"),
        ("layers_2", {"recurrent_weights": np.ones(2)}, "recurrent_weights must have 2 axes"),
        ("layers_0", {"weight": np.ones((2, 5, 3))}, "weight must have 2 axes"),
        ("layers_0", {"bias": np.ones(7)}, "bias has 7 elements for 2 neurons"),
        ("layers_9", {"w": np.ones(()), "z": np.ones(())}, "has w, z, which no LIF neuron has"),
        ("layers_9", {"recurrent_weights": np.ones((3, 3))}, "comes last, and something follows"),
        ("layers_1", {"running_mean": np.ones(2)}, "has no running_var"),
        ("other", {"running_mean": np.ones(2)}, "is not numbered"),
        (
            "layers_5",
            {"weight": np.ones((3, 9))},
            r"is given weights of shape \(3, 9\), not \(3, 2\)",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path, part, changed, sentence):
    parts = recurrent_net(np.random.default_rng(0), np.array([1.0, 2.0]))
    parts[part] = {**parts.get(part, {}), **changed}
    if part == "layers_1":
        parts = dict(sorted(parts.items()))
    if part == "other":
        parts = {"layers_0": parts["layers_0"], "other": changed, **parts}
    imported = read(write_torch(tmp_path / "a.pt", state_dict(**parts)), "delrec", sigma=0)
    assert imported.network is None
    assert imported.findings[-1].verdict is Verdict.UNSUPPORTED
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(imported.findings[-1].reason)


def test_a_kernel_size_that_cannot_be_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    layer = dcls_layer(rng, 3, 2, 9)
    path = write_torch(
        tmp_path / "a.pt", state_dict(model_0=layer, model_3=dcls_layer(rng, 2, 3, 9))
    )
    imported = read(path, kernel_size=5, right_padding=0)
    assert imported.network is None
    assert "outside a kernel of kernel_size = 5 taps, which needs 9" in imported.findings[-1].reason
    with pytest.raises(
        ValueError, match=r"kernel_size \(taps of a delay kernel\) is not in the file"
    ):
        read(path)


# Axonal and dendritic delays.


def shifted(x, position, size):
    """A depthwise DCLS layer of weight 1; x: [T, N]."""
    kernel = np.zeros((x.shape[1], x.shape[1], size))
    for n, one in enumerate(np.rint(position[0, :, 0, 0]).astype(int)):
        kernel[n, n, one + size // 2] = 1
    return conv1d(x, kernel)


def delay_layer(rng, channels, size, **more):
    position = rng.uniform(-(size // 2), size // 2, (1, channels, 1, 1)).astype(np.float32)
    return {"weight": np.ones((channels, 1, 1), np.float32), "P": position, **more}


def axden_net(rng, axonal, size=9, **more):
    """snn.{l}.W and snn.{l}.delay_layer in the order of the side; 6-12-12-4."""
    parts = {}
    for level, (ins, outs) in enumerate(((6, 12), (12, 12), (12, 4))):
        weights = {"weight": dyadic(rng, outs, ins), "bias": dyadic(rng, outs) / 4}
        delays = delay_layer(
            rng, ins if axonal else outs, size, **{k: f(ins) for k, f in more.items()}
        )
        pair = {f"snn.{level}.delay_layer": delays, f"snn.{level}.W": weights}
        parts |= pair if axonal else dict(reversed(pair.items()))
    return parts


def flat(parts):
    return {f"{part}.{k}": v for part, kept in parts.items() for k, v in kept.items()}


@pytest.mark.parametrize("axonal", [True, False])
def test_delays_on_one_side_are_bit_equal_and_stay_there(tmp_path, axonal):
    rng = np.random.default_rng(2)
    parts = axden_net(rng, axonal)
    path = write_torch(tmp_path / "model.pt", flat(parts))
    imported = read(path, kernel_size=9, right_padding=0)
    assert imported.verdict is Verdict.FAITHFUL
    assert imported.network.provenance["import.format"] == "axden"
    mode = Delay.AXONAL if axonal else Delay.DENDRITIC
    assert {p.delay for p in imported.network.projections} == {mode}
    x = rng.integers(0, 3, (STEPS, 6))
    here = simulate(imported.network, x[None], record=["spikes", "readout"])
    for level in range(3):
        w, d = parts[f"snn.{level}.W"], parts[f"snn.{level}.delay_layer"]
        if axonal:
            x = shifted(x, d["P"], 9) @ w["weight"].T + w["bias"]
        else:
            # The original pads before its linear layer, so the bias is there from the start.
            padded = np.pad(x, ((8, 0), (0, 0))) @ w["weight"].T + w["bias"]
            x = shifted(padded, d["P"], 9)[8:]
        if level < 2:
            x, _ = lif(x, 2.0)
            assert x.any()
            assert (here.spikes[f"hidden{level + 1}"][0] == x).all()
    assert here.readout[0] == pytest.approx(lif(x, 4.0, threshold=1e8)[1])


def test_a_masked_delay_is_the_padding_of_the_original(tmp_path):
    rng = np.random.default_rng(2)
    parts = axden_net(rng, True, delay_scores=lambda n: rng.normal(size=n).astype(np.float32))
    path = write_torch(tmp_path / "model.pt", flat(parts))
    imported = read(path, kernel_size=9, right_padding=0, sparsity=0.75)
    assert "5 masked ones at 8, as the original pads them" in imported.findings[0].reason
    x = rng.integers(0, 3, (STEPS, 6))
    w, d = parts["snn.0.W"], parts["snn.0.delay_layer"]
    kept = d["delay_scores"] >= np.sort(d["delay_scores"])[-1]
    padded = np.pad(x, ((8, 0), (0, 0)))
    mixed = np.where(kept, shifted(x, d["P"], 9), padded[:STEPS])
    spikes, _ = lif(mixed @ w["weight"].T + w["bias"], 2.0)
    here = simulate(imported.network, x[None], record=["spikes"])
    assert (here.spikes["hidden1"][0] == spikes).all()
    with pytest.raises(
        ValueError, match=r"sparsity \(share of channels whose delay is masked out\)"
    ):
        read(path, kernel_size=9, right_padding=0)


def test_what_else_such_a_network_has_is_folded_or_named(tmp_path):
    rng = np.random.default_rng(2)
    parts = axden_net(rng, True)
    kept = norm(rng, 12)
    made = {**parts, "snn.0.norm": kept, "snn.1.neuron": {"w": np.array(0.0, np.float32)}}
    imported = read(write_torch(tmp_path / "a.pt", flat(made)), kernel_size=9, right_padding=0)
    assert imported.verdict is Verdict.FAITHFUL
    scale = kept["weight"] / np.sqrt(kept["running_var"].astype(np.float64) + 1e-5)
    wanted = scale[:, None] * parts["snn.0.W"]["weight"]
    assert imported.network.projections[0].weights == pytest.approx(wanted)
    assert imported.network.population("hidden2").alpha == pytest.approx(0.5)
    for name, more, sentence in (
        (
            "snn.2.norm_output",
            {"weight": np.ones(4)},
            "is a norm_output, which no network here has",
        ),
        ("snn.1.neuron", {"alpha_param": np.ones(3)}, "has alpha_param, which no LIF neuron has"),
        ("snn.3.norm", {"weight": np.ones(3)}, "belongs to a layer without weights"),
        ("snn.0.delay_layer", delay_layer(rng, 7, 9), "do not fit 6 channels"),
    ):
        path = write_torch(tmp_path / "b.pt", flat({**parts, name: more}))
        imported = read(path, kernel_size=9, right_padding=0)
        assert imported.network is None
        assert sentence in imported.findings[-1].reason
