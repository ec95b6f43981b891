"""mlGeNN checkpoints: a step of GeNN, written out, against what a folder becomes here."""

import numpy as np
import pytest

from model import Compare, Delay, Reset, simulate
from model.importers import Settings, Verdict, import_network

STEPS = 120
GIVEN = {
    "dt_ms": 1,
    "steps": STEPS,
    "inputs": 5,
    "threshold": 1,
    "tau_ms": 20,
    "tau_syn_ms": 5,
    "tau_readout_ms": 30,
}


def checkpoint(folder, arrays, epoch=3):
    folder.mkdir(exist_ok=True)
    for name, values in arrays.items():
        connection, _, variable = name.rpartition("_")
        np.save(folder / f"{epoch}-Conn_{connection}-{variable}.npy", values)
    return folder


def arrays(rng, hidden=9, recurrent=True):
    """Flat, pre by pre, as mlGeNN's Numpy serialiser writes them."""
    made = {
        "Pop0_Pop1_g": rng.normal(4, 6, 5 * hidden),
        "Pop0_Pop1_d": rng.uniform(-0.4, 12, 5 * hidden),
        "Pop1_Pop2_g": rng.normal(0, 2, hidden * 3),
    }
    if recurrent:
        made["Pop1_Pop1_g"] = rng.normal(0, 1, hidden * hidden)
        made["Pop1_Pop1_d"] = rng.uniform(0, 7, hidden * hidden)
    return {name: values.astype(np.float32) for name, values in made.items()}


def read(path, **changed):
    given = {key: value for key, value in {**GIVEN, **changed}.items() if value is not None}
    return import_network(path, Settings(path, given))


def genn(x, kept):
    """GeNN's order: deliver last step's spikes into the delay buffer, then update the neurons."""
    alpha, kappa, decay = np.exp(-1 / 20), np.exp(-1 / 30), np.exp(-1 / 5)
    scale = 5 * (1 - decay)
    w_in, w_rec, w_out = (
        kept[name].astype(np.float64).reshape(pre, -1)
        for name, pre in (("Pop0_Pop1_g", 5), ("Pop1_Pop1_g", 9), ("Pop1_Pop2_g", 9))
    )
    d_in, d_rec = (
        np.maximum(np.round(kept[name].reshape(pre, -1)), 0).astype(int)
        for name, pre in (("Pop0_Pop1_d", 5), ("Pop1_Pop1_d", 9))
    )
    buffer, ins, v = np.zeros((64, 9)), np.zeros(9), np.zeros(9)
    out_ins, out_v = np.zeros(3), np.zeros(3)
    last_x, last_z = np.zeros(5), np.zeros(9)
    spikes, reads = [], []
    for t, now in enumerate(x):
        for j in range(9):
            np.add.at(buffer[:, j], (t + d_in[:, j]) % 64, w_in[:, j] * last_x)
            np.add.at(buffer[:, j], (t + d_rec[:, j]) % 64, w_rec[:, j] * last_z)
        out_ins = out_ins + last_z @ w_out
        ins = ins + buffer[t % 64]
        buffer[t % 64] = 0
        v = alpha * v + (1 - alpha) * scale * ins
        out_v = kappa * out_v + (1 - kappa) * scale * out_ins
        ins, out_ins = ins * decay, out_ins * decay
        z = v >= 1
        v = np.where(z, 0, v)
        last_x, last_z = now, z.astype(float)
        spikes.append(z)
        reads.append(out_v)
    return np.array(spikes), np.array(reads)


def test_spikes_and_scores_are_those_of_the_original(tmp_path):
    rng = np.random.default_rng(0)
    kept = arrays(rng)
    imported = read(checkpoint(tmp_path / "checkpoints", kept))
    assert imported.verdict is Verdict.FAITHFUL
    network = imported.network
    assert [p.name for p in network.populations] == ["input", "Pop1", "Pop2"]
    hidden = network.population("Pop1")
    assert (hidden.compare, hidden.reset) == (Compare.GE, Reset.ZERO)
    assert network.projections[0].delay is Delay.SYNAPTIC
    x = (rng.random((STEPS, 5)) < 0.2).astype(int)
    here = simulate(network, x[None], record=["spikes", "readout"])
    spikes, reads = genn(x, kept)
    assert spikes.any()
    assert (here.spikes["Pop1"][0] == spikes).all()
    assert here.readout[0] == pytest.approx(reads)


def test_a_weight_and_a_delay_by_hand(tmp_path):
    kept = {"A_B_g": np.array([2.0, 4.0]), "A_B_d": np.array([0.0, 2.6]), "B_C_g": np.ones(2)}
    network = read(checkpoint(tmp_path / "c", kept), inputs=1).network
    gain = (1 - np.exp(-1 / 20)) * 5 * (1 - np.exp(-1 / 5))
    assert network.projections[0].weights == pytest.approx(gain * np.array([[2.0], [4.0]]))
    assert network.steps_of(network.projections[0]).tolist() == [[1], [4]]
    assert network.steps_of(network.projections[1]).tolist() == [[1, 1]]


def test_one_of_several_epochs_is_asked_for(tmp_path):
    folder = checkpoint(tmp_path / "c", arrays(np.random.default_rng(0)))
    checkpoint(folder, arrays(np.random.default_rng(1)), epoch=12)
    with pytest.raises(
        ValueError, match=r"epoch \(which checkpoint of a folder\) is not in the file"
    ):
        read(folder)
    assert read(folder, epoch=12).network.provenance["import.epoch"] == 12
    with pytest.raises(ValueError, match="there is no epoch 4 among the 2 from 3 to 12"):
        read(folder, epoch=4)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    folder = checkpoint(tmp_path / "c", arrays(np.random.default_rng(0)))
    file = folder / "3-Conn_Pop0_Pop1-g.npy"
    whole = file.read_bytes()
    for broken in (
        whole[:90],
        whole[:-8],
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"",
        whole[:20] + b"[" * 99,
    ):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=r"Pop1-g.npy: is no complete npy array"):
            read(folder)
    np.save(file, np.array([print, 1], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"Pop1-g.npy: is no complete npy array"):
        read(folder)
    longer = whole.replace(b"(45,), }" + b" " * 9, b"(99999999999,), }")
    assert longer != whole
    file.write_bytes(longer)
    with pytest.raises(ValueError, match=r"Pop1-g.npy: is no complete npy array"):
        read(folder)
    np.save(file, np.full(45, np.inf))
    with pytest.raises(ValueError, match="holds numbers that are not finite"):
        read(folder)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = checkpoint(tmp_path / "c", arrays(np.random.default_rng(0)))
    file = folder / "3-Conn_Pop0_Pop1-g.npy"
    file.rename(tmp_path / "elsewhere.npy")
    file.symlink_to(tmp_path / "elsewhere.npy")
    imported = read(folder)
    assert imported.findings[-1].reason.startswith("has no g")


@pytest.mark.parametrize(
    ("more", "node", "sentence"),
    [
        ({"Pop0_Pop1_pre": np.ones(3)}, "Conn_Pop0_Pop1", "has pre; connections of weights g"),
        ({"Pop0_Pop1_d": np.ones(5)}, "Conn_Pop0_Pop1", "has 5 delays for 45 weights"),
        ({"Pop0_Pop1_g": np.ones(46)}, "Conn_Pop0_Pop1", "no rows for 5 neurons; is inputs right"),
        (
            {"Pop1_Pop1_g": np.ones(90), "Pop1_Pop1_d": np.ones(90)},
            "Conn_Pop1_Pop1",
            "9 x 9 weights",
        ),
        ({"Pop0_Pop2_g": np.ones(15)}, "Conn_Pop0_Pop", "is no part of one chain"),
        ({"Pop2_Pop2_g": np.ones(9)}, "Conn_Pop2_Pop2", "is recurrent in the output"),
        ({"Pop_0_Pop1_g": np.ones(9)}, "Conn_Pop_0_Pop1", "is not called Conn_SOURCE_TARGET"),
        ({"Pop2_Pop0_g": np.ones(15)}, "Conn_", "is no part of one chain"),
    ],
)
def test_what_no_network_has_is_named(tmp_path, more, node, sentence):
    kept = arrays(np.random.default_rng(0))
    imported = read(checkpoint(tmp_path / "c", {**kept, **more}))
    assert imported.network is None
    assert imported.findings[-1].node.startswith(node)
    assert sentence in imported.findings[-1].reason
