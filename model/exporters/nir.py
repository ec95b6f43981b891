"""Networks as NIR files (https://neuroir.org).

What NIR has no place for lies in metadata: delays per synapse with their weights, in seconds
(`synaptic_delay_s`, [post, pre]), and in the graph's `ranvier` everything but the weights that
makes the network the same, bit for bit, when it is read again.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import h5py
import numpy as np

from model.archive import HEADER, complete
from model.exporters.nir_graph import graph_of
from model.files import arrays_of, described
from model.importers.nir_file import METADATA, OURS, SYNAPTIC, VERSION, Graph
from model.network import Network


def write_nir(network: Network, path: str | os.PathLike[str]) -> None:
    """Write `network` to `path`, a NIR file; the same network gives the same bytes.

    Raises
    ------
    ValueError
        NIR has no node for a population.
    OSError
        The folder does not exist or cannot be written; a file already there is left as it was.
    """
    graph, weights = graph_of(network)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["version"] = VERSION
        _write_graph(file.create_group("node"), graph)
        group = file.create_group(f"node/{METADATA}/{OURS}")
        header = {**described(network), "weights": weights}
        group[HEADER] = json.dumps(header, allow_nan=False, sort_keys=True)
        for name, array in arrays_of(network).items():
            # The weights are there already.
            if not name.endswith("/weights"):
                group[name] = array
    with complete(Path(path)) as part:
        part.write_bytes(buffer.getvalue())


def _write_graph(group: h5py.Group, graph: Graph) -> None:
    group["type"] = "NIRGraph"
    text = h5py.string_dtype()
    group.create_dataset("edges", data=np.array(graph.edges, object).reshape(-1, 2), dtype=text)
    for name, node in graph.nodes.items():
        inner = group.create_group(f"nodes/{name}")
        inner["type"] = node.kind
        for field, value in node.fields.items():
            if field == SYNAPTIC:
                inner[f"{METADATA}/{field}"] = value
            else:
                inner[field] = np.asarray(value, np.int64) if field == "shape" else value
