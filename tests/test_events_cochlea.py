"""The inner ear against the published equations, evaluated in other ways."""

import math

import numpy as np
import pytest
from scipy import integrate, special

from events.cochlea import (
    OUTPUT_HZ,
    RATE_HZ,
    UNITS,
    BushyCell,
    Cochlea,
    HairCell,
    Membrane,
    cochlea_for,
    impedance,
    prepare,
)
from events.kernels import cochlea as kernels

DT = 1 / OUTPUT_HZ


def test_the_hankel_function_agrees_with_scipy():
    modulus = np.array([1e-4, 0.1, 1, 3, 8.999, 9, 9.001, 12, 20, 100])
    z = (modulus[:, None] * np.exp(1j * np.linspace(0, 1.5, 16))).ravel()
    got = np.array([kernels._hankel(one) for one in z.tolist()])
    want = special.hankel1e(0, z) * np.sqrt(np.pi * z / 2) * np.exp(1j * np.pi / 4)
    assert np.abs(got / want - 1).max() < 6e-8  # half a unit in the last place of float32


def velocity_by_quadrature(hz, x):
    """Transfer function of the membrane with the phase integral taken numerically."""
    m = Membrane()
    w = 2 * math.pi * hz
    resistance = m.damping * math.sqrt(m.stiffness * m.mass)

    def xi(x):
        stiffness = m.stiffness * math.exp(-m.alpha * x)
        damping = w * resistance * math.exp(-m.alpha * x / 2)
        return complex(stiffness - m.offset - m.mass * w * w, -damping)

    def number(x):
        return w * np.sqrt(m.density / (m.height * xi(x)))

    parts = (np.real, np.imag)
    re, im = (
        integrate.quad(lambda s, p=p: p(number(s)), 0, x, epsabs=1e-12, limit=200)[0] for p in parts
    )
    start = 2 * number(0) / m.alpha
    here = start + complex(re, im)

    def pressure(g, k):
        return np.sqrt(g / k) * special.hankel1(0, g)

    ratio = pressure(here, number(x)) / pressure(start, number(0))
    return 2 * w / xi(x) * ratio * impedance(np.array([w]), m)[0]


def test_the_membrane_moves_as_published():
    hz = np.array([50.0, 500, 1000, 4000, 12000])
    places = np.linspace(0, 3.5, UNITS)[[0, 100, 250, 400, 550, 699]]
    omega = 2 * np.pi * hz
    got = np.zeros((6, 5), np.complex64)
    kernels.transfer(omega, impedance(omega, Membrane()), places, Membrane(), got)
    alive = 0
    for i, x in enumerate(places):
        for k, f in enumerate(hz):
            want = velocity_by_quadrature(f, x)
            if got[i, k] == 0:
                assert abs(want) < 1e-6  # of about 300 at the base: the wave has died
            else:
                alive += 1
                assert abs(got[i, k] / want - 1) < 1e-6
    assert alive == 24


def steady(velocity):
    """Release probability of a hair cell held at a constant membrane velocity."""
    p = HairCell()
    k = p.g * max(velocity + p.a, 0) / (velocity + p.a + p.b)
    cleft = p.pool * p.y * k / (p.loss * k + p.y * (p.loss + p.recovery))
    return p.h * DT * cleft


def test_a_hair_cell_rests_and_adapts():
    velocity = np.zeros((3, 24_000), np.float32)
    velocity[1, 100:] = 300
    velocity[2, 100:] = -6  # below -a: the gate is shut
    got = np.empty(velocity.shape)
    kernels.release(velocity, float(OUTPUT_HZ), HairCell(), got)
    assert got[0] == pytest.approx(steady(0), rel=1e-9)
    assert got[:, :100] == pytest.approx(steady(0), rel=1e-9)
    assert got[1, -1] == pytest.approx(steady(300), rel=1e-6)
    assert got[1].max() > 5 * got[1, -1]  # the onset is stronger than what follows
    assert got[2, -1] < 1e-6 * steady(0)


def fire_in_python(probability, cell, seed, first):
    """Bushy cells in plain Python integers and floats, after their published descriptions."""
    mask = 2**64 - 1

    def splitmix(state):
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        return z ^ (z >> 31)

    golden, stride = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95
    hold = round(cell.refractory * OUTPUT_HZ)
    spikes = []
    for i, row in enumerate(probability):
        base = seed * golden + (first + i) * stride + 1
        s = [splitmix((base + (n + 1) * golden) & mask) for n in range(4)]
        busy, v, current, silent_until = [], 0.0, 0.0, -1
        for t, p in enumerate(row):
            u = ((s[0] + s[3] & mask) >> 12) / 2**52
            shifted = s[1] << 17 & mask
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= shifted
            s[3] = (s[3] << 45 | s[3] >> 19) & mask
            busy = [(until, n) for until, n in busy if until > t]
            free = cell.afferents - sum(n for _, n in busy)
            mass = [math.comb(free, k) * p**k * (1 - p) ** (free - k) for k in range(free + 1)]
            released = int(np.searchsorted(np.cumsum(mass), u, side="right"))
            released = min(released, free)
            busy.append((t + hold, released))
            current = current * math.exp(-DT / cell.tau_synapse) + released
            v *= math.exp(-DT / cell.tau_membrane)
            if t > silent_until:
                v += current * cell.weight / cell.afferents * DT
            if v >= 1:
                spikes.append((t, first + i))
                v, silent_until = 0.0, t + hold
    return spikes


def fire(probability, seed=5, first=0):
    times, units = np.empty(10_000, np.int32), np.empty(10_000, np.uint16)
    count = kernels.fire(
        probability, float(OUTPUT_HZ), BushyCell(), np.uint64(seed), first, times, units
    )
    return list(zip(times[:count].tolist(), units[:count].tolist(), strict=True))


def test_bushy_cells_fire_as_in_plain_python():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0, 0.02, (2, 800))
    want = fire_in_python(probability, BushyCell(), 5, 100)
    assert fire(probability, 5, 100) == want
    assert {unit for _, unit in want} == {100, 101}
    assert fire(probability, 6, 100) != want


def test_corners_of_release():
    assert fire(np.zeros((2, 100))) == []
    # All 40 release at once: 40 x 13000 / 40 / 24000 s = 0.54, then 0.96 x 0.54 + 0.92 x 0.54.
    assert fire(np.ones((1, 25))) == [(1, 0)]
    # A millisecond later, at 24, they are free again; the cell listens from 26 on, for its own
    # millisecond is over: 0.46, 0.86, 1.22.
    assert fire(np.ones((1, 28))) == [(1, 0)]
    assert fire(np.ones((1, 29))) == [(1, 0), (28, 0)]


def test_a_cell_fires_the_same_in_any_company():
    probability = np.random.default_rng(1).uniform(0, 0.01, (4, 600))
    alone = fire(probability[2:3], first=2)
    assert alone
    assert alone == [spike for spike in fire(probability) if spike[1] == 2]


@pytest.fixture(scope="module")
def cochlea():
    return Cochlea(6000)


def tone(hz, samples=4800):
    return prepare(np.sin(2 * np.pi * hz * np.arange(samples) / RATE_HZ))


def test_high_tones_move_the_base(cochlea):
    places = [
        int(np.argmax((cochlea.membrane(tone(hz)) ** 2).sum(axis=1))) for hz in (250, 1000, 4000)
    ]
    assert places == [583, 401, 216]


def test_the_membrane_is_linear_and_complete(cochlea):
    audio = tone(700)
    one, two = cochlea.membrane(audio), cochlea.membrane(2 * audio)
    assert one.shape == (UNITS, audio.size // 2 + 1)
    assert one.dtype == np.float32
    assert np.abs(two - 2 * one).max() < 1e-5 * np.abs(one).max()


def test_the_folded_synthesis_is_the_complex_one(cochlea):
    audio = tone(9000) + tone(15000)
    length = cochlea.length
    spectrum = np.fft.fft(audio, 2 * length - 2)[:length]
    omega = 2 * np.pi * np.linspace(1, OUTPUT_HZ, length)
    places = np.linspace(0, 3.5, UNITS)[[0, 60, 120]]
    response = np.zeros((3, length), np.complex64)
    kernels.transfer(omega, impedance(omega, Membrane()), places, Membrane(), response)
    want = np.fft.ifft(response * spectrum, axis=1).real[:, : audio.size // 2 + 1]
    got = cochlea.membrane(audio)[[0, 60, 120]]
    assert np.abs(got - want).max() < 1e-6 * np.abs(want).max()


def test_the_same_seed_gives_the_same_bits(cochlea):
    audio = tone(1000)
    times, units = cochlea.spikes(audio, 3)
    again, same = cochlea.spikes(audio, 3)
    assert np.array_equal(times, again)
    assert np.array_equal(units, same)
    assert times.tobytes() != cochlea.spikes(audio, 4)[0].tobytes()
    assert (np.diff(times) >= 0).all()
    assert np.array_equal(times * 24, np.round(times.astype(float) * 24).astype(np.float32))


def test_a_tone_fires_where_it_moves_the_membrane(cochlea):
    times, units = cochlea.spikes(tone(1000), 3)
    assert 440 < times.size < 490
    assert abs(np.median(units) - 401) < 40
    assert 0 < times.min() < times.max() < 101


def test_audio_is_brought_to_one_level_and_faded():
    ready = prepare(np.full(9600, 1e-4) * np.array([1, -1] * 4800))
    k = 1440  # 30 ms
    assert np.sqrt(np.mean(ready[k:-k] ** 2)) == pytest.approx(0.3)
    assert ready[0] == ready[-1] == 0
    assert np.array_equal(np.abs(ready), np.abs(ready[::-1]))
    assert abs(ready[k // 2]) == pytest.approx(0.15, rel=0.01)


def test_what_has_no_level_is_refused():
    with pytest.raises(ValueError, match=r"^the audio is silent, so it has no level to normalise$"):
        prepare(np.zeros(9600))
    with pytest.raises(
        ValueError, match=r"^the audio lasts 59.0 ms, shorter than its two ramps of"
    ):
        prepare(np.ones(2832))
    with pytest.raises(ValueError, match="shorter than its two ramps"):
        prepare(np.arange(2879.0))
    assert prepare(np.arange(2880.0)).size == 2880


def test_a_cochlea_refuses_what_is_too_long_for_it(cochlea):
    assert cochlea.membrane(np.ones(11998)).shape == (UNITS, 6000)
    with pytest.raises(ValueError, match="takes at most 11998 samples, not 12000"):
        cochlea.membrane(np.ones(12000))


def test_recordings_of_similar_length_share_a_cochlea(monkeypatch):
    assert cochlea_for(11_518) is cochlea_for(2880)
    monkeypatch.setattr("events.cochlea._shared", lambda steps: ("shared", steps))
    monkeypatch.setattr("events.cochlea.Cochlea", lambda length: ("alone", length))
    assert cochlea_for(11_519) == ("shared", 1)  # 5760 samples of sound, 240 of silence
    assert cochlea_for(11_520) == ("shared", 2)
    assert cochlea_for(95_519) == ("shared", 8)
    assert cochlea_for(95_520) == ("alone", 54_000)
