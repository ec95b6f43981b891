"""A chip on a board against the emulator: what `ranvier device` compares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datapath import Image
from datapath.mailbox import DEPTH
from datapath.ports import Command
from emulator.chip import checked, run
from ranvier.device import Device, Progress, Recording
from sim.compare import RECORDED
from sim.results import Payloads, expected_payloads, in_words
from sim.trace import program


class Comparison(NamedTuple):
    """What was compared, and the first difference in words, empty if there is none.

    classes : int64[recordings], what the chip heard.  results : that it sent.  clocks : that were
    compared; those of a recording with more results than the chip keeps depend on the host.
    """

    classes: NDArray[np.int64]
    results: int
    clocks: int
    difference: str


def compare(
    device: Device, image: Image, counts: NDArray[np.integer], progress: Progress | None = None
) -> Comparison:
    """Play recordings on a chip that holds `image`, and compare every result with the emulator.

    counts : integers[recordings, steps, channels].  progress : called with the recordings done and
    all there are.

    Raises
    ------
    ValueError, OSError
        Counts that the chip does not take; the line fails.
    """
    counts = checked(image, counts)
    classes = np.zeros(len(counts), np.int64)
    results = clocks = 0
    for n, recording in enumerate(counts):
        one = counts[n : n + 1]
        expected = run(image, one, record=RECORDED)
        want = expected_payloads(image, program(image, one), expected, None)
        got = device.run(recording)
        classes[n] = got.winner
        results += len(got.results)
        difference = _difference(want, got)
        if not difference and len(got.results) <= DEPTH:
            clocks += got.clocks
            if got.clocks != expected.total_cycles[0]:
                difference = f"emulator {expected.total_cycles[0]} clocks, chip {got.clocks}"
        if difference:
            return Comparison(classes[: n + 1], results, clocks, f"recording {n}: {difference}")
        if progress is not None:
            progress(n + 1, len(counts))
    return Comparison(classes, results, clocks, "")


def _difference(want: Payloads, got: Recording) -> str:
    """Say the first result that differs."""
    none = np.zeros(len(got.results), np.int64)
    tick, op, index, value, saturated = got.results.T
    found = Payloads(none, tick, none + Command.TICK, op, index, value, saturated)
    rows = np.stack([want.tick, want.op, want.index, want.value, want.saturated], axis=1)
    both = min(len(rows), len(got.results))
    bad = np.flatnonzero((rows[:both] != got.results[:both]).any(axis=1))
    if not bad.size and len(rows) == len(got.results):
        return ""
    at = int(bad[0]) if bad.size else both
    return f"emulator sends {in_words(want, at)}, the chip {in_words(found, at)}"
