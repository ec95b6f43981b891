"""Learning on the chip, epoch after epoch: what the host does, in the emulator or on the gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datapath import Image
from emulator.chip import run
from emulator.learn import Learned, learn
from learn.rule import Taps, half_taps
from quant.learnable import Tuning, tuned

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the host leads a chip that learns.

    epochs, batch : passes over the recordings, and recordings per update.
    tuning : of the first epoch.  taps, sigma_start, sigma_end : kind of the derivative in time,
    and its width, in ticks, which falls geometrically from the first epoch to the last.  Rates fall
    by a cosine that would end at 0 with the last epoch.
    """

    epochs: int
    batch: int
    tuning: Tuning
    taps: Taps = Taps.GAUSS
    sigma_start: float = 4.0
    sigma_end: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("sigma_start", "sigma_end"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, not {value}")

    def at(self, epoch: int) -> Tuning:
        """Return the tuning of epoch 0 <= `epoch` < `epochs`."""
        done = epoch / max(1, self.epochs - 1)
        sigma = self.sigma_start * (self.sigma_end / self.sigma_start) ** done
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


Engine = Callable[[Image, Integers, Integers, int, Callable[[int], None] | None], Learned]
"""What runs an epoch: (image, counts, labels, batch, progress)."""


def emulate(
    image: Image,
    counts: Integers,
    labels: Integers,
    batch: int,
    progress: Callable[[int], None] | None,
) -> Learned:
    """Run an epoch in the emulator."""
    return learn(image, counts, labels, batch=batch, progress=progress)


def learn_epoch(
    image: Image,
    counts: Integers,
    labels: Integers,
    schedule: Schedule,
    epoch: int,
    *,
    seed: int,
    held_out: tuple[Integers, Integers] | None = None,
    engine: Engine = emulate,
    progress: Callable[[int], None] | None = None,
) -> tuple[Image, ChipEpoch]:
    """Pass once over all recordings, in an order drawn from `seed` and `epoch`.

    counts : integers[recordings, steps, channels].  labels : int64[recordings].  epoch : from 0.
    """
    ready = tuned(image, schedule.at(epoch))
    order = np.random.default_rng([seed, 3, epoch]).permutation(len(labels))
    done = engine(ready, counts[order], labels[order], schedule.batch, progress)
    held = None
    if held_out is not None:
        held = float((run(done.image, held_out[0]).classes == held_out[1]).mean())
    return done.image, ChipEpoch(
        number=epoch + 1,
        train_accuracy=float((done.classes == labels[order]).mean()),
        held_out_accuracy=held,
        cycles=int(done.total_cycles),
        saturated=float(done.learn_saturated.mean()),
    )
