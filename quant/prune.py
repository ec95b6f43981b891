"""Pruning: the smallest weights of a projection become 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.network import Floats, Network
from quant.options import Options


def pruned(network: Network, options: Options) -> Network:
    """Return `network` with the share of each projection's weights that `options` say set to 0.

    Those of least magnitude go, of equal ones the first in rows of a post neuron; zeros count.  The
    same network comes back where nothing is asked for.
    """
    projections = tuple(
        replace(p, weights=_kept(p.weights, options.prune_of(p.name)))
        if options.prune_of(p.name)
        else p
        for p in network.projections
    )
    return replace(network, projections=projections)


def _kept(weights: Floats, share: float) -> Floats:
    kept = weights.copy()
    # A hair more, so that one in a hundred is one of a hundred.
    smallest = np.argsort(np.abs(weights), axis=None, kind="stable")
    kept.flat[smallest[: int(share * weights.size + 1e-9)]] = 0
    return kept
