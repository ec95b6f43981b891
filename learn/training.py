"""Training between two epochs: what all rules that descend a gradient have in common."""

from __future__ import annotations

import hashlib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from learn.checkpoint import Checkpoint, restore, store
from learn.examples import Examples
from learn.gradient import Outcome, Parameters
from learn.grids import Grids, Rounded
from learn.optimizer import Descent
from learn.rule import Optimizer
from model import Lif, Network
from model.layout import EMITTER, THRESHOLD, Layout, rebuild


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought.

    number : from 1.  sigma : width of the taps in steps, None for a rule without taps.
    loss : cross-entropy per step; of DelGrad, its objective.
    train_accuracy : while the epoch's updates were made.  held_out_accuracy : after the epoch,
    None if nothing is held out.  spike_rates : spikes per neuron and step, by hidden population.
    """

    number: int
    sigma: float | None
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


class Choices(Protocol):
    """A frozen dataclass of a rule's choices, of which every rule has these; see `Rule`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def weight_rate(self) -> float: ...
    @property
    def delay_rate(self) -> float: ...
    @property
    def bias_rate(self) -> float: ...
    @property
    def optimizer(self) -> Optimizer: ...
    @property
    def momentum(self) -> float: ...
    @property
    def batch(self) -> int: ...
    @property
    def hidden_bias(self) -> bool: ...
    @property
    def channel_shift(self) -> int: ...


def finish(
    training: Training,
    checkpoint: str | os.PathLike[str] | None,
    progress: Callable[[Epoch], None] | None,
) -> Result:
    """Do what is left of a training; arguments and errors are those of `three_factor.train`."""
    path = None if checkpoint is None else Path(checkpoint)
    run = {} if path is None else training.identity()
    if path is not None and path.exists():
        training.resume(restore(path, run, training.sizes()))
    while len(training.history) < training.epochs:
        training.epoch()
        if path is not None:
            store(training.checkpoint(run), path)
        if progress is not None:
            progress(training.history[-1])
    return Result(training.best_network(), tuple(training.history))


class Training(ABC):
    """A training run between two epochs.

    name : of the rule, in files.
    """

    name: ClassVar[str]

    def __init__(
        self,
        network: Network,
        examples: Examples,
        rule: Choices,
        layout: Layout,
        initial: Parameters,
        epochs: int,
        seed: int,
        held_out: Examples | None,
        grids: Grids | None,
    ) -> None:
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1, not {epochs}")
        if not len(examples):
            raise ValueError("there must be at least one recording to train on")
        examples.check(network)
        if held_out is not None:
            held_out.check(network)
        self.network, self.examples, self.rule, self.layout = network, examples, rule, layout
        self.epochs, self.seed, self.held_out = epochs, seed, held_out
        self.descents = {
            name: Descent(rule.optimizer, values, rule.momentum)
            for name, values in initial._asdict().items()
        }
        self.rounded = None if grids is None else Rounded(network, grids)
        if self.rounded is not None:
            self.rounded.clamp(self._parameters())
        self.rng = np.random.default_rng(seed)
        self.updates = 0
        self.history: list[Epoch] = []
        self.readout = np.isinf(self.layout.neurons[THRESHOLD])
        self.best = self._copy()
        self.best_epoch = 0

    @abstractmethod
    def learn(
        self, parameters: Parameters, chosen: NDArray[np.int64], shifts: NDArray[np.int64]
    ) -> Outcome:
        """Run the examples `chosen`, their channels moved by `shifts`, and find the gradient."""

    @abstractmethod
    def classes(self, parameters: Parameters, examples: Examples) -> NDArray[np.int64]:
        """Return the classes of `examples`."""

    def rates(self) -> dict[str, float]:
        """Return the step sizes of parameters in the units of the network."""
        rule = self.rule
        return {"weights": rule.weight_rate, "delays": rule.delay_rate, "bias": rule.bias_rate}

    def sigma(self) -> float | None:
        """Return the width of the taps in the epoch to come; None for a rule without taps."""
        return None

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
        sigma = self.sigma()
        order = self.rng.permutation(len(self.examples))
        loss, right = 0.0, 0
        emitted = np.zeros(1, np.int64)
        for first in range(0, order.size, self.rule.batch):
            chosen = order[first : first + self.rule.batch]
            shift = self.rule.channel_shift
            shifts = self.rng.integers(-shift, shift, chosen.size, endpoint=True)
            outcome = self.learn(self._applied(), chosen, shifts)
            self._update(outcome.gradient, chosen.size)
            loss += float(outcome.losses.sum())
            right += int((outcome.classes == self.examples.labels[chosen]).sum())
            emitted = emitted + outcome.emitted
        self._record(sigma, loss, right, emitted)

    def _update(self, sums: Parameters, recordings: int) -> None:
        rule, layout = self.rule, self.layout
        batches = -(-len(self.examples) // rule.batch)
        falling = 0.5 * (1 + math.cos(math.pi * self.updates / (batches * self.epochs)))
        self.updates += 1
        rates = self.rates()
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

    def _record(
        self, sigma: float | None, loss: float, right: int, emitted: NDArray[np.int64]
    ) -> None:
        spikes_of_one = len(self.examples) * self.network.steps
        rates = {
            p.name: float(emitted[row[EMITTER] :][: p.size].sum() / (p.size * spikes_of_one))
            for p, row in zip(self.network.populations, self.layout.populations, strict=True)
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
        classes = self.classes(self._applied(), self.held_out)
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
            "trainer": self.name,
            "seed": self.seed,
            "epochs": self.epochs,
            "epoch": self.best_epoch,
            **({} if score is None else {"held_out_accuracy": score}),
            **{f"rule.{name}": _plain(value) for name, value in asdict(self.rule).items()},
        }
        return replace(made, provenance=provenance)

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must have in common with this run to be continued by it."""
        layout = self.layout
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
            "trainer": self.name,
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
