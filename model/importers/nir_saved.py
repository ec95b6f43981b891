"""Networks that `model.exporters` wrote as NIR, read back bit for bit from their metadata.

The metadata counts only as long as it fits the nodes: whoever changed a node meant the node.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.archive import HEADER
from model.exporters.nir_graph import graph_of
from model.files import assembled
from model.importers.nir_file import Graph
from model.network import Network


class _Metadata:
    """The arrays of a network in the metadata of a graph; weights lie in its nodes."""

    def __init__(self, path: Path, graph: Graph) -> None:
        self.path, self.graph = path, graph
        text = graph.metadata.get(HEADER)
        content = json.loads(text) if isinstance(text, str) else None
        if not isinstance(content, dict) or not isinstance(content.get("weights"), dict):
            raise ValueError(f"{path}: its metadata has no {HEADER}")
        self.content: dict[str, Any] = content

    def header(self) -> dict[str, Any]:
        """Return the JSON header."""
        return self.content

    def array(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the array called `name`, which must have this shape."""
        kind, _, rest = name.partition("/")
        owner, _, field = rest.rpartition("/")
        if kind == "projections" and field == "weights":
            node = self.graph.nodes.get(str(self.content["weights"].get(owner)))
            value = None if node is None else node.fields.get("weight")
        else:
            value = self.graph.metadata.get(name)
        if not isinstance(value, np.ndarray) or value.shape != shape:
            raise ValueError(f"{self.path}: its metadata has no {name} of shape {shape}")
        return value.astype(dtype)


def saved_network(path: Path, graph: Graph) -> Network | None:
    """Return the network that the nodes of `graph` were made of, None if they were not."""
    if not graph.metadata:
        return None
    try:
        network = assembled(_Metadata(path, graph))
        made, _ = graph_of(network)
    except (ValueError, RecursionError):
        return None
    return network if _same(made, graph) else None


def _same(one: Graph, other: Graph) -> bool:
    if one.nodes.keys() != other.nodes.keys() or sorted(one.edges) != sorted(other.edges):
        return False
    for name, node in one.nodes.items():
        there = other.nodes[name]
        if node.kind != there.kind or node.fields.keys() != there.fields.keys():
            return False
        if not all(np.array_equal(v, there.fields[k]) for k, v in node.fields.items()):
            return False
    return True
