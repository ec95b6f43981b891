"""The embedded data set: spoken digits, synthesised and sent through the cochlea.

`python -m events.digits OUT.npz` makes it again, with eSpeak NG and nothing else from outside;
`spoken_digits()` reads what ships with the package.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from events.audio import encode, read_wav
from events.readers import DIGITS, load, save
from events.recordings import Counts, join

# eSpeak NG's variants.  One of a family at most is in one of the two lists, so that the test
# voices are new ones: klatt2 but not klatt4, edward but not edward2.
TRAIN_VOICES = (
    *("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f5", "Alicia", "Andy", "Annie"),
    *("Denis", "Gene", "Henrique", "Jacky", "Lee", "Mario", "Michael", "Mike", "adam", "anika"),
    *("aunty", "belinda", "boris", "david", "edward", "grandma", "grandpa", "iven", "john"),
    *("klatt2", "linda", "max", "norbert", "quincy", "whisper"),
)
TEST_VOICES = ("f4", "m5", "m8", "Andrea", "Hugo", "croak", "pablo", "rob", "steph", "victor")
VOICES = TRAIN_VOICES + TEST_VOICES
# Not en-gb: with that alias version 1.51 ignores the variant.
ENGLISH = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp")
TAKES = 2
UNITS_PER_CHANNEL, DT_MS, STEPS = 5, 10.0, 100


class Recipe(NamedTuple):
    """How one recording is made; rate in words per minute, pitch on eSpeak's scale 0 .. 99."""

    voice: str
    text: str
    rate_wpm: int
    pitch: int
    snr_db: float
    seed: int


def recipe(seed: int, speaker: int, label: int, take: int) -> Recipe:
    """Draw the recipe of one recording; it depends on these four numbers alone."""
    rng = np.random.default_rng([seed, speaker, label, take])
    accent = str(rng.choice(ENGLISH)) if label < 10 else "de"
    return Recipe(
        voice=f"{accent}+{VOICES[speaker]}",
        text=DIGITS[label],
        rate_wpm=int(rng.integers(110, 220, endpoint=True)),
        pitch=int(rng.integers(20, 80, endpoint=True)),
        snr_db=float(rng.uniform(5, 25)),
        seed=int(rng.integers(2**63)),
    )


def espeak_version() -> str:
    """Version of the installed eSpeak NG."""
    if shutil.which("espeak-ng") is None:
        raise OSError("espeak-ng is not installed; install the package espeak-ng")
    line = subprocess.run(
        ["espeak-ng", "--version"], check=True, capture_output=True, text=True
    ).stdout
    return line.partition(":")[2].split()[0]


def speak(made: Recipe) -> tuple[NDArray[np.float64], int]:
    """Synthesise a recording without its noise: mono samples and their rate in Hz."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        options = {"-v": made.voice, "-s": made.rate_wpm, "-p": made.pitch, "-w": wav}
        words = [str(word) for pair in options.items() for word in pair]
        subprocess.run(["espeak-ng", *words, made.text], check=True, capture_output=True)
        return read_wav(wav)


def trim(samples: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """Cut silence (below 1 % of the peak), but for the 30 ms that the ramps of the cochlea take."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    margin = round(0.03 * rate_hz)
    return samples[max(loud[0] - margin, 0) : loud[-1] + margin]


def speaker(number: int, seed: int, source: str) -> Counts:
    """Make all recordings of one voice."""
    recordings = []
    for label in range(len(DIGITS)):
        for take in range(TAKES):
            made = recipe(seed, number, label, take)
            samples, rate_hz = speak(made)
            samples = trim(samples, rate_hz)
            noise = np.random.default_rng(made.seed).standard_normal(samples.size)
            level = np.sqrt(np.mean(samples**2)) * 10 ** (-made.snr_db / 20)
            recordings.append(encode(samples + level * noise, rate_hz, seed=made.seed))
    sizes = [r.times_ms.size for r in recordings]
    whole = replace(
        recordings[0],
        times_ms=np.concatenate([r.times_ms for r in recordings]),
        units=np.concatenate([r.units for r in recordings]),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        labels=np.repeat(np.arange(len(DIGITS)), TAKES),
        speakers=np.full(len(recordings), number),
        label_names=DIGITS,
        source=source,
    )
    return whole.binned(units_per_channel=UNITS_PER_CHANNEL, dt_ms=DT_MS, steps=STEPS)


def generate(path: Path, seed: int) -> Counts:
    """Make the data set and write it to `path`; voices already made by a stopped run are kept."""
    version = espeak_version()
    source = (
        f"Spoken digits in English and German by eSpeak NG {version}, through the cochlea "
        f"(python -m events.digits --seed {seed}); speakers in order: {' '.join(VOICES)}"
    )
    # Imported here: who only reads the data set must not wait for it.
    from rich.progress import track

    folder = path.with_name(f"{path.name}.parts")
    folder.mkdir(exist_ok=True)
    parts = []
    for number in track(range(len(VOICES)), "voices"):
        kept = folder / f"{number:02}.npz"
        part = load(kept) if kept.exists() else None
        if not isinstance(part, Counts) or part.source != source:
            part = speaker(number, seed, source)
            save(part, kept)
        parts.append(part)
    whole = join(parts)
    heard = np.repeat(np.arange(len(VOICES)), [len(part) for part in parts])
    save(whole, path, test=heard >= len(TRAIN_VOICES))
    shutil.rmtree(folder)
    return whole


def spoken_digits() -> tuple[Counts, Counts]:
    """Read the embedded data set: training and test recordings, of different voices.

    1,520 and 400 recordings of 20 digits, 100 steps of 10 ms, 140 channels of 5 units.
    """
    with as_file(files("events") / "data" / "spoken_digits.npz") as path:
        train, test = (
            load(path, part=part).binned(
                units_per_channel=UNITS_PER_CHANNEL, dt_ms=DT_MS, steps=STEPS
            )
            for part in ("train", "test")
        )
    return train, test


@click.command()
@click.argument("path", metavar="OUT.npz", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
def main(path: Path, seed: int) -> None:
    """Make the embedded data set of spoken digits."""
    try:
        click.echo(generate(path, seed).cut)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
