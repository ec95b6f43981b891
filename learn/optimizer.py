"""Steps down a gradient, on arrays that change in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learn.rule import Optimizer

Floats = NDArray[np.float32]

MOMENTS = (0.9, 0.999)
EPSILON = 1e-8


class Descent:
    """One parameter array with its moments; Adam or plain gradient descent.

    values, mean, square : float32, the same shape, changed in place.  momentum : of `sign`.
    """

    def __init__(self, kind: Optimizer, values: Floats, momentum: float) -> None:
        self.kind, self.momentum = kind, momentum
        self.values = values
        self.mean, self.square = np.zeros_like(values), np.zeros_like(values)

    def step(self, gradient: Floats, rate: float, number: int) -> None:
        """Take update `number` (the first is 1) against `gradient`."""
        if self.kind is Optimizer.SGD:
            self.values -= np.float32(rate) * gradient
            return
        if self.kind is Optimizer.SIGN:
            self.mean *= np.float32(self.momentum)
            self.mean += np.float32(1 - self.momentum) * gradient
            self.values -= np.float32(rate) * np.sign(self.mean)
            return
        for moment, sample, decay in (
            (self.mean, gradient, MOMENTS[0]),
            (self.square, gradient * gradient, MOMENTS[1]),
        ):
            moment *= np.float32(decay)
            moment += np.float32(1 - decay) * sample
        mean = self.mean / np.float32(1 - MOMENTS[0] ** number)
        square = self.square / np.float32(1 - MOMENTS[1] ** number)
        self.values -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(EPSILON))
