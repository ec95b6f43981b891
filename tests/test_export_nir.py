"""Networks written as NIR: what other tools find, and what comes back."""

import shutil
from dataclasses import fields

import h5py
import nir
import numpy as np
import pytest
from click.testing import CliRunner

from model import Input, Lif, Network, Projection, Readout, load, save, simulate
from model.exporters import write_nir
from model.importers import Settings, Verdict, import_network
from ranvier.cli import main
from ranvier.sources import open_network, shipped

EULER = {"dt_ms": 2.0, "steps": 40, "scheme": "euler"}


def network(compare=">=", reset="subtract", current=0.0, mode="synaptic", **changed):
    """5-8-6-3, hidden populations recurrent and driven by two projections each."""
    rng = np.random.default_rng(7)
    shape = {"none": lambda o, i: (), "axonal": lambda o, i: (i,), "dendritic": lambda o, i: (o,)}
    delays = {
        (o, i): rng.uniform(0, 9, shape.get(mode, lambda o, i: (o, i))(o, i))
        for o, i in ((8, 5), (8, 8), (6, 8), (6, 5), (3, 6))
    }

    def join(name, pre, post, o, i):
        weights = rng.normal(0, 0.8, (o, i))
        return Projection(name, pre, post, weights, mode, delays[o, i], 9)

    def lif(name, size):
        alpha, threshold = rng.uniform(0, 0.97, size), rng.uniform(0.5, 2, size)
        slow = rng.uniform(0.1, 0.9, size) * (current > 0)
        return Lif(name, size, alpha, threshold, rng.normal(0, 0.1, size), reset, compare, slow)

    given = {
        "dt_ms": 2.0,
        "steps": 40,
        "populations": (
            Input("in", 5, 12), lif("one", 8), lif("two", 6),
            Readout("output", 3, rng.uniform(0, 0.9, 3), rng.normal(0, 1, 3), np.full(3, current)),
        ),
        "projections": (
            join("a", "in", "one", 8, 5), join("one", "one", "one", 8, 8),
            join("b", "one", "two", 6, 8), join("skip", "in", "two", 6, 5),
            join("c", "two", "output", 3, 6),
        ),
        "labels": ("x", "y", "z"),
        "provenance": {"seed": 3, "rate": 0.1, "made": "here"},
    }  # fmt: skip
    return Network(**{**given, **changed})


def assert_identical(here, there):
    assert (here.dt_ms, here.steps, here.labels) == (there.dt_ms, there.steps, there.labels)
    pairs = zip(
        (*here.populations, *here.projections),
        (*there.populations, *there.projections),
        strict=True,
    )
    for one, other in pairs:
        assert type(one) is type(other)
        for field in fields(one):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), one.name


def back(path, **settings):
    return import_network(path, Settings(path, settings))


@pytest.mark.parametrize("mode", ["none", "axonal", "dendritic", "synaptic"])
@pytest.mark.parametrize(
    ("compare", "reset", "current"),
    [(">=", "subtract", 0.0), (">", "zero", 0.5), (">=", "zero", 0.25), (">", "subtract", 0.0)],
)
def test_a_round_trip_gives_the_identical_network(tmp_path, mode, compare, reset, current):
    wanted = network(compare, reset, current, mode)
    write_nir(wanted, tmp_path / "a.nir")
    imported = back(tmp_path / "a.nir")
    assert imported.verdict is Verdict.FAITHFUL
    assert_identical(imported.network, wanted)
    kept = imported.network.provenance
    assert {name: kept[name] for name in wanted.provenance} == wanted.provenance
    assert kept["import.format"] == "nir"


@pytest.mark.parametrize("name", shipped())
def test_shipped_networks_go_there_and_back(tmp_path, name):
    wanted = open_network(name)
    write_nir(wanted, tmp_path / "a.nir")
    assert_identical(back(tmp_path / "a.nir").network, wanted)


def test_the_same_network_gives_the_same_bytes(tmp_path):
    write_nir(network(), tmp_path / "a.nir")
    write_nir(network(), tmp_path / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_the_nir_package_reads_it(tmp_path):
    made = network(mode="axonal", current=0.5, reset="zero")
    write_nir(made, tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir", type_check=False)
    one = graph.nodes["one"]
    assert isinstance(one, nir.CubaLIF)
    assert 1 - 0.002 / one.tau_mem == pytest.approx(made.population("one").alpha)
    assert (one.v_reset == 0).all()
    delay = graph.nodes["a delay"]
    assert delay.delay == pytest.approx(0.002 * made.steps_of(made.projections[0])[0])
    assert {("in", "a delay"), ("a delay", "a"), ("a", "one")} <= set(graph.edges)
    assert isinstance(graph.nodes["output'"], nir.Output)
    assert graph.nodes["in"].input_type["input"].tolist() == [5]


def strip(path, everything=False):
    with h5py.File(path, "a") as file:
        del file["node/metadata"]
        for node in file["node/nodes"].values():
            if everything and "metadata" in node:
                del node["metadata"]


@pytest.mark.parametrize("mode", ["none", "axonal", "dendritic", "synaptic"])
@pytest.mark.parametrize("current", [0.0, 0.5])
def test_the_nodes_alone_give_the_same_spikes(tmp_path, mode, current):
    wanted = network(current=current, mode=mode, reset="zero")
    write_nir(wanted, tmp_path / "a.nir")
    strip(tmp_path / "a.nir")
    imported = back(tmp_path / "a.nir", **EULER)
    assert imported.verdict is Verdict.FAITHFUL
    x = np.random.default_rng(1).integers(0, 3, (4, 40, 5))
    here = simulate(imported.network, x, record=["spikes", "readout"])
    there = simulate(wanted, x, record=["spikes", "readout"])
    for name in ("one", "two"):
        assert there.spikes[name].any()
        assert (here.spikes[name] == there.spikes[name]).all()
    assert here.readout == pytest.approx(there.readout)


def test_delays_of_single_weights_are_metadata_that_others_may_drop(tmp_path):
    wanted = network()
    write_nir(wanted, tmp_path / "a.nir")
    with h5py.File(tmp_path / "a.nir") as file:
        seconds = file["node/nodes/a/metadata/synaptic_delay_s"][()]
    assert seconds == pytest.approx(0.002 * wanted.steps_of(wanted.projections[0]))
    strip(tmp_path / "a.nir", everything=True)
    made = back(tmp_path / "a.nir", **EULER, reset="subtract").network
    assert made.steps_of(made.projections[0]).max() == 0


def test_whoever_changes_a_node_means_the_node(tmp_path):
    write_nir(network(reset="zero"), tmp_path / "a.nir")
    with h5py.File(tmp_path / "a.nir", "a") as file:
        file["node/nodes/a/weight"][0, 0] = 77
    assert back(tmp_path / "a.nir").network.projections[0].weights[0, 0] == 77
    with h5py.File(tmp_path / "a.nir", "a") as file:
        file["node/nodes/one/v_threshold"][3] = 5
    imported = back(tmp_path / "a.nir", **EULER)
    assert imported.verdict is Verdict.APPROXIMATE
    assert imported.findings[0].node == "metadata"
    assert imported.network.population("one").threshold[3] == 5
    with pytest.raises(ValueError, match=r"dt_ms \(length of a step\) is not in the file"):
        back(tmp_path / "a.nir")


def test_neurons_without_leak_and_readouts_without_memory(tmp_path):
    made = Network(
        1.0, 9,
        (Input("in", 2, 2), Lif("sum", 3, 1.0, 1.5, 0.0), Readout("out", 3, 0.0, 0.0)),
        (Projection("a", "in", "sum", np.eye(3, 2), "none", 2, 2),
         Projection("b", "sum", "out", np.eye(3), "none", 0, 0)),
    )  # fmt: skip
    write_nir(made, tmp_path / "a.nir")
    assert_identical(back(tmp_path / "a.nir").network, made)
    graph = nir.read(tmp_path / "a.nir", type_check=False)
    assert isinstance(graph.nodes["sum"], nir.IF)
    assert isinstance(graph.nodes["out"], nir.LI)
    assert graph.nodes["a delay"].delay.tolist() == [0.002, 0.002]


@pytest.mark.parametrize(
    ("population", "sentence"),
    [
        (Lif("p", 2, [1.0, 0.5], 1.0, 0.0), "p: a decay of 1 has no time constant"),
        (Lif("p", 2, 0.5, 1.0, 0.0, alpha_syn=np.ones(2)), "p: a decay of 1 has no time constant"),
        (Lif("p", 2, 1.0, 1.0, 0.5), "p: NIR has no bias for neurons that do not leak"),
        (Lif("..", 2, 0.5, 1.0, 0.0), "'..' cannot be the name of a NIR node"),
    ],
)
def test_what_nir_has_no_node_for_is_refused_and_nothing_written(tmp_path, population, sentence):
    made = Network(1.0, 9, (Input("in", 2, 2), population, Readout("out", 1, 0.5, 0.0)), ())
    with pytest.raises(ValueError, match=sentence):
        write_nir(made, tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())


def test_hostile_metadata_is_left_aside_or_refused(tmp_path):
    write_nir(network(reset="zero"), tmp_path / "a.nir")

    def broken(change):
        shutil.copy(tmp_path / "a.nir", tmp_path / "b.nir")
        with h5py.File(tmp_path / "b.nir", "a") as file:
            change(file["node/metadata/ranvier"])
        return tmp_path / "b.nir"

    def put(name, value):
        def change(group):
            if name in group:
                del group[name]
            group[name] = value

        return change

    for change in (
        put("header", "{"),
        put("header", "[1]"),
        put("header", "[" * 100_000),
        put("header", '{"weights": {"a": ["b"]}}'),
        put("populations/one/alpha", np.full(8, 3.0)),
        put("populations/one/alpha", np.ones(3)),
        put("projections/a/delays", np.zeros((8, 5)) - 1),
        put("projections/a/delays", "none"),
    ):
        imported = back(broken(change), **EULER)
        assert imported.findings[0].node == "metadata"
        assert imported.network is not None

    def deep(group):
        group["own"] = group

    for change, sentence in (
        (deep, "is deeper or longer than what we write"),
        (put("x", h5py.ExternalLink("/etc/passwd", "/x")), "must lie in this file"),
        (put("x", np.array([np.nan])), "holds numbers that are not finite"),
    ):
        with pytest.raises(ValueError, match=sentence):
            back(broken(change))


def test_the_command_writes_what_import_reads(tmp_path):
    save(network(), tmp_path / "a.npz")

    def run(*arguments):
        return CliRunner().invoke(main, [str(one) for one in arguments])

    assert run("export-nir", tmp_path / "a.npz", tmp_path / "a.nir").exit_code == 0
    assert run("import", tmp_path / "a.nir", "-o", tmp_path / "b.npz").exit_code == 0
    assert_identical(load(tmp_path / "b.npz"), network())
    for arguments, sentence in (
        (("nobody", tmp_path / "c.nir"), "nobody: there is no such file"),
        ((tmp_path / "a.npz", tmp_path / "no" / "c.nir"), "there is no folder"),
    ):
        done = run("export-nir", *arguments)
        assert done.exit_code == 2
        assert sentence in done.stderr
