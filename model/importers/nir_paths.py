"""The paths between neurons of a NIR graph, each as a matrix with delays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from model.importers.hdf5 import Floats
from model.importers.lowering import convolution, identity, pool
from model.importers.nir_file import GRAPH, INPUT, OUTPUT, SYNAPTIC, Graph, Node
from model.importers.nir_neurons import NEURONS
from model.importers.verdict import Unsupported

MOST_PATHS = 1024
LINEAR = (
    "Linear", "Affine", "Scale", "Delay", "Flatten", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What goes from one emitter to one target.

    pre : the node that emits.  through : nodes between, from the emitter on.  matrix :
    float64[outputs, inputs], None for the identity.  axonal, dendritic : delays in seconds before
    and after the matrix, float64 per channel, None for none.  synaptic : those of single weights,
    float64[outputs, inputs].
    """

    pre: str
    through: tuple[str, ...]
    matrix: Floats | None
    axonal: Floats | None
    dendritic: Floats | None
    synaptic: Floats | None = None


class Paths:
    """Walks back from a target to all that emits into it.

    shapes : of every node that emits or integrates, by name.
    """

    def __init__(
        self, path: Path, graph: Graph, inputs: Sequence[str], shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.path, self.graph, self.inputs = path, graph, inputs
        self.shapes = dict(shapes)
        self.before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for pre, post in graph.edges:
            self.before[post].append(pre)
        self.seen: set[str] = set()
        self.delayed_bias: set[str] = set()

    def into(self, target: str) -> tuple[list[Term], Floats | float]:
        """Return the terms that add up at `target`, and what arrives in every step anyway."""
        terms: list[Term] = []
        bias: Floats | float = 0.0
        for pre in self.before[target]:
            found, constant = self._back(pre, (target,))
            terms += found
            bias = bias + constant
            if len(terms) > MOST_PATHS:
                raise Unsupported(target, f"more than {MOST_PATHS} paths end in it")
        return terms, bias

    def _back(self, name: str, after: tuple[str, ...]) -> tuple[list[Term], Floats | float]:
        """Return what comes out of node `name`; `after` : nodes behind it on this path."""
        node = self.graph.nodes[name]
        self.seen.add(name)
        if name in self.inputs or node.kind in NEURONS:
            return [Term(name, (), None, None, None)], 0.0
        if name in after:
            raise Unsupported(name, "is on a loop without a neuron, which never comes to an end")
        terms: list[Term] = []
        bias: Floats | float = 0.0
        for pre in self._entries(name):
            found, constant = self._back(pre, (*after, name))
            terms += found
            bias = bias + constant
        if node.kind in (GRAPH, INPUT, OUTPUT):
            return terms, bias
        if node.kind not in LINEAR:
            raise Unsupported(name, f"is a {node.kind}, which no network here has; replace it")
        if not terms:
            raise Unsupported(name, "receives nothing")
        return self._applied(node, terms, bias)

    def _entries(self, name: str) -> list[str]:
        """Return what leads into `name`; a graph ends in its outputs, and begins where it does."""
        if self.graph.nodes[name].kind == GRAPH:
            inside = [n for n in self.graph.nodes if n.rpartition(".")[0] == name]
            return [n for n in inside if self.graph.nodes[n].kind == OUTPUT]
        outer = name.rpartition(".")[0]
        if self.graph.nodes[name].kind == INPUT and outer:
            return [*self.before[name], *self.before[outer]]
        return self.before[name]

    def _applied(
        self, node: Node, terms: list[Term], bias: Floats | float
    ) -> tuple[list[Term], Floats | float]:
        """Let the linear node `node` act on `terms`."""
        if node.kind == "Flatten":
            return [self._through(node, term) for term in terms], bias
        if node.kind == "Delay":
            delay = _field(node, "delay").reshape(-1)
            if np.any(bias):
                self.delayed_bias.add(node.name)
            return [one for term in terms for one in self._delayed(node, term, delay)], bias
        matrix, constant = self._matrix(node)
        made = [one for term in terms for one in self._multiplied(node, term, matrix)]
        return made, (matrix @ np.broadcast_to(bias, matrix.shape[1:])) + constant

    def _through(self, node: Node, term: Term) -> Term:
        return replace(term, through=(*term.through, node.name))

    def _outputs(self, term: Term) -> int:
        if term.matrix is not None:
            return int(term.matrix.shape[0])
        return prod(self.shapes[term.pre])

    def _delayed(self, node: Node, term: Term, delay: Floats) -> list[Term]:
        """Add a delay behind the matrix of `term`, or before it where there is none."""
        size = self._outputs(term)
        if delay.size not in (1, size):
            raise Unsupported(node.name, f"has {delay.size} delays for {size} channels")
        if (delay < 0).any():
            raise Unsupported(node.name, f"has a negative delay of {delay.min()} s")
        delay = np.broadcast_to(delay, (size,))
        term = self._through(node, term)
        side = "axonal" if term.matrix is None else "dendritic"
        there = getattr(term, side)
        made = delay if there is None else there + delay
        return [replace(term, axonal=made) if side == "axonal" else replace(term, dendritic=made)]

    def _multiplied(self, node: Node, term: Term, matrix: Floats) -> list[Term]:
        """Multiply `term` by `matrix`; delays between two matrices split it, one per delay."""
        size = self._outputs(term)
        if matrix.shape[1] != size:
            raise Unsupported(node.name, f"takes {matrix.shape[1]} channels and is given {size}")
        term = self._through(node, term)
        synaptic = node.fields.get(SYNAPTIC)
        if isinstance(synaptic, str) or (synaptic is not None and synaptic.shape != matrix.shape):
            raise Unsupported(node.name, f"{SYNAPTIC} must have the shape of its weights")
        if synaptic is not None and (synaptic < 0).any():
            raise Unsupported(node.name, f"has a negative delay of {synaptic.min()} s")
        if term.matrix is None:
            return [replace(term, matrix=matrix, synaptic=synaptic)]
        if synaptic is not None or term.synaptic is not None:
            raise Unsupported(node.name, "is one of two matrices, and one has delays per weight")
        if term.dendritic is None:
            return [replace(term, matrix=matrix @ term.matrix)]
        parts = []
        for delay in np.unique(term.dendritic):
            here = term.dendritic == delay
            parts.append(
                replace(
                    term,
                    matrix=matrix[:, here] @ term.matrix[here],
                    dendritic=np.full(matrix.shape[0], delay),
                )
            )
        return parts

    def _matrix(self, node: Node) -> tuple[Floats, Floats | float]:
        """Return the matrix of a linear node, and what it adds in every step."""
        if node.kind == "Scale":
            scale = _field(node, "scale").reshape(-1)
            return identity(node.name, scale.size) * scale, 0.0
        weight = _field(node, "weight") if "Pool" not in node.kind else np.zeros(0)
        if node.kind in ("Linear", "Affine"):
            if weight.ndim != 2:
                raise Unsupported(node.name, f"its weight has shape {weight.shape}, not two axes")
            if node.kind == "Linear":
                return weight, 0.0
            return weight, _bias(node, weight.shape[0])
        matrix, shape = self._lowered(node, weight)
        self.shapes[node.name] = shape
        if "bias" not in node.fields:
            return matrix, 0.0
        each = prod(shape) // shape[0]
        return matrix, np.repeat(_bias(node, shape[0]), each)

    def _lowered(self, node: Node, weight: Floats) -> tuple[Floats, tuple[int, ...]]:
        """Lower a convolution or pool."""
        shape = self._shape_before(node.name)
        axes = 1 if node.kind == "Conv1d" else 2
        if len(shape) != axes + 1:
            raise Unsupported(
                node.name, f"needs {axes + 1} axes, channels first, and its input has shape {shape}"
            )
        stride = _axes(node, "stride", axes, 1)
        try:
            if "Pool" in node.kind:
                kernel = _axes(node, "kernel_size", axes, None)
                return pool(
                    shape, kernel, stride=stride, padding=_axes(node, "padding", axes, 0),
                    mean=node.kind == "AvgPool2d",
                )  # fmt: skip
            padding = node.fields.get("padding", "valid")
            groups = node.fields.get("groups")
            return convolution(
                weight, shape, stride=stride,
                padding=padding if isinstance(padding, str) else _axes(node, "padding", axes, 0),
                dilation=_axes(node, "dilation", axes, 1),
                groups=1 if groups is None or isinstance(groups, str) else int(groups.flat[0]),
            )  # fmt: skip
        except ValueError as error:
            raise Unsupported(node.name, str(error)) from None

    def _shape_before(self, name: str, depth: int = 0) -> tuple[int, ...]:
        """Return the shape of what comes into node `name`."""
        entries = self._entries(name)
        if len(entries) != 1 or depth > len(self.graph.nodes):
            raise Unsupported(name, "needs exactly one input, so that its shape is known")
        before = entries[0]
        kind = self.graph.nodes[before].kind
        if before in self.shapes:
            return self.shapes[before]
        if kind in (GRAPH, INPUT, OUTPUT, "Scale", "Delay"):
            return self._shape_before(before, depth + 1)
        raise Unsupported(name, f"comes after {before}, a {kind}, whose output has no axes")


def _field(node: Node, name: str) -> Floats:
    value = node.fields.get(name)
    if value is None or isinstance(value, str):
        raise Unsupported(node.name, f"a {node.kind} needs the numbers {name!r}")
    return value


def _bias(node: Node, size: int) -> Floats:
    bias = _field(node, "bias").reshape(-1)
    if bias.size not in (1, size):
        raise Unsupported(node.name, f"has {bias.size} biases for {size} outputs")
    return np.broadcast_to(bias, (size,))


def _axes(node: Node, name: str, axes: int, default: int | None) -> list[int]:
    """Return a whole number per axis."""
    value = node.fields.get(name)
    if value is None and default is not None:
        return [default] * axes
    if value is None or isinstance(value, str) or value.size not in (1, axes):
        raise Unsupported(node.name, f"{name} must be {axes} whole numbers")
    if (value != np.rint(value)).any() or (value < 0).any() or (value > 1 << 20).any():
        raise Unsupported(node.name, f"{name} must be whole numbers, not {value.tolist()}")
    return [int(n) for n in np.broadcast_to(value.reshape(-1), (axes,))]
