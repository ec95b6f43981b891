"""Inner ear: audio -> spikes of 700 cells, by the published chain that made SHD and SSC.

B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke, "The Heidelberg Spiking Data Sets for the Systematic
Evaluation of Spiking Neural Networks", IEEE TNNLS 33:2744 (2022): a hydrodynamic model of the
basilar membrane in WKB approximation, Meddis hair cells (1986, 1988), and bushy cells that each
listen to 40 afferents.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from events.kernels.cochlea import fire, release, transfer

RATE_HZ = 48_000
# Only frequencies up to 24 kHz are synthesised, as a complex signal of half the rate.
OUTPUT_HZ = RATE_HZ // 2
UNITS = 700
# Cells computed at a time: their samples stay in the cache from the membrane to the spikes.
CHUNK = 50
# Recordings share filters in steps of a quarter of a second; 10 ms of silence after the end keep
# the ringing of the membrane from wrapping round to the start.
STEP, TAIL = OUTPUT_HZ // 4, OUTPUT_HZ // 100
# Longer than these steps a sound is rare and its filters are large, so they are not kept.
KEPT = 8


class Membrane(NamedTuple):
    """Basilar membrane, in cgs units; its stiffness falls as exp(-alpha x) from the base."""

    stiffness: float = 1e9
    offset: float = 3500.0
    alpha: float = 3.0
    density: float = 1.0
    height: float = 0.1
    mass: float = 0.05
    damping: float = 0.15


class HairCell(NamedTuple):
    """Transmitter pools of an inner hair cell: rates in 1/s, `a` and `b` in membrane velocity."""

    pool: float = 1.0
    y: float = 5.05
    g: float = 2000.0
    loss: float = 2500.0
    recovery: float = 6580.0
    x: float = 66.3
    a: float = 5.0
    b: float = 300.0
    h: float = 50_000.0


class BushyCell(NamedTuple):
    """Leaky integrate-and-fire cell, threshold 1, reset 0; times in s."""

    afferents: int = 40
    tau_membrane: float = 1e-3
    tau_synapse: float = 5e-4
    refractory: float = 1e-3
    weight: float = 13e3  # of all afferents together


def prepare(audio: NDArray[np.float64], ramp_ms: float = 30.0) -> NDArray[np.float64]:
    """Bring mono audio at 48 kHz to an RMS of 0.3, then fade it in and out over `ramp_ms`.

    Raises
    ------
    ValueError
        If the audio is silent, or shorter than its two ramps.
    """
    k = round(ramp_ms * RATE_HZ / 1000)
    if audio.size < 2 * k:
        milliseconds = audio.size * 1000 / RATE_HZ
        raise ValueError(
            f"the audio lasts {milliseconds:.1f} ms, shorter than its two ramps of {ramp_ms} ms"
        )
    if not audio.any():
        raise ValueError("the audio is silent, so it has no level to normalise")
    rise = np.hanning(2 * k)[:k]
    ready: NDArray[np.float64] = audio * (0.3 / np.sqrt(np.mean(audio**2)))
    ready[:k] *= rise
    ready[audio.size - k :] *= rise[::-1]
    return ready


def impedance(omega: NDArray[np.float64], membrane: Membrane) -> NDArray[np.complex128]:
    """Input impedance of the membrane at the stapes; omega in rad/s."""
    s = 2 * omega / membrane.alpha * np.sqrt(2 / (membrane.height * membrane.stiffness))
    scale = 1j * np.sqrt(2 * membrane.stiffness / membrane.height)
    ratio: NDArray[np.complex128] = scale * special.hankel2(0, s) / special.hankel2(1, s)
    return ratio


class Cochlea:
    """The filters of 700 places along the membrane, for recordings of one padded length.

    length : output samples at 24 kHz, equal to the number of frequencies; a recording has at most
        2 length - 2 samples at 48 kHz.  Takes about 4 s of one core and 150 MB of memory per
        second of sound, so share it: `cochlea_for(samples)`.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._mirror = -np.arange(length // 2 + 1) % length
        omega = 2 * np.pi * np.linspace(1, OUTPUT_HZ, length)
        source = impedance(omega, Membrane())
        places = np.linspace(0.0, 3.5, UNITS).reshape(-1, CHUNK)
        with ThreadPoolExecutor() as pool:
            self._filters = list(pool.map(lambda x: self._filter(omega, source, x), places))

    def _filter(
        self,
        omega: NDArray[np.float64],
        source: NDArray[np.complex128],
        places: NDArray[np.float64],
    ) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Compute the lower half of the spectrum of some places, and the folded upper half."""
        response = np.zeros((places.size, self.length), np.complex64)
        transfer(omega, source, places, Membrane(), response)
        # The real part of a complex synthesis is a real one of half the spectrum, folded.
        upper = response[:, self._mirror].conj() / 2
        # Above 12 kHz only basal places move: most chunks have nothing to fold.
        kept = upper if upper[:, 1:].any() else upper[:, :1]
        return response[:, : self._mirror.size] / 2, kept

    def _velocities(self, audio: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        samples = audio.size // 2 + 1
        if samples > self.length:
            raise ValueError(
                f"this cochlea takes at most {2 * self.length - 2} samples, not {audio.size}"
            )
        spectrum = fft.fft(audio, 2 * self.length - 2)[: self.length].astype(np.complex64)
        mirrored = np.conj(spectrum[self._mirror])
        for lower, upper in self._filters:
            product = lower * spectrum[: lower.shape[1]]
            product[:, : upper.shape[1]] += upper * mirrored[: upper.shape[1]]
            yield np.ascontiguousarray(fft.irfft(product, n=self.length, axis=1)[:, :samples])

    def membrane(self, audio: NDArray[np.float64]) -> NDArray[np.float32]:
        """Velocity of the membrane at the 700 places, base first.

        audio : mono at 48 kHz, ready (see `prepare`).

        Returns
        -------
        float32[700, samples // 2 + 1], at 24 kHz.
        """
        return np.concatenate(list(self._velocities(audio)))

    def spikes(
        self, audio: NDArray[np.float64], seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """Spikes of the 700 bushy cells; the same audio and seed give the same spikes.

        audio : mono at 48 kHz, ready (see `prepare`).  seed : 0 .. 2**64 - 1.

        Returns
        -------
        times_ms : float32[K], in time order, multiples of 1/24 ms.
        units : uint16[K], 0 at the base (high tones) .. 699 at the apex.
        """
        cell, ticks, names = BushyCell(), [], []
        for chunk, velocity in enumerate(self._velocities(audio)):
            probability = np.empty(velocity.shape)
            release(velocity, float(OUTPUT_HZ), HairCell(), probability)
            most = CHUNK * (velocity.shape[1] // round(cell.refractory * OUTPUT_HZ) + 1)
            tick, name = np.empty(most, np.int32), np.empty(most, np.uint16)
            count = fire(
                probability, float(OUTPUT_HZ), cell, np.uint64(seed), chunk * CHUNK, tick, name
            )
            ticks.append(tick[:count])
            names.append(name[:count])
        tick, name = np.concatenate(ticks), np.concatenate(names)
        order = np.lexsort((name, tick))
        return (tick[order] * 1000 / OUTPUT_HZ).astype(np.float32), name[order]


@lru_cache(maxsize=KEPT)
def _shared(steps: int) -> Cochlea:
    return Cochlea(steps * STEP)


def cochlea_for(samples: int) -> Cochlea:
    """Cochlea for recordings of `samples` samples at 48 kHz; those for up to 2 s are kept.

    Its length depends on the number of samples alone, so that the spikes of a recording do not
    depend on what was encoded before it.
    """
    steps = -(-(samples // 2 + 1 + TAIL) // STEP)
    return _shared(steps) if steps <= KEPT else Cochlea(steps * STEP)
