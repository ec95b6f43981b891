"""Synapses and delays that a network does not have all of, and which ones change in training."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from learn.gradient import Parameters
from learn.surrogate.rule import Surrogate
from model import Lif, Network
from model.layout import (
    DELAY,
    NEURONS,
    PER_POST,
    PER_PRE,
    POST,
    PRE,
    SIZE,
    WEIGHT,
    Layout,
    by_pre,
)

Mask = NDArray[np.float32]


class Sparse:
    """Which synapses exist and which delays are active, in the order of a layout.

    Only projections to hidden populations are sparse.  What does not exist has weight 0; a delay
    that is not active is the smallest possible one, and so is that of an absent synapse.

    exists : float32[synapses], 0 or 1.  active : float32[delays], 0 or 1.
    sign : float32[synapses], which weights keep under `deep-r`.
    """

    def __init__(
        self, network: Network, layout: Layout, rule: Surrogate, rng: np.random.Generator
    ) -> None:
        self.layout, self.rule = layout, rule
        self.exists = np.ones(layout.weights.size, np.float32)
        self.active = np.ones(layout.delays.size, np.float32)
        self._parts = [
            _Part(layout, row)
            for row, p in zip(layout.projections, by_pre(network), strict=True)
            if isinstance(network.population(p.post), Lif)
        ]
        for part in self._parts:
            _thin(self.exists[part.weights], rule.connections, rng)
            if part.delays.stop > part.delays.start:
                if part.synaptic:
                    self.active[part.delays] = self.exists[part.weights]
                _thin(self.active[part.delays], rule.active_delays, rng)
        self.sign: Mask = np.where(layout.weights < 0, -1, 1).astype(np.float32)

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.rule.connections == 1 and self.rule.active_delays == 1

    def keep(self, masters: Parameters) -> None:
        """Put what is not there at 0, or at the smallest delay, in place."""
        masters.weights[self.exists == 0] = 0
        still = self.active == 0
        masters.delays[still] = self.layout.smallest_delays[still]

    def redraw(self, masters: Parameters, rng: np.random.Generator) -> None:
        """Replace, after an update, synapses whose weight has changed its sign (`deep-r`)."""
        for part in self._parts:
            exists = self.exists[part.weights]
            weights, sign = masters.weights[part.weights], self.sign[part.weights]
            gone = np.flatnonzero((exists > 0) & (weights * sign < 0))
            absent = np.flatnonzero(exists == 0)
            gone = gone[: absent.size]
            if not gone.size:
                continue
            new = rng.choice(absent, gone.size, replace=False)
            self._move(part, masters, gone, new, rng)
            sign[new] = rng.choice(np.array([-1, 1], np.float32), new.size)

    def rewire(
        self,
        masters: Parameters,
        gradient: Parameters,
        epoch: int,
        epochs: int,
        rng: np.random.Generator,
    ) -> None:
        """Replace, after an epoch, the smallest weights and the shortest delays (`rigl`).

        Instead come the synapses, and the delays, that the loss asks for most.

        gradient : of an update that saw all synapses, those absent included.
        epoch : that has just ended, from 1.
        """
        share = self.rule.rewired * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        for part in self._parts:
            exists = self.exists[part.weights]
            there, absent = np.flatnonzero(exists), np.flatnonzero(exists == 0)
            many = min(int(share * there.size), absent.size)
            if many:
                weak = np.abs(masters.weights[part.weights][there]).argsort(kind="stable")
                pull = -np.abs(gradient.weights[part.weights][absent])
                gone = there[weak[:many]]
                self._move(part, masters, gone, absent[pull.argsort(kind="stable")[:many]], rng)
            self._reactivate(part, masters, gradient, share)

    def _reactivate(
        self, part: _Part, masters: Parameters, gradient: Parameters, share: float
    ) -> None:
        active = self.active[part.delays]
        could = self.exists[part.weights] > 0 if part.synaptic else np.ones(active.size, np.bool_)
        there, idle = np.flatnonzero(active), np.flatnonzero((active == 0) & could)
        many = min(int(share * there.size), idle.size)
        if self.rule.active_delays == 1 or not many:
            return
        longer = masters.delays[part.delays] - self.layout.smallest_delays[part.delays]
        # Down the gradient by a delay that is the smallest one there can only be upwards.
        slope = gradient.delays[part.delays]
        gone = there[longer[there].argsort(kind="stable")[:many]]
        new = idle[slope[idle].argsort(kind="stable")[:many]]
        active[gone], active[new] = 0, 1

    def _move(
        self,
        part: _Part,
        masters: Parameters,
        gone: NDArray[np.int64],
        new: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        """Let synapses `new` take the place of `gone`, with weight 0 and delays drawn anew."""
        exists = self.exists[part.weights]
        exists[gone], exists[new] = 0, 1
        masters.weights[part.weights][new] = 0
        if part.synaptic:
            active = self.active[part.delays]
            active[new] = active[gone]
            active[gone] = 0
            self._draw(part, masters, new[active[new] > 0], rng)

    def _draw(
        self, part: _Part, masters: Parameters, new: NDArray[np.int64], rng: np.random.Generator
    ) -> None:
        low = self.layout.smallest_delays[part.delays][new]
        high = self.layout.largest_delays[part.delays][new]
        masters.delays[part.delays][new] = rng.uniform(low, high)


class _Part:
    """Where the numbers of one projection are."""

    def __init__(self, layout: Layout, row: NDArray[np.uint32]) -> None:
        pre = int(layout.populations[row[PRE], NEURONS])
        post = int(row[SIZE])
        assert post == layout.populations[row[POST], NEURONS]
        first, size = int(row[WEIGHT]), pre * post
        self.weights = slice(first, first + size)
        self.synaptic = bool(row[PER_PRE] and row[PER_POST])
        many = size if self.synaptic else pre if row[PER_PRE] else post if row[PER_POST] else 0
        self.delays = slice(int(row[DELAY]), int(row[DELAY]) + many)


def _thin(mask: Mask, share: float, rng: np.random.Generator) -> None:
    """Put a part of the ones of `mask` at 0, so that `share` of them is left."""
    there = np.flatnonzero(mask)
    gone = there.size - round(share * there.size)
    mask[rng.permutation(there)[:gone]] = 0
