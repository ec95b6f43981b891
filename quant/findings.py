"""The figures of a report: everything it shows, as JSON holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import numpy as np

from datapath import Format, Image
from datapath.integers import Integers
from emulator.chip import run
from model import Lif, Network, simulate
from model.network import Floats
from quant.budget import memory
from quant.calibrate import Counts, taken
from quant.compare import EDGES, Comparison
from quant.delays import applied_steps
from quant.evaluate import Evaluation, interval
from quant.loss import Loss

Figures = dict[str, Any]

LISTED = 12
"""Clipped weights and clamped delays of a projection that are listed; the loss has them all."""

BINS = 48
"""Bins of a histogram of weights; delays have one per step up to as many."""


def findings(
    network: Network,
    image: Image,
    loss: Loss,
    evaluation: Evaluation,
    comparison: Comparison,
    example: Counts,
    *,
    title: str,
    provenance: Mapping[str, str | int | float],
    learning: Sequence[Mapping[str, Any]] = (),
    cost: Figures | None = None,
    synthesis: Sequence[Figures] = (),
) -> Figures:
    """Collect the figures of a report.

    Parameters
    ----------
    loss : of `image`.  evaluation, comparison : of both, on data that `provenance` should name.
    example : integers[steps, channels], the recording whose spikes are shown.
    provenance : what to say beside what network and image say of themselves; a time of writing only
        if it is given here.
    learning : epochs of learning on the chip: `number`, `train_accuracy`, `held_out_accuracy`,
        `cycles`, `saturated`.
    cost : of `quant.budget`, if the report is to have it.  synthesis : what the chip takes on
        devices, as `ranvier synth` leaves it.

    Returns
    -------
    Numbers, strings, lists and dictionaries; the same input gives the same figures.
    """
    return {
        "title": title,
        "accuracy": _accuracy(evaluation),
        "confusion": {
            "labels": list(network.labels) or [str(n) for n in range(network.readout.size)],
            "float": evaluation.confusion(evaluation.float_classes).tolist(),
            "chip": evaluation.confusion(evaluation.chip_classes).tolist(),
        },
        "comparison": asdict(comparison),
        "membrane_edges": EDGES.tolist(),
        "populations": [_population(p.name, loss) for p in loss.populations],
        "projections": [_projection(p.name, network, image, loss) for p in loss.projections],
        "example": _example(network, image, example),
        "memory": memory(image.chip),
        "cost": cost,
        "synthesis": list(synthesis),
        "chip": _parameters(image.chip),
        "options": {name: str(value) for name, value in loss.options.items()},
        "calibration": {
            "recordings": loss.recordings,
            "saturated_counts": loss.saturated_counts,
        },
        "trials": [asdict(trial) for trial in loss.trials],
        "notes": list(loss.notes),
        "learning": [dict(epoch) for epoch in learning],
        "provenance": {
            name: value if isinstance(value, str) else repr(value)
            for name, value in {**image.provenance, **provenance}.items()
        },
    }


def _accuracy(evaluation: Evaluation) -> Figures:
    number = len(evaluation.labels)
    lost, half = evaluation.lost
    shares = {
        "float": evaluation.float_accuracy,
        "chip": evaluation.chip_accuracy,
        "agreement": evaluation.agreement,
    }
    return {
        "recordings": number,
        "lost": lost,
        "lost_half_interval": half,
        "saturated_counts": evaluation.saturated_counts,
        **shares,
        **{f"{name}_interval": list(interval(x, number)) for name, x in shares.items()},
    }


def _population(name: str, loss: Loss) -> Figures:
    population = loss.population(name)
    wanted, applied = loss.tau_ms(name)
    lsbs = np.array(population.scale) * np.array(population.unit)
    return {
        "name": name,
        "size": len(population.scale),
        "lossless": population.lossless,
        "lsbs": [float(lsbs.min()), float(lsbs.max())],
        "threshold_error": population.threshold_error,
        "bias_error": population.bias_error,
        "biases_zeroed": len(population.biases_zeroed),
        "tau_ms": _range(wanted),
        "tau_ms_applied": _range(applied),
        "alpha_error": float(
            np.abs(np.array(population.alpha) - np.array(population.alpha_applied)).max()
        ),
        "unleaking": len(population.unleaking),
        "span": population.span,
        "headroom": _finite(loss.headroom(name)),
        "saturated": population.saturated,
        "updates": population.updates,
        "silent": len(population.silent),
        "silent_applied": len(population.silent_applied),
    }


def _range(values: Floats) -> list[float | None]:
    return [_finite(float(values.min())), _finite(float(values.max()))]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _projection(name: str, network: Network, image: Image, loss: Loss) -> Figures:
    lost = loss.projection(name)
    wanted = next(p for p in network.projections if p.name == name)
    on_chip = next(p for p in image.projections if p.name == name)
    scale = np.array(loss.population(wanted.post).scale)[:, None]
    applied = on_chip.weights * 2.0**on_chip.scale / scale
    return {
        "name": name,
        "weight_bits": lost.weight_bits,
        "delay_bits": lost.delay_bits,
        "shift": lost.shift,
        "weights": lost.weights,
        "max_error": lost.max_error,
        "rms_error": lost.rms_error,
        "rms_weight": lost.rms_weight,
        "zeroed": lost.zeroed,
        "pruned": lost.pruned,
        "clipped": len(lost.clipped),
        "first_clipped": [list(row) for row in lost.clipped[:LISTED]],
        "mode_wanted": lost.mode_wanted,
        "mode": lost.mode,
        "resolution": lost.resolution,
        "delays": int(on_chip.delays.size),
        "moved": sum(number for steps, number in lost.moved if steps),
        "largest_move": max((abs(steps) for steps, _ in lost.moved), default=0),
        "clamped": len(lost.clamped),
        "first_clamped": [list(row) for row in lost.clamped[:LISTED]],
        "weight_histogram": _histograms(wanted.weights, applied, BINS),
        "delay_histogram": _histograms(
            applied_steps(network, wanted, on_chip.delay),
            image.age(on_chip) + (on_chip.delays << on_chip.resolution),
            None,
        ),
    }


def _histograms(wanted: Floats | Integers, applied: Floats | Integers, bins: int | None) -> Figures:
    """Count both in the same bins; None gives whole steps one bin each, up to `BINS` bins."""
    low, high = float(min(wanted.min(), applied.min())), float(max(wanted.max(), applied.max()))
    if bins is None:
        width = -(-int(high - low + 1) // BINS)
        edges = np.arange(low - 0.5, high + 0.5 + width, width)
    else:
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    return {
        "edges": edges.tolist(),
        "float": np.histogram(wanted, edges)[0].tolist(),
        "chip": np.histogram(applied, edges)[0].tolist(),
    }


def _example(network: Network, image: Image, counts: Counts) -> Figures:
    """Spikes of one recording as lists of [step, neuron], float and chip."""
    wanted = simulate(network, counts[None], record=("spikes",))
    got = run(image, taken(image, counts[None]), record=("spikes",))
    return {
        "steps": network.steps,
        "dt_ms": network.dt_ms,
        "classes": [int(wanted.classes[0]), int(got.classes[0])],
        "input": np.argwhere(counts).tolist(),
        "channels": network.input.size,
        "populations": [
            {
                "name": p.name,
                "size": p.size,
                "float": np.argwhere(wanted.spikes[p.name][0]).tolist(),
                "chip": np.argwhere(got.spikes[p.name][0]).tolist(),
            }
            for p in network.populations
            if isinstance(p, Lif)
        ],
    }


def _parameters(part: Any, owner: str = "") -> dict[str, str]:
    """Flatten a chip: `axon.count` and the like, with formats in words."""
    found: dict[str, str] = {}
    for field in fields(part):
        name, value = f"{owner}{field.name}", getattr(part, field.name)
        if is_dataclass(value):
            found |= _parameters(value, f"{name}.")
        elif isinstance(value, Format):
            sign = "signed" if value.signed else "unsigned"
            fraction = f", {value.frac} of them fraction" if value.frac else ""
            found[name] = f"{value.width} bits {sign}{fraction}"
        else:
            found[name] = str(value)
    return found
