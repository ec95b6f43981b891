"""snnTorch networks: their own recursions, written out, against what they become here."""

from dataclasses import fields
from itertools import pairwise

import nir
import numpy as np
import pytest

from datapath.files import digest
from model import Compare, Reset, simulate
from model.importers import Settings, Verdict, import_network
from quant import quantize
from ranvier.defaults import OPTIONS
from tests.torch_writer import Module, Tensor, write_torch

SUBTRACT, ZERO, NONE = range(3)
LINEAR = "torch.nn.modules.linear.Linear"


def neurons(mechanism, beta=0.75, threshold=1.0, **more):
    """The tensors of a population; dyadic numbers, so that sums are exact in any order."""
    scalars = {"threshold": threshold, "beta": beta, "graded_spikes_factor": 1.0, **more}
    made = {name: np.array(value, np.float32) for name, value in scalars.items()}
    return {**made, "reset_mechanism_val": np.array(mechanism)}


def dyadic(rng, *shape):
    return (rng.integers(-32, 64, shape) / 64).astype(np.float32)


def state_dict(**parts):
    return {f"{part}.{name}": value for part, kept in parts.items() for name, value in kept.items()}


def read(path, **settings):
    given = {"dt_ms": 1, "steps": 40, "score": "spikes", **settings}
    return import_network(path, Settings(path, given))


def verdicts(imported):
    return {finding.node: finding.verdict for finding in imported.findings}


def original(x, weights, alpha, beta, threshold, mechanism, recurrent=None, bias=0.0):
    """A population of snnTorch 1.0, step by step; x: [steps, channels]. Returns its spikes."""
    syn = mem = spk = np.zeros(len(weights))
    out = []
    for now in x:
        drive = weights @ now + bias + (0 if recurrent is None else recurrent @ spk)
        reset = mem > threshold
        if mechanism == ZERO and recurrent is None and not alpha:
            mem = beta * (mem * ~reset) + drive
        else:
            syn = alpha * syn + drive
            mem = beta * mem + syn - reset * threshold * (mechanism == SUBTRACT)
        spk = (mem > threshold).astype(float)
        out.append(spk)
    return np.array(out)


@pytest.mark.parametrize(
    ("mechanism", "recurrent", "alpha"),
    [
        (SUBTRACT, False, 0), (SUBTRACT, True, 0), (ZERO, False, 0),
        (SUBTRACT, False, 0.5), (SUBTRACT, True, 0.5),
    ],
)  # fmt: skip
def test_spikes_are_those_of_the_original(tmp_path, mechanism, recurrent, alpha):
    rng = np.random.default_rng(mechanism)
    first, second, own = dyadic(rng, 12, 5), dyadic(rng, 3, 12), dyadic(rng, 12, 12)
    bias = dyadic(rng, 12)
    more = {"alpha": alpha} if alpha else {}
    bias = 0 * bias if alpha else bias
    parts = {"fc1": {"weight": first, "bias": bias}, "lif1": neurons(mechanism, **more)}
    if recurrent:
        parts["lif1.recurrent"] = {"weight": own}
    parts |= {"fc2": {"weight": second}, "lif2": neurons(mechanism)}
    given = {"late_reset": "exact"} if mechanism == SUBTRACT else {}
    imported = read(write_torch(tmp_path / "a.pt", state_dict(**parts)), **given)
    assert set(verdicts(imported).values()) == {Verdict.FAITHFUL}
    x = rng.integers(0, 3, (40, 5))
    got = simulate(imported.network, x[None], record=["spikes"])
    hidden = original(x, first, alpha, 0.75, 1.0, mechanism, own if recurrent else None, bias)
    ends = original(hidden, second, 0, 0.75, 1.0, mechanism)
    spikes = list(got.spikes.values())
    assert (spikes[0][0] == hidden).all()
    assert (spikes[1][0] == ends).all()
    assert hidden.any()
    assert ends.any()
    assert got.scores[0].tolist() == ends.sum(axis=0).tolist()


def test_a_synaptic_population_and_membranes_as_scores(tmp_path):
    rng = np.random.default_rng(3)
    first, second = dyadic(rng, 12, 5), dyadic(rng, 3, 12)
    parts = {
        "0": {"weight": first},
        "1": neurons(SUBTRACT, alpha=0.5, threshold=1e6),
        "2": {"weight": second},
        "3": neurons(NONE, beta=0.5, alpha=0.25),
    }
    path = write_torch(tmp_path / "a.pt", state_dict(**parts))
    imported = read(path, score="membranes", late_reset="early")
    hidden, out = imported.network.population("1"), imported.network.readout
    assert (hidden.alpha_syn[0], hidden.alpha[0]) == (0.5, 0.75)
    assert (out.alpha_syn[0], out.alpha[0], out.name) == (0.25, 0.5, "3")
    x = rng.integers(0, 3, (40, 5))
    membranes = simulate(imported.network, x[None], record=["membranes"]).membranes["1"][0]
    syn = mem = np.zeros(12)
    for t, now in enumerate(x):
        syn = 0.5 * syn + first @ now
        mem = 0.75 * mem + syn
        assert membranes[t].tolist() == mem.tolist()


def test_an_early_reset_is_said_with_its_size(tmp_path):
    parts = {"fc": {"weight": np.ones((2, 3), np.float32)}, "lif": neurons(SUBTRACT)}
    path = write_torch(tmp_path / "a.pt", state_dict(**parts))
    imported = read(path, late_reset="early")
    assert verdicts(imported)["lif"] is Verdict.APPROXIMATE
    assert "every spike takes off up to 0.25 less" in imported.findings[1].reason
    assert len(imported.network.projections) == 2
    with pytest.raises(ValueError, match=r"late_reset \(exact or early: .*\) is not in the file"):
        read(path)


@pytest.mark.parametrize(
    ("changed", "settings", "node", "sentence"),
    [
        (
            {"lif": neurons(ZERO, alpha=0.5)},
            {},
            "lif",
            "loses what arrives in the step after a spike",
        ),
        ({"lif": neurons(NONE)}, {}, "lif", "never resets"),
        ({"lif": neurons(SUBTRACT)}, {"score": "membranes"}, "lif", "only without reset"),
        ({"lif": neurons(7)}, {}, "lif", "must be 0, 1 or 2"),
        ({"lif": neurons(ZERO, beta=[0.5] * 5)}, {}, "lif", "beta has 5 elements for 2 neurons"),
        ({"fc": {"weight": np.ones((2, 3, 3))}}, {}, "fc", "weight must have 2 axes"),
        ({"fc": {"weight": np.ones((2, 3)), "P": np.ones(1)}}, {}, "fc", "is a part with P"),
        ({"fc": {"weight": np.ones((2, 3)), "bias": np.ones(5)}}, {}, "fc", "bias has 5 elements"),
        ({"fc2": {"weight": np.ones((4, 9))}}, {}, "output", "weights of shape"),
    ],
)
def test_what_no_network_has_is_named(tmp_path, changed, settings, node, sentence):
    parts = {"fc": {"weight": np.ones((2, 3))}, "lif": neurons(ZERO), **changed}
    imported = read(write_torch(tmp_path / "a.pt", state_dict(**parts)), **settings)
    assert imported.network is None
    assert imported.findings[-1].node == node
    assert sentence in imported.findings[-1].reason


def test_a_loss_of_what_arrives_after_a_spike_can_be_accepted(tmp_path):
    parts = {"fc": {"weight": np.ones((2, 3))}, "lif": neurons(ZERO, alpha=0.5)}
    imported = read(write_torch(tmp_path / "a.pt", state_dict(**parts)), reset="zero")
    assert imported.verdict is Verdict.APPROXIMATE
    assert imported.network.population("lif").reset is Reset.ZERO


def test_a_batch_norm_and_two_linear_layers_are_one_projection(tmp_path):
    norm = {"running_mean": np.array([1.0]), "running_var": np.array([0.25 - 1e-5])}
    parts = {
        "a": {"weight": np.array([[2.0, 4.0]]), "bias": np.array([0.5])},
        "b": norm,
        "c": {"weight": np.array([[10.0]])},
        "lif": neurons(ZERO),
    }
    network = read(write_torch(tmp_path / "a.pt", state_dict(**parts))).network
    # 10 x (2 s1 + 4 s2 + 0.5 - 1) / 0.5
    assert network.projections[0].weights[0] == pytest.approx([40, 80])
    assert network.population("lif").bias == pytest.approx(-10)


def net(kind="snntorch._neurons.leaky.Leaky", more=None, **attributes):
    children = {
        "flat": Module("torch.nn.modules.flatten.Flatten"),
        "fc": Module(LINEAR, {"weight": np.ones((2, 3), np.float32)}),
        "lif": Module(kind, neurons(SUBTRACT), attributes=attributes),
        **(more or {}),
    }
    return Module("__main__.Net", {}, children)


def test_a_whole_module_says_more(tmp_path):
    imported = read(write_torch(tmp_path / "a.pt", net(reset_delay=False)))
    assert imported.verdict is Verdict.FAITHFUL
    lif = imported.network.population("lif")
    assert (lif.reset, lif.compare) == (Reset.SUBTRACT, Compare.GT)
    for made, sentence in (
        (net(inhibition=True), "uses inhibition"),
        (net("snntorch._neurons.alpha.Alpha"), "is a snntorch._neurons.alpha.Alpha"),
        (net(more={"x": Module("torch.nn.ReLU")}), "is a torch.nn.ReLU, which no network here has"),
        (net(more={"x": Module("torch.nn.Conv1d", {"weight": np.ones((2, 2))})}), "Conv1d, which"),
    ):
        imported = read(write_torch(tmp_path / "b.pt", made), late_reset="early")
        assert imported.network is None
        assert sentence in imported.findings[-1].reason


def test_spikes_that_count_more_weigh_more(tmp_path):
    parts = {
        "fc": {"weight": np.ones((2, 3))},
        "lif": {**neurons(ZERO), "graded_spikes_factor": np.array(4.0)},
        "fc2": {"weight": np.ones((1, 2))},
    }
    network = read(write_torch(tmp_path / "a.pt", state_dict(**parts))).network
    assert network.projections[1].weights.tolist() == [[4, 4]]
    assert network.readout.name == "output"


def test_a_state_dict_and_a_nir_file_of_one_network_are_identical(tmp_path):
    # As the two files of the NIR paper's recurrent Braille network: 12-40-7, synaptic currents.
    rng = np.random.default_rng(5)
    first, own, second = (dyadic(rng, *s) for s in ((40, 12), (40, 40), (7, 40)))
    constants = {"lif1": (40, 0.75, 0.85), "lif2": (7, 0.45, 0.7)}
    parts, nodes = {}, {}
    for name, (size, alpha, beta) in constants.items():
        parts[name] = neurons(SUBTRACT, alpha=alpha, beta=beta)
        low, high = float(np.float32(alpha)), float(np.float32(beta))
        nodes[name] = nir.CubaLIF(
            tau_syn=np.full(size, 1e-4 / (1 - low)), tau_mem=np.full(size, 1e-4 / (1 - high)),
            r=np.full(size, 1 / (1 - high)), w_in=np.full(size, 1 / (1 - low)),
            v_leak=np.zeros(size), v_threshold=np.ones(size),
        )  # fmt: skip
    graph = {
        "input": nir.Input({"input": np.array([12])}),
        "fc1": nir.Linear(first),
        "lif1.lif": nodes["lif1"],
        "lif1.w_rec": nir.Linear(own),
        "fc2": nir.Linear(second),
        "lif2": nodes["lif2"],
        "output": nir.Output({"output": np.array([7])}),
    }
    path = ["input", "fc1", "lif1.lif", "fc2", "lif2", "output"]
    edges = [("lif1.w_rec", "lif1.lif"), ("lif1.lif", "lif1.w_rec"), *pairwise(path)]
    nir.write(tmp_path / "a.nir", nir.NIRGraph(graph, edges, type_check=False))
    made = {"fc1": {"weight": first}, "lif1": parts["lif1"], "lif1.recurrent": {"weight": own},
            "fc2": {"weight": second}, "lif2": parts["lif2"]}  # fmt: skip
    path = write_torch(tmp_path / "a.pt", state_dict(**made))
    settings = {"dt_ms": 0.1, "steps": 40, "scheme": "euler", "reset": "subtract"}
    for late in ("early", "exact"):
        here = read(path, dt_ms=0.1, late_reset=late).network
        given = {**settings, "late_reset": late}
        there = import_network(tmp_path / "a.nir", Settings("a.nir", given)).network
        assert_identical(here, there)
        # Synapses onto themselves: of lif1 one projection more, of lif2 two, the second takes the
        # current of the first back.
        assert len(here.projections) == {"early": 4, "exact": 7}[late]
        one, other = (
            quantize(n, chip=None, options=OPTIONS, calibration=None) for n in (here, there)
        )
        assert digest(one[0]) == digest(other[0])
        assert one[0].chip.current is not None
        assert one[1].to_json() == other[1].to_json()


def assert_identical(here, there):
    """Every population and projection of two networks is equal, bit for bit, and in this order."""
    assert (here.dt_ms, here.steps) == (there.dt_ms, there.steps)
    pairs = zip(
        (*here.populations, *here.projections),
        (*there.populations, *there.projections),
        strict=True,
    )
    for one, other in pairs:
        assert type(one) is type(other)
        for field in fields(one):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), one.name


def test_snntorch_itself_agrees(tmp_path):
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    torch.manual_seed(0)
    net = torch.nn.ModuleDict({
        "fc1": torch.nn.Linear(5, 16),
        "lif1": snntorch.RLeaky(beta=0.8, linear_features=16),
        "fc2": torch.nn.Linear(16, 3),
        "lif2": snntorch.Leaky(beta=0.7, reset_mechanism="zero"),
    })  # fmt: skip
    torch.save(net.state_dict(), tmp_path / "a.pt")
    network = read(tmp_path / "a.pt", late_reset="exact").network
    x = np.random.default_rng(0).integers(0, 3, (40, 5))
    spk, mem = net["lif1"].init_rleaky()
    out, theirs = net["lif2"].init_leaky(), []
    for now in torch.tensor(x, dtype=torch.float32):
        spk, mem = net["lif1"](net["fc1"](now), spk, mem)
        end, out = net["lif2"](net["fc2"](spk), out)
        theirs.append((spk.detach().numpy(), end.detach().numpy()))
    spikes = simulate(network, x[None], record=["spikes"]).spikes
    assert (spikes["lif1.lif"][0] == np.array([a for a, _ in theirs])).all()
    assert (spikes["lif2"][0] == np.array([b for _, b in theirs])).all()


def test_a_tensor_of_absurd_size_is_refused(tmp_path):
    view = Tensor(np.ones(3, np.float32), 0, (1 << 20, 1 << 20), (0, 0))
    path = write_torch(tmp_path / "a.pt", {"fc.weight": view})
    with pytest.raises(ValueError, match="is larger than its record"):
        import_network(path, Settings(path, {}), "snntorch")
