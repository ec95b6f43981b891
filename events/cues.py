"""Cue accumulation, a task of working memory: say which side gave more cues, some time ago.

In the manner of e-prop (Bellec et al., Nature Communications 11:3625, 2020, figure 4) and of the
ReckOn chip (Frenkel, Indiveri, ISSCC 2022): seven cues, each on the left or on the right, come one
after another; after a silence a go signal asks for the side that had the majority.  The numbers
here are those of this file; nothing is copied.
"""

from __future__ import annotations

import numpy as np

from events.recordings import Counts

CUES = 7
GROUP = 10
"""Channels of each group: left, right, go, noise."""

GROUPS = 4
DT_MS = 10.0
CUE_STEPS, PAUSE_STEPS, SILENCE_STEPS, GO_STEPS = 10, 5, 30, 15
RATE, NOISE = 0.4, 0.05
"""Events per channel and step: of a group that is on, and of the noise, which is always there."""

STEPS = CUES * (CUE_STEPS + PAUSE_STEPS) + SILENCE_STEPS + GO_STEPS
LABELS = ("left", "right")


def cue_accumulation(trials: int, *, seed: int) -> Counts:
    """Draw `trials` trials of 40 channels and 150 steps of 10 ms.

    Sides are drawn with a majority for the label; labels are drawn evenly.  The same seed gives the
    same trials.

    Raises
    ------
    ValueError
        No trials.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, not {trials}")
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, trials)
    # Four to seven of the seven cues are on the side of the label, in any order.
    majority = rng.integers(CUES // 2 + 1, CUES, trials, endpoint=True)
    ranks = rng.random((trials, CUES)).argsort(axis=1)
    sides = np.where(ranks < majority[:, None], labels[:, None], 1 - labels[:, None])
    rates = np.zeros((trials, STEPS, GROUPS))
    for n in range(CUES):
        first = n * (CUE_STEPS + PAUSE_STEPS)
        for side in (0, 1):
            rates[sides[:, n] == side, first : first + CUE_STEPS, side] = RATE
    rates[:, STEPS - GO_STEPS :, 2] = RATE
    rates[:, :, 3] = NOISE
    chance = np.repeat(rates, GROUP, axis=2)
    counts = (rng.random(chance.shape) < chance).astype(np.uint8)
    nothing = np.zeros(trials, np.int64)
    return Counts(
        counts=counts,
        labels=labels,
        dt_ms=DT_MS,
        units_per_channel=1,
        n_units=GROUP * GROUPS,
        late=nothing,
        excess=nothing,
        label_names=LABELS,
        source=f"cue accumulation, seed {seed}",
    )
