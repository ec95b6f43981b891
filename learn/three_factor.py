r"""On-line three-factor learning of weights and delays, forward only.

Derived from e-prop.  For a hidden neuron j, a pre neuron i and readouts k, with the error
err_k = softmax(y)_k - target_k at every step:

    dE/dw_ji = sum_t M_j[t] psi_j[t] X_i[t - n_ji]
    dE/dd_ji = w_ji sum_t M_j[t] psi_j[t] sum_u c_u X_i[t - n_ji - u]

X_i[t] = alpha X_i[t-1] + z_i[t] is the trace of the pre neuron, psi a Gaussian of the membrane's
distance from threshold, c_u the taps of a smoothed delay.  An axonal delay sums dE/dd_ji over
j, a dendritic one over i.  The eligibility of a leaky readout has to pass the readout's filter:
in the deferred form the history of psi, spikes and err is kept, and at the end of a
recording M[t] = L[t] + kappa M[t+1] runs backwards, L_j = sum_k B_jk err_k: exact, and without
state per synapse.  Paths from spike to spike through other hidden neurons are ignored, as in
e-prop; so is the reset, unless the rule asks for it.

Taps that would read a spike before it was emitted act at the smallest possible delay instead
(`learn.rule.fold`).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learn.checkpoint import Checkpoint, restore, store
from learn.examples import Examples
from learn.gradient import Gradient, Parameters
from learn.grids import Grids, Rounded
from learn.optimizer import Descent
from learn.rule import Rule
from model import Compare, Lif, Network
from model.layout import EMITTER, THRESHOLD, rebuild


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought.

    number : from 1.  sigma : width of the taps in steps.  loss : cross-entropy per step.
    train_accuracy : while the epoch's updates were made.  held_out_accuracy : after the epoch,
    None if nothing is held out.  spike_rates : spikes per neuron and step, by hidden population.
    """

    number: int
    sigma: float
    loss: float
    train_accuracy: float
    held_out_accuracy: float | None
    spike_rates: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A trained network and how it came about.

    network : of the epoch with the best held-out accuracy (the first of equal ones), or of the
    last epoch if nothing was held out; its provenance says which.
    """

    network: Network
    history: tuple[Epoch, ...]


def train(
    network: Network,
    examples: Examples,
    rule: Rule,
    *,
    epochs: int,
    seed: int,
    held_out: Examples | None = None,
    grids: Grids | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Result:
    """Train weights, delays and biases of `network` by the three-factor rule.

    All weights and the readout's biases are learned, and the delays of every projection that has
    a delay mode.  Thresholds and alphas stay.  The same arguments give the same bits, whatever
    the number of threads.

    Parameters
    ----------
    held_out : recordings never trained on, by which the epoch is chosen: for an honest figure
        take other speakers, and never the test set.
    grids : what a chip will hold: the forward pass sees numbers rounded to it, and so does the
        resulting network (`learn.grids`).
    checkpoint : file that is written after every epoch.  If it exists, the run is continued
        from it, and ends with the very result of an uninterrupted run.
    progress : called after every epoch, when its checkpoint has been written.

    Raises
    ------
    ValueError
        Recordings, labels or grids do not fit the network, or the checkpoint belongs to another
        run.
    OSError
        The checkpoint cannot be written.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, not {epochs}")
    _check_neurons(network)
    if not len(examples):
        raise ValueError("there must be at least one recording to train on")
    examples.check(network)
    if held_out is not None:
        held_out.check(network)
    training = _Training(network, examples, rule, epochs, seed, held_out, grids)
    path = None if checkpoint is None else Path(checkpoint)
    run = {} if path is None else training.identity()
    if path is not None and path.exists():
        training.resume(restore(path, run, training.sizes()))
    while len(training.history) < epochs:
        training.epoch()
        if path is not None:
            store(training.checkpoint(run), path)
        if progress is not None:
            progress(training.history[-1])
    return Result(training.best_network(), tuple(training.history))


def _check_neurons(network: Network) -> None:
    """Refuse neurons whose traces the rule does not have."""
    if network.has_currents:
        raise ValueError(
            "the three-factor trainer has no traces for synaptic currents: alpha_syn must be 0"
        )
    for population in network.populations:
        if isinstance(population, Lif) and population.compare is not Compare.GE:
            raise ValueError(
                f"{population.name}: the three-factor trainer compares with >=, "
                f"not {str(population.compare)!r}"
            )


def classify(network: Network, counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the classes that the training kernel sees: `model.simulate` in float32.

    counts : integers[recordings, steps, channels], 0 to 255.
    """
    examples = Examples(np.asarray(counts, counts.dtype), np.zeros(len(counts), np.int64))
    examples.check(network)
    gradient = Gradient(network, Rule(delay_rate=0.0), seed=0)
    return _classes(gradient, gradient.initial, examples)


def _classes(gradient: Gradient, parameters: Parameters, examples: Examples) -> NDArray[np.int64]:
    everything = np.arange(len(examples))
    still = np.zeros(len(examples), np.int64)
    return gradient.run(parameters, examples, everything, still, sigma=None).classes


class _Training:
    """A training run between two epochs."""

    def __init__(
        self,
        network: Network,
        examples: Examples,
        rule: Rule,
        epochs: int,
        seed: int,
        held_out: Examples | None,
        grids: Grids | None,
    ) -> None:
        self.network, self.examples, self.rule = network, examples, rule
        self.epochs, self.seed, self.held_out = epochs, seed, held_out
        self.gradient = Gradient(network, rule, seed)
        self.descents = {
            name: Descent(rule.optimizer, values, rule.momentum)
            for name, values in self.gradient.initial._asdict().items()
        }
        self.rounded = None if grids is None else Rounded(network, grids)
        if self.rounded is not None:
            self.rounded.clamp(self._parameters())
        self.rng = np.random.default_rng(seed)
        self.updates = 0
        self.history: list[Epoch] = []
        self.readout = np.isinf(self.gradient.layout.neurons[THRESHOLD])
        self.best = self._copy()
        self.best_epoch = 0

    def _parameters(self) -> Parameters:
        return Parameters(*(descent.values for descent in self.descents.values()))

    def _applied(self) -> Parameters:
        """Return what the forward pass sees."""
        masters = self._parameters()
        return masters if self.rounded is None else self.rounded.applied(masters)

    def _copy(self) -> Parameters:
        return Parameters(*(values.copy() for values in self._parameters()))

    def epoch(self) -> None:
        """Pass once over all examples, in a new order, and measure."""
        sigma = self.rule.sigma(len(self.history), self.epochs)
        order = self.rng.permutation(len(self.examples))
        loss, right = 0.0, 0
        emitted = np.zeros(1, np.int64)
        for first in range(0, order.size, self.rule.batch):
            chosen = order[first : first + self.rule.batch]
            shift = self.rule.channel_shift
            shifts = self.rng.integers(-shift, shift, chosen.size, endpoint=True)
            outcome = self.gradient.run(self._applied(), self.examples, chosen, shifts, sigma)
            self._update(outcome.gradient, chosen.size)
            loss += float(outcome.losses.sum())
            right += int((outcome.classes == self.examples.labels[chosen]).sum())
            emitted = emitted + outcome.emitted
        self._record(sigma, loss, right, emitted)

    def _update(self, sums: Parameters, recordings: int) -> None:
        rule, layout = self.rule, self.gradient.layout
        batches = -(-len(self.examples) // rule.batch)
        falling = 0.5 * (1 + math.cos(math.pi * self.updates / (batches * self.epochs)))
        self.updates += 1
        rates = {
            "weights": rule.weight_rate,
            "delays": rule.delay_rate,
            "bias": rule.bias_rate,
        }
        for name, descent in self.descents.items():
            mean = getattr(sums, name) / np.float32(recordings)
            if name == "bias" and not rule.hidden_bias:
                mean[~self.readout] = 0
            if rates[name] > 0:
                descent.step(mean, rates[name] * falling, self.updates)
        if rule.delay_rate > 0:
            delays = self.descents["delays"].values
            np.clip(delays, layout.smallest_delays, layout.largest_delays, out=delays)
        if self.rounded is not None:
            self.rounded.clamp(self._parameters())

    def _record(self, sigma: float, loss: float, right: int, emitted: NDArray[np.int64]) -> None:
        spikes_of_one = len(self.examples) * self.network.steps
        rates = {
            p.name: float(emitted[row[EMITTER] :][: p.size].sum() / (p.size * spikes_of_one))
            for p, row in zip(
                self.network.populations, self.gradient.layout.populations, strict=True
            )
            if isinstance(p, Lif)
        }
        held_out = self._held_out_accuracy()
        best = max((e.held_out_accuracy or 0.0 for e in self.history), default=-1.0)
        if held_out is None or held_out > best:
            self.best, self.best_epoch = self._copy(), len(self.history) + 1
        self.history.append(
            Epoch(
                number=len(self.history) + 1,
                sigma=sigma,
                loss=loss / spikes_of_one,
                train_accuracy=right / len(self.examples),
                held_out_accuracy=held_out,
                spike_rates=rates,
            )
        )

    def _held_out_accuracy(self) -> float | None:
        if self.held_out is None:
            return None
        classes = _classes(self.gradient, self._applied(), self.held_out)
        return float((classes == self.held_out.labels).mean())

    def best_network(self) -> Network:
        """Return the network of the best epoch, with its provenance."""
        if self.rounded is None:
            made = rebuild(self.network, *(values.astype(np.float64) for values in self.best))
        else:
            made = self.rounded.network(self.best)
        score = self.history[self.best_epoch - 1].held_out_accuracy
        provenance = {
            **self.network.provenance,
            "trainer": "three-factor",
            "seed": self.seed,
            "epochs": self.epochs,
            "epoch": self.best_epoch,
            **({} if score is None else {"held_out_accuracy": score}),
            **{f"rule.{name}": _plain(value) for name, value in asdict(self.rule).items()},
        }
        return replace(made, provenance=provenance)

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must have in common with this run to be continued by it."""
        layout = self.gradient.layout
        sha = hashlib.sha256()
        for array in (
            layout.populations,
            layout.projections,
            layout.neurons,
            layout.weights,
            layout.delays,
            layout.largest_delays,
        ):
            sha.update(np.ascontiguousarray(array).data)
        return {
            "trainer": "three-factor",
            "network": sha.hexdigest(),
            "examples": self.examples.digest(),
            "held_out": None if self.held_out is None else self.held_out.digest(),
            "grids": None if self.rounded is None else self.rounded.digest(),
            "epochs": self.epochs,
            "seed": self.seed,
            **{f"rule.{name}": _plain(value) for name, value in asdict(self.rule).items()},
        }

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        arrays = {}
        for name, descent in self.descents.items():
            arrays[name] = descent.values
            arrays[f"{name}_mean"], arrays[f"{name}_square"] = descent.mean, descent.square
            arrays[f"best_{name}"] = getattr(self.best, name)
        return arrays

    def sizes(self) -> dict[str, int]:
        """Return how many numbers each array of a checkpoint holds."""
        return {name: array.size for name, array in self._arrays().items()}

    def checkpoint(self, run: Mapping[str, Any]) -> Checkpoint:
        """Return the state after the last epoch."""
        progress = {
            "updates": self.updates,
            "best_epoch": self.best_epoch,
            "random": self.rng.bit_generator.state,
            "history": [asdict(epoch) for epoch in self.history],
        }
        return Checkpoint(run, progress, self._arrays())

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from `checkpoint`."""
        for name, array in self._arrays().items():
            array[:] = checkpoint.arrays[name]
        try:
            self.updates = int(checkpoint.progress["updates"])
            self.best_epoch = int(checkpoint.progress["best_epoch"])
            self.rng.bit_generator.state = checkpoint.progress["random"]
            self.history = [Epoch(**epoch) for epoch in checkpoint.progress["history"]]
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError("the checkpoint's progress is damaged: remove it") from None


def _plain(value: str | float) -> str | float:
    """Strings without their enumeration and flags as 0 or 1, as files hold them."""
    if isinstance(value, bool):
        return int(value)
    return str(value) if isinstance(value, str) else value
