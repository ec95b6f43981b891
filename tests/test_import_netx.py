"""lava-dl networks: their own recursions, written out, and what nobody should write."""

from dataclasses import replace
from itertools import pairwise

import h5py
import numpy as np
import pytest

from datapath.catalog import LOIHI
from emulator.chip import run
from model import Compare, Delay, Reset, simulate
from model.importers import Settings, Verdict, import_network
from quant import Scale, options_for, quantize

STEPS = 50
CUBA = {
    "type": "CUBA",
    "iDecay": 1024,
    "vDecay": 2048,
    "vThMant": 80,
    "refDelay": 1,
    "gradedSpike": False,
}


def write(path, *layers):
    """As lava-dl's export_hdf5 writes them."""
    with h5py.File(path, "w") as file:
        for number, layer in enumerate(layers):
            group = file.create_group(f"layer/{number}")
            for name, value in layer.items():
                if name == "type":
                    group.create_dataset(name, (1,), "S10", [value.encode()])
                elif name == "neuron":
                    for key, one in value.items():
                        group.create_dataset(f"neuron/{key}", data=one)
                else:
                    group.create_dataset(name, data=value)
    return path


def dense(weights, delay=None, kind="dense", neuron=CUBA, **more):
    made = {
        "type": kind,
        "shape": np.array([len(weights)]),
        "weight": weights,
        "neuron": neuron,
        **more,
    }
    made |= {} if delay is None else {"delay": delay}
    return {name: value for name, value in made.items() if value is not None}


def read(path, **changed):
    return import_network(path, Settings(path, {"dt_ms": 1, "steps": STEPS, **changed}))


def block(x, weights, bias=0.0, recurrent=None):
    """SLAYER's CUBA block before its shift: current, voltage, spike, reset to 0."""
    u = v = s = np.zeros(len(weights))
    out = []
    for now in x:
        z = weights @ now + (0 if recurrent is None else recurrent @ s)
        u = (1 - 1024 / 4096) * u + z
        v = (1 - 2048 / 4096) * v + u + bias
        s = (v > 80).astype(float)
        v = v * (1 - s)
        out.append(s)
    return np.array(out)


def shifted(x, delay):
    """delay_shift of one step, then the axonal delay of each channel."""
    out = np.zeros_like(x)
    for channel, late in enumerate(1 + np.asarray(delay, int)):
        out[late:, channel] = x[: len(x) - late, channel]
    return out


@pytest.mark.parametrize("recurrent", [False, True])
def test_spikes_are_those_of_the_original(tmp_path, recurrent):
    rng = np.random.default_rng(0)
    first, second, own = (2 * rng.integers(-20, 40, s) for s in ((12, 5), (3, 12), (12, 12)))
    own = own // 8
    delay, bias = rng.integers(0, 9, 12).astype(np.float32), rng.integers(0, 5, 12)
    more = {"kind": "dense_rec", "weight_rec": own} if recurrent else {}
    path = write(
        tmp_path / "network.net",
        {"type": "input", "shape": np.array([5])},
        dense(first, delay, bias=bias, **more),
        dense(second),
    )
    imported = read(path)
    assert imported.verdict is Verdict.APPROXIMATE
    assert (
        "without the rounding of Loihi's integers; axonal delays of up to"
        in imported.findings[1].reason
    )
    network = imported.network
    assert network.projections[-2].delay is Delay.AXONAL
    hidden = network.population("layer1")
    assert (hidden.compare, hidden.reset) == (Compare.GT, Reset.ZERO)
    x = rng.integers(0, 2, (STEPS, 5))
    here = simulate(network, x[None], record=["spikes"])
    inner = block(x, first, bias, own if recurrent else None)
    ends = block(shifted(inner, delay), second)
    assert inner.any()
    assert ends.any()
    assert (here.spikes["layer1"][0] == inner).all()
    assert (here.spikes["layer2"][0] == ends).all()
    assert here.scores[0].tolist() == shifted(ends, np.zeros(3)).sum(axis=0).tolist()


def towards_zero(x, keep):
    """What Loihi leaves of integers `x` that decay in 4096ths."""
    return np.sign(x) * (np.abs(x) * keep >> 12)


def lava(x, weights, du, dv, threshold, bias, recurrent):
    """Lava's bit-accurate LIF as netx builds it of a layer: membranes and spikes."""
    u = v = s = np.zeros(len(weights), np.int64)
    membranes, out = [], []
    for now in x:
        u = towards_zero(u, 4096 - du) + (weights @ now + recurrent @ s << 6)
        v = towards_zero(v, 4096 - dv) + u + (bias << 6)
        s = (v > threshold << 6).astype(np.int64)
        v = v * (1 - s)
        membranes.append(v)
        out.append(s)
    return np.array(membranes), np.array(out)


def test_the_chip_loihi_is_lava_bit_for_bit(tmp_path):
    rng = np.random.default_rng(1)
    sizes, layers, inner = (9, 24, 16, 4), [], []
    for ins, size in pairwise(sizes):
        weights = 2 * rng.integers(-30, 40, (size, ins))
        own = 2 * rng.integers(-12, 12, (size, size)) if size > 4 else np.zeros((size, size), int)
        du, dv = (int(n) for n in rng.integers(200, 4000, 2))
        threshold, bias = int(rng.integers(60, 200)), rng.integers(-5, 6, size)
        delay = rng.integers(0, 20, size)
        neuron = {**CUBA, "iDecay": du, "vDecay": dv, "vThMant": threshold}
        kind = {"kind": "dense_rec", "weight_rec": own} if own.any() else {}
        layers.append(dense(weights, delay.astype(np.float32), bias=bias, neuron=neuron, **kind))
        inner.append((weights, du, dv, threshold, bias, own, delay))
    network = read(write(tmp_path / "a.net", *layers)).network
    options = replace(options_for(LOIHI), scale=Scale.INTEGER)
    image, loss = quantize(network, chip=LOIHI, options=options, calibration=None)
    assert all(p.lossless for p in loss.populations)
    x = rng.integers(0, 2, (8, STEPS, sizes[0]))
    got = run(image, x, record=("spikes", "membranes"))
    assert not got.saturated_ticks.any()
    floats = simulate(network, x, record=["membranes"]).membranes
    for r in range(len(x)):
        now = x[r]
        for number, (*parameters, delay) in enumerate(inner):
            membranes, fired = lava(now, *parameters)
            name = f"layer{number}"
            assert (got.membranes[name][r] == membranes).all()
            assert (got.spikes[name][r] == fired).all()
            assert fired.any()
            assert (floats[name][r] != membranes).any(), "the rounding of decays does not matter"
            now = shifted(fired, delay)
        assert got.scores[r].tolist() == now.sum(axis=0).tolist()


def test_flat_weights_and_a_layer_without_neurons(tmp_path):
    weights = np.arange(6.0)
    last = dense(np.ones((2, 3)), neuron=None)
    first = {**dense(np.ones((3, 2))), "weight": weights}
    network = read(write(tmp_path / "a.net", first, {"type": "flatten"}, last)).network
    assert (network.projections[0].weights / 64).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert network.readout.alpha.tolist() == [1, 1]


W = np.ones((3, 2))


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([{"type": "conv"}], "is a conv layer; dense ones can be imported"),
        ([{"type": "input", "neuron": CUBA}], "turns numbers into events"),
        ([{"type": "flatten"}], "holds no dense layer"),
        ([dense(W), dense(np.ones((2, 9)))], "takes 9 channels and is given 3"),
        ([dense(W, neuron={**CUBA, "type": "SDNN"})], "has SDNN neurons"),
        ([dense(W, neuron={**CUBA, "gradedSpike": True})], "gradedSpike = 1 must be 0"),
        ([dense(W, neuron={**CUBA, "weight_exp": 2})], "weight_exp = 2 must be 0"),
        ([dense(W, neuron={**CUBA, "vDecay": 5000})], "vDecay must be between 0 and 4096"),
        ([dense(W, neuron={**CUBA, "vThMant": 0})], "vThMant = 0 must be positive"),
        ([dense(W, neuron={"type": "CUBA"})], "has no vDecay"),
        ([dense(W, np.ones(9))], "delay has 9 numbers for 3 neurons"),
        ([dense(W, np.full(3, -1.0))], "has a delay of -1"),
        ([dense(np.ones((3, 2, 2)))], "weight must be a matrix"),
        ([dense(W, kind="dense_rec", weight_rec=np.ones((2, 2)))], "is given weights of shape"),
        ([dense(W, neuron=None), dense(W)], "follows a layer without neurons"),
    ],
)
def test_what_no_network_has_is_named(tmp_path, layers, sentence):
    imported = read(write(tmp_path / "a.net", *layers))
    assert imported.network is None
    assert sentence in imported.findings[-1].reason


def test_hostile_files_are_refused(tmp_path):
    path = write(tmp_path / "a.net", dense(W))
    whole = path.read_bytes()
    with h5py.File(path, "a") as file:
        del file["layer/0/weight"]
        file["layer/0/weight"] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(ValueError, match="layer/0/weight must lie in this file"):
        read(path)
    with h5py.File(path, "a") as file:
        del file["layer/0/weight"]
        file["layer/0"].create_dataset("weight", (1 << 20, 1 << 20), "f4", chunks=(1, 1))
    with pytest.raises(ValueError, match="all parameters together may be"):
        read(path)
    with h5py.File(path, "a") as file:
        del file["layer/0/weight"]
        file["layer/0/weight"] = np.array([[np.nan, 1.0]] * 3)
    with pytest.raises(ValueError, match="holds numbers that are not finite"):
        read(path)
    with h5py.File(path, "a") as file:
        file.move("layer/0", "layer/7")
    with pytest.raises(ValueError, match="has no layer 0, but others"):
        read(path)
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is not a file of netx"):
            import_network(path, Settings(path, {"dt_ms": 1, "steps": STEPS}), "netx")
