"""A plan written down: the integers of an image."""

from __future__ import annotations

import numpy as np

import datapath
import model
from datapath import Chip, Compare, Image, Kind
from model import Lif
from quant.plan import Integrating, Plan, integrating
from quant.problem import integers


def image_of(plan: Plan) -> Image:
    """Write down the integers of `plan`."""
    network = plan.network
    return Image(
        chip=plan.chip,
        input_name=network.input.name,
        channels=network.input.size,
        units=network.input.units,
        dt_us=max(1, round(network.dt_ms * 1000)),
        steps=network.steps,
        populations=tuple(_population(plan, p) for p in integrating(network)),
        projections=tuple(_projection(plan, p) for p in network.projections),
        labels=network.labels,
        provenance={
            name: value if isinstance(value, str | int) else str(float(value))
            for name, value in network.provenance.items()
        },
    )


def _population(plan: Plan, population: Integrating) -> datapath.Population:
    scale = plan.scales[population.name].scale
    threshold = np.zeros(population.size, np.int64)
    reset = datapath.Reset.SUBTRACT
    if isinstance(population, Lif):
        reset = datapath.Reset(population.reset)
        threshold = np.rint(population.threshold * scale).astype(np.int64)
        threshold += raised(plan.chip, population)
    return datapath.Population(
        name=population.name,
        kind=Kind.LIF if isinstance(population, Lif) else Kind.READOUT,
        size=population.size,
        threshold=threshold,
        bias=np.rint(population.bias * scale).astype(np.int64),
        coefficient=plan.coefficients[population.name],
        reset=reset,
        emit=population.name in plan.options.emit,
        current_coefficient=plan.currents.get(population.name),
    )


def raised(chip: Chip, population: Lif) -> int:
    """Return what a threshold needs so that `chip`, comparing otherwise, fires with the network.

    u > T - 1 is u >= T.  A threshold that is subtracted stays what it is: it fires an LSB off.
    """
    strict = population.compare is model.Compare.GT
    if population.reset is not model.Reset.ZERO or strict == (chip.lif.compare is Compare.GT):
        return 0
    return 1 if strict else -1


def _projection(plan: Plan, projection: model.Projection) -> datapath.Projection:
    words, shift = plan.words[projection.name], plan.shifts[projection.name]
    fmt = datapath.Format(plan.options.weight_bits_of(projection.name))
    weights, _ = integers(projection.weights, plan.scale_of(projection), shift, fmt)
    return datapath.Projection(
        name=projection.name,
        pre=projection.pre,
        post=projection.post,
        weights=weights,
        scale=shift,
        delay=words.mode,
        delays=words.words,
        resolution=words.resolution,
    )
