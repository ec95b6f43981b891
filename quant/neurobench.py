"""The metrics of NeuroBench, computed from what the chip does.

Definitions: Yik et al., "The neurobench framework for benchmarking neuromorphic computing
algorithms and systems", Nature Communications 16, 1545 (2025), and `neurobench/benchmarks/metrics`
of the harness (`static/footprint.py`, `static/connection_sparsity.py`,
`workload/activation_sparsity.py`, `workload/synaptic_operations.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datapath import Image, Kind
from quant.activity import Activity


@dataclass(frozen=True, slots=True)
class NeuroBench:
    """Metrics of one network on R recordings.

    footprint_bytes : parameters and state at the width that the chip holds them in (the harness
    counts the bytes of a framework's tensors, 4 each); of the network, not of the chip around it.
    connection_sparsity : share of the weights that are 0.  activation_sparsity : share of the LIF
    outputs, over neurons, ticks and recordings, that are 0.
    effective_macs, effective_acs : per recording, synaptic operations with neither weight nor input
    0: accumulates, or multiply-accumulates in a tick in which the projection has an input above 1.
    dense : the same with no zero left out.
    """

    footprint_bytes: float
    connection_sparsity: float
    activation_sparsity: float
    effective_macs: float
    effective_acs: float
    dense: float


def neurobench(image: Image, found: Activity) -> NeuroBench:
    """Compute the metrics of `image` on the recordings of `found`."""
    weights = sum(p.weights.size for p in image.projections)
    zeros = weights - sum(int(np.count_nonzero(p.weights)) for p in image.projections)
    cells = found.recordings * found.steps * found.neurons
    effective = sum(p.effective for p in found.projections)
    multiplied = sum(p.multiplied for p in found.projections)
    return NeuroBench(
        footprint_bytes=_bits(image) / 8,
        connection_sparsity=zeros / weights if weights else 0.0,
        activation_sparsity=1 - found.spikes / cells if cells else 0.0,
        effective_macs=multiplied / found.recordings,
        effective_acs=(effective - multiplied) / found.recordings,
        dense=sum(p.dense for p in found.projections) / found.recordings,
    )


def _bits(image: Image) -> int:
    """Bits of parameters, and of membranes, as the harness counts parameters and buffers."""
    chip = image.chip
    bits = sum(p.weights.size for p in image.projections) * chip.synapse.weight.width
    for p in image.projections:
        if p.delays.any():
            own = chip.axon.delay if p.delay == "axonal" else chip.synapse.delay
            bits += p.delays.size * own.width
    for population in image.populations:
        threshold = chip.lif.v.width if population.kind is Kind.LIF else 0
        each = threshold + chip.lif.bias.width + chip.lif.coefficient.width + chip.lif.v.width
        if chip.current is not None:
            each += chip.current.coefficient.width + chip.current.i.width
        bits += population.size * each
    return bits
