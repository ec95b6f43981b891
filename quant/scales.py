"""Scales: how many membrane LSBs one float unit is, and the power of two of each projection.

A weight w of projection p into neuron j becomes the integer round(w s_j / 2**e_p) and is added to
the membrane as that integer << e_p; threshold and bias become round(theta s_j) and round(b s_j).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datapath import Format, Rounding
from datapath.image import Integers
from model.network import Floats
from quant.calibrate import gains
from quant.grid import common_step, on_grid
from quant.options import Granularity, Scale

FINE = 64
"""LSBs of a threshold (a readout: of its largest weight) that make a leak's rounding small."""

WORTH = 1.01
"""A larger shift has to lower the expected error by this factor: it widens the accumulators."""

NOTHING = 1e-12
"""Expected squared error, in squared thresholds, below which there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """One projection, seen from the population it reaches.

    weights : float64[post, pre].  rates : float64[pre], mean events per step.
    count : most events of a source in a step.
    """

    weights: Floats
    rates: Floats
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Formats:
    """Formats in use for one population, and what shares a scale."""

    weight: Format
    v: Format
    acc: Format
    bias: Format
    largest_shift: int
    rounding: Rounding
    granularity: Granularity
    scale: Scale
    clip: float


@dataclass(frozen=True, eq=False)
class Problem:
    """What the scales of one population have to serve.

    threshold : float64[post], None for a readout.  bias, alpha : float64[post].
    exact : whether the chip has a coefficient for every alpha.  steps : of a recording.
    room : float64[post], largest scales at which membranes and scores fit; where they come from
        data they are `binding`, else they only limit shifts beyond those the weights ask for.
    """

    name: str
    drives: tuple[Drive, ...]
    threshold: Floats | None
    bias: Floats
    alpha: Floats
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

    @cached_property
    def reach(self) -> tuple[Floats, ...]:
        """Largest |weight| that must not be clipped, float64[post] for every drive."""
        return tuple(self._reach(drive) for drive in self.drives)

    def _reach(self, drive: Drive) -> Floats:
        size = np.abs(drive.weights)
        if self.formats.granularity is Granularity.PROJECTION:
            size = size.reshape(1, -1)
        # `higher` keeps the quantile a weight, so that it is hit exactly.
        reach = np.quantile(size, 1 - self.formats.clip, axis=1, method="higher")
        return np.broadcast_to(reach, self.bias.shape)

    @property
    def rounds(self) -> NDArray[np.bool_]:
        """Neurons whose leak drops bits."""
        return (self.alpha > 0) & (self.alpha < 1)


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


def scales(problem: Problem) -> Scales:
    """Choose the scales of a population: exact ones where there are any, else the least error.

    Raises
    ------
    ValueError
        No scale fits the formats, or `Scale.INTEGER` finds a number that is not whole.
    """
    if problem.formats.scale is Scale.INTEGER:
        return _integer(problem)
    return _as_given(problem) or _on_its_grid(problem) or _least_error(problem, None)


def _integer(problem: Problem) -> Scales:
    values = problem.numbers
    bad = np.flatnonzero(values != np.rint(values))
    if bad.size:
        raise ValueError(
            f"{problem.name}: {values.flat[bad[0]]} is not a whole number of membrane LSBs: scale "
            "the network, or use scale = free"
        )
    return Scales(np.ones(len(values)), _exact_shifts(problem, np.ones(len(values))), True)


def _as_given(problem: Problem) -> Scales | None:
    """Keep a population that is in integers of the chip already, so that they come back."""
    values, one = problem.numbers, np.ones(len(problem.bias))
    if not problem.exact or np.any(values != np.rint(values)):
        return None
    unit = np.abs(values).max() if problem.threshold is None else problem.threshold.min()
    if unit < FINE and np.any(problem.rounds):
        return None
    found = Scales(one, _exact_shifts(problem, one), True)
    return found if _holds(problem, found) else None


def _on_its_grid(problem: Problem) -> Scales | None:
    """Find scales at which nothing is rounded, with as many guard bits as help the leak."""
    groups = problem.numbers
    if problem.formats.granularity is Granularity.PROJECTION:
        groups = groups.reshape(1, -1)
    steps = [common_step(group) if group.any() else 1.0 for group in groups]
    found = [step for step in steps if step is not None]
    if len(found) < len(steps):
        return None
    grid = np.broadcast_to(np.array(found), problem.bias.shape)
    if problem.formats.scale is Scale.POWER_OF_TWO and np.any(np.frexp(grid)[0] != 0.5):
        return None
    try:
        best = _least_error(problem, grid)
    except ValueError:
        return None
    return best if best.lossless else None


def _least_error(problem: Problem, grid: Floats | None) -> Scales:
    """Search the shifts; scales are the largest that fit them, on `grid` if there is one."""
    tried: dict[tuple[int, ...], tuple[float, Floats]] = {}
    for shifts in _candidates(problem):
        limit = _limits(problem, shifts)
        scale = _snapped(problem, limit, grid)
        if not np.all(scale > 0):
            continue
        least = _least_shifts if grid is None else _exact_shifts
        shifts = least(problem, scale)
        error = _expected_error(problem, scale, shifts)
        if error < tried.get(shifts, (np.inf, scale))[0]:
            tried[shifts] = (error, scale)
    if not tried:
        raise ValueError(
            f"{problem.name}: no scale fits a threshold of at least 1 LSB and all weights into "
            f"{problem.formats.v}: give more membrane_bits (or synapse.acc, or bias_bits), or "
            "calibration data if there was none"
        )
    best = WORTH * max(NOTHING, min(error for error, _ in tried.values()))
    shifts = min((s for s in tried if tried[s][0] <= best), key=lambda s: (sum(s), s))
    scale = tried[shifts][1]
    return Scales(scale, shifts, _is_lossless(problem, scale, shifts))


def _candidates(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Shifts at which some projection fills its words, the others following."""
    top, most = problem.formats.weight.max, problem.formats.largest_shift
    seen: set[tuple[int, ...]] = set()
    for of_rows in (np.max, np.median):
        reach = np.array([float(of_rows(reach)) for reach in problem.reach])
        for filled in sorted({*(top / reach[reach > 0]), 1.0}):
            for more in range(most + 1):
                with np.errstate(divide="ignore"):
                    # A hair less, so that the projection that fills its words fits them.
                    needed = np.ceil(np.log2(filled * 2.0**more * reach / top) - 1e-9)
                shifts = tuple(int(e) for e in np.clip(needed, 0, most))
                if shifts not in seen:
                    seen.add(shifts)
                    yield shifts


def _limits(problem: Problem, shifts: tuple[int, ...]) -> Floats:
    """Largest scales at which everything fits, float64[post]."""
    fmt = problem.formats
    up, down = np.zeros_like(problem.bias), np.zeros_like(problem.bias)
    rounding = 0.0
    with np.errstate(divide="ignore"):
        limit = fmt.bias.max / np.abs(problem.bias)
        if problem.threshold is not None:
            limit = np.minimum(limit, fmt.v.max / (2 * problem.threshold))
        for drive, reach, shift in zip(problem.drives, problem.reach, shifts, strict=True):
            limit = np.minimum(limit, fmt.weight.max * 2.0**shift / reach)
            up += drive.count * np.maximum(drive.weights, 0).sum(axis=1)
            down += drive.count * np.maximum(-drive.weights, 0).sum(axis=1)
            rounding += drive.count * drive.weights.shape[1] * 2.0**shift / 2
        limit = np.minimum(limit, (fmt.acc.max - rounding) / np.maximum(up, down))
    if problem.binding or min(shifts, default=0) > 0:
        limit = np.minimum(limit, problem.room)
    return limit


def _snapped(problem: Problem, limit: Floats, grid: Floats | None) -> Floats:
    """Largest scales below `limit` that the granularity, the grid and the options allow."""
    if problem.formats.granularity is Granularity.PROJECTION:
        limit = np.full_like(limit, limit.min())
    # Nothing limits a readout without weights.
    limit = np.where(np.isinf(limit), 1.0, limit)
    if np.any(limit <= 0):
        return np.zeros_like(limit)
    if grid is not None:
        # A hair more, so that a limit that is on the grid is taken.
        doublings = np.floor(np.log2(limit * grid) + 1e-9)
        return np.where(doublings >= 0, 2.0**doublings / grid, 0.0)
    if problem.formats.scale is Scale.POWER_OF_TWO:
        return 2.0 ** np.floor(np.log2(limit))
    if problem.threshold is None:
        return limit
    # A free scale is lowered until the (smallest) threshold is whole: it is then not rounded.
    unit = problem.threshold
    if problem.formats.granularity is Granularity.PROJECTION:
        unit = np.full_like(unit, unit.min())
    return np.where(limit * unit >= 1, np.floor(limit * unit) / unit, limit)


def _least_shifts(problem: Problem, scale: Floats) -> tuple[int, ...]:
    """Smallest shifts at which the weights fit."""
    top, most = problem.formats.weight.max, problem.formats.largest_shift
    shifts = []
    for reach in problem.reach:
        largest = float((reach * scale).max())
        shift = 0
        while np.rint(largest * 2.0**-shift) > top and shift < most:
            shift += 1
        shifts.append(shift)
    return tuple(shifts)


def _exact_shifts(problem: Problem, scale: Floats) -> tuple[int, ...]:
    """Smallest shifts at which the weights fit and stay whole, else the smallest that fit."""
    fmt, shifts = problem.formats.weight, []
    for drive in problem.drives:
        values = drive.weights * scale[:, None]
        shift = 0
        while np.any((_halved(values, shift) > fmt.max) | (_halved(values, shift) < fmt.min)):
            if shift == problem.formats.largest_shift:
                break
            shift += 1
        shifts.append(shift)
    return tuple(shifts)


def _halved(values: Floats, times: int) -> Floats:
    whole: Floats = np.rint(values * 2.0**-times)
    return whole


def _expected_error(problem: Problem, scale: Floats, shifts: tuple[int, ...]) -> float:
    """Mean over the neurons of the expected squared error of u, in squared thresholds.

    Weights err by d_i; sources emit as Poisson processes of rate r_i, so that a leaky sum of gain
    G (for a constant) and H (for white noise) errs by sum(d_i**2 (r_i H + r_i**2 G**2)).
    """
    steady, white = gains(problem.alpha, problem.steps)
    error = np.zeros_like(problem.bias)
    column = scale[:, None]
    for drive, shift in zip(problem.drives, shifts, strict=True):
        rounded, _ = integers(drive.weights, column, shift, problem.formats.weight)
        wrong = (rounded * (2.0**shift / column) - drive.weights) ** 2
        error += white * (wrong @ drive.rates) + steady**2 * (wrong @ drive.rates**2)
    error += (steady * (np.rint(problem.bias * scale) / scale - problem.bias)) ** 2
    offset = 0.0 if problem.formats.rounding is Rounding.NEAREST else 0.5
    error += problem.rounds * (white / 12 + (offset * steady) ** 2) / scale**2
    if problem.threshold is None:
        unit = sum(np.abs(d.weights).max(initial=0.0) for d in problem.drives) or 1.0
        return float((error / unit**2).mean())
    threshold = np.rint(problem.threshold * scale)
    if np.any((threshold < 1) | (threshold > problem.formats.v.max)):
        return float("inf")
    error += (threshold / scale - problem.threshold) ** 2
    return float((error / problem.threshold**2).mean())


def _is_lossless(problem: Problem, scale: Floats, shifts: tuple[int, ...]) -> bool:
    column = scale[:, None]
    exact = on_grid((problem.numbers * column).ravel(), 1.0)
    for drive, shift in zip(problem.drives, shifts, strict=True):
        exact &= on_grid((drive.weights * column * 2.0**-shift).ravel(), 1.0)
        inside, rounded = integers(drive.weights, column, shift, problem.formats.weight)
        exact &= bool(np.array_equal(inside, rounded))
    return exact


def _holds(problem: Problem, found: Scales) -> bool:
    """Whether the integers of `found` fit every format, and are exact."""
    fmt = problem.formats
    low, high = np.zeros_like(problem.bias), np.zeros_like(problem.bias)
    for drive in problem.drives:
        drives = drive.weights * found.scale[:, None] * drive.count
        low += np.minimum(drives, 0).sum(axis=1)
        high += np.maximum(drives, 0).sum(axis=1)
    bias = problem.bias * found.scale
    fits = np.all((low >= fmt.acc.min) & (high <= fmt.acc.max))
    fits &= np.all((bias >= fmt.bias.min) & (bias <= fmt.bias.max))
    if problem.threshold is not None:
        fits &= np.all(problem.threshold * found.scale <= fmt.v.max)
    return bool(fits) and _is_lossless(problem, found.scale, found.shifts)
