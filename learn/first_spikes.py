"""Times of first spikes and their exact derivatives: tables and scratch memory of the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learn.examples import Examples
from learn.gradient import PARTIALS, Outcome, Parameters
from model import Input, Lif, Network, Readout
from model.continuous import gain
from model.layout import ALPHA, ALPHA_SYN, BIAS, KIND, NEURONS, POST, PRE, READOUT, lay_out

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

# Entries of the kernel's `choices`, int64, and `amounts`, float64.
LEARN, LEARN_DELAYS, OBJECTIVE = range(3)
SHIFT, SOFTMAX = range(2)
ALPHA_SHARED, ALPHA_SYN_SHARED, LEAK, UNIT, HORIZON = range(5)
MARGIN, PULL, OUTPUT_PULL, FLOOR = range(5, 9)

TINIEST = 1e-300
"""V' per step that a crossing has at least."""

EQUAL = 1e-9
"""Relative error up to which two numbers of a network count as equal."""


class Found(NamedTuple):
    """What became of B recordings; gradients are sums over them.

    weights : float64[synapses].  delays : float64[delays].  losses : float64[B].
    classes : int64[B], the first output to fire, -1 where none does.
    emitted : int64[emitters], events of all recordings.
    """

    weights: Doubles
    delays: Doubles
    losses: Doubles
    classes: Ints
    emitted: Ints


class Scratch(NamedTuple):
    """What one worker writes while it runs a recording of up to E events.

    times, units, counts : events, then first spikes of all populations [E + neurons].
    blame : the loss's derivative by them, of one population at a time.
    due, order, arriving : what arrives at one neuron.  fired, peaks, heights [neurons] : first
    spike, and time and height of the largest membrane before it.  errors : the loss's derivative
    by the spikes of one population.  bounds : first event of each population.
    """

    times: Doubles
    units: Ints
    counts: Ints
    blame: Doubles
    due: Doubles
    order: Ints
    arriving: Doubles
    fired: Doubles
    peaks: Doubles
    heights: Doubles
    errors: Doubles
    bounds: Ints


class FirstSpikes:
    """Forward and backward pass for one network; not to be shared by threads.

    learns_delays : and if not, gradients by delays are 0.
    softmax, margin, pull, output_pull, smallest_rise : see `learn.delgrad.DelGrad`.
    tau_syn : synaptic time constant in steps.  gain : a weight of 1 in continuous time, with this
    time constant for the unit of time.
    """

    def __init__(
        self,
        network: Network,
        *,
        learns_delays: bool,
        softmax: bool,
        margin: float,
        pull: float,
        output_pull: float,
        smallest_rise: float,
    ) -> None:
        # Numba takes a good part of a second to import: only who trains pays for it.
        from numba import get_num_threads

        self.layout = lay_out(network)
        self._chain = chain_of(network)
        self.initial = Parameters(
            self.layout.weights.astype(np.float32),
            self.layout.delays.astype(np.float32),
            self.layout.neurons[BIAS].astype(np.float32),
        )
        alpha, alpha_syn = self.layout.neurons[[ALPHA, ALPHA_SYN], 0]
        # Exactly one of the two that there are.
        alpha_syn = alpha if abs(alpha_syn - alpha) <= EQUAL * alpha else alpha**2
        self.tau_syn = -1 / math.log(alpha_syn)
        ratio = 1.0 if alpha_syn == alpha else 2.0
        self.gain = gain(1 / self.tau_syn, ratio, 1.0)
        self._amounts = np.zeros(9)
        self._amounts[[ALPHA_SHARED, ALPHA_SYN_SHARED]] = alpha, alpha_syn
        self._amounts[LEAK] = math.log(alpha)
        self._amounts[[UNIT, HORIZON]] = self.tau_syn, network.steps
        self._amounts[[MARGIN, PULL, OUTPUT_PULL, FLOOR]] = (
            margin,
            pull,
            output_pull,
            max(smallest_rise / self.tau_syn, TINIEST),
        )
        self._choices = (learns_delays, SOFTMAX if softmax else SHIFT)
        sizes = self.layout.populations[:, NEURONS]
        self._neurons, self._largest = self.layout.neurons.shape[1], int(sizes.max())
        self._emitters = int(sizes[self.layout.populations[:, KIND] != READOUT].sum())
        self._events = 0
        self._workers = get_num_threads()
        self._threads = ThreadPoolExecutor(self._workers)
        self._scratch: list[Scratch] = []
        self._sums = (
            np.zeros((PARTIALS, self.initial.weights.size)),
            np.zeros((PARTIALS, self.initial.delays.size)),
        )

    def find(
        self,
        weights: NDArray[np.floating],
        delays: NDArray[np.floating],
        examples: Examples,
        chosen: Ints,
        shifts: Ints,
        *,
        learn: bool,
    ) -> Found:
        """Run the recordings `chosen`, each with its channels moved by one of `shifts`.

        weights, delays : in the order of the layout, delays in steps and not rounded.
        learn : or run forwards only (gradient 0).
        """
        from learn.kernels.delgrad import work

        events = np.count_nonzero(examples.counts[chosen], axis=(1, 2)).max(initial=0)
        if not self._scratch or events > self._events:
            self._events = int(events)
            self._scratch = [self._made(self._events) for _ in range(self._workers)]
        losses, classes = np.zeros(len(chosen)), np.zeros(len(chosen), np.int64)
        emitted = np.zeros((PARTIALS, self._emitters), np.int64)
        layout = self.layout
        shared = (
            layout.populations, layout.projections, layout.neurons, self._chain,
            weights.astype(np.float64), delays.astype(np.float64),
            np.array([learn, *self._choices], np.int64), self._amounts, examples.counts,
            examples.labels, chosen, shifts,
        )  # fmt: skip
        written = (*self._sums, losses, classes, emitted)
        run: Callable[..., object] = work
        jobs = [
            self._threads.submit(run, *shared, *scratch, *written, worker, self._workers)
            for worker, scratch in enumerate(self._scratch)
        ]
        for job in jobs:
            job.result()
        # NumPy adds rows in order, so the sum is the same on every run.
        by_weights, by_delays = (sums.sum(axis=0) for sums in self._sums)
        return Found(by_weights, by_delays, losses, classes, emitted.sum(axis=0))

    def run(
        self, parameters: Parameters, examples: Examples, chosen: Ints, shifts: Ints, *, learn: bool
    ) -> Outcome:
        """Do as `find` does, in the words of all trainers; losses are multiplied by steps."""
        found = self.find(
            parameters.weights, parameters.delays, examples, chosen, shifts, learn=learn
        )
        gradient = Parameters(
            found.weights.astype(np.float32),
            found.delays.astype(np.float32),
            np.zeros_like(parameters.bias),
        )
        steps = self._amounts[HORIZON]
        return Outcome(gradient, found.losses * steps, found.classes, found.emitted)

    def _made(self, events: int) -> Scratch:
        sources, arrivals = events + self._neurons, max(events, self._largest)
        return Scratch(
            times=np.zeros(sources),
            units=np.zeros(sources, np.int64),
            counts=np.zeros(sources, np.int64),
            blame=np.zeros(sources),
            due=np.zeros(arrivals),
            order=np.zeros(arrivals, np.int64),
            arriving=np.zeros(arrivals),
            fired=np.zeros(self._neurons),
            peaks=np.zeros(self._neurons),
            heights=np.zeros(self._neurons),
            errors=np.zeros(self._largest),
            bounds=np.zeros(len(self._chain) + 1, np.int64),
        )


def chain_of(network: Network) -> Ints:
    """Return the rows of the layout's projections from input to outputs, one per layer.

    Raises
    ------
    ValueError
        The network is not one whose first spikes have a closed form and say the class.
    """
    populations = network.populations
    names = [p.name for p in populations]
    kinds = [Input, *[Lif] * (len(populations) - 2), Readout]
    if len(populations) < 3 or [type(p) for p in populations] != kinds:
        raise ValueError(
            "the network must be an input, layers of neurons and a readout, in this order, "
            f"not {', '.join(names)}"
        )
    _check_neurons([p for p in populations if isinstance(p, Lif)])
    layout = lay_out(network)
    found = []
    for n in range(len(populations) - 1):
        rows = np.flatnonzero(layout.projections[:, PRE] == n)
        ends = layout.projections[rows, POST]
        # What leads back to its own population only keeps it silent after its spike.
        if (ends == n + 1).sum() != 1 or not ((ends == n) | (ends == n + 1)).all():
            raise ValueError(
                f"{names[n]}: needs one projection to {names[n + 1]}, and to nothing behind or "
                "before"
            )
        found.append(int(rows[ends == n + 1][0]))
    last = next(p for p in network.projections if p.post == names[-1])
    one = last.weights[0, 0]
    if one <= 0 or not np.array_equal(last.weights, one * np.eye(*last.weights.shape)):
        raise ValueError(
            f"{last.name}: must join each output neuron to its own readout by the same weight"
        )
    return np.array(found[:-1], np.int64)


def _check_neurons(neurons: list[Lif]) -> None:
    """Refuse neurons whose first spikes have no closed form here."""
    alpha, alpha_syn = neurons[0].alpha[0], neurons[0].alpha_syn[0]
    for p in neurons:
        for name, first in (("alpha", alpha), ("alpha_syn", alpha_syn)):
            if (getattr(p, name) != first).any():
                raise ValueError(f"{p.name}: {name} must be {first:.6g} for all neurons alike")
        if p.bias.any():
            raise ValueError(f"{p.name}: neurons with a bias have no first spike in closed form")
    if not 0 < alpha < 1 or min(abs(alpha_syn - a) / a for a in (alpha, alpha**2)) > EQUAL:
        raise ValueError(
            f"{neurons[0].name}: the membrane's time constant must be once or twice that of "
            f"the current (alpha_syn = alpha or alpha^2), not alpha {alpha:.6g} and alpha_syn "
            f"{alpha_syn:.6g}"
        )
