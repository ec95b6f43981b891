"""Gradients of the three-factor rule over mini-batches: tables and scratch memory of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learn.examples import Examples
from learn.feedback import Links
from learn.rule import Eligibility, ErrorKind, Rule, fold, half_taps
from model import Network
from model.layout import BIAS, KIND, NEURONS, PER_POST, PER_PRE, READOUT, lay_out

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Entries of the kernel's `choices`, int64, and `amounts`, float32.
LEARN, LEARN_DELAYS, DEFERRED, RESET_PATH, SIGN_OF_WEIGHT, ERROR = range(6)
SURROGATE_WIDTH, RATE_STRENGTH, RATE_TARGET, ERROR_WIDTH = range(4)
SOFTMAX, EXPONENTIAL, LINEAR = range(3)

# Gradients are summed in this many parts, whatever the number of threads, in a fixed order.
PARTIALS = 16


class Parameters(NamedTuple):
    """What is learned, in the order of the network's layout; float32.

    weights [synapses].  delays [delays], master values in steps.  bias [integrating neurons].
    """

    weights: Floats
    delays: Floats
    bias: Floats


class Outcome(NamedTuple):
    """What became of B recordings.

    gradient : sums over them.  losses : float64[B], cross-entropy summed over steps.
    classes : int64[B].  emitted : int64[emitters], events of all recordings.
    """

    gradient: Parameters
    losses: NDArray[np.float64]
    classes: Ints
    emitted: Ints


class Gradient:
    """The rule's forward and backward pass for one network; not to be shared by threads."""

    def __init__(self, network: Network, rule: Rule, seed: int) -> None:
        # Numba takes a good part of a second to import: only who trains pays for it.
        from numba import get_num_threads

        self.layout, self.rule = lay_out(network), rule
        self.links = Links(self.layout, rule.feedback, seed)
        self.initial = Parameters(
            self.layout.weights.astype(np.float32),
            self.layout.delays.astype(np.float32),
            self.layout.neurons[BIAS].astype(np.float32),
        )
        self.readout = int(np.flatnonzero(self.layout.populations[:, KIND] == READOUT)[0])
        self._learns_delays = bool(
            rule.delay_rate > 0 and self.layout.projections[:, [PER_PRE, PER_POST]].any()
        )
        self._scratch = [self._made(network.steps) for _ in range(get_num_threads())]
        self._threads = ThreadPoolExecutor(len(self._scratch))
        self._sums = Parameters(*(np.zeros((PARTIALS, p.size), np.float32) for p in self.initial))

    def _made(self, steps: int) -> tuple[NDArray[np.generic], ...]:
        """Return the scratch memory of one worker."""
        populations = self.layout.populations
        emitters = int(populations[populations[:, KIND] != READOUT, NEURONS].sum())
        largest = int(populations[:, NEURONS].max())
        longest = max(self._taps(self.rule.sigma_start).size, self._taps(self.rule.sigma_end).size)
        neurons = self.initial.bias.size
        return (
            np.zeros((emitters, steps), np.uint32),  # times
            np.zeros((emitters, steps), np.float32),  # events
            np.zeros(emitters, np.int64),  # emitted
            np.zeros(neurons, np.float32),  # u
            np.zeros((steps, neurons), np.float32),  # current
            np.zeros((1, steps + 3 * longest + 1, neurons), np.float32),  # back
            np.zeros((longest + 1, steps + longest, largest if longest else 0), np.float32),
            np.zeros(largest, np.float32),  # row
            np.zeros(largest, np.uint32),  # fresh
        )

    def _taps(self, sigma: float) -> Floats:
        """Return the taps in use: none if no delay is learned."""
        if not self._learns_delays:
            return np.zeros(0, np.float32)
        return half_taps(self.rule.taps, sigma).astype(np.float32)

    def run(
        self,
        parameters: Parameters,
        examples: Examples,
        chosen: Ints,
        shifts: Ints,
        sigma: float | None,
    ) -> Outcome:
        """Run the recordings `chosen`, each with its channels moved by one of `shifts`.

        sigma : width of the taps in steps, or None to run forwards only (gradient 0).
        """
        from learn.kernels.three_factor import work

        layout = self.layout
        taps = self._taps(self.rule.sigma_end if sigma is None else sigma)
        neurons = layout.neurons.astype(np.float32)
        neurons[BIAS] = parameters.bias
        whole = np.clip(np.rint(parameters.delays), layout.smallest_delays, layout.largest_delays)
        # The last one is the delay of feedback without delay.
        steps = np.append(whole, 0).astype(np.uint32)
        self.links.transpose(parameters.weights)
        losses, classes = np.zeros(len(chosen)), np.zeros(len(chosen), np.int64)
        emitted = np.zeros((PARTIALS, self._scratch[0][2].size), np.int64)
        shared = (
            layout.populations, layout.projections, neurons, parameters.weights, steps,
            self.links.rows, self.links.weights, taps, fold(taps).astype(np.float32),
            self._choices(sigma is not None), self._amounts(), self.readout, examples.counts,
            examples.labels, chosen, shifts,
        )  # fmt: skip
        written = (*self._sums, losses, classes, emitted)
        workers = len(self._scratch)
        run: Callable[..., object] = work
        jobs = [
            self._threads.submit(run, *shared, *scratch, *written, worker, workers)
            for worker, scratch in enumerate(self._scratch)
        ]
        for job in jobs:
            job.result()
        # NumPy adds rows in order, so the sum is the same on every run.
        gradient = Parameters(*(sums.sum(axis=0) for sums in self._sums))
        return Outcome(gradient, losses, classes, emitted.sum(axis=0))

    def _choices(self, learn: bool) -> Ints:
        rule = self.rule
        deferred = rule.eligibility is Eligibility.DEFERRED
        error = list(ErrorKind).index(rule.error)
        return np.array(
            [learn, self._learns_delays, deferred, rule.reset_path, rule.sign_of_weight, error],
            np.int64,
        )

    def _amounts(self) -> Floats:
        rule = self.rule
        return np.array(
            [rule.surrogate_width, rule.rate_strength, rule.rate_target, rule.error_width],
            np.float32,
        )
