"""Training with surrogate gradients: weights and delays of any network of `model`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from learn.eventprop import Objective
from learn.examples import Examples, shifted
from learn.gradient import Outcome, Parameters
from learn.surrogate.delays import on_grid
from learn.surrogate.network import SpikingNetwork
from learn.surrogate.rule import Rewiring, Surrogate
from learn.surrogate.sparse import Sparse
from learn.training import Epoch, Result, Training, finish
from model import Input, Lif, Network, simulate
from model.layout import BIAS, DELAY, EMITTER, START, WEIGHT, by_pre, lay_out, rebuild


def train_surrogate(
    network: Network,
    examples: Examples,
    rule: Surrogate,
    *,
    epochs: int,
    seed: int,
    held_out: Examples | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Result:
    """Train weights, delays and biases of `network` by back-propagation through time.

    All weights and the readout's biases are learned, and the delays of every projection that has
    a delay mode, through any number of hidden populations and recurrent projections.
    Thresholds and alphas stay.  Held-out recordings are classified with rounded delays, as
    `model.simulate` does.  On a processor, the same arguments give the same bits.

    device : "cpu", "cuda", or any other name PyTorch knows.
    threads : PyTorch's, while this runs; their number decides how sums are rounded, and one is
        often the fastest: several trainings side by side use a machine better.
    Other parameters, and what is raised, are those of `learn.train`.

    Raises
    ------
    ValueError
        Also if the device is not there.
    """
    _check_device(device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        training = _Training(network, examples, rule, epochs, seed, held_out, device, threads)
        return finish(training, checkpoint, progress)
    finally:
        torch.set_num_threads(before)


def _check_device(device: str) -> None:
    """Refuse a device that is not there."""
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"device {device!r} cannot be used, PyTorch says: {why}") from None


class _Training(Training):
    """A training run between two epochs."""

    name = "surrogate"
    rule: Surrogate

    def __init__(
        self,
        network: Network,
        examples: Examples,
        rule: Surrogate,
        epochs: int,
        seed: int,
        held_out: Examples | None,
        device: str,
        threads: int,
    ) -> None:
        layout = lay_out(network)
        masters = Parameters(
            layout.weights.astype(np.float32),
            layout.delays.astype(np.float32),
            layout.neurons[BIAS].astype(np.float32),
        )
        self.sparse = Sparse(network, layout, rule, np.random.default_rng((seed, 1)))
        self.sparse.keep(masters)
        super().__init__(network, examples, rule, layout, masters, epochs, seed, held_out, None)
        self.device, self.threads = torch.device(device), threads
        self.module = _module(network, rule).float().to(self.device)
        self._pull = masters

    def sigma(self) -> float:
        return self.rule.sigma(len(self.history), self.epochs)

    def learn(
        self, parameters: Parameters, chosen: NDArray[np.int64], shifts: NDArray[np.int64]
    ) -> Outcome:
        self.module.sigma = self.sigma()
        self._load(parameters)
        counts = torch.from_numpy(shifted(self.examples.counts[chosen], shifts))
        labels = torch.from_numpy(self.examples.labels[chosen]).to(self.device)
        given = self.module.run(counts.to(self.device).float())
        losses, scores = self._losses(given[self.network.readout.name], labels)
        self.module.zero_grad(set_to_none=True)
        (losses.sum() + self._regularity(given)).backward()
        return Outcome(
            gradient=self._gradient(),
            losses=losses.detach().cpu().double().numpy() * self.network.steps,
            classes=scores.argmax(1).cpu().numpy(),
            emitted=self._emitted(given),
        )

    def _losses(self, readout: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each recording and its scores."""
        mean = readout.mean(1)
        if self.rule.objective is Objective.MEAN:
            return cross_entropy(mean, labels, reduction="none"), mean.detach()
        every = labels[:, None].expand(readout.shape[:2])
        losses = cross_entropy(readout.transpose(1, 2), every, reduction="none")
        return losses.mean(1), mean.detach()

    def _regularity(self, given: Mapping[str, Tensor]) -> Tensor:
        rule = self.rule
        total = torch.zeros((), device=self.device)
        if rule.rate_strength > 0:
            for p in self.network.populations:
                if isinstance(p, Lif):
                    off = given[p.name].mean(1) - rule.rate_target
                    total = total + 0.5 * rule.rate_strength * self.network.steps * (off**2).sum()
        return total

    def _load(self, parameters: Parameters) -> None:
        """Give the module the numbers in use."""
        with torch.no_grad():
            for row, p in zip(self.layout.projections, by_pre(self.network), strict=True):
                module = self.module.projection(p.name)
                weights = parameters.weights[row[WEIGHT] :][: p.weights.size]
                delays = parameters.delays[row[DELAY] :][: p.delays.size]
                module.weight.copy_(_tensor(weights.reshape(p.weights.T.shape).T))
                module.delays.copy_(_tensor(delays.reshape(p.delays.T.shape).T))
            for row, q in zip(self.layout.populations, self.network.populations, strict=True):
                if not isinstance(q, Input):
                    bias = parameters.bias[row[START] :][: q.size]
                    self.module.population(q.name).bias.copy_(torch.from_numpy(bias))

    def _gradient(self) -> Parameters:
        """Collect the gradient in the order of the layout, and remember it."""
        gradient = Parameters(*(np.zeros_like(values) for values in self._parameters()))
        for row, p in zip(self.layout.projections, by_pre(self.network), strict=True):
            module = self.module.projection(p.name)
            gradient.weights[row[WEIGHT] :][: p.weights.size] = _flat(module.weight)
            gradient.delays[row[DELAY] :][: p.delays.size] = _flat(module.delays)
        for row, q in zip(self.layout.populations, self.network.populations, strict=True):
            if not isinstance(q, Input):
                gradient.bias[row[START] :][: q.size] = _flat(self.module.population(q.name).bias)
        self._pull = gradient
        if self.sparse.whole:
            return gradient
        # Moments of what is not there must not grow behind its back.
        return gradient._replace(
            weights=gradient.weights * self.sparse.exists,
            delays=gradient.delays * self.sparse.active,
        )

    def _emitted(self, given: Mapping[str, Tensor]) -> NDArray[np.int64]:
        emitters = [p for p in self.network.populations if p is not self.network.readout]
        emitted = np.zeros(sum(p.size for p in emitters), np.int64)
        for row, p in zip(self.layout.populations, self.network.populations, strict=True):
            if isinstance(p, Lif):
                spikes = given[p.name].detach().sum((0, 1)).long().cpu().numpy()
                emitted[row[EMITTER] :][: p.size] = spikes
        return emitted

    def classes(self, parameters: Parameters, examples: Examples) -> NDArray[np.int64]:
        made = rebuild(self.network, *(values.astype(np.float64) for values in parameters))
        return simulate(_on_grid(made), examples.counts).classes

    def _update(self, sums: Parameters, recordings: int) -> None:
        super()._update(sums, recordings)
        if self.sparse.whole:
            return
        masters = self._parameters()
        if self.rule.rewiring is Rewiring.DEEP_R:
            self.sparse.redraw(masters, self.rng)
        self.sparse.keep(masters)

    def epoch(self) -> None:
        super().epoch()
        if self.rule.rewiring is Rewiring.RIGL and not self.sparse.whole:
            done = len(self.history)
            if done < self.epochs:
                masters = self._parameters()
                self.sparse.rewire(masters, self._pull, done, self.epochs, self.rng)
                self.sparse.keep(masters)

    def best_network(self) -> Network:
        """Return the network of the best epoch, its weights being multiples of 2^-32."""
        return _on_grid(super().best_network())

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        sparse = self.sparse
        masks = {"exists": sparse.exists, "active": sparse.active, "sign": sparse.sign}
        return {**super()._arrays(), **masks}

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "device": self.device.type, "threads": self.threads}


def _module(network: Network, rule: Surrogate) -> SpikingNetwork:
    module = SpikingNetwork(network, rule.kernel)
    for p in network.populations:
        if isinstance(p, Lif):
            neurons = module.neurons(p.name)
            neurons.surrogate_width = rule.surrogate_width
            neurons.surrogate_scale = rule.surrogate_scale
            neurons.reset_path = rule.reset_path
    return module


def _on_grid(network: Network) -> Network:
    return replace(
        network,
        projections=tuple(replace(p, weights=on_grid(p.weights)) for p in network.projections),
    )


def _tensor(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(values.copy())


def _flat(parameter: Tensor) -> NDArray[np.float32]:
    """Gradient of a parameter, pre by pre; zeros if there is none."""
    if parameter.grad is None:
        return np.zeros(parameter.numel(), np.float32)
    result: NDArray[np.float32] = parameter.grad.cpu().numpy().T.ravel()
    return result
