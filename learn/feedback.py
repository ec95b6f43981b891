"""How the readout's error reaches hidden populations, as flat arrays for the kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learn.rule import Feedback
from model.layout import (
    DELAY,
    KIND,
    LIF,
    NEURONS,
    PER_POST,
    PER_PRE,
    POST,
    PRE,
    READOUT,
    SIZE,
    WEIGHT,
    Layout,
)

# Columns of `Links.rows`: hidden population, first feedback weight (that of readout k and neuron j
# is FEEDBACK + k * neurons + j), the delay of the way with its strides per neuron and per readout.
POPULATION, FEEDBACK, LINK_DELAY, PER_NEURON, PER_READOUT = range(5)

# Standard deviation of random feedback; its scale matters to plain gradient descent alone.
RANDOM_SCALE = 0.1


class Links:
    """Ways of the error from the readout to hidden populations.

    rows : uint32[ways, 5].  weights : float32, all feedback weights.  The delay of a way without
    delay is the one after the last delay of `layout`, which the caller has to make 0.
    """

    def __init__(self, layout: Layout, feedback: Feedback, seed: int) -> None:
        self._layout = layout
        rng = np.random.default_rng([seed, 1])
        populations, projections = layout.populations, layout.projections
        readout = int(np.flatnonzero(populations[:, KIND] == READOUT)[0])
        rows: list[tuple[int, ...]] = []
        # The projection that each way transposes, None for random feedback.
        self._transposed: list[int | None] = []
        pieces = [np.zeros(0, np.float32)]
        for p in np.flatnonzero(populations[:, KIND] == LIF).tolist():
            size = int(populations[p, NEURONS]) * int(populations[readout, NEURONS])
            direct = np.flatnonzero((projections[:, PRE] == p) & (projections[:, POST] == readout))
            if feedback is Feedback.RANDOM or not direct.size:
                at = sum(piece.size for piece in pieces)
                rows.append((p, at, layout.delays.size, 0, 0))
                pieces.append(rng.normal(0, RANDOM_SCALE, size).astype(np.float32))
                self._transposed.append(None)
                continue
            for q in direct.tolist():
                at = sum(piece.size for piece in pieces)
                rows.append((p, at, *projections[q, [DELAY, PER_PRE, PER_POST]].tolist()))
                pieces.append(np.zeros(size, np.float32))
                self._transposed.append(q)
        self.rows = np.array(rows, np.uint32).reshape(-1, 5)
        self.weights: NDArray[np.float32] = np.concatenate(pieces)

    def transpose(self, weights: NDArray[np.float32]) -> None:
        """Refresh symmetric feedback from `weights`, float32[synapses]."""
        for row, q in zip(self.rows.tolist(), self._transposed, strict=True):
            if q is None:
                continue
            first, readouts = self._layout.projections[q, [WEIGHT, SIZE]].tolist()
            neurons = int(self._layout.populations[row[POPULATION], NEURONS])
            block = weights[first : first + neurons * readouts].reshape(neurons, readouts)
            self.weights[row[FEEDBACK] : row[FEEDBACK] + block.size] = block.T.ravel()
