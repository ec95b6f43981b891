"""Gradients of EventProp over mini-batches: tables and scratch memory of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learn.examples import Examples
from learn.gradient import PARTIALS, Outcome, Parameters
from model import Network
from model.layout import ALPHA, ALPHA_SYN, BIAS, KIND, NEURONS, PER_POST, PER_PRE, READOUT, lay_out

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

# Rows of the kernel's table of neurons after those of a layout: logarithms of alpha and alpha_syn,
# V' of a current of 1 and of a bias of 1.
LEAK, LEAK_SYN, GAIN, DRIVE = range(4, 8)

# Entries of the kernel's `choices`, int64, and `amounts`, float64.
LEARN, LEARN_DELAYS, STEPWISE = range(3)
RATE_STRENGTH, RATE_TARGET, FLOOR = range(3)

SPIKES_EXPECTED = 16
"""Spikes of a neuron in a recording that there is room for at first."""


class Scratch(NamedTuple):
    """What one worker writes while it runs a recording of T steps; S spikes at most.

    u, current [neurons].  arriving [1, slots, neurons].  y [T, readouts].
    emitted : events of the recording [emitters].  first : the first spike of every step [T + 1].
    fired, at, rises : neuron of a spike, time of its crossing since the start of its step, and V'
    there [S].  peaks, heights : step of the largest membrane, and that membrane [neurons].
    errors : derivative of the loss by y [T, readouts].  state, kept [2, neurons] and
    silent [neurons] : see the kernel.  adjoints [slots, neurons, 2].
    """

    u: Doubles
    current: Doubles
    arriving: Doubles
    y: Doubles
    emitted: Ints
    first: Ints
    fired: NDArray[np.uint32]
    at: Floats
    rises: Floats
    peaks: Ints
    heights: Doubles
    errors: Floats
    state: Doubles
    kept: Doubles
    silent: NDArray[np.bool_]
    adjoints: Floats


class Adjoint:
    """Forward and backward pass for one network; not to be shared by threads.

    stepwise, rate_strength, rate_target, floor : see `learn.eventprop.EventProp`.
    """

    def __init__(
        self,
        network: Network,
        *,
        learns_delays: bool,
        stepwise: bool,
        rate_strength: float,
        rate_target: float,
        floor: float,
    ) -> None:
        # Numba takes a good part of a second to import: only who trains pays for it.
        from numba import get_num_threads

        self.layout = lay_out(network)
        self.initial = Parameters(
            self.layout.weights.astype(np.float32),
            self.layout.delays.astype(np.float32),
            self.layout.neurons[BIAS].astype(np.float32),
        )
        owned = bool(self.layout.projections[:, [PER_PRE, PER_POST]].any())
        self._choices = (learns_delays and owned, stepwise)
        self._amounts = np.array([rate_strength, rate_target, floor])
        self._steps, self._readouts = network.steps, network.readout.size
        self._emitters = int(
            self.layout.populations[self.layout.populations[:, KIND] != READOUT, NEURONS].sum()
        )
        self._spikes = SPIKES_EXPECTED * self.layout.neurons.shape[1]
        self._slots = 0
        self._workers = get_num_threads()
        self._threads = ThreadPoolExecutor(self._workers)
        self._scratch: list[Scratch] = []
        self._sums = Parameters(*(np.zeros((PARTIALS, p.size), np.float32) for p in self.initial))

    @property
    def scratch_bytes(self) -> int:
        """Memory of all workers beside parameters, gradients and recordings."""
        return sum(array.nbytes for scratch in self._scratch for array in scratch)

    def run(
        self, parameters: Parameters, examples: Examples, chosen: Ints, shifts: Ints, *, learn: bool
    ) -> Outcome:
        """Run the recordings `chosen`, each with its channels moved by one of `shifts`.

        learn : or run forwards only (gradient 0).
        """
        from learn.kernels.eventprop import work

        layout = self.layout
        neurons = _with_rates(layout.neurons, parameters.bias)
        whole = np.clip(np.rint(parameters.delays), layout.smallest_delays, layout.largest_delays)
        steps = whole.astype(np.uint32)
        self._make_room(min(int(steps.max(initial=0)), self._steps))
        losses, classes = np.zeros(len(chosen)), np.zeros(len(chosen), np.int64)
        emitted = np.zeros((PARTIALS, self._emitters), np.int64)
        shared = (
            layout.populations, layout.projections, neurons, parameters.weights, steps,
            np.array([learn, *self._choices], np.int64), self._amounts, examples.counts,
            examples.labels, chosen, shifts,
        )  # fmt: skip
        written = (*self._sums, losses, classes, emitted)
        run: Callable[..., bool] = work

        def share(worker: int) -> None:
            while not run(*shared, *self._scratch[worker], *written, worker, self._workers):
                self._scratch[worker] = _with_more_spikes(self._scratch[worker])

        for job in [self._threads.submit(share, worker) for worker in range(self._workers)]:
            job.result()
        # NumPy adds rows in order, so the sum is the same on every run.
        gradient = Parameters(*(sums.sum(axis=0) for sums in self._sums))
        # Losses as those of the three-factor rule, summed over steps.
        return Outcome(gradient, losses * self._steps, classes, emitted.sum(axis=0))

    def _make_room(self, longest: int) -> None:
        """Make scratch memory, whose rings hold delays up to `longest`."""
        slots = 1 << longest.bit_length()
        if slots > self._slots:
            self._slots = slots
            self._scratch = [self._made(slots) for _ in range(self._workers)]

    def _made(self, slots: int) -> Scratch:
        neurons, steps, readouts = self.initial.bias.size, self._steps, self._readouts
        return Scratch(
            u=np.zeros(neurons),
            current=np.zeros(neurons),
            arriving=np.zeros((1, slots, neurons)),
            y=np.zeros((steps, readouts)),
            emitted=np.zeros(self._emitters, np.int64),
            first=np.zeros(steps + 1, np.int64),
            fired=np.zeros(self._spikes, np.uint32),
            at=np.zeros(self._spikes, np.float32),
            rises=np.zeros(self._spikes, np.float32),
            peaks=np.zeros(neurons, np.int64),
            heights=np.zeros(neurons),
            errors=np.zeros((steps, readouts), np.float32),
            state=np.zeros((2, neurons)),
            kept=np.zeros((2, neurons)),
            silent=np.zeros(neurons, np.bool_),
            adjoints=np.zeros((slots, neurons, 2), np.float32),
        )


def _with_more_spikes(scratch: Scratch) -> Scratch:
    """Return `scratch` with room for twice as many spikes."""
    room = 2 * scratch.fired.size
    return scratch._replace(
        fired=np.zeros(room, np.uint32),
        at=np.zeros(room, np.float32),
        rises=np.zeros(room, np.float32),
    )


def _with_rates(neurons: Doubles, bias: Floats) -> Doubles:
    """Return the kernel's table of `neurons`, with other biases."""
    alpha, alpha_syn = neurons[ALPHA], neurons[ALPHA_SYN]
    leak, leak_syn = np.log(alpha), np.log(alpha_syn)
    equal, full = alpha == alpha_syn, alpha == 1
    gain = np.where(equal, 1 / alpha, (leak - leak_syn) / np.where(equal, 1, alpha - alpha_syn))
    drive = np.where(full, 1, leak / np.where(full, 1, alpha - 1))
    table = np.concatenate([neurons, [leak, leak_syn, gain, drive]])
    table[BIAS] = bias
    return table
