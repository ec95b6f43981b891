"""NIR files: by hand, as the nir package writes them, and as nobody should."""

from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest

from model import Compare, Delay, Reset, simulate
from model.importers import Settings, Verdict, import_network
from model.importers.lowering import convolution, pool


def lif(n=1, tau=0.01, r=1.0, v_leak=0.0, v_threshold=1.0, **changed):
    one = np.ones(n)
    fields = {"tau": tau * one, "r": r * one, "v_leak": v_leak * one}
    return nir.LIF(**fields, v_threshold=v_threshold * one, **changed)


def chain(*nodes, size=1, end=None, edges=()):
    """Input, the nodes one after the other, output."""
    names = [str(n) for n in range(len(nodes))]
    graph = dict(zip(names, nodes, strict=True))
    graph = {
        "input": nir.Input({"input": np.array([size])}),
        **graph,
        "output": nir.Output({"output": np.array([size if end is None else end])}),
    }
    path = ["input", *names, "output"]
    return nir.NIRGraph(graph, [*pairwise(path), *edges], type_check=False)


def read(graph, tmp_path, **settings):
    nir.write(tmp_path / "net.nir", graph)
    given = {"dt_ms": 1, "steps": 8, "scheme": "euler", **settings}
    return import_network(tmp_path / "net.nir", Settings("net.nir", given))


def verdicts(imported):
    return {finding.node: finding.verdict for finding in imported.findings}


def test_a_lif_by_hand(tmp_path):
    made = read(
        chain(nir.Affine(np.array([[2.0]]), np.array([0.5])), lif(r=4.0, v_leak=0.25)), tmp_path
    ).network
    hidden = made.population("1")
    # dt / tau = 0.1: alpha 0.9, weight 2 x 0.1 x 4, bias 0.1 (0.25 + 4 x 0.5).
    assert hidden.alpha == pytest.approx(0.9)
    assert made.projections[0].weights == pytest.approx(0.8)
    assert hidden.bias == pytest.approx(0.225)
    assert (hidden.compare, hidden.reset) == (Compare.GT, Reset.ZERO)
    # The output of neurons that fire is counted by a readout without memory.
    assert (made.readout.name, made.readout.alpha[0]) == ("output", 0)
    assert made.projections[1].weights == 1


def test_the_exponential_scheme_is_another_one(tmp_path):
    graph = chain(nir.Linear(np.array([[1.0]])), lif())
    made = read(graph, tmp_path, scheme="exponential").network
    assert made.population("1").alpha == pytest.approx(np.exp(-0.1))
    assert made.projections[0].weights == pytest.approx(1 - np.exp(-0.1))


def test_a_current_has_its_own_decay_and_gain(tmp_path):
    cuba = nir.CubaLIF(
        tau_syn=np.array([0.004]), tau_mem=np.array([0.01]), r=np.array([10.0]),
        v_leak=np.array([0.0]), v_threshold=np.array([1.0]), w_in=np.array([4.0]),
    )  # fmt: skip
    made = read(chain(nir.Linear(np.array([[3.0]])), cuba), tmp_path).network
    hidden = made.population("1")
    assert hidden.alpha_syn == pytest.approx(0.75)
    assert hidden.alpha == pytest.approx(0.9)
    # 3 x (0.25 x 4) x (0.1 x 10)
    assert made.projections[0].weights == pytest.approx(3.0)


def test_integrators_and_thresholds(tmp_path):
    graph = chain(
        nir.Linear(np.array([[1.0]])), nir.IF(np.array([500.0]), np.array([2.0])),
        nir.Scale(np.array([3.0])), nir.Threshold(np.array([2.5])),
        nir.Linear(np.array([[1.0], [2.0]])), nir.LI(np.full(2, 0.01), np.ones(2), np.zeros(2)),
        end=2,
    )  # fmt: skip
    made = read(graph, tmp_path).network
    names = [p.name for p in made.populations]
    assert names == ["input", "1", "3", "5"]
    counted, gate = made.population("1"), made.population("3")
    assert (counted.alpha[0], counted.threshold[0]) == (1, 2)
    assert made.projections[0].weights == 0.5  # dt r
    assert (gate.alpha[0], gate.threshold[0], gate.reset) == (0, 2.5, Reset.ZERO)
    assert made.readout.name == "5"
    assert made.readout.alpha == pytest.approx(0.9)


def test_delays_are_honoured_on_either_side_of_the_weights(tmp_path):
    before, after = nir.Delay(np.array([0.001, 0.003])), nir.Delay(np.array([0.0, 0.002, 0.004]))
    weights = nir.Linear(np.ones((3, 2)))
    for nodes, mode, steps in (
        ([before, weights], Delay.AXONAL, [[1, 3]] * 3),
        ([weights, after], Delay.DENDRITIC, [[0, 0], [2, 2], [4, 4]]),
        ([before, weights, after], Delay.SYNAPTIC, [[1, 3], [3, 5], [5, 7]]),
    ):
        made = read(chain(*nodes, lif(3), size=2, end=3), tmp_path).network
        first = made.projections[0]
        assert first.delay is mode
        assert made.steps_of(first).tolist() == steps


def test_a_delay_between_two_matrices_splits_the_projection(tmp_path):
    graph = chain(
        nir.Linear(np.array([[1.0], [10.0]])), nir.Delay(np.array([0.001, 0.002])),
        nir.Linear(np.array([[1.0, 1.0]])), lif(r=10.0, v_threshold=100.0),
    )  # fmt: skip
    made = read(graph, tmp_path).network
    first, second = (p for p in made.projections if p.pre == "input")
    assert (first.weights[0, 0], made.steps_of(first)[0, 0]) == (pytest.approx(1), 1)
    assert (second.weights[0, 0], made.steps_of(second)[0, 0]) == (pytest.approx(10), 2)


def test_a_delay_that_is_no_whole_step_is_said(tmp_path):
    graph = chain(nir.Delay(np.array([0.0014])), nir.Linear(np.array([[1.0]])), lif())
    imported = read(graph, tmp_path)
    assert verdicts(imported)["0"] is Verdict.APPROXIMATE
    reason = next(f.reason for f in imported.findings if f.node == "0")
    assert "axonal delays of up to 1.4 steps, rounded to whole steps by up to 0.4" in reason
    assert imported.network.steps_of(imported.network.projections[0])[0, 0] == 1


def test_loops_take_a_step_and_skips_add_up(tmp_path):
    nodes = (nir.Linear(np.array([[5.0]])), lif(r=10.0), nir.Linear(np.array([[2.0]])), lif(r=10.0))
    graph = chain(*nodes, edges=[("1", "back"), ("back", "1"), ("0", "3")])
    graph.nodes["back"] = nir.Linear(np.array([[-1.0]]))
    made = read(graph, tmp_path).network
    joins = {(p.pre, p.post): (p.weights[0, 0], made.min_delay(p)) for p in made.projections}
    assert joins == {
        ("input", "1"): (pytest.approx(5), 0),
        ("1", "1"): (pytest.approx(-1), 1),
        ("1", "3"): (pytest.approx(2), 0),
        ("input", "3"): (pytest.approx(5), 0),
        ("3", "output"): (1, 0),
    }


def test_inner_graphs_are_taken_apart(tmp_path):
    inner = chain(nir.Linear(np.array([[2.0]])), lif(r=10.0))
    made = read(chain(inner, nir.Scale(np.array([3.0])), lif(r=10.0)), tmp_path).network
    assert [p.name for p in made.populations] == ["input", "0.1", "2", "output"]
    assert [p.weights[0, 0] for p in made.projections] == pytest.approx([2, 3, 1])


def test_an_old_file_does_not_say_what_a_spike_resets_to(tmp_path):
    read(chain(nir.Linear(np.array([[1.0]])), lif()), tmp_path)
    with h5py.File(tmp_path / "net.nir", "a") as file:
        del file["node/nodes/1/v_reset"]
    given = {"dt_ms": 1, "steps": 8, "scheme": "euler"}
    with pytest.raises(ValueError, match=r"reset \(subtract or zero\) is not in the file"):
        import_network(tmp_path / "net.nir", Settings("net.nir", given))
    made = import_network(tmp_path / "net.nir", Settings("net.nir", {**given, "reset": "subtract"}))
    assert made.network.population("1").reset is Reset.SUBTRACT
    assert made.verdict is Verdict.FAITHFUL


def direct(weight, x, stride, padding, dilation, groups):
    """A convolution element by element."""
    outs, ins, rows, columns = weight.shape
    x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    high = (x.shape[1] - dilation[0] * (rows - 1) - 1) // stride[0] + 1
    wide = (x.shape[2] - dilation[1] * (columns - 1) - 1) // stride[1] + 1
    y = np.zeros((outs, high, wide))
    for o, i, j in np.ndindex(*y.shape):
        for c, a, b in np.ndindex(ins, rows, columns):
            channel = o // (outs // groups) * ins + c
            at = i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
            y[o, i, j] += weight[o, c, a, b] * x[(channel, *at)]
    return y


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_its_matrix(groups):
    rng = np.random.default_rng(0)
    weight = rng.integers(-4, 5, (4, 2 // groups, 3, 2)).astype(float)
    x = rng.integers(-4, 5, (2, 6, 5)).astype(float)
    how = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": groups}
    matrix, shape = convolution(weight, x.shape, **how)
    y = direct(weight, x, *how.values())
    assert shape == y.shape
    assert (matrix @ x.ravel() == y.ravel()).all()


def test_pools_and_their_limits():
    matrix, shape = pool((2, 4, 4), (2, 2), stride=(2, 2), padding=(0, 0), mean=True)
    assert shape == (2, 2, 2)
    assert (matrix.sum(axis=1) == 1).all()
    with pytest.raises(ValueError, match="its matrix would be 65536 x 65536, and the largest has"):
        convolution(
            np.ones((1, 1, 1, 1)), (1, 256, 256), stride=(1, 1), padding=(0, 0), dilation=(1, 1),
            groups=1,
        )  # fmt: skip


def test_a_convolution_in_a_graph(tmp_path):
    conv = nir.Conv1d(6, np.ones((2, 1, 3)), 1, 0, 1, 1, np.array([0.5, 0.0]))
    graph = chain(conv, nir.Flatten({"input": np.array([2, 4])}, 0, -1), lif(8, r=10.0), size=6)
    graph.nodes["input"] = nir.Input({"input": np.array([1, 6])})
    made = read(graph, tmp_path).network
    assert made.projections[0].weights.shape == (8, 6)
    assert made.projections[0].weights[0].tolist() == pytest.approx([1, 1, 1, 0, 0, 0])
    assert made.population("2").bias.tolist() == pytest.approx([0.5] * 4 + [0] * 4)


@pytest.mark.parametrize(
    ("nodes", "culprit", "reason"),
    [
        ([nir.CubaLI(*np.ones((4, 1))), nir.Linear(np.ones((1, 1))), lif()], "0", "never fires"),
        ([nir.Linear(np.ones((1, 2))), lif()], "0", "takes 2 channels and is given 1"),
        ([lif(tau=0.0005)], "0", "shorter than a step of 0.001 s, which Euler's scheme does not"),
        ([lif(v_reset=np.array([-0.5]))], "0", "v_reset = -0.5 must be 0; shift"),
        ([lif(v_threshold=-1.0)], "0", "its threshold -1.0 must be positive"),
        ([nir.Delay(np.array([-0.1])), lif()], "0", "has a negative delay of -0.1 s"),
    ],
)
def test_what_no_network_does_is_named(tmp_path, nodes, culprit, reason):
    imported = read(chain(*nodes), tmp_path)
    assert imported.network is None
    bad = [f for f in imported.findings if f.verdict is Verdict.UNSUPPORTED]
    assert [f.node for f in bad] == [culprit]
    assert reason in bad[0].reason


def test_a_loop_without_a_neuron_and_a_node_that_leads_nowhere(tmp_path):
    graph = chain(nir.Linear(np.ones((1, 1))), nir.Scale(np.ones(1)), lif(), edges=[("1", "0")])
    imported = read(graph, tmp_path)
    assert imported.network is None
    assert "on a loop without a neuron" in imported.findings[-1].reason
    graph = chain(lif(), edges=[("0", "idle")])
    graph.nodes["idle"] = lif()
    imported = read(graph, tmp_path)
    assert verdicts(imported)["idle"] is Verdict.APPROXIMATE
    assert imported.network is not None


@pytest.fixture
def path(tmp_path):
    nir.write(tmp_path / "net.nir", chain(nir.Linear(np.array([[1.0]])), lif()))
    return tmp_path / "net.nir"


def refused(path, sentence):
    settings = Settings(path, {"dt_ms": 1, "steps": 8, "scheme": "euler"})
    with pytest.raises(ValueError, match=sentence) as error:
        import_network(path, settings, "nir")
    assert str(error.value).startswith(str(path))


def test_a_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:900])
    refused(path, "is not a NIR file")


def test_hostile_links_sizes_and_names_are_refused(path):
    def changed(change):
        with h5py.File(path, "a") as file:
            change(file["node/nodes/0"])

    changed(lambda g: g.create_dataset("huge", shape=(1 << 40,), dtype="f8", chunks=(1 << 10,)))
    refused(path, r"huge has shape \(1099511627776,\); all parameters together may be")
    changed(lambda g: g.pop("huge"))

    def outside(group):
        group["far"] = h5py.ExternalLink("/etc/hostname", "x")

    changed(outside)
    refused(path, "far must lie in this file")
    changed(lambda g: g.__delitem__("far"))
    changed(lambda g: g.create_dataset("nan", data=[np.nan]))
    refused(path, "holds numbers that are not finite")


def test_a_graph_that_holds_itself_is_refused(path):
    with h5py.File(path, "a") as file:
        inner = file["node/nodes"].create_group("self")
        inner["type"] = "NIRGraph"
        inner["nodes"] = file["node/nodes"]
    refused(path, "graphs lie inside graphs more than 16 deep")


def test_an_edge_to_nobody_is_refused(path):
    with h5py.File(path, "a") as file:
        edges = file["node/edges"][()].tolist()
        del file["node/edges"]
        file["node"].create_dataset("edges", data=[*edges, [b"0", b"nobody"]])
    refused(path, "an edge names 'nobody', which is no node")


def test_a_lif_of_another_tool_runs_as_its_equation(tmp_path):
    made = read(chain(nir.Linear(np.array([[0.4]])), lif(r=10.0)), tmp_path).network
    counts = np.ones((1, 8, 1), np.uint8)
    fired, v, expected = simulate(made, counts, ["spikes"]).spikes["1"][0, :, 0], 0.0, []
    for _ in range(8):
        v += 0.1 * (-v + 10.0 * 0.4)
        expected.append(v > 1)
        v = 0.0 if v > 1 else v
    assert fired.tolist() == expected
