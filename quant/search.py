"""The scales and shifts of least expected error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datapath import Rounding
from model.network import Floats
from quant.calibrate import flow_gains, gains
from quant.options import Granularity, Scale
from quant.problem import Problem, Scales, integers, is_lossless, lowered

Reach = tuple[Floats, ...]
"""Largest |weight| that is not clipped, float64[post] for every drive."""

WORTH = 1.01
"""A larger shift has to lower the expected error by this factor: it widens the accumulators."""

NOTHING = 1e-12
"""Expected squared error, in squared thresholds, below which there is none."""


def least_error(problem: Problem) -> Scales:
    """Search the shifts; scales are the largest that fit them.

    Raises
    ------
    ValueError
        No scale fits the formats.
    """
    reaches = [_reach(problem, share) for share in problem.formats.clips]
    tried: dict[tuple[int, ...], tuple[float, Floats]] = {}
    for shifts in _candidates(problem, reaches):
        scale = _best(problem, shifts, reaches)
        if scale is None:
            continue
        shifts = lowered(problem, scale, shifts)
        error = float(expected_error(problem, scale, shifts).mean())
        if error < tried.get(shifts, (np.inf, scale))[0]:
            tried[shifts] = (error, scale)
    if not tried:
        raise ValueError(
            f"{problem.name}: no scale fits a threshold of at least 1 LSB and all weights into "
            f"{problem.formats.v}: give more membrane_bits, or weaker weights to a narrow "
            "synapse.acc or bias"
        )
    best = WORTH * max(NOTHING, min(error for error, _ in tried.values()))
    shifts = min((s for s in tried if tried[s][0] <= best), key=lambda s: (sum(s), s))
    scale = tried[shifts][1]
    return Scales(scale, shifts, is_lossless(problem, scale, shifts))


def _reach(problem: Problem, clip: float) -> Reach:
    """Leave out the largest weights of every scale, the share `clip` of them."""
    found = []
    for drive in problem.drives:
        size = np.abs(drive.weights)
        if problem.shared:
            size = size.reshape(1, -1)
        # A hair more, so that one in a hundred is one of a hundred.
        last = size.shape[1] - 1 - int(clip * size.shape[1] + 1e-9)
        reach = np.partition(size, last, axis=1)[:, last]
        found.append(np.broadcast_to(reach, problem.bias.shape))
    return tuple(found)


def _candidates(problem: Problem, reaches: list[Reach]) -> Iterator[tuple[int, ...]]:
    """Shifts at which some projection fills its words, the others following."""
    most = problem.formats.largest_shift
    top = np.array([drive.fmt.max for drive in problem.drives], np.float64)
    seen: set[tuple[int, ...]] = set()
    for rows in (f(reach, axis=1) for reach in reaches if reach for f in (np.max, np.median)):
        for filled in sorted({*(top[rows > 0] / rows[rows > 0]), 1.0}):
            for more in range(most + 1):
                with np.errstate(divide="ignore"):
                    # A hair less, so that the projection that fills its words fits them.
                    needed = np.ceil(np.log2(filled * 2.0**more * rows / top) - 1e-9)
                if problem.formats.granularity is Granularity.LAYER:
                    needed = np.full_like(needed, needed.max(initial=0))
                seen.add(tuple(int(e) for e in np.clip(needed, 0, most)))
    yield from sorted(seen or {(0,) * len(problem.drives)})


def _best(problem: Problem, shifts: tuple[int, ...], reaches: list[Reach]) -> Floats | None:
    """Scales of least error at `shifts`, over what may be clipped; None if nothing fits."""
    best, least = None, np.full_like(problem.bias, np.inf)
    for reach in reaches:
        limit = limits(problem, shifts, guarded=min(shifts, default=0) > 0)
        with np.errstate(divide="ignore"):
            for drive, largest, shift in zip(problem.drives, reach, shifts, strict=True):
                limit = np.minimum(limit, drive.fmt.max * 2.0**shift / largest)
        scale = _snapped(problem, limit)
        if not np.all(scale > 0):
            continue
        error = expected_error(problem, scale, shifts)
        if problem.shared:
            error = np.full_like(error, error.mean())
        best = scale if best is None else np.where(error < least, scale, best)
        least = np.minimum(least, error)
    return best


def limits(problem: Problem, shifts: tuple[int, ...], *, guarded: bool) -> Floats:
    """Return the largest scales at which all but the weights fits; not positive if there is none.

    guarded : whether the scales have more bits than the numbers of the network ask for.

    Returns
    -------
    float64[post].
    """
    fmt = problem.formats
    low, high = problem.drive_bounds()
    with np.errstate(divide="ignore"):
        limit: Floats = fmt.bias.max / np.abs(problem.bias)
        if problem.threshold is not None:
            limit = np.minimum(limit, fmt.v.max / (2 * problem.threshold))
        # Every weight may be rounded away from zero by half of its unit.
        sources = zip(problem.drives, shifts, strict=True)
        rounding = sum(d.count * d.weights.shape[1] * 2.0**shift / 2 for d, shift in sources)
        # A current holds what a sum of every tick adds up to.
        flow, _ = gains(problem.alpha_syn, problem.steps)
        most = np.minimum(fmt.acc.max, fmt.drive.max / flow - problem.current_rounds)
        if np.any(rounding >= most):
            return np.zeros_like(limit)
        limit = np.minimum(limit, (most - rounding) / np.maximum(-low, high))
    if problem.binding or guarded:
        limit = np.minimum(limit, problem.room)
    return limit


def _snapped(problem: Problem, limit: Floats) -> Floats:
    """Largest scales below `limit` that the granularity and the options allow."""
    if problem.shared:
        limit = np.full_like(limit, limit.min())
    # Nothing limits a readout without weights.
    limit = np.where(np.isinf(limit), 1.0, limit)
    if np.any(limit <= 0):
        return np.zeros_like(limit)
    if problem.formats.scale is Scale.POWER_OF_TWO:
        return 2.0 ** np.floor(np.log2(limit))
    if problem.threshold is None:
        return limit
    # A free scale is lowered until the (smallest) threshold is whole: it is then not rounded.
    unit = problem.threshold
    if problem.shared:
        unit = np.full_like(unit, unit.min())
    return np.where(limit * unit >= 1, np.floor(limit * unit) / unit, limit)


def expected_error(problem: Problem, scale: Floats, shifts: tuple[int, ...]) -> Floats:
    """Return the expected squared error of every u, in squared thresholds; infinite if none fits.

    Weights err by d_i; sources emit as Poisson processes of rate r_i, so that a leaky sum of gain
    G (for a constant) and H (for white noise) errs by sum(d_i**2 (r_i H + r_i**2 G**2)).
    """
    steady, white = gains(problem.alpha, problem.steps)
    flow, noise = flow_gains(problem.alpha, problem.alpha_syn, problem.steps)
    error = np.zeros_like(problem.bias)
    column = scale[:, None]
    for drive, shift in zip(problem.drives, shifts, strict=True):
        rounded, _ = integers(drive.weights, column, shift, drive.fmt)
        wrong = (rounded * (2.0**shift / column) - drive.weights) ** 2
        error += noise * (wrong @ drive.rates) + flow**2 * (wrong @ drive.rates**2)
    error += (steady * (np.rint(problem.bias * scale) / scale - problem.bias)) ** 2
    offset = 0.0 if problem.formats.rounding is Rounding.NEAREST else 0.5
    error += problem.rounds * (white / 12 + (offset * steady) ** 2) / scale**2
    error += problem.current_rounds * (noise / 12 + (offset * flow) ** 2) / scale**2
    if problem.threshold is None:
        unit = sum(np.abs(d.weights).max(initial=0.0) for d in problem.drives) or 1.0
        return error / np.float64(unit) ** 2
    threshold = np.rint(problem.threshold * scale)
    error += (threshold / scale - problem.threshold) ** 2
    fits = (threshold >= 1) & (threshold <= problem.formats.v.max)
    return np.where(fits, error / problem.threshold**2, np.inf)
