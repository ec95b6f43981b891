"""Every format: found by a look at the file, judged, and answered in a sentence when damaged."""

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from model import Input, Network, Readout, save
from model.exporters import write_nir
from model.importers import FORMATS, Settings, Verdict, _module, import_network
from ranvier.cli import main
from tests.torch_writer import Module, write_torch

LAYERED = {"tau_ms": 20, "tau_readout_ms": 20, "threshold": 1, "reset": "zero"}
DCLS = {"kernel_size": 5, "right_padding": 0}


def dyadic(*shape):
    return (np.arange(np.prod(shape)).reshape(shape) % 7 - 2).astype(np.float32) / 4


def kernel(outs, ins):
    position = (np.arange(outs * ins).reshape(1, outs, ins, 1) % 5 - 2).astype(np.float32)
    return {"weight": dyadic(outs, ins, 1), "P": position, "SIG": 0 * position}


def norm(size):
    return {"running_mean": np.zeros(size), "running_var": np.ones(size)}


def neurons(mechanism, **more):
    scalars = {"threshold": 1.0, "beta": 0.5, "reset_mechanism_val": mechanism, **more}
    return {name: np.array(value) for name, value in scalars.items()}


def flat(parts):
    return {f"{part}.{k}": v for part, kept in parts.items() for k, v in kept.items()}


STATE_DICTS = {
    "snntorch": (
        flat({"fc": {"weight": dyadic(4, 3), "bias": dyadic(4)}, "bn": norm(4),
              "lif": neurons(0, alpha=0.5), "lif.recurrent": {"weight": dyadic(4, 4)},
              "fc2": {"weight": dyadic(2, 4)}, "lif2": neurons(0)}),
        {"score": "spikes", "late_reset": "early"},
    ),
    "dcls": (
        flat({"model.0": kernel(4, 3), "model.1": norm(4), "model.2": {"w": np.zeros(())},
              "model.4": kernel(2, 4)}),
        {"tau_readout_ms": 20, "threshold": 1, "reset": "zero", **DCLS},
    ),
    "delrec": (
        flat({"layers.0": {"weight": dyadic(4, 3)}, "layers.1": norm(4),
              "layers.2": {"recurrent_weights": dyadic(4, 4), "recurrent_delays": np.arange(4.0),
                           "p_spread": np.zeros(4), "recurrent_bias": np.zeros(4)},
              "layers.5": {"weight": dyadic(2, 4)}}),
        {"sigma": 0.5, "fraction": "split", **LAYERED},
    ),
    "axden": (
        flat({"snn.0.delay_layer": {**kernel(3, 1), "weight": np.ones((3, 1, 1)),
                                    "delay_scores": dyadic(3)},
              "snn.0.W": {"weight": dyadic(4, 3)}, "snn.0.norm": norm(4),
              "snn.1.W": {"weight": dyadic(2, 4)}}),
        {"sparsity": 0.5, **DCLS, **LAYERED},
    ),
}  # fmt: skip


def delgrad(weights, delays):
    given = {"neuron_params": {"tau_mem": 2.0, "tau_syn": 1.0, "threshold": 1.0}}
    layers = {
        "0": Module("utils.DelayLayer", {"_delay_parameters": delays}),
        "1": Module("utils.NeuronLayer", {"weights": weights}, attributes=given),
    }
    return Module("networks.Net", {}, {"layers": Module("torch.nn.ModuleList", {}, layers)})


@pytest.fixture
def files(tmp_path):
    """A file of every format, and the settings it needs."""
    made = {}
    network = Network(1.0, 4, (Input("in", 2, 2), Readout("out", 2, 0.5, 0.0)), ())
    save(network, tmp_path / "a.npz")
    write_nir(network, tmp_path / "a.nir")
    made |= {"npz": (tmp_path / "a.npz", {}), "nir": (tmp_path / "a.nir", {})}
    given = {"dt_ms": 10, "steps": 9}
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name, size in (("Pop0_Pop1", 12), ("Pop1_Pop2", 8)):
        np.save(folder / f"7-Conn_{name}-g.npy", np.ones(size, np.float32))
    taus = {"tau_ms": 20, "tau_syn_ms": 5, "tau_readout_ms": 20, "threshold": 1}
    made["mlgenn"] = (folder, {**given, "inputs": 3, **taus})
    with h5py.File(tmp_path / "a.net", "w") as file:
        group = file.create_group("layer/0")
        group.create_dataset("type", (1,), "S10", [b"dense"])
        group["weight"] = np.ones((2, 3))
        for name, value in (("type", "CUBA"), ("iDecay", 9), ("vDecay", 9), ("vThMant", 9)):
            group[f"neuron/{name}"] = value
    made["netx"] = (tmp_path / "a.net", given)
    for form, (content, settings) in STATE_DICTS.items():
        path = write_torch(tmp_path / f"{form}.pt", content)
        made[form] = (path, {**given, **settings})
    path = write_torch(tmp_path / "delgrad.pt", delgrad(np.ones((3, 2)), np.ones((3, 1))))
    made["delgrad"] = (path, {**given, "dt_ms": 0.01, "tau_syn_ms": 1})
    assert set(made) == set(FORMATS)
    return made


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_recognized_by_its_own_format_alone(files, form):
    path, settings = files[form]
    assert [name for name in FORMATS if _module(name).recognizes(path)] == [form]
    imported = import_network(path, Settings(path, settings))
    assert imported.network is not None, imported.findings[-1]
    assert imported.network.provenance["import.format"] == form


@pytest.mark.parametrize("form", FORMATS)
def test_check_ends_with_the_worst_verdict(files, form, tmp_path):
    path, settings = files[form]
    pairs = [word for pair in settings.items() for word in ("--set", "{}={}".format(*pair))]
    done = CliRunner().invoke(main, ["check", str(path), "--json", *pairs])
    worst = import_network(path, Settings(path, settings)).verdict
    assert done.exit_code == list(Verdict).index(worst)
    assert {one["verdict"] for one in json.loads(done.stdout)} >= {str(worst)}
    written = CliRunner().invoke(main, ["import", str(path), "-o", f"{tmp_path}/o.npz", *pairs])
    assert written.exit_code == 0


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_needed_is_asked_for_by_name_and_nothing_else_is_taken(files, form):
    path, settings = files[form]
    for name in settings:
        if name != "late_reset":
            rest = {key: value for key, value in settings.items() if key != name}
            with pytest.raises(
                ValueError, match=rf"{name} \(.*\) is not in the file; give it with"
            ):
                import_network(path, Settings(path, rest))
    unused = {"epoch": 3} if form != "mlgenn" else {"sigma": 3}
    with pytest.raises(ValueError, match=f"{next(iter(unused))} is not used for this {form} file"):
        import_network(path, Settings(path, {**settings, **unused}))


DAMAGE = [0.0, -1.0, 1e300, -1e300, np.nan, np.inf, 1e-300, 0.5, 1e9, 3e38]


def damaged(rng, values):
    """Tensors with odd values, cut short, or of another shape."""
    values = np.array(values, np.float64)
    kind = rng.integers(4)
    if kind == 0 and values.size:
        values.flat[rng.integers(values.size)] = rng.choice(DAMAGE)
    elif kind == 1:
        values[...] = rng.choice(DAMAGE)
    elif kind == 2:
        values = np.ones([int(n) for n in rng.integers(0, 4, rng.integers(0, 5))])
    else:
        values = values.reshape(-1)[: rng.integers(0, values.size + 1)]
    return values


def looked_at(path, settings, form):
    """Import a file; whatever it holds, there is a network, findings, or a sentence."""
    try:
        imported = import_network(path, Settings(path, settings), form)
    except ValueError as error:
        return str(error)
    return None if imported.network is None else "a network"


@pytest.mark.parametrize("form", STATE_DICTS)
def test_damaged_tensors_give_findings_or_a_sentence(tmp_path, form):
    rng = np.random.default_rng(0)
    content, settings = STATE_DICTS[form]
    for _ in range(120):
        broken = dict(content)
        for key in rng.choice(list(content), rng.integers(1, 3)):
            broken[key] = damaged(rng, content[key])
        if rng.integers(5) == 0:
            del broken[rng.choice(list(broken))]
        path = write_torch(tmp_path / "a.pt", broken)
        said = looked_at(path, {"dt_ms": 10, "steps": 9, **settings}, form)
        assert said is None or said == "a network" or said.startswith(str(path)), said


def test_damaged_modules_give_findings_or_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(120):
        module = delgrad(damaged(rng, np.ones((3, 2))), damaged(rng, np.ones((3, 1))))
        path = write_torch(tmp_path / "a.pt", module)
        said = looked_at(path, {"dt_ms": 0.01, "steps": 9, "tau_syn_ms": 1}, "delgrad")
        assert said is None or said == "a network" or said.startswith(str(path)), said


def test_few_numbers_do_not_become_a_huge_matrix(tmp_path):
    parts = {"fc": {"weight": np.ones((5000, 1), np.float32)}, "lif": neurons(1)}
    path = write_torch(tmp_path / "a.pt", flat(parts))
    imported = import_network(path, Settings(path, {"dt_ms": 1, "steps": 9, "score": "spikes"}))
    assert imported.network is None
    assert "one to one would be a matrix of more than" in imported.findings[-1].reason


def test_a_sentence_of_the_network_names_the_file(files):
    path, settings = files["delrec"]
    with pytest.raises(
        ValueError, match=r"delrec.pt: hidden1: threshold\[0\] = 0.0 must be positive"
    ):
        import_network(path, Settings(path, {**settings, "threshold": 0}))
    with pytest.raises(ValueError, match=r"delrec.pt: dt_ms must be positive, not 0"):
        import_network(path, Settings(path, {**settings, "dt_ms": 0}))
