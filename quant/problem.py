"""What the scales of one population have to serve, and what a choice of them means.

A weight w of projection p into neuron j becomes the integer round(w s_j / 2**e_p) and is added to
the membrane as that integer << e_p; threshold and bias become round(theta s_j) and round(b s_j).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datapath import Format, Rounding
from datapath.integers import Integers
from model.network import Floats
from quant.grid import on_grid
from quant.options import Granularity, Scale


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """One projection, seen from the population it reaches.

    weights : float64[post, pre].  rates : float64[pre], mean events per step.
    count : most events of a source in a step.  fmt : of a weight on the chip.
    """

    weights: Floats
    rates: Floats
    count: int
    fmt: Format


@dataclass(frozen=True, slots=True)
class Formats:
    """Formats in use for one population, what shares a scale, and how scales are searched.

    clips : shares of the weights of a scale to try to clip.
    """

    v: Format
    acc: Format
    drive: Format
    bias: Format
    largest_shift: int
    rounding: Rounding
    granularity: Granularity
    scale: Scale
    clips: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What the scales of one population have to serve.

    threshold : float64[post], None for a readout.  bias, alpha, alpha_syn : float64[post].
    exact : whether the chip has a coefficient for every alpha.  steps : of a recording.
    room : float64[post], largest scales at which membranes and scores fit; where they come from
        data they are `binding`, else they only limit shifts beyond those the weights ask for.
    """

    name: str
    drives: tuple[Drive, ...]
    threshold: Floats | None
    bias: Floats
    alpha: Floats
    alpha_syn: Floats
    exact: bool
    steps: int
    room: Floats
    binding: bool
    formats: Formats

    @property
    def numbers(self) -> Floats:
        """Everything that scales with s_j, float64[post, n]."""
        columns = [d.weights for d in self.drives] + [self.bias[:, None]]
        if self.threshold is not None:
            columns.append(self.threshold[:, None])
        return np.concatenate(columns, axis=1)

    @property
    def shared(self) -> bool:
        """Whether all neurons have the same scale."""
        return self.formats.granularity is not Granularity.NEURON

    @property
    def rounds(self) -> NDArray[np.bool_]:
        """Neurons whose leak, of membrane or current, drops bits."""
        return ((self.alpha > 0) & (self.alpha < 1)) | self.current_rounds

    @property
    def current_rounds(self) -> NDArray[np.bool_]:
        """Neurons whose current drops bits when it leaks."""
        return (self.alpha_syn > 0) & (self.alpha_syn < 1)

    def drive_bounds(self) -> tuple[Floats, Floats]:
        """Return the least and the largest sum of the weights in one tick, float64[post]."""
        low, high = np.zeros_like(self.bias), np.zeros_like(self.bias)
        for drive in self.drives:
            low += drive.count * np.minimum(drive.weights, 0).sum(axis=1)
            high += drive.count * np.maximum(drive.weights, 0).sum(axis=1)
        return low, high


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """Membrane LSBs per float unit, float64[post], and the left shift of every drive.

    lossless : no weight, threshold or bias is rounded.
    """

    scale: Floats
    shifts: tuple[int, ...]
    lossless: bool


def integers(values: Floats, scale: Floats, shift: int, fmt: Format) -> tuple[Integers, Integers]:
    """Round `values * scale / 2**shift` once, half to even.

    Returns
    -------
    The integers inside `fmt`, and those before they were clipped to it.
    """
    whole = np.rint(values * scale * 2.0**-shift)
    return np.clip(whole, fmt.min, fmt.max).astype(np.int64), whole.astype(np.int64)


def beyond(scale: Floats, drive: Drive, shift: int) -> int:
    """Count the weights of `drive` that do not fit their words."""
    inside, whole = integers(drive.weights, scale[:, None], shift, drive.fmt)
    return int((inside != whole).sum())


def lowered(problem: Problem, scale: Floats, shifts: tuple[int, ...]) -> tuple[int, ...]:
    """Lower every shift as far as that makes no weight leave its word: it only adds precision."""
    if problem.formats.granularity is Granularity.LAYER:
        return _lowered_together(problem, scale, shifts)
    found = []
    for drive, shift in zip(problem.drives, shifts, strict=True):
        clipped = beyond(scale, drive, shift)
        while shift > 0 and beyond(scale, drive, shift - 1) <= clipped:
            shift -= 1
        found.append(shift)
    return tuple(found)


def _lowered_together(problem: Problem, scale: Floats, shifts: tuple[int, ...]) -> tuple[int, ...]:
    """Lower the one shift of a layer as far as no weight of any projection leaves its word."""
    if not shifts:
        return shifts
    shift = max(shifts)
    clipped = [beyond(scale, drive, shift) for drive in problem.drives]
    while shift > 0 and all(
        beyond(scale, drive, shift - 1) <= before
        for drive, before in zip(problem.drives, clipped, strict=True)
    ):
        shift -= 1
    return (shift,) * len(shifts)


def is_lossless(problem: Problem, scale: Floats, shifts: tuple[int, ...]) -> bool:
    """Whether no weight, threshold or bias is rounded or clipped."""
    exact = on_grid((problem.numbers * scale[:, None]).ravel(), 1.0)
    for drive, shift in zip(problem.drives, shifts, strict=True):
        exact &= on_grid((drive.weights * scale[:, None] * 2.0**-shift).ravel(), 1.0)
        exact &= beyond(scale, drive, shift) == 0
    return exact
