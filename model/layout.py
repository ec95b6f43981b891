"""A network as the flat arrays that kernels read: one compiled kernel serves every topology.

Neurons that integrate (LIF and readout) are numbered through all populations, and so are emitters
(input and LIF).  Synapses are stored pre by pre: that of the pair (i, j) is
`WEIGHT + i * SIZE + j` of its projection, its delay `DELAY + i * PER_PRE + j * PER_POST`.

Few, wide tables instead of many arrays: Numba unpacks every array argument in every kernel, which
made the compilation five times as long.  Unsigned integers: an index that might be negative keeps
Numba from vectorising a loop, which made the kernels ten times as slow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.network import Compare, Delay, Input, Lif, Network, Projection, Readout, Reset

Ints = NDArray[np.uint32]
Floats = NDArray[np.float64]

# Columns of `Layout.populations`.  START, EMITTER : number of the first neuron, the first emitter.
# OUT, OUT_END : its rows of `Layout.projections`.
# STRICT : fires only above the threshold.
KIND, START, EMITTER, NEURONS, ZERO_RESET, STRICT, OUT, OUT_END = range(8)
INPUT, LIF, READOUT = range(3)

# Columns of `Layout.projections`.  SIZE : neurons of the post population.
PRE, POST, SIZE, WEIGHT, DELAY, PER_PRE, PER_POST, MIN_DELAY = range(8)

# Rows of `Layout.neurons`.  A readout's threshold is infinite.
ALPHA, BIAS, THRESHOLD, ALPHA_SYN = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A network as tables.

    populations : uint32[populations, 8] in update order.  projections : uint32[projections, 8],
    sorted by pre population.  neurons : float64[4, integrating neurons].
    weights : float64[synapses].  delays : float64[delays], master values in steps, with their
    bounds smallest_delays and largest_delays.
    """

    populations: Ints
    projections: Ints
    neurons: Floats
    weights: Floats
    delays: Floats
    smallest_delays: Floats
    largest_delays: Floats

    def steps(self) -> Ints:
        """Return the applied delays, as `Network.steps_of` does: uint32[delays]."""
        whole = np.clip(np.rint(self.delays), self.smallest_delays, self.largest_delays)
        return whole.astype(np.uint32)


def by_pre(network: Network) -> tuple[Projection, ...]:
    """Return the projections in the order in which a layout holds them."""
    order = [p.name for p in network.populations]
    return tuple(sorted(network.projections, key=lambda p: order.index(p.pre)))


def lay_out(network: Network) -> Layout:
    """Lay out `network` for the kernels."""
    projections = by_pre(network)
    counts = [p.delays.size for p in projections]
    neurons: list[Lif | Readout] = [p for p in network.populations if not isinstance(p, Input)]
    smallest = np.array([network.min_delay(p) for p in projections], np.float64)
    largest = np.array([p.max_delay for p in projections], np.float64)
    return Layout(
        populations=_populations(network, projections),
        projections=_projections(network, projections),
        neurons=np.array(
            [
                np.concatenate([p.alpha for p in neurons]),
                np.concatenate([p.bias for p in neurons]),
                np.concatenate(
                    [p.threshold if isinstance(p, Lif) else p.size * [np.inf] for p in neurons]
                ),
                np.concatenate([p.alpha_syn for p in neurons]),
            ]
        ),
        weights=_joined([p.weights.T for p in projections]),
        delays=_joined([p.delays.T for p in projections]),
        smallest_delays=np.repeat(smallest, counts),
        largest_delays=np.repeat(largest, counts),
    )


def rebuild(network: Network, weights: Floats, delays: Floats, bias: Floats) -> Network:
    """Return `network` with other numbers, given in the order of its layout.

    weights : float[synapses].  delays : float[delays].  bias : float[integrating neurons].
    """
    layout = lay_out(network)
    made: dict[str, Projection] = {}
    for row, p in zip(layout.projections, by_pre(network), strict=True):
        w, d = weights[row[WEIGHT] :][: p.weights.size], delays[row[DELAY] :][: p.delays.size]
        made[p.name] = replace(
            p, weights=w.reshape(p.weights.T.shape).T, delays=d.reshape(p.delays.T.shape).T
        )
    populations = tuple(
        p if isinstance(p, Input) else replace(p, bias=bias[row[START] :][: p.size])
        for row, p in zip(layout.populations, network.populations, strict=True)
    )
    projections = tuple(made[p.name] for p in network.projections)
    return replace(network, populations=populations, projections=projections)


def _populations(network: Network, projections: tuple[Projection, ...]) -> Ints:
    rows = []
    start = emitter = out = 0
    for population in network.populations:
        size = population.size
        kind = {Input: INPUT, Lif: LIF, Readout: READOUT}[type(population)]
        zero = isinstance(population, Lif) and population.reset is Reset.ZERO
        strict = isinstance(population, Lif) and population.compare is Compare.GT
        out_end = out + sum(p.pre == population.name for p in projections)
        rows.append((kind, start, emitter, size, zero, strict, out, out_end))
        start += size * (kind != INPUT)
        emitter += size * (kind != READOUT)
        out = out_end
    return np.array(rows, np.uint32)


def _projections(network: Network, projections: tuple[Projection, ...]) -> Ints:
    order = [p.name for p in network.populations]
    rows = []
    weight = delay = 0
    for projection in projections:
        size = len(projection.weights)
        per_pre, per_post = {
            Delay.NONE: (0, 0),
            Delay.AXONAL: (1, 0),
            Delay.DENDRITIC: (0, 1),
            Delay.SYNAPTIC: (size, 1),
        }[projection.delay]
        ends = order.index(projection.pre), order.index(projection.post)
        rows.append((*ends, size, weight, delay, per_pre, per_post, network.min_delay(projection)))
        weight += projection.weights.size
        delay += projection.delays.size
    return np.array(rows, np.uint32).reshape(-1, 8)


def _joined(pieces: list[Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *[np.ravel(piece) for piece in pieces]])
