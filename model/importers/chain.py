"""Layers one after the other, as a network: input, hidden populations, readout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.importers.verdict import Unsupported
from model.network import MAX_WHOLE, Delay, Input, Lif, Network, Projection, Readout

Floats = NDArray[np.float64]
INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """Weights, float64[post, pre], with their delays in steps; see `model.Projection`."""

    weights: Floats
    delay: Delay = Delay.NONE
    delays: Floats | float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population, what comes into it from the one before, and what it tells itself."""

    population: Lif | Readout
    into: Sequence[Synapses]
    recurrent: Sequence[Synapses] = ()


def counted(synapses: Synapses) -> Layer:
    """Return a readout without memory: the class is the largest number of events."""
    size = len(synapses.weights)
    return Layer(Readout(OUTPUT, size, np.zeros(size), np.zeros(size)), [synapses])


def chain(dt_ms: float, steps: int, inputs: int, units: int | None, layers: list[Layer]) -> Network:
    """Join `layers` to a network with `inputs` channels.

    units : front-end units that the channels sum, None for one each.

    Raises
    ------
    Unsupported
        Two layers do not fit, or a delay is not one.
    """
    projections: list[Projection] = []
    before, size = INPUT, inputs
    for layer in layers:
        name = layer.population.name
        projections += _joined(before, name, size, layer.population.size, layer.into, least=0)
        projections += _joined(
            name, name, layer.population.size, layer.population.size, layer.recurrent, least=1
        )
        before, size = name, layer.population.size
    first = Input(INPUT, inputs, inputs if units is None else units)
    populations = (first, *(layer.population for layer in layers))
    return Network(dt_ms, steps, populations, tuple(projections))


def _joined(
    pre: str, post: str, ins: int, outs: int, all_synapses: Iterable[Synapses], least: int
) -> list[Projection]:
    made: list[Projection] = []
    for synapses in all_synapses:
        if synapses.weights.shape != (outs, ins):
            raise Unsupported(
                post, f"is given weights of shape {synapses.weights.shape}, not {(outs, ins)}"
            )
        name = f"{pre} to {post}" + (f" {len(made) + 1}" if made else "")
        delays = np.asarray(synapses.delays, np.float64)
        longest = float(np.rint(delays).max(initial=least))
        if not delays.size or not np.isfinite(delays).all() or longest > MAX_WHOLE:
            raise Unsupported(post, "has delays that are no numbers of steps")
        made.append(
            Projection(name, pre, post, synapses.weights, synapses.delay, delays, int(longest))
        )
    return made
