import io
import json
import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from model import Compare, Delay, Input, Lif, Network, Projection, Readout, Reset, load, save


def network():
    rng = np.random.default_rng(0)
    return Network(
        dt_ms=10.0,
        steps=100,
        populations=(
            Input("in", 3, 15),
            Lif("hidden", 4, rng.random(4), 1.0, 0.1, Reset.ZERO),
            Readout("out", 2, 0.95, [0.0, -1e-300]),
        ),
        projections=(
            Projection("a", "in", "hidden", rng.normal(size=(4, 3)), "axonal", [0, 1.5, 40.25], 40),
            Projection("b", "hidden", "hidden", rng.normal(size=(4, 4)), "synaptic", 1.25, 9),
            Projection("c", "hidden", "out", rng.normal(size=(2, 4)), "dendritic", [0, 1], 1),
            Projection("d", "in", "out", rng.normal(size=(2, 3)), "none", 0, 0),
        ),
        labels=("null", "één"),
        provenance={"rule": "three-factor", "epochs": 15, "accuracy": 0.1 + 0.2},
    )


@pytest.fixture
def path(tmp_path):
    save(network(), tmp_path / "net.npz")
    return tmp_path / "net.npz"


def test_currents_and_strict_comparisons_take_version_2(tmp_path, path):
    plain = network()
    hidden = replace(plain.population("hidden"), compare=Compare.GT, alpha_syn=[0, 0.5, 1, 0.25])
    out = replace(plain.readout, alpha_syn=0.125)
    net = replace(plain, populations=(plain.input, hidden, out))
    save(net, tmp_path / "two.npz")
    back = load(tmp_path / "two.npz")
    assert back.has_currents
    assert back.population("hidden").compare is Compare.GT
    assert list(back.population("hidden").alpha_syn) == [0, 0.5, 1, 0.25]
    assert list(back.readout.alpha_syn) == [0.125, 0.125]

    def version(file):
        with np.load(file) as members:
            return json.loads(members["header"].tobytes())["version"]

    assert (version(tmp_path / "two.npz"), version(path)) == (2, 1)
    edit(tmp_path / "two.npz", lambda h: h["populations"][1].update(compare="<"))
    with pytest.raises(ValueError, match="compare must be one of >=, >, not '<'"):
        load(tmp_path / "two.npz")


def rewrite(path, name, content):
    """Replace one member (bytes, or None to drop it) and leave the others as they were."""
    with zipfile.ZipFile(path) as file:
        members = {n: file.read(n) for n in file.namelist()}
    members[name] = content
    with zipfile.ZipFile(path, "w") as file:
        for n, data in members.items():
            if data is not None:
                file.writestr(n, data)


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array))
    return buffer.getvalue()


def edit(path, change):
    """Change the header in place."""
    with zipfile.ZipFile(path) as file:
        header = json.loads(np.load(io.BytesIO(file.read("header.npy"))).tobytes())
    change(header)
    rewrite(path, "header.npy", npy(np.frombuffer(json.dumps(header).encode(), np.uint8)))


def test_returns_every_bit(path):
    before, after = network(), load(path)
    assert (after.dt_ms, after.steps, after.labels) == (10.0, 100, ("null", "één"))
    assert after.provenance == before.provenance
    for p, q in zip(before.populations, after.populations, strict=True):
        assert (type(p), p.name, p.size) == (type(q), q.name, q.size)
    assert after.input.units == 15
    assert after.population("hidden").reset is Reset.ZERO
    for name in ("alpha", "threshold", "bias"):
        assert (getattr(after.populations[1], name) == getattr(before.populations[1], name)).all()
    assert (after.readout.bias == [0.0, -1e-300]).all()
    for p, q in zip(before.projections, after.projections, strict=True):
        assert (p.name, p.pre, p.post, p.delay, p.max_delay) == (
            (q.name, q.pre, q.post, q.delay, q.max_delay)
        )
        assert (p.weights == q.weights).all()
        assert (p.delays == q.delays).all()


def test_is_plain_npz(path):
    with np.load(path, allow_pickle=False) as file:
        assert file["projections/a/delays"].tolist() == [0.0, 1.5, 40.25]


def test_same_network_same_bytes(path, tmp_path):
    save(load(path), tmp_path / "again.npz")
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_leaves_no_other_file_behind(path):
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"provenance\['x'\] must be a string or a finite number"):
        save(replace(network(), provenance={"x": [1]}), path)
    assert path.read_bytes() == before


def test_names_the_folder_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"net\.npz: cannot be written: Not a directory"):
        save(network(), tmp_path / "file" / "net.npz")
    with pytest.raises(OSError, match=r"net\.npz: cannot be written: No such file or directory"):
        save(network(), tmp_path / "missing" / "net.npz")


def test_names_the_file_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match=r"net\.npz: cannot be read: No such file"):
        load(tmp_path / "net.npz")


def test_every_cut_is_noticed(path):
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="not a complete npz file"):
            load(path)


def test_damaged_bytes_are_noticed_or_harmless(path):
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with suppress(ValueError):
            assert (load(path).projections[0].weights == network().projections[0].weights).all()


@pytest.mark.parametrize(
    ("member", "array", "sentence"),
    [
        ("projections/a/delays", None, "has no field 'projections/a/delays'"),
        ("populations/hidden/alpha", np.zeros(5), r"must have shape \(4,\), not \(5,\)"),
        ("populations/hidden/alpha", np.zeros(4, np.float32), "must be float64 in C order, not"),
        ("populations/hidden/bias", [0, np.nan, 0, 0], r"bias\[1\] = nan is not a finite number"),
        ("populations/hidden/alpha", [0.5, 2, 0, 0], r"alpha\[1\] = 2.0 must be between 0 and 1"),
        ("header", np.zeros(9, np.uint8), "header is not JSON text"),
        ("extra", np.zeros(1), "holds 'extra.npy', which its header does not mention"),
    ],
)
def test_names_the_wrong_field(path, member, array, sentence):
    rewrite(path, f"{member}.npy", None if array is None else npy(array))
    with pytest.raises(ValueError, match=sentence) as error:
        load(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda h: h.update(format="x"), "is not a ranvier network file"),
        (lambda h: h.update(version=3), "has version 3, but only versions 1 and 2 can be read"),
        (lambda h: h.update(version=2), "has no field 'populations/hidden/alpha_syn'"),
        (lambda h: h.pop("steps"), "header has no field 'steps'"),
        (lambda h: h.update(steps="100"), "steps must be of type int, not '100'"),
        (lambda h: h.update(steps=True), "steps must be of type int, not True"),
        (lambda h: h.update(dt_ms=float("nan")), "dt_ms must be a positive number, not nan"),
        (lambda h: h.update(labels=[1, 2]), "labels must be strings, not 1"),
        (lambda h: h.update(provenance={"a": {}}), r"provenance\['a'\] must be a string or"),
        (lambda h: h.update(populations=[3]), r"populations\[0\] must be an object, not 3"),
        (lambda h: h["populations"][1].update(kind="cuba"), "'hidden' has the unknown kind 'cuba'"),
        (lambda h: h["populations"][1].update(reset="no"), "reset must be one of subtract, zero"),
        (lambda h: h["populations"][1].update(size=-4), r"shape \(-4,\), not \(4,\)"),
        (lambda h: h["populations"][1].update(size=10**15), r"shape \(10{15},\), not \(4,\)"),
        (lambda h: h["projections"][0].update(delay="odd"), "delay must be one of none, axonal"),
        (lambda h: h["projections"][0].update(pre="nobody"), "there is no population 'nobody'"),
        (lambda h: h["projections"][0].update(max_delay=2**40), "max_delay must be at most 2147"),
    ],
)
def test_names_the_wrong_header_entry(path, change, sentence):
    edit(path, change)
    with pytest.raises(ValueError, match=sentence) as error:
        load(path)
    assert str(error.value).startswith(str(path))


def header_of(shape, descr="<f8"):
    """The header alone of a huge array."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def test_a_huge_claim_allocates_nothing(path):
    edit(path, lambda h: h["populations"][1].update(size=2**31 - 1))
    rewrite(path, "populations/hidden/alpha.npy", header_of((2**31 - 1,)))
    with pytest.raises(ValueError, match=r"alpha holds 0 bytes, not those of \(2147483647,\)"):
        load(path)


def test_a_compressed_member_is_not_inflated(path):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.npy", bytes(10**6))
    edit(path, lambda h: h["populations"][2].update(name="bomb"))
    with zipfile.ZipFile(path) as file:
        members = {n: file.read(n) for n in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    with pytest.raises(ValueError, match="header is compressed: store it uncompressed"):
        load(path)


def test_executes_nothing(path):
    rewrite(path, "populations/hidden/alpha.npy", header_of((4,), "|O") + b"cos\nsystem\n.")
    with pytest.raises(ValueError, match="alpha must be float64 in C order, not object"):
        load(path)


@pytest.mark.parametrize("delay", Delay)
def test_every_delay_mode_survives(tmp_path, delay):
    shape = {"none": (), "axonal": 2, "dendritic": 3, "synaptic": (3, 2)}[delay]
    d = np.arange(6.0)[: int(np.prod(shape))].reshape(shape)
    net = Network(
        1.0,
        1,
        (Input("in", 2, 2), Readout("out", 3, 1.0, 0.0)),
        (Projection("p", "in", "out", np.ones((3, 2)), delay, d, 7),),
    )
    save(net, tmp_path / "n.npz")
    assert (
        load(tmp_path / "n.npz").steps_of(net.projections[0]) == net.steps_of(net.projections[0])
    ).all()
