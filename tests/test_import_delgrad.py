"""DelGrad networks: exact times of first spikes against the steps they become here."""

import numpy as np
import pytest

from model import Delay, simulate
from model.importers import Settings, Verdict, import_network
from tests.torch_writer import Call, Module, write_torch

PARAMETERS = {"tau_mem": 2.0, "tau_syn": 1.0, "threshold": 1.0, "leak": 0.0, "g_leak": 0.5}


def neurons(weights, **changed):
    attributes = {"neuron_params": {**PARAMETERS, **changed}, "substrate": "sim"}
    return Module("utils.NeuronLayer", {"weights": weights}, attributes=attributes)


def delays(value, **attributes):
    return Module("utils.DelayLayer", {"_delay_parameters": value}, attributes=attributes)


BROADCAST = Module("utils.BroadcastLayer")


def biases(*times):
    return Module("utils.BiasesLayer", attributes={"_times": np.array(times)})


def net(*layers, **attributes):
    inner = {str(n): layer for n, layer in enumerate(layers)}
    children = {"layers": Module("torch.nn.modules.container.ModuleList", {}, inner)}
    return Module(
        "networks.Net", {}, children, {"device": Call("torch.device", ("cpu",)), **attributes}
    )


def read(path, dt_ms=0.01, steps=1000, **changed):
    given = {"dt_ms": dt_ms, "steps": steps, "tau_syn_ms": 1, **changed}
    return import_network(path, Settings(path, given))


def first_spike(times, weights, tau_mem=2.0, tau_syn=1.0):
    """Time at which V of one neuron first exceeds 1, on a grid 20 times as fine; inf if never."""
    t = np.arange(0, 10, 5e-4)
    v = np.zeros_like(t)
    for at, weight in zip(times, weights, strict=True):
        since = np.maximum(t - at, 0)
        if tau_mem == tau_syn:
            v += weight * since * np.exp(-since / tau_syn)
        else:
            factor = tau_mem * tau_syn / (tau_mem - tau_syn)
            v += weight * factor * (np.exp(-since / tau_mem) - np.exp(-since / tau_syn))
    above = np.flatnonzero(v > 1)
    return t[above[0]] if above.size else np.inf


def spikes_at(network, times, dt):
    """First spikes of the first population, in units of the file, for one event per channel."""
    counts = np.zeros((1, network.steps, len(times)), int)
    counts[0, np.round(np.array(times) / dt).astype(int), np.arange(len(times))] = 1
    fired = simulate(network, counts, record=["spikes"]).spikes["hidden1"][0]
    return [np.argmax(row) * dt if row.any() else np.inf for row in fired.T]


@pytest.mark.parametrize("tau_mem", [2.0, 1.0])
@pytest.mark.parametrize("mode", ["none", "axonal", "dendritic", "synaptic"])
def test_first_spikes_come_when_they_should(tmp_path, tau_mem, mode):
    rng = np.random.default_rng(0)
    weights, times = rng.uniform(0.2, 1.5, (5, 8)), rng.uniform(0, 2, 5)
    shape = {"axonal": (5, 1), "dendritic": (1, 8), "synaptic": (5, 8)}.get(mode, (1, 1))
    value = rng.normal(0, 1, shape)
    # shift + scale sigmoid, as the original makes them positive.
    late = 0.25 + 1.5 / (1 + np.exp(-value)) if mode != "none" else np.zeros((1, 1))
    layer = (
        [delays(value, sigmoid_shift=0.25, sigmoid_scale=1.5)] if mode != "none" else [BROADCAST]
    )
    path = write_torch(tmp_path / "a.pt", net(*layer, neurons(weights, tau_mem=tau_mem)))
    imported = read(path)
    network = imported.network
    assert imported.verdict is Verdict.APPROXIMATE
    assert network.projections[0].delay is Delay(mode)
    theirs = [
        first_spike(times + np.broadcast_to(late, (5, 8))[:, j], weights[:, j], tau_mem)
        for j in range(8)
    ]
    assert np.isfinite(theirs).any()
    # A spike may move by the rounding of times, of delays, and by a step.
    assert spikes_at(network, times, 0.01) == pytest.approx(theirs, abs=0.021)


def test_the_first_to_fire_wins(tmp_path):
    # Barely enough: each fires once, the stronger one earlier.
    weights = np.array([[2.2, 2.1]])
    path = write_torch(tmp_path / "a.pt", net(BROADCAST, neurons(weights)))
    network = read(path, steps=300).network
    counts = np.zeros((1, 300, 1), int)
    counts[0, 0, 0] = 1
    assert simulate(network, counts).classes[0] == 0
    swapped = write_torch(tmp_path / "b.pt", net(BROADCAST, neurons(weights[:, ::-1].copy())))
    assert simulate(read(swapped, steps=300).network, counts).classes[0] == 1


def test_units_shared_delays_biases_and_noise(tmp_path):
    value = np.array([[0.5], [1.0]])
    layers = (
        biases(0.2, 0.9),
        delays(value, presyn_sharing_factor=2),
        neurons(np.ones((4, 3)), tau_syn=0.5, tau_mem=1.0, jitter=0.1),
    )
    imported = read(write_torch(tmp_path / "a.pt", net(*layers)), dt_ms=0.1, tau_syn_ms=5)
    # 0.5 units are 5 ms, so a step of 0.1 ms is 0.01 units.
    network = imported.network
    assert network.steps_of(network.projections[0])[0].tolist() == [50, 100, 50, 100]
    assert network.population("hidden1").alpha_syn == pytest.approx(np.exp(-0.1 / 5))
    reasons = {f.node: f.reason for f in imported.findings}
    assert "channel 2 in step 20, 3 in step 90" in reasons["layers.0"]
    assert "without the noise of jitter" in reasons["layers.2"]


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([Module("utils.MultiplexLayer")], "is a utils.MultiplexLayer, which no network here has"),
        ([BROADCAST], "must end with a NeuronLayer"),
        ([neurons(np.ones((2, 2))), delays(np.ones((2, 1)))], "must end with a NeuronLayer"),
        ([delays(np.ones((2, 1))), delays(np.ones((2, 1)))], "follows another delay"),
        (
            [delays(np.ones((7, 1))), neurons(np.ones((2, 2)))],
            "has delays of shape (7, 1) for 2 x 2",
        ),
        ([delays(-np.ones((2, 1)))], "has a delay of -1"),
        ([delays(np.ones((2, 1)), presyn_sharing_factor=10**9)], "sharing factors must be whole"),
        ([delays(np.ones((2, 1)), sigmoid_scale="wide")], "has a parameter that is no number"),
        ([neurons(np.ones((2, 2)), leak=0.5)], "and a leak of 0"),
        ([neurons(np.ones((2, 2)), tau_mem=-1.0)], "needs positive tau_mem"),
        ([neurons(np.ones((2, 2)), threshold=None)], "has a parameter that is no number"),
        ([neurons(np.ones((2, 2))), neurons(np.ones((7, 2)))], "is given weights of shape"),
        ([neurons(np.ones((2, 2))), biases(0.5)], "can only be the first layer"),
    ],
)
def test_what_no_network_has_is_named(tmp_path, layers, sentence):
    path = write_torch(tmp_path / "a.pt", net(*layers))
    imported = import_network(
        path, Settings(path, {"dt_ms": 0.01, "steps": 9, "tau_syn_ms": 1}), "delgrad"
    )
    assert imported.network is None
    assert sentence in imported.findings[-1].reason
