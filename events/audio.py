"""Sound -> events: WAV files and samples, through the cochlea."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from events.recordings import UNLABELLED, Recordings, check_bytes

# The filters of the cochlea take 150 MB per second of sound.
LONGEST_S = 10
RATES_HZ = (4_000, 384_000)


def read_wav(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], int]:
    """Read a WAV file as mono samples, full scale 1, and their rate in Hz; channels are averaged.

    Raises
    ------
    ValueError
        If it is no WAV file of integers or floats.
    OSError
        If it cannot be opened.
    """
    # Imported here, like the cochlea below: reading events must not wait for scipy and numba.
    from scipy.io import wavfile

    path = Path(path)
    check_bytes(str(path), path.stat().st_size * 8)
    with warnings.catch_warnings():
        # Chunks of text after the sound, or a length left open by a pipe, are common and harmless.
        warnings.simplefilter("ignore", wavfile.WavFileWarning)
        try:
            rate, data = wavfile.read(path)
        except OSError:
            raise
        except Exception as error:
            # Whatever scipy trips over in a broken header: struct, key, zero division, ...
            raise ValueError(f"{path}: cannot be read as a WAV file ({error})") from None
    if data.dtype.kind == "f":
        samples = data.astype(np.float64)
    else:
        zero = 128 if data.dtype == np.uint8 else 0
        samples = (data.astype(np.float64) - zero) / 2.0 ** (8 * data.dtype.itemsize - 1)
    return samples if samples.ndim == 1 else samples.mean(axis=1), int(rate)


def resample(samples: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """Resample to the 48 kHz of the cochlea, by a polyphase filter."""
    from scipy.signal import resample_poly

    from events.cochlea import RATE_HZ

    common = math.gcd(RATE_HZ, rate_hz)
    up, down = RATE_HZ // common, rate_hz // common
    ready: NDArray[np.float64] = resample_poly(samples, up, down)
    return ready


def encode(
    sound: str | os.PathLike[str] | ArrayLike, rate_hz: int | None = None, *, seed: int = 0
) -> Recordings:
    """Turn sound into the spikes of the 700 cells of the cochlea.

    sound : path of a WAV file, or mono samples of any level.  rate_hz : their rate, for samples
    alone.  seed : of the random release of transmitter; the same sound and seed give the same
    spikes.

    Returns
    -------
    One recording without a label.

    Raises
    ------
    ValueError
        If there is no sound, or more than 10 s of it, or no WAV file.
    """
    from events.cochlea import UNITS, cochlea_for, prepare

    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be between 0 and 2**64 - 1, not {seed}")
    if isinstance(sound, str | os.PathLike):
        if rate_hz is not None:
            raise ValueError("rate_hz is for samples; a WAV file states its own")
        samples, rate_hz = read_wav(sound)
        name = Path(sound).name
    else:
        samples, name = np.asarray(sound, np.float64), "samples"
    try:
        ready = prepare(resample(*_checked(samples, rate_hz)))
        times_ms, units = cochlea_for(ready.size).spikes(ready, seed)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return Recordings(
        times_ms=times_ms,
        units=units,
        offsets=np.array([0, times_ms.size]),
        labels=np.array([UNLABELLED]),
        n_units=UNITS,
        source=f"{name} through the cochlea, seed {seed}",
    )


def _checked(samples: NDArray[np.float64], rate_hz: int | None) -> tuple[NDArray[np.float64], int]:
    """Refuse what cannot be encoded; what can is scaled to a peak between 0.5 and 1."""
    if rate_hz is None or not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise ValueError(f"rate_hz must be between {RATES_HZ[0]} and {RATES_HZ[1]}, not {rate_hz}")
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"sound must be one row of samples, not of shape {samples.shape}")
    if not np.isfinite(samples).all():
        bad = int(np.argmin(np.isfinite(samples)))
        raise ValueError(f"sample {bad} = {samples[bad]} is not a finite number")
    # Before resampling, which makes an onset and an end of a constant.
    if np.ptp(samples) == 0:
        raise ValueError(f"every sample is {samples[0]}, so there is nothing to hear")
    if samples.size > LONGEST_S * rate_hz:
        raise ValueError(
            f"{samples.size} samples at {rate_hz} Hz are more than the {LONGEST_S} s that can be "
            "encoded; cut the sound into words"
        )
    # Squares of any level stay finite; a power of two changes no bit of the spikes.
    _, exponent = np.frexp(np.abs(samples).max())
    return np.ldexp(samples, -exponent), rate_hz
