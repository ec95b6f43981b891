"""Sound files of every kind, and what is no sound."""

import io
import re
import wave

import numpy as np
import pytest
from scipy.io import wavfile

from events import UNLABELLED, encode, load, read_wav, save

RATE = 16_000
CHIRP = 0.5 * np.sin(2 * np.pi * np.cumsum(np.linspace(300, 3000, 1600)) / RATE)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero"),
    [("u1", 128, 128), ("i2", 2**15, 0), ("i4", 2**31, 0), ("f4", 1, 0), ("f8", 1, 0)],
)
def test_every_sample_format_has_full_scale_one(tmp_path, dtype, scale, zero):
    values = np.array([0, 0.5, -0.5, -1])
    wavfile.write(tmp_path / "a.wav", RATE, (values * scale + zero).astype(dtype))
    samples, rate = read_wav(tmp_path / "a.wav")
    assert (samples.tolist(), rate) == (values.tolist(), RATE)
    assert samples.dtype == np.float64


def test_packed_24_bit_samples_are_read(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 3, RATE, 0, "NONE", ""))
        file.writeframes(b"\x00\x00\x40\x00\x00\x80")
    assert read_wav(tmp_path / "a.wav")[0].tolist() == [0.5, -1.0]


def test_channels_are_averaged(tmp_path):
    wavfile.write(tmp_path / "a.wav", RATE, np.array([[0.5, 0.25], [1, -1]], np.float32))
    assert read_wav(tmp_path / "a.wav")[0].tolist() == [0.375, 0.0]


def test_a_file_and_its_samples_give_the_same_spikes(tmp_path):
    wavfile.write(tmp_path / "chirp.wav", RATE, CHIRP)
    one, two = encode(tmp_path / "chirp.wav", seed=4), encode(CHIRP, RATE, seed=4)
    assert np.array_equal(one.times_ms, two.times_ms)
    assert np.array_equal(one.units, two.units)
    assert one.source == "chirp.wav through the cochlea, seed 4"
    assert (len(one), one.n_units, one.labels.tolist()) == (1, 700, [UNLABELLED])
    assert 100 < one.times_ms.size < 2000
    assert one.times_ms.max() < 105


def test_the_level_does_not_matter():
    one = encode(CHIRP, RATE)
    for scale in (2.0**-1000, 2.0**-1, 2.0**1000):
        assert np.array_equal(one.times_ms, encode(scale * CHIRP, RATE).times_ms)


def test_a_rising_tone_wanders_to_the_base():
    one = encode(CHIRP, RATE)
    early, late = one.units[one.times_ms < 40], one.units[one.times_ms > 70]
    assert np.median(early) > np.median(late) + 100


def test_the_sample_rate_does_not_move_the_tone():
    places = []
    for rate in (8000, 11025, 44100, 48000):
        tone = np.sin(2 * np.pi * 1000 * np.arange(rate // 10) / rate)
        places.append(np.median(encode(tone, rate).units))
    assert max(places) - min(places) < 15


def test_an_encoded_sound_survives_a_file(tmp_path):
    one = encode(CHIRP, RATE)
    save(one, tmp_path / "one.npz")
    two = load(tmp_path / "one.npz")
    assert np.array_equal(one.times_ms, two.times_ms)
    assert np.array_equal(one.units, two.units)
    assert two.labels.tolist() == [UNLABELLED]
    assert two.binned(units_per_channel=5, dt_ms=10.0, steps=12).late.tolist() == [0]


@pytest.mark.parametrize(
    ("samples", "rate", "sentence"),
    [
        (np.zeros(4800), RATE, "every sample is 0.0, so there is nothing to hear"),
        (np.ones(4800), RATE, "every sample is 1.0, so there is nothing to hear"),
        ([], RATE, "sound must be one row of samples, not of shape (0,)"),
        (np.ones((9, 2)), RATE, "sound must be one row of samples, not of shape (9, 2)"),
        ([0, np.nan], RATE, "sample 1 = nan is not a finite number"),
        (CHIRP[:100], RATE, "the audio lasts 6.2 ms, shorter than its two ramps"),
        (CHIRP.repeat(101), RATE, "161600 samples at 16000 Hz are more than the 10 s that can be"),
        (CHIRP, None, "rate_hz must be between 4000 and 384000, not None"),
        (CHIRP, 3999, "rate_hz must be between 4000 and 384000, not 3999"),
    ],
)
def test_what_is_no_sound_is_refused(samples, rate, sentence):
    with pytest.raises(ValueError, match=f"^samples: {re.escape(sentence)}"):
        encode(samples, rate)


def test_seeds_are_64_bits():
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=f"^seed must be between 0 and 2.*, not {seed}$"):
            encode(CHIRP, RATE, seed=seed)
    assert len(encode(CHIRP, RATE, seed=2**64 - 1)) == 1


def wav(samples=CHIRP):
    file = io.BytesIO()
    wavfile.write(file, RATE, (samples * 2**15).astype(np.int16))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"not a sound at all, but long enough to hold a header" * 4, wav()[:30]],
)
def test_what_is_no_wav_file_is_refused(tmp_path, content):
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.wav: cannot be read as a WAV file \("):
        encode(tmp_path / "bad.wav")


def test_a_damaged_header_is_refused_or_read(tmp_path):
    rng = np.random.default_rng(0)
    good = bytearray(wav())
    sentences = []
    for _ in range(200):
        bad = good.copy()
        bad[rng.integers(44)] = rng.integers(256)
        (tmp_path / "bad.wav").write_bytes(bad)
        try:
            read_wav(tmp_path / "bad.wav")
        except ValueError as error:
            sentences.append(str(error))
    assert len(sentences) > 50
    assert all(sentence.startswith(str(tmp_path / "bad.wav: ")) for sentence in sentences)


def test_wav_files_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError):
        encode(tmp_path / "missing.wav")
    wavfile.write(tmp_path / "empty.wav", RATE, np.zeros(0, np.int16))
    with pytest.raises(ValueError, match=r"^empty\.wav: sound must be one row of samples"):
        encode(tmp_path / "empty.wav")
    with pytest.raises(ValueError, match=r"^rate_hz is for samples; a WAV file states its own$"):
        encode(tmp_path / "empty.wav", RATE)
