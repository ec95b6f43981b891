"""Learning on the chip, epoch after epoch: what the host does, in the emulator or on the gates."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datapath import Image
from datapath.files import digest, load, read_extra, save
from datapath.schema import chip_digest, parse, readable
from emulator.chip import run
from emulator.learn import Learned, learn
from learn.examples import shifted
from learn.rule import Taps, annealed, half_taps
from quant.learnable import Tuning, tuned
from ranvier.progress import bar

Integers = NDArray[np.int64]
Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the host leads a chip that learns.

    epochs, batch : passes over the recordings, and recordings per update.
    tuning : of the first epoch.  taps, sigma_start, sigma_end : kind of the derivative in time,
    and its width, in ticks, which falls geometrically from the first epoch to the last.  Rates fall
    by a cosine that would end at 0 with the last epoch.  channel_shift : each recording is sent
    shifted by up to this many channels, drawn anew in every epoch; what leaves the array at its
    edge is lost.
    """

    epochs: int
    batch: int
    tuning: Tuning
    taps: Taps = Taps.GAUSS
    sigma_start: float = 4.0
    sigma_end: float = 1.0
    channel_shift: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("sigma_start", "sigma_end"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, not {value}")
        if self.channel_shift < 0:
            raise ValueError(f"channel_shift must be at least 0, not {self.channel_shift}")

    def at(self, epoch: int) -> Tuning:
        """Return the tuning of epoch 0 <= `epoch` < `epochs`."""
        sigma = annealed(self.sigma_start, self.sigma_end, epoch, self.epochs)
        falling = 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        return replace(
            self.tuning,
            weight_rate=self.tuning.weight_rate * falling,
            delay_rate=self.tuning.delay_rate * falling,
            half_taps=tuple(half_taps(self.taps, sigma).tolist()),
        )


@dataclass(frozen=True, slots=True)
class ChipEpoch:
    """What one epoch on the chip brought.

    number : from 1.  train_accuracy : while it learned.  held_out_accuracy : after the epoch, None
    if nothing is held out.  cycles : clocks of the epoch, learning included.  saturated : share of
    recordings in which a signal or a gradient was out of range.
    """

    number: int
    train_accuracy: float
    held_out_accuracy: float | None
    cycles: int
    saturated: float


Engine = Callable[[Image, Counts, Integers, int, Callable[[int], None] | None], Learned]
"""What runs an epoch: (image, counts, labels, batch, progress)."""


def emulate(
    image: Image,
    counts: Counts,
    labels: Integers,
    batch: int,
    progress: Callable[[int], None] | None,
) -> Learned:
    """Run an epoch in the emulator."""
    return learn(image, counts, labels, batch=batch, progress=progress)


def learn_epoch(
    image: Image,
    counts: Counts,
    labels: Integers,
    schedule: Schedule,
    epoch: int,
    *,
    seed: int,
    held_out: tuple[Counts, Integers] | None = None,
    engine: Engine = emulate,
    progress: Callable[[int], None] | None = None,
) -> tuple[Image, ChipEpoch]:
    """Pass once over all recordings, in an order drawn from `seed` and `epoch`.

    counts : integers[recordings, steps, channels].  labels : int64[recordings].  epoch : from 0.
    """
    ready = tuned(image, schedule.at(epoch))
    rng = np.random.default_rng([seed, 3, epoch])
    order = rng.permutation(len(labels))
    shift = schedule.channel_shift
    shifts = rng.integers(-shift, shift, len(order), endpoint=True)
    done = engine(ready, shifted(counts[order], shifts), labels[order], schedule.batch, progress)
    held = None
    if held_out is not None:
        held = float((run(done.image, held_out[0]).classes == held_out[1]).mean())
    return done.image, ChipEpoch(
        number=epoch + 1,
        train_accuracy=float((done.classes == labels[order]).mean()),
        held_out_accuracy=held,
        cycles=done.total_cycles,
        saturated=float(done.learn_saturated.mean()),
    )


def fit(
    image: Image,
    examples: tuple[Counts, Integers],
    schedule: Schedule,
    *,
    seed: int,
    held_out: tuple[Counts, Integers] | None = None,
    engine: str = "emulator",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[ChipEpoch], None] | None = None,
) -> tuple[Image, tuple[ChipEpoch, ...]]:
    """Learn for all epochs of `schedule`, and return the image of the last one.

    examples, held_out : counts and labels.  engine : "emulator", or "cxxrtl" for the very gates.
    checkpoint : image file that is written after every epoch.  If it exists, the run goes on from
    it and ends with the very bits of an uninterrupted run.

    Raises
    ------
    ValueError
        A label is out of range, the image does not learn, or the checkpoint is of another run.
    OSError
        The checkpoint cannot be written.
    """
    path = None if checkpoint is None else Path(checkpoint)
    run_of = _identity(image, examples, schedule, seed)
    history: tuple[ChipEpoch, ...] = ()
    if path is not None and path.exists():
        image, history = _restored(path, image, run_of)
    step = {"emulator": emulate, "cxxrtl": _gates}[engine]
    while len(history) < schedule.epochs:
        with bar(f"epoch {len(history) + 1}") as advance:
            told = _Told(advance, len(examples[1]))
            image, epoch = learn_epoch(
                image, *examples, schedule, len(history), seed=seed, held_out=held_out,
                engine=step, progress=told,
            )  # fmt: skip
        history = (*history, epoch)
        if path is not None:
            state = readable({"run": run_of, "history": [asdict(one) for one in history]})
            save(image, path, extras={PROGRESS: state})
        if progress is not None:
            progress(epoch)
    return image, history


PROGRESS = "progress.json"
"""What a checkpoint carries beside the image."""


class _Told:
    """Counts what has come to its end."""

    def __init__(self, advance: Callable[[int, int], None], total: int) -> None:
        self.advance, self.total, self.done = advance, total, 0

    def __call__(self, finished: int) -> None:
        self.done += finished
        self.advance(self.done, self.total)


def _gates(
    image: Image,
    counts: Counts,
    labels: Integers,
    batch: int,
    progress: Callable[[int], None] | None,
) -> Learned:
    from sim.learn import learn_on_gates

    return learn_on_gates(image, counts, labels, batch=batch, progress=progress)


def _identity(
    image: Image, examples: tuple[Counts, Integers], schedule: Schedule, seed: int
) -> dict[str, Any]:
    """Return what a checkpoint must have in common with this run to be continued by it."""
    sha = hashlib.sha256()
    for array in examples:
        sha.update(np.ascontiguousarray(array).astype("<i8").tobytes())
    return {
        "chip": chip_digest(image.chip),
        "examples": sha.hexdigest(),
        "schedule": json.loads(readable(asdict(schedule))),
        "seed": seed,
        "start": digest(image),
    }


def _restored(
    path: Path, image: Image, run_of: dict[str, Any]
) -> tuple[Image, tuple[ChipEpoch, ...]]:
    """Read a checkpoint, and refuse one of another run."""
    document = parse(read_extra(path, PROGRESS), f"{path}: {PROGRESS}")
    try:
        assert isinstance(document, dict)
        found, history = document["run"], tuple(ChipEpoch(**one) for one in document["history"])
    except (AssertionError, KeyError, TypeError):
        raise ValueError(f"{path}: {PROGRESS} is damaged: remove the checkpoint") from None
    for name, value in run_of.items():
        if not isinstance(found, dict) or found.get(name) != value:
            raise ValueError(
                f"{path}: {PROGRESS} belongs to a run that differs in its {name}: remove it, or "
                "name another checkpoint"
            )
    return load(path), history
