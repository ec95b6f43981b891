"""A network as a graph of NIR nodes: what `model.importers.nir` reads, the other way round.

With the time step dt and Euler's scheme a decay alpha is the time constant dt / (1 - alpha), and
resistances of 1 / (1 - alpha) leave weights as they are.  NIR fires above a threshold: where a
network fires at it, too, the next smaller number is written.  A reset by subtraction is the
absence of `v_reset`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from model.importers.hdf5 import Floats
from model.importers.nir_file import INPUT, OUTPUT, SYNAPTIC, Graph, Node
from model.network import (
    Compare,
    Delay,
    Input,
    Lif,
    Network,
    Population,
    Projection,
    Readout,
    Reset,
)


def graph_of(network: Network) -> tuple[Graph, dict[str, str]]:
    """Return `network` as a graph, and the node with the weights of every projection.

    Raises
    ------
    ValueError
        A population never decays in a way for which NIR has no node, or is called ".".
    """
    dt = network.dt_ms / 1000
    nodes = {p.name: _population(p, dt) for p in network.populations}
    edges: list[tuple[str, str]] = []
    weights: dict[str, str] = {}
    for projection in network.projections:
        through = _through(network, projection, dt, nodes)
        nodes |= {node.name: node for node in through}
        weights[projection.name] = next(n.name for n in through if n.kind == "Linear")
        edges += pairwise([projection.pre, *(node.name for node in through), projection.post])
    end = _free(OUTPUT.lower(), nodes)
    size = np.array([float(network.readout.size)])
    nodes[end] = Node(end, OUTPUT, {"shape": size})
    edges.append((network.readout.name, end))
    for name in nodes:
        # A dot is the place itself in HDF5.
        if not name.strip("."):
            raise ValueError(f"{name!r} cannot be the name of a NIR node; rename it")
    return Graph(nodes, tuple(edges)), weights


def _free(name: str, taken: dict[str, Node]) -> str:
    while name in taken:
        name += "'"
    return name


def _population(population: Population, dt: float) -> Node:
    name = population.name
    if isinstance(population, Input):
        return Node(name, INPUT, {"shape": np.array([float(population.size)])})
    fields = _dynamics(population, dt)
    spiking = isinstance(population, Lif)
    if isinstance(population, Lif):
        threshold = population.threshold
        if population.compare is Compare.GE:
            threshold = np.nextafter(threshold, -np.inf)
        fields["v_threshold"] = threshold
        if population.reset is Reset.ZERO:
            fields["v_reset"] = np.zeros(population.size)
    if "tau" not in fields and "tau_mem" not in fields:
        return Node(name, "IF" if spiking else "I", fields)
    kind = "LIF" if spiking else "LI"
    return Node(name, f"Cuba{kind}" if "tau_syn" in fields else kind, fields)


def _dynamics(population: Lif | Readout, dt: float) -> dict[str, Floats | str]:
    name, alpha, current = population.name, population.alpha, population.alpha_syn
    if (current == 1).any() or ((alpha == 1).any() and (current.any() or (alpha < 1).any())):
        raise ValueError(
            f"{name}: a decay of 1 has no time constant; NIR has a node only where all neurons "
            "have it, and no current"
        )
    if (alpha == 1).any():
        if population.bias.any():
            raise ValueError(f"{name}: NIR has no bias for neurons that do not leak; give them one")
        return {"r": np.full(population.size, 1 / dt)}
    fields: dict[str, Floats | str] = {
        "r": 1 / (1 - alpha),
        "v_leak": population.bias / (1 - alpha),
    }
    if not current.any():
        return {**fields, "tau": dt / (1 - alpha)}
    return {
        **fields,
        "tau_mem": dt / (1 - alpha),
        "tau_syn": dt / (1 - current),
        "w_in": 1 / (1 - current),
    }


def _through(
    network: Network, projection: Projection, dt: float, taken: dict[str, Node]
) -> list[Node]:
    """Return the nodes from one population to another: delays on either side of the weights."""
    name, mode = _free(projection.name, taken), projection.delay
    steps = network.steps_of(projection) * dt
    linear = Node(name, "Linear", {"weight": projection.weights})
    if mode is Delay.SYNAPTIC:
        return [Node(name, "Linear", {**linear.fields, SYNAPTIC: np.array(steps)})]
    if mode is Delay.NONE and float(projection.delays) <= network.min_delay(projection):
        return [linear]
    late = np.array(steps[:, 0] if mode is Delay.DENDRITIC else steps[0])
    delay = Node(_free(f"{name} delay", taken), "Delay", {"delay": late})
    return [linear, delay] if mode is Delay.DENDRITIC else [delay, linear]
