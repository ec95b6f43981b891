"""The embedded data set: what ships, and how it is made (without a speech synthesiser)."""

import numpy as np
import pytest
from click.testing import CliRunner

from events import DIGITS, digits, load, spoken_digits
from events.audio import read_wav


def test_what_ships_is_what_is_promised():
    train, test = spoken_digits()
    assert (len(train), len(test)) == (1520, 400)
    for data in (train, test):
        assert data.counts.shape[1:] == (100, 140)
        assert (data.dt_ms, data.units_per_channel, data.n_units) == (10.0, 5, 700)
        assert data.label_names == DIGITS
        assert (np.bincount(data.labels) == len(data) // 20).all()
        assert data.counts.any(axis=(1, 2)).all()
        assert not data.late.any()
        assert not data.excess.any()
    assert train.source.startswith("Spoken digits in English and German by eSpeak NG 1.51, through")
    assert sorted(set(train.speakers)) == list(range(38))
    assert sorted(set(test.speakers)) == list(range(38, 48))


def test_no_voice_is_in_both_parts():
    assert len(set(digits.VOICES)) == len(digits.TRAIN_VOICES) + len(digits.TEST_VOICES) == 48
    families = [
        {v.rstrip("0123456789") for v in part} for part in (digits.TRAIN_VOICES, digits.TEST_VOICES)
    ]
    assert families[0] & families[1] == {"f", "m"}  # numbered speakers, not variations of one


def test_a_recipe_depends_on_its_four_numbers():
    one = digits.recipe(1, 0, 3, 0)
    assert one == digits.recipe(1, 0, 3, 0)
    assert one._replace(snr_db=round(one.snr_db, 3)) == digits.Recipe(
        "en-gb-x-rp+m1", "three", 146, 51, 6.651, 5539104513831097903
    )
    others = [digits.recipe(*n) for n in ((2, 0, 3, 0), (1, 1, 3, 0), (1, 0, 4, 0), (1, 0, 3, 1))]
    assert len({one.seed, *(o.seed for o in others)}) == 5


def test_recipes_stay_in_their_ranges():
    made = [digits.recipe(1, s, label, 0) for s in range(48) for label in range(20)]
    assert {min(m.rate_wpm for m in made), max(m.rate_wpm for m in made)} == {110, 220}
    assert {min(m.pitch for m in made), max(m.pitch for m in made)} == {20, 80}
    assert 5 <= min(m.snr_db for m in made) < max(m.snr_db for m in made) <= 25
    assert {m.voice.partition("+")[0] for m in made if m.text in DIGITS[:10]} == set(digits.ENGLISH)
    assert {m.voice.partition("+")[0] for m in made if m.text in DIGITS[10:]} == {"de"}


def test_silence_is_trimmed_to_the_ramps():
    samples = np.zeros(1000)
    samples[400], samples[500] = 1.0, 0.011
    samples[600] = 0.009  # below 1 % of the peak
    assert np.flatnonzero(digits.trim(samples, 1000)).tolist() == [30, 130]
    assert digits.trim(samples, 1000).size == 160
    assert digits.trim(samples[395:505], 1000).size == 110


@pytest.fixture
def hummed(monkeypatch):
    """Hum instead of speaking, with two voices of three digits; returns who hummed what."""
    hums = []

    def hum(made):
        hums.append((made.voice.partition("+")[2], made.text))
        tone = np.sin(2 * np.pi * (300 + 20 * made.pitch) * np.arange(1600) / 16_000)
        return tone, 16_000

    monkeypatch.setattr(digits, "speak", hum)
    monkeypatch.setattr(digits, "espeak_version", lambda: "0.0")
    monkeypatch.setattr(digits, "TRAIN_VOICES", ("ann",))
    monkeypatch.setattr(digits, "VOICES", ("ann", "bob"))
    monkeypatch.setattr(digits, "DIGITS", DIGITS[:3])
    monkeypatch.setattr(digits, "TAKES", 1)
    return hums


def test_generation_is_resumed_and_deterministic(tmp_path, hummed, monkeypatch):
    make = digits.speaker

    def fail_on_bob(number, *args):
        if number == 1:
            raise OSError("no breath")
        return make(number, *args)

    out = tmp_path / "out.npz"
    with monkeypatch.context() as patch:
        patch.setattr(digits, "speaker", fail_on_bob)
        result = CliRunner().invoke(digits.main, [str(out)])
    assert (result.exit_code, result.output.splitlines()[-1]) == (1, "Error: no breath")
    assert not out.exists()
    result = CliRunner().invoke(digits.main, [str(out)])
    assert result.exit_code == 0
    assert hummed == [(v, text) for v in ("ann", "bob") for text in ("zero", "one", "two")]
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    CliRunner().invoke(digits.main, [str(tmp_path / "again.npz")])
    assert out.read_bytes() == (tmp_path / "again.npz").read_bytes()
    CliRunner().invoke(digits.main, [str(tmp_path / "other.npz"), "--seed", "2"])
    assert out.read_bytes() != (tmp_path / "other.npz").read_bytes()
    assert load(out, part="test").speakers.tolist() == [1, 1, 1]
    assert load(out, part="train").labels.tolist() == [0, 1, 2]


def test_parts_of_another_seed_are_not_kept(tmp_path, hummed):
    out = tmp_path / "out.npz"
    (tmp_path / "out.npz.parts").mkdir()
    digits.save(digits.speaker(0, 2, "another source"), tmp_path / "out.npz.parts" / "00.npz")
    digits.generate(out, 1)
    assert len(hummed) == 3 + 6


def test_without_a_synthesiser_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(digits.main, [str(tmp_path / "x.npz")])
    assert result.exit_code == 1
    assert result.output == "Error: espeak-ng is not installed; install the package espeak-ng\n"
    assert list(tmp_path.iterdir()) == []


def test_speech_is_asked_for_by_its_recipe(tmp_path, monkeypatch):
    said = tmp_path / "espeak-ng"
    said.write_text(
        '#!/bin/sh\necho "$*" > '
        + str(tmp_path / "said")
        + "\ncp "
        + str(tmp_path / "a.wav")
        + " $8\n"
    )
    said.chmod(0o755)
    from scipy.io import wavfile

    wavfile.write(tmp_path / "a.wav", 22_050, np.array([0, 2**14], np.int16))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    samples, rate = digits.speak(digits.Recipe("de+f1", "fünf", 120, 40, 10.0, 1))
    assert (samples.tolist(), rate) == ([0, 0.5], 22_050)
    assert (tmp_path / "said").read_text().startswith("-v de+f1 -s 120 -p 40 -w /")
    assert (tmp_path / "said").read_text().endswith("speech.wav fünf\n")
    assert read_wav(tmp_path / "a.wav")[1] == rate
