"""NIR graphs as they lie in an HDF5 file, read without trusting it.

The file is read directly: the `nir` package refuses files that are legal, and writes others than it
reads (https://neuroir.org).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py

from model.importers.hdf5 import Floats, Reader

DEEPEST = 16
"""Graphs inside graphs."""
MOST_NODES = 10_000

DEEPEST_METADATA = 4
VERSION = "1.0"
"""Of the format that is written."""

GRAPH, INPUT, OUTPUT = "NIRGraph", "Input", "Output"
METADATA = "metadata"
OURS = "ranvier"
"""Where in the metadata of a graph the network lies that it was made of."""
SYNAPTIC = "synaptic_delay_s"
"""Metadata of a Linear: delays per weight, in seconds, which no node of NIR has."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its type and its parameters, arrays of numbers or strings."""

    name: str
    kind: str
    fields: Mapping[str, Floats | str]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, and edges; the nodes of an inner graph `g` are called `g.name`.

    metadata : of ours, by path; of a Linear it is the field `SYNAPTIC`.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Floats | str] = field(default_factory=dict)


def read_graph(path: Path) -> Graph:
    """Read `path`, inner graphs taken apart.

    Raises
    ------
    ValueError
        It is no NIR file, or damaged, or would need more memory than a network should.
    """
    try:
        with h5py.File(path, "r") as file:
            reader = _Reader(path)
            node = reader.group(file, "node")
            reader.graph(node, "", 0)
            ours = reader.metadata(node)
            metadata = {} if ours is None else dict(reader.below(ours, "", 0))
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: is not a NIR file: {' '.join(str(error).split())}") from None
    return Graph(reader.nodes, tuple(reader.edges), metadata)


class _Reader(Reader):
    """Collects nodes and edges."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []

    def graph(self, group: h5py.Group, prefix: str, depth: int) -> None:
        """Add the nodes and edges of a graph."""
        if depth > DEEPEST:
            raise ValueError(f"{self.path}: graphs lie inside graphs more than {DEEPEST} deep")
        nodes = self.group(group, "nodes")
        for name in nodes:
            if len(self.nodes) >= MOST_NODES:
                raise ValueError(f"{self.path}: has more than {MOST_NODES} nodes")
            inner = self.group(nodes, name)
            kind = self.text(inner, "type")
            if kind == GRAPH:
                # The graph itself stays as a node, where edges end and begin.
                self.nodes[prefix + name] = Node(prefix + name, GRAPH, {})
                self.graph(inner, f"{prefix}{name}.", depth + 1)
            else:
                self.nodes[prefix + name] = Node(prefix + name, kind, dict(self.fields(inner)))
        for pre, post in self.pairs(group):
            ends = prefix + pre, prefix + post
            for end in ends:
                if end not in self.nodes:
                    raise ValueError(f"{self.path}: an edge names {end!r}, which is no node")
            self.edges.append(ends)

    def pairs(self, group: h5py.Group) -> list[tuple[str, str]]:
        """Return the edges of a graph."""
        if "edges" not in group:
            return []
        data = self.dataset(group, "edges")
        if data.size == 0:
            return []
        if data.ndim != 2 or data.shape[1] != 2:
            raise ValueError(f"{self.path}: {data.name} must have two columns, not {data.shape}")
        if data.shape[0] > MOST_NODES * 16:
            raise ValueError(f"{self.path}: {data.name} has {data.shape[0]} edges, too many")
        return [(self.word(a), self.word(b)) for a, b in data[()].tolist()]

    def fields(self, group: h5py.Group) -> Iterator[tuple[str, Floats | str]]:
        """Yield the parameters of a node."""
        for name in group:
            if name == METADATA and self.linked(group, name):
                inner = group[name]
                if isinstance(inner, h5py.Group) and SYNAPTIC in inner:
                    yield SYNAPTIC, self.numbers(inner, SYNAPTIC)
            if name in ("type", METADATA):
                continue
            data = self.dataset(group, name)
            yield name, self.string(data) if data.dtype.kind in "OS" else self.values(data)

    def metadata(self, group: h5py.Group) -> h5py.Group | None:
        """Return what we have written into the metadata of a graph, None for that of others."""
        for name in (METADATA, OURS):
            if not self.linked(group, name) or not isinstance(group[name], h5py.Group):
                return None
            group = group[name]
        return group

    def below(
        self, group: h5py.Group, prefix: str, depth: int
    ) -> Iterator[tuple[str, Floats | str]]:
        """Yield all data below a group of ours, by path."""
        if depth > DEEPEST_METADATA or len(group) > MOST_NODES:
            raise ValueError(f"{self.path}: {group.name} is deeper or longer than what we write")
        for name in group:
            if self.linked(group, name) and isinstance(group[name], h5py.Group):
                yield from self.below(group[name], f"{prefix}{name}/", depth + 1)
                continue
            data = self.dataset(group, name)
            text = data.dtype.kind in "OS"
            yield prefix + name, self.document(data) if text else self.values(data)
