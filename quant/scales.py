"""Scales of a population: exact ones where its numbers allow it, else those of least error."""

from __future__ import annotations

import numpy as np

from datapath import Format
from model.network import Floats
from quant.calibrate import gains
from quant.grid import common_step
from quant.options import Scale
from quant.problem import Problem, Scales, is_lossless, lowered
from quant.search import NOTHING, WORTH, expected_error, least_error, limits

WIDEST = 48
"""Bits of the widest format."""

FINE = 16
"""LSBs of a threshold (a readout: of its largest weight) that make a leak's rounding small."""


def scales(problem: Problem) -> Scales:
    """Choose the scales of a population.

    Numbers that are integers of the chip already are kept, others that lie on an integer grid are
    kept up to guard bits for the leak, and only what is left is rounded.

    Raises
    ------
    ValueError
        No scale fits the formats, or `Scale.INTEGER` finds a number that is not whole.
    """
    if problem.formats.scale is Scale.INTEGER:
        return _integer(problem)
    return _as_given(problem) or _on_its_grid(problem) or least_error(problem)


def _integer(problem: Problem) -> Scales:
    values = problem.numbers
    bad = np.flatnonzero(values != np.rint(values))
    if bad.size:
        raise ValueError(
            f"{problem.name}: {values.flat[bad[0]]} is not a whole number of membrane LSBs: scale "
            "the network, or use scale = free"
        )
    found = _unscaled(problem)
    if not found.lossless:
        raise ValueError(
            f"{problem.name}: its weights do not fit {_words(problem)} with any shift up to "
            f"{problem.formats.largest_shift}: give more weight_bits, or use scale = free"
        )
    return found


def _words(problem: Problem) -> str:
    """Name the formats of its weights, each once."""
    return ", ".join(sorted({str(drive.fmt) for drive in problem.drives}))


def _unscaled(problem: Problem) -> Scales:
    """Return the scale 1 with the smallest shifts that hold the weights."""
    one = np.ones_like(problem.bias)
    most = (problem.formats.largest_shift,) * len(problem.drives)
    shifts = lowered(problem, one, most)
    return Scales(one, shifts, is_lossless(problem, one, shifts))


def _as_given(problem: Problem) -> Scales | None:
    """Keep a population that is in integers of the chip already, so that they come back."""
    values = problem.numbers
    if not problem.exact or np.any(values != np.rint(values)):
        return None
    unit = np.abs(values).max() if problem.threshold is None else problem.threshold.min()
    # Too few LSBs, and the leak would round them away: a float network that happens to be whole.
    if unit < FINE and np.any(problem.rounds):
        return None
    found = _unscaled(problem)
    return found if found.lossless and _holds(problem) else None


def _holds(problem: Problem) -> bool:
    """Whether sums, thresholds and biases fit their formats as they are."""
    fmt = problem.formats
    low, high = problem.drive_bounds()
    flow, _ = gains(problem.alpha_syn, problem.steps)
    fits = np.all((low >= fmt.acc.min) & (high <= fmt.acc.max))
    fits &= np.all(flow * (np.maximum(-low, high) + problem.current_rounds) <= fmt.drive.max)
    fits &= np.all((problem.bias >= fmt.bias.min) & (problem.bias <= fmt.bias.max))
    if problem.threshold is not None:
        fits &= np.all(problem.threshold <= fmt.v.max)
    return bool(fits)


def _on_its_grid(problem: Problem) -> Scales | None:
    """Find scales at which nothing is rounded, with as many guard bits as help the leak."""
    groups = problem.numbers
    if problem.shared:
        groups = groups.reshape(1, -1)
    steps = [common_step(group) if group.any() else 1.0 for group in groups]
    found = [step for step in steps if step is not None]
    if len(found) < len(steps):
        return None
    grid: Floats = np.broadcast_to(np.array(found), problem.bias.shape)
    if problem.formats.scale is Scale.POWER_OF_TWO and np.any(np.frexp(grid)[0] != 0.5):
        return None
    plain = _with_guard_bits(problem, 1 / grid)
    if plain is not None or problem.shared:
        return plain
    return _with_guard_bits(problem, _aligned(problem, 1 / grid))


def _aligned(problem: Problem, scale: Floats) -> Floats:
    """Double exact scales of single neurons until one shift of each projection serves them all.

    A neuron that is m times doubled needs a shift larger by m for its weights to fit their words,
    and has weights that are whole after a shift larger by m.  The smallest shifts that serve all
    neurons are taken, and every neuron is doubled as often as they allow.
    """
    largest = problem.formats.largest_shift
    units = [np.rint(drive.weights * scale[:, None]) for drive in problem.drives]
    fits = [_shift(u, d.fmt) for u, d in zip(units, problem.drives, strict=True)]
    twos = [_twos(u) for u in units]
    doublings = np.zeros(scale.shape)
    shifts = np.zeros(len(units))
    while shifts.max(initial=0) <= largest:
        shifts = np.array([(fit + doublings).max(initial=0) for fit in fits])
        needed = [shift - two for shift, two in zip(shifts, twos, strict=True)]
        more = np.max([doublings, *needed], axis=0)
        if np.array_equal(more, doublings):
            break
        doublings = more
    room = [shift - np.maximum(fit, 0) for shift, fit in zip(shifts, fits, strict=True)]
    allowed: Floats = np.min([*room, np.full(scale.shape, float(largest))], axis=0)
    return scale * 2.0**allowed


def _shift(units: Floats, fmt: Format) -> Floats:
    """Right shift, left if negative, at which the weights of every neuron just fit `fmt`."""
    shifts = np.arange(-WIDEST, WIDEST + 1)[:, None]
    low, high = units.min(axis=1, initial=0), units.max(axis=1, initial=0)
    inside = (low >= fmt.min * 2.0**shifts) & (high <= fmt.max * 2.0**shifts)
    fit: Floats = shifts[inside.argmax(axis=0), 0].astype(np.float64)
    return fit


def _twos(units: Floats) -> Floats:
    """How often all weights of a neuron can be halved and stay whole."""
    words = units.astype(np.int64)
    lowest = np.where(words == 0, 1 << WIDEST, words & -words)
    halvings: Floats = np.log2(lowest.min(axis=1, initial=1 << WIDEST).astype(np.float64))
    return halvings


def _with_guard_bits(problem: Problem, scale: Floats) -> Scales | None:
    """Double exact scales as long as that helps and everything fits."""
    fitting: list[tuple[float, Scales]] = []
    most = (problem.formats.largest_shift,) * len(problem.drives)
    while True:
        shifts = lowered(problem, scale, most)
        fits = scale <= limits(problem, shifts, guarded=bool(fitting))
        if not fits.all() or not is_lossless(problem, scale, shifts):
            break
        error = float(expected_error(problem, scale, shifts).mean())
        fitting.append((error, Scales(scale, shifts, True)))
        scale = 2 * scale
    if not fitting:
        return None
    enough = WORTH * max(NOTHING, min(error for error, _ in fitting))
    return next(found for error, found in fitting if error <= enough)
