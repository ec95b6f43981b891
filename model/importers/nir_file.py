"""NIR graphs as they lie in an HDF5 file, read without trusting it.

The file is read directly: the `nir` package refuses files that are legal, and writes others than it
reads (https://neuroir.org).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEEPEST = 16
"""Graphs inside graphs."""
MOST_NODES = 10_000
MOST_NUMBERS = 1 << 27
"""All parameters of a file together; 1 GiB as float64."""

GRAPH, INPUT, OUTPUT = "NIRGraph", "Input", "Output"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its type and its parameters, arrays of numbers or strings."""

    name: str
    kind: str
    fields: Mapping[str, Floats | str]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, and edges; the nodes of an inner graph `g` are called `g.name`.

    shape : of the events that come in.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]


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
            reader.graph(_group(path, file, "node"), "", 0)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: is not a NIR file: {' '.join(str(error).split())}") from None
    return Graph(reader.nodes, tuple(reader.edges))


def _group(path: Path, parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group that lies in the file itself."""
    # A link may lead into another file, or nowhere.
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{path}: {parent.name}/{name} must be a group of this file")
    group = parent[name]
    if not isinstance(group, h5py.Group):
        raise ValueError(f"{path}: {group.name} must be a group")
    return group


class _Reader:
    """Collects nodes and edges."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.numbers = 0

    def graph(self, group: h5py.Group, prefix: str, depth: int) -> None:
        """Add the nodes and edges of a graph."""
        if depth > DEEPEST:
            raise ValueError(f"{self.path}: graphs lie inside graphs more than {DEEPEST} deep")
        nodes = _group(self.path, group, "nodes")
        for name in nodes:
            if len(self.nodes) >= MOST_NODES:
                raise ValueError(f"{self.path}: has more than {MOST_NODES} nodes")
            inner = _group(self.path, nodes, name)
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
            if name in ("type", "metadata"):
                continue
            data = self.dataset(group, name)
            if data.dtype.kind in "OS":
                yield name, self.text(group, name)
            elif data.dtype.kind in "iufb":
                values = np.asarray(data[()], np.float64)
                if not np.isfinite(values).all():
                    raise ValueError(f"{self.path}: {data.name} holds numbers that are not finite")
                yield name, values
            else:
                raise ValueError(f"{self.path}: {data.name} is of type {data.dtype}, not numbers")

    def dataset(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """Return a dataset that lies in the file and is not larger than it should be."""
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{self.path}: {group.name}/{name} must lie in this file")
        data = group[name]
        if not isinstance(data, h5py.Dataset) or data.external is not None or data.is_virtual:
            raise ValueError(f"{self.path}: {group.name}/{name} must be data of this file")
        self.numbers += prod(data.shape)
        if self.numbers > MOST_NUMBERS:
            raise ValueError(
                f"{self.path}: {data.name} has shape {data.shape}; all parameters together may be "
                f"{MOST_NUMBERS} numbers"
            )
        return data

    def text(self, group: h5py.Group, name: str) -> str:
        """Return a dataset that is one string."""
        if name not in group:
            raise ValueError(f"{self.path}: {group.name} has no {name}")
        data = self.dataset(group, name)
        if data.shape != ():
            raise ValueError(f"{self.path}: {data.name} must be one string")
        return self.word(data[()])

    def word(self, value: object) -> str:
        """Return a string of the file, which names something."""
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError:
                value = None
        if not isinstance(value, str) or not value.isprintable() or not value or len(value) > 1000:
            raise ValueError(f"{self.path}: holds a name that is no printable text")
        return value
