"""Compiled loops of the inner ear: basilar membrane, hair cells, bushy cells.

Every kernel takes its constants as one tuple (`Membrane`, `HairCell`, `BushyCell` of
`events.cochlea`), works in float64 and is sequential, so equal inputs give equal bits.
"""

import cmath
import math

import numpy as np
from numba import njit

# Below this modulus the power series of the Hankel function, above it the asymptotic series:
# either is wrong by about exp(-18) there, less than float32 resolves.
SERIES_BELOW = 9.0
# A travelling wave damped by exp(-DEAD) has died, and stays dead towards the apex.
DEAD = 20.0
MIX, STRIDE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)


@njit(error_model="numpy")
def _square(z):
    return z.real * z.real + z.imag * z.imag


@njit(error_model="numpy")
def _hankel(z):
    """Return H0(1)(z) sqrt(pi z / 2) exp(-i z + i pi / 4), for z in the first quadrant."""
    if _square(z) >= SERIES_BELOW**2:
        step = 1 / (8j * z)
        total = term = 1 + 0j
        for k in range(1, 19):
            term *= step * ((2 * k - 1) ** 2 / k)
            total += term
            if _square(term) < 1e-18:
                break
        return total
    quarter = -z * z / 4
    bessel_j = term = 1 + 0j
    harmonic, tail, k = 0.0, 0j, 1
    while _square(term) > 1e-34 * _square(bessel_j):
        term *= quarter * (1 / (k * k))
        harmonic += 1 / k
        bessel_j += term
        tail += harmonic * term
        k += 1
    bessel_y = 2 / math.pi * ((cmath.log(z / 2) + np.euler_gamma) * bessel_j - tail)
    phase = cmath.exp(1j * (math.pi / 4 - z))
    return (bessel_j + 1j * bessel_y) * cmath.sqrt(math.pi / 2 * z) * phase


@njit(error_model="numpy")
def _arcsin(z):
    # The product form keeps the digits of 1 - z * z near the resonance, where z is close to 1.
    return -1j * cmath.log(1j * z + cmath.sqrt((1 - z) * (1 + z)))


@njit(error_model="numpy", nogil=True)
def transfer(omega, impedance, places, membrane, out):
    """Write the velocity transfer function of the membrane, one frequency after the other.

    omega : float64[F], rad/s.  impedance : complex128[F], of the stapes.  places : float64[P],
    ascending from the base.  out : complex64[P, F], zero on entry.
    """
    stiffness, offset, alpha, density, height, mass, damping = membrane
    resistance = damping * math.sqrt(stiffness * mass)
    for k in range(omega.size):
        w = omega[k]
        a = offset + mass * w * w
        scale = 1 / math.sqrt(4 * a * stiffness - (w * resistance) ** 2)
        slope = 2 * w / alpha * math.sqrt(density / (height * a))
        base = w * cmath.sqrt(density / (height * (stiffness - a - 1j * w * resistance)))
        start = 2 * base / alpha
        origin = _arcsin((2 * a + 1j * w * resistance) * scale)
        source = 2 * w * impedance[k] / _hankel(start)
        for i in range(places.size):
            u = math.exp(alpha * places[i] / 2)
            wave = slope * (_arcsin((2 * a * u + 1j * w * resistance) * scale) - origin)
            if wave.imag > DEAD:
                break
            xi = stiffness / (u * u) - a - 1j * w * resistance / u
            number = w * cmath.sqrt(density / (height * xi))
            swing = cmath.sqrt(base / number) * cmath.exp(1j * wave)
            out[i, k] = source / xi * swing * _hankel(start + wave)


@njit(error_model="numpy")
def release(velocity, rate_hz, cell, out):
    """Write the probability that an afferent releases, per sample, of inner hair cells.

    The transmitter pools q (free), c (cleft) and w (reprocessing) start at their resting values.
    velocity : float32[C, N].  out : float64[C, N].
    """
    pool, y, g, loss, recovery, x, a, b, h = cell
    dt = 1 / rate_hz
    rest = g * a / (a + b)
    c_rest = pool * y * rest / (loss * rest + y * (loss + recovery))
    for i in range(velocity.shape[0]):
        q, c, w = c_rest * (loss + recovery) / rest, c_rest, c_rest * recovery / x
        for t in range(velocity.shape[1]):
            drive = max(velocity[i, t] + a, 0.0)
            ejected = g * dt * drive / (drive + b) * q
            made = y * dt * max(pool - q, 0.0)
            q, c, w = (
                max(q + made - ejected + x * dt * w, 0.0),
                max(c + ejected - (loss + recovery) * dt * c, 0.0),
                max(w + recovery * dt * c - x * dt * w, 0.0),
            )
            out[i, t] = h * dt * c


@njit(error_model="numpy")
def _splitmix(state):
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(error_model="numpy")
def _binomial(u, n, p):
    """Successes in `n` trials of probability `p`, by inversion of the uniform number `u`."""
    if p >= 1:
        return n
    mass = (1 - p) ** n
    below, k = mass, 0
    while u >= below and k < n:
        k += 1
        mass *= p / (1 - p) * (n - k + 1) / k
        below += mass
    return k


@njit(error_model="numpy")
def fire(probability, rate_hz, cell, seed, first, times, units):
    """Fire bushy cells fed by afferents that release at random; return how many spikes there are.

    One xoshiro256+ stream per cell, seeded by `seed` and the number of the cell, so a cell's
    spikes do not depend on which others are computed with it.
    probability : float64[C, N].  seed : uint64.  first : number of cell 0.
    times : int32[K], written, in samples.  units : uint16[K], written.  K must hold one spike per
    refractory time of every cell.
    """
    afferents, tau_membrane, tau_synapse, refractory, weight = cell
    dt = 1 / rate_hz
    hold = math.ceil(refractory * rate_hz - 1e-9)
    leak, decay = math.exp(-dt / tau_membrane), math.exp(-dt / tau_synapse)
    kick = weight / afferents * dt
    ring = np.zeros(hold, np.int64)
    count = 0
    for i in range(probability.shape[0]):
        s = seed * MIX + np.uint64(first + i) * STRIDE + np.uint64(1)
        s0, s1 = _splitmix(s + MIX), _splitmix(s + MIX * np.uint64(2))
        s2, s3 = _splitmix(s + MIX * np.uint64(3)), _splitmix(s + MIX * np.uint64(4))
        ring[:] = 0
        free, slot, v, current, wait = afferents, 0, 0.0, 0.0, 0
        for t in range(probability.shape[1]):
            u = ((s0 + s3) >> np.uint64(12)) * 2.0**-52
            shifted = s1 << np.uint64(17)
            s2 ^= s0
            s3 ^= s1
            s1 ^= s2
            s0 ^= s3
            s2 ^= shifted
            s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
            free += ring[slot]
            p, released = probability[i, t], 0
            # (1 - p)^n >= 1 - n p: below that bound nothing is released, and most draws are.
            if u >= 1 - free * p:
                released = _binomial(u, free, p)
            ring[slot] = released
            free -= released
            slot = slot + 1 if slot + 1 < hold else 0
            current = current * decay + released
            v *= leak
            if wait > 0:
                wait -= 1
            else:
                v += current * kick
            if v >= 1:
                times[count], units[count] = t, first + i
                count += 1
                v, wait = 0.0, hold
    return count
