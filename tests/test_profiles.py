"""Chips that compute what other chips do: their published recurrences in plain integers."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Delay, Image, Kind, Population, Projection, Reset
from datapath.catalog import LOIHI, SLAYER, XYLO
from emulator.chip import run

STEPS, NEURONS, CHANNELS = 1000, 24, 12


def towards_zero(x, keep):
    """What is left of `x` after a decay in 4096ths."""
    kept = abs(x) * keep >> 12
    return kept if x >= 0 else -kept


class Lava:
    """`lava.proc.lif`, bit-accurate; a is what arrives in a step."""

    profile, reset = LOIHI, Reset.ZERO

    def __init__(self, rng):
        self.du, self.dv = rng.integers(0, 4096, (2, NEURONS))
        self.vth = rng.integers(1, 1 << 9, NEURONS)
        self.bias = rng.integers(-(1 << 12), 1 << 12, NEURONS)
        self.words = {
            "threshold": self.vth << 6,
            "bias": self.bias,
            "coefficient": 4096 - self.dv,
            "current_coefficient": 4095 - self.du,
        }

    def step(self, j, u, v, a):
        u = towards_zero(u, 4096 - (int(self.du[j]) + 1)) + (a << 6)
        if u > 2**23:
            u -= 2**24
        elif u <= -(2**23):
            u += 2**24
        v = towards_zero(v, 4096 - int(self.dv[j])) + u + int(self.bias[j])
        v = min(max(v, -(2**23) + 1), 2**23 - 1)
        fired = v > self.vth[j] << 6
        return u, 0 if fired else v, fired


class Slayer(Lava):
    """`lava.lib.dl.slayer.neuron.cuba` with quantized decays."""

    profile = SLAYER

    def __init__(self, rng):
        super().__init__(rng)
        self.words |= {"bias": np.zeros(NEURONS, np.int64), "current_coefficient": 4096 - self.du}

    def step(self, j, u, v, a):
        u = towards_zero(u, 4096 - int(self.du[j])) + (a << 6)
        v = towards_zero(v, 4096 - int(self.dv[j])) + u
        fired = v >= self.vth[j] << 6
        return u, 0 if fired else v, fired


class Xylo:
    """XyloSim, one synapse per neuron, where a step adds no more than it holds."""

    profile, reset = XYLO, Reset.SUBTRACT

    def __init__(self, rng):
        self.syn, self.mem = rng.integers(1, 6, (2, NEURONS))
        self.threshold = rng.integers(800, 2000, NEURONS)
        self.bias = rng.integers(-20, 21, NEURONS)
        self.words = {
            "threshold": self.threshold,
            "bias": self.bias,
            "coefficient": self.mem,
            "current_coefficient": self.syn,
        }

    @staticmethod
    def decay(x, dash):
        dx = x >> int(dash)
        return dx if dx else (x > 0) - (x < 0)

    def step(self, j, u, v, a):
        u += a
        u -= self.decay(u, self.syn[j])
        v += u - self.decay(v, self.mem[j]) + int(self.bias[j])
        assert -(2**15) <= v < 2**15
        assert v < 2 * self.threshold[j]
        fired = v >= self.threshold[j]
        return u, v - int(self.threshold[j]) if fired else v, fired


def drawn(rng, neuron, weights, scale):
    """An image of these neurons, one projection from the input, and a readout that is not fed."""
    words = neuron.words | {"reset": neuron.reset, "emit": False}
    silent = {"threshold": 0, "bias": 0, "coefficient": 0, "current_coefficient": 0}
    return Image(
        chip=neuron.profile,
        input_name="in",
        channels=CHANNELS,
        units=CHANNELS,
        dt_us=1000,
        steps=STEPS,
        populations=(
            Population("n", Kind.LIF, NEURONS, **words),
            Population("out", Kind.READOUT, 1, **silent, reset=Reset.ZERO, emit=False),
        ),
        projections=(
            Projection("w", "in", "n", weights, scale, Delay.NONE, np.zeros((), np.int64), 0),
        ),
    )


def mismatches(neuron, image, counts, scale):
    """Steps of neurons in which membrane or spike differ, and how often a neuron fired."""
    got = run(image, counts[None], record=("spikes", "membranes"))
    arrived = (counts @ image.projections[0].weights.T) << scale
    wrong = fired = 0
    for j in range(NEURONS):
        u = v = 0
        for t in range(STEPS):
            u, v, spike = neuron.step(j, u, v, int(arrived[t, j]))
            wrong += v != got.membranes["n"][0, t, j] or spike != got.spikes["n"][0, t, j]
            fired += spike
    return wrong, fired, got


@pytest.mark.parametrize(
    ("kind", "most", "rate", "scale"),
    [(Lava, 128, 0.05, 0), (Slayer, 64, 0.05, 0), (Xylo, 60, 0.05, 0)],
    ids=["loihi", "slayer", "xylo"],
)
def test_profile_is_the_published_recurrence(kind, most, rate, scale):
    rng = np.random.default_rng(3)
    neuron = kind(rng)
    weights = 2 * rng.integers(-most // 2, most // 2, (NEURONS, CHANNELS))
    # Loihi and lava-dl align what arrives with 6 bits.
    shift = 0 if kind is Xylo else 6
    image = drawn(rng, neuron, weights, scale + shift)
    counts = rng.binomial(1, rate, (STEPS, CHANNELS))
    wrong, fired, got = mismatches(neuron, image, counts, scale)
    assert wrong == 0
    assert fired > 100
    assert not got.saturated_ticks.any()


def test_loihi_wraps_its_current_and_clips_its_membrane():
    rng = np.random.default_rng(4)
    neuron = Lava(rng)
    neuron.du[:], neuron.dv[:] = 3, 7
    neuron.words |= {
        "current_coefficient": np.full(NEURONS, 4092),
        "coefficient": np.full(NEURONS, 4089),
        "threshold": neuron.vth << 6,
    }
    weights = 2 * rng.integers(-128, 128, (NEURONS, CHANNELS))
    image = drawn(rng, neuron, weights, 6 + 3)
    counts = rng.binomial(3, 0.3, (STEPS, CHANNELS))
    wrong, fired, got = mismatches(neuron, image, counts, 3)
    assert wrong == 0
    assert fired > 100
    lowest = got.membranes["n"].min()
    assert (lowest, got.saturated_ticks.mean() > 0.5) == (-(2**23) + 1, True)


def test_a_delay_is_a_step_longer_where_lava_delivers_a_step_later():
    # One spike of weight 10 in step 2: Lava shows 10 << 6 one step later, then 3933 / 4096 of it.
    words = {"threshold": 1600, "bias": 0, "coefficient": 3933, "current_coefficient": 0}
    image = drawn(
        np.random.default_rng(0), Lava(np.random.default_rng(0)), np.zeros((24, 12)).astype(int), 6
    )
    n = replace(image.populations[0], size=1, **words)
    w = replace(image.projections[0], weights=[[10]], delay=Delay.SYNAPTIC, delays=[[1]])
    image = replace(image, channels=1, units=1, populations=(n, image.readout), projections=(w,))
    counts = np.zeros((1, 8, 1), np.int64)
    counts[0, 2] = 1
    got = run(image, counts, record="membranes").membranes["n"][0, :, 0]
    assert got.tolist() == [0, 0, 0, 640, 614, 589, 565, 542]
