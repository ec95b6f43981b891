"""The loss of a mapping: network and image compared, number by number."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

import model
from datapath import Compare, Delay, Format, Image, Kind, Projection, Reset
from model import Lif, Network
from model.network import Floats
from quant.calibrate import Counts, taken
from quant.leak import alphas, tau_ms
from quant.loss import Loss, PopulationLoss, ProjectionLoss, Trial
from quant.plan import Integrating, Plan, integrating
from quant.problem import integers


def account(
    plan: Plan,
    image: Image,
    network: Network,
    calibration: Counts | None,
    trials: tuple[Trial, ...],
) -> Loss:
    """List everything that `image` does not hold as `network` has it.

    network : that of `plan` before it was pruned.
    """
    saturated, silent = _on_chip(image, calibration)
    lost = 0 if calibration is None else int((calibration > image.chip.axon.count.max).sum())
    projections = tuple(_projection(plan, p, network) for p in image.projections)
    pruned = {p.post for p in network.projections if _named(projections, p.name).pruned}
    return Loss(
        options=plan.options.described(),
        dt_ms=float(plan.network.dt_ms),
        recordings=plan.ranges.recordings,
        saturated_counts=lost,
        projections=projections,
        populations=tuple(
            _population(plan, p, image, saturated, silent, pruned)
            for p in integrating(plan.network)
        ),
        trials=trials,
        notes=tuple(_notes(plan, image)),
    )


def _projection(plan: Plan, on_chip: Projection, network: Network) -> ProjectionLoss:
    given, projection = (
        next(p for p in net.projections if p.name == on_chip.name)
        for net in (network, plan.network)
    )
    options = plan.options
    words, scale = plan.words[projection.name], plan.scale_of(projection)
    applied = on_chip.weights * 2.0**on_chip.scale / scale
    error = applied - given.weights
    fmt = Format(options.weight_bits_of(projection.name))
    inside, wanted = integers(projection.weights, scale, on_chip.scale, fmt)
    clipped = np.argwhere(inside != wanted)
    moved, number = np.unique(words.applied - words.wanted, return_counts=True)
    return ProjectionLoss(
        name=projection.name,
        weight_bits=fmt.width,
        delay_bits=0 if words.mode is Delay.NONE else options.delay_bits_of(projection.name),
        shift=on_chip.scale,
        weights=projection.weights.size,
        max_error=float(np.abs(error).max()),
        rms_error=_rms(error),
        rms_weight=_rms(given.weights),
        zeroed=int(((given.weights != 0) & (on_chip.weights == 0)).sum()),
        pruned=int(((given.weights != 0) & (projection.weights == 0)).sum()),
        clipped=tuple((int(j), int(i), int(wanted[j, i]), int(inside[j, i])) for j, i in clipped),
        mode_wanted=str(projection.delay),
        mode=str(on_chip.delay),
        resolution=on_chip.resolution,
        moved=tuple((int(s), int(n)) for s, n in zip(moved, number, strict=True)),
        clamped=tuple(
            (*(int(n) for n in where), int(words.wanted[where]), int(words.applied[where]))
            for where in map(tuple, np.argwhere(words.clamped))
        ),
    )


def _named(losses: tuple[ProjectionLoss, ...], name: str) -> ProjectionLoss:
    return next(loss for loss in losses if loss.name == name)


def _rms(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


def _population(
    plan: Plan,
    population: Integrating,
    image: Image,
    saturated: Mapping[str, int],
    silent: Mapping[str, tuple[int, ...]],
    pruned: Collection[str],
) -> PopulationLoss:
    name = population.name
    on_chip = next(p for p in image.populations if p.name == name)
    found, ranges = plan.scales[name], plan.ranges
    scale = found.scale
    unit = np.ones(population.size)
    threshold_error = 0.0
    if isinstance(population, Lif):
        unit = population.threshold
        applied = np.rint(population.threshold * scale) / scale
        threshold_error = float((np.abs(applied - unit) / unit).max())
    alpha = alphas(on_chip.coefficient, image.chip.lif)
    bias_error = np.abs(on_chip.bias / scale - population.bias) / unit
    exact = True
    if image.chip.current is not None:
        flow = alphas(plan.currents[name], image.chip.current)
        exact = np.array_equal(flow, population.alpha_syn)
    span = ranges.span[name]
    updates = ranges.recordings * plan.network.steps * population.size
    return PopulationLoss(
        name=name,
        scale=_floats(scale),
        unit=_floats(unit),
        lossless=found.lossless and exact and name not in pruned,
        threshold_error=threshold_error,
        bias_error=float(bias_error.max()),
        biases_zeroed=_where((population.bias != 0) & (on_chip.bias == 0)),
        alpha=_floats(population.alpha),
        alpha_applied=_floats(alpha),
        unleaking=_where((population.alpha < 1) & (alpha == 1)),
        span=float((span / unit).max()),
        saturated=saturated.get(name, 0),
        updates=updates,
        silent=_where(ranges.fired[name] == 0) if name in ranges.fired else (),
        silent_applied=silent.get(name, ()),
    )


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(x) for x in values)


def _where(condition: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(n) for n in np.flatnonzero(condition))


def _on_chip(
    image: Image, calibration: Counts | None
) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Saturated updates, and neurons that never fired, by population."""
    if calibration is None:
        return {}, {}
    # Numba takes a good part of a second to import: only who has data pays for it.
    from emulator.chip import run

    done = run(image, taken(image, calibration))
    return (
        {name: int(n.sum()) for name, n in done.saturations.items()},
        {name: _where(n.sum(axis=0) == 0) for name, n in done.spike_counts.items()},
    )


def _notes(plan: Plan, image: Image) -> Iterator[str]:
    dt_us = plan.network.dt_ms * 1000
    if abs(image.dt_us - dt_us) > 1e-6:
        yield f"A step of {dt_us:.6g} us is written as {image.dt_us} us."
    for projection in image.projections:
        wanted = next(p for p in plan.network.projections if p.name == projection.name)
        if projection.delay is not Delay(wanted.delay):
            steps = int(plan.words[projection.name].wanted.max())
            yield (
                f"{projection.name}: the constant delay of {steps} steps is held as axonal "
                "delays, one per source."
            )
    if image.chip.current is not None:
        for given in integrating(plan.network):
            applied = alphas(plan.currents[given.name], image.chip.current)
            wanted_ms, applied_ms = (
                tau_ms(alpha, plan.network.dt_ms) for alpha in (given.alpha_syn, applied)
            )
            yield (
                f"{given.name}: synaptic currents of {image.chip.current.i.width} bits decay with "
                f"time constants of {wanted_ms.min():.4g} to {wanted_ms.max():.4g} ms in the "
                f"network, {applied_ms.min():.4g} to {applied_ms.max():.4g} ms on the chip."
            )
    for population in image.populations:
        if population.kind is not Kind.LIF or population.reset is not Reset.SUBTRACT:
            continue
        wants = plan.network.population(population.name)
        assert isinstance(wants, Lif)
        early = image.chip.lif.compare is Compare.GE
        if early == (wants.compare is model.Compare.GT):
            where = ("at", "above") if early else ("above", "at")
            yield (
                f"{population.name}: the chip fires {where[0]} the threshold, the network "
                f"{where[1]} it: 1 LSB {'earlier' if early else 'later'}."
            )
