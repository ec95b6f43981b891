"""A `model.Network` as a PyTorch module, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learn.surrogate.delays import DelayedLinear, on_grid
from learn.surrogate.neurons import Lif, Readout
from learn.surrogate.rule import Kernel
from model import Delay, Input, Network, Population, Projection
from model import Lif as LifNeurons
from model import Readout as Integrators


class SpikingNetwork(nn.Module):
    """Any feed-forward or recurrent network of `model`, trainable by PyTorch.

    projections, populations : modules by name, float64 until told
    otherwise.  Recurrent populations, and all
    between the ends of a projection that goes backwards, are run step by step together.
    kernel, compact : see `DelayedLinear`.
    """

    def __init__(
        self,
        network: Network,
        kernel: Kernel | str = Kernel.GAUSS,
        compact: bool | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._order = [p.name for p in network.populations]
        self._into = {
            name: [p for p in network.projections if p.post == name] for name in self._order
        }
        self.projections = nn.ModuleDict(
            {
                _key(p.name): _joined(network, p, Kernel(kernel), compact)
                for p in network.projections
            }
        )
        self.populations = nn.ModuleDict(
            {_key(p.name): _populated(p) for p in network.populations if not isinstance(p, Input)}
        )
        self._blocks = list(_blocks(network))

    @property
    def sigma(self) -> float:
        """Width of all kernels, in steps; 0 rounds every delay."""
        return max((p.sigma for p in self._delayed()), default=0.0)

    @sigma.setter
    def sigma(self, value: float) -> None:
        for projection in self._delayed():
            projection.sigma = value

    def _delayed(self) -> Iterator[DelayedLinear]:
        for module in self.projections.values():
            assert isinstance(module, DelayedLinear)
            yield module

    def projection(self, name: str) -> DelayedLinear:
        """Return the module of a projection."""
        module = self.projections[_key(name)]
        assert isinstance(module, DelayedLinear)
        return module

    def population(self, name: str) -> Lif | Readout:
        """Return the module of a population."""
        module = self.populations[_key(name)]
        assert isinstance(module, Lif | Readout)
        return module

    def neurons(self, name: str) -> Lif:
        """Return the module of a LIF population."""
        module = self.population(name)
        assert isinstance(module, Lif)
        return module

    def forward(self, counts: Tensor) -> Tensor:
        """Return the readouts of every step.

        counts : float[recordings, steps, channels], events per step and channel.

        Returns
        -------
        float[recordings, steps, readouts].
        """
        return self.run(counts)[self.network.readout.name]

    def run(self, counts: Tensor) -> dict[str, Tensor]:
        """Return what every population gives in every step: events, spikes, or readouts."""
        given = {self.network.input.name: counts}
        for block in self._blocks:
            inside = [p for name in block for p in self._into[name] if p.pre in block]
            arrived = {name: self._arrived(name, block, given, counts) for name in block}
            if inside:
                given |= self._stepwise(block, inside, arrived)
                continue
            for name in block:
                given[name] = self.population(name)(arrived[name])
        return given

    def _arrived(
        self, name: str, block: Iterable[str], given: dict[str, Tensor], counts: Tensor
    ) -> Tensor:
        """Return what comes from outside of its block to population `name`."""
        size = self.network.population(name).size
        total = counts.new_zeros(*counts.shape[:2], size)
        for p in self._into[name]:
            if p.pre not in block:
                total = total + self.projection(p.name)(given[p.pre])
        return total

    def _stepwise(
        self, block: list[str], inside: list[Projection], arrived: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        recordings, steps = arrived[block[0]].shape[:2]
        lines = {p.name: self.projection(p.name).line(recordings, steps) for p in inside}
        neurons = {name: self.neurons(name) for name in block}
        states = {name: module.start(recordings) for name, module in neurons.items()}
        rows: dict[str, list[Tensor]] = {name: [] for name in block}
        for t in range(steps):
            for name in block:
                now = arrived[name][:, t]
                for p in self._into[name]:
                    if p.name in lines:
                        now = now + lines[p.name].arrive()
                z, states[name] = neurons[name].step(states[name], now)
                rows[name].append(z)
                for p in inside:
                    if p.pre == name:
                        lines[p.name].emit(z)
        return {name: torch.stack(rows[name], 1) for name in block}

    def to_network(self) -> Network:
        """Return the network, whose spikes are those of this module at width 0, in float64.

        Weights are rounded to multiples of 2^-32, as the module at width 0 does itself.
        """
        projections = []
        for p in self.network.projections:
            module = self.projection(p.name)
            weights = on_grid(_array(module.weight))
            projections.append(replace(p, weights=weights, delays=_array(module.delays)))
        populations = tuple(
            p if isinstance(p, Input) else self._written(p) for p in self.network.populations
        )
        return replace(self.network, populations=populations, projections=tuple(projections))

    def _written(self, population: LifNeurons | Integrators) -> Population:
        module = self.population(population.name)
        alpha, bias = _array(module.alpha), _array(module.bias)
        alpha_syn = _array(module.alpha_syn)
        if isinstance(population, LifNeurons) and isinstance(module, Lif):
            threshold = _array(module.threshold)
            return replace(
                population, alpha=alpha, bias=bias, alpha_syn=alpha_syn, threshold=threshold
            )
        return replace(population, alpha=alpha, bias=bias, alpha_syn=alpha_syn)


def _blocks(network: Network) -> Iterator[list[str]]:
    """Yield populations that run over all steps at once, or step by step together, in order."""
    names = [p.name for p in network.populations if isinstance(p, LifNeurons)]
    last = list(range(len(names)))
    for p in network.projections:
        if p.pre in names and p.post in names and names.index(p.pre) >= names.index(p.post):
            first = names.index(p.post)
            last[first] = max(last[first], names.index(p.pre))
    start = 0
    while start < len(names):
        end = at = start
        while at <= end:
            end, at = max(end, last[at]), at + 1
        yield names[start : end + 1]
        start = end + 1
    yield [network.readout.name]


def _joined(network: Network, p: Projection, kernel: Kernel, compact: bool | None) -> DelayedLinear:
    post, pre = p.weights.shape
    module = DelayedLinear(
        pre,
        post,
        delay=p.delay,
        min_delay=network.min_delay(p),
        max_delay=p.max_delay,
        kernel=kernel,
        compact=compact,
    )
    with torch.no_grad():
        module.weight = nn.Parameter(torch.from_numpy(p.weights.copy()))
        module.delays = nn.Parameter(
            torch.from_numpy(p.delays.copy()), requires_grad=p.delay is not Delay.NONE
        )
    return module


def _populated(p: LifNeurons | Integrators) -> Lif | Readout:
    alpha, bias, alpha_syn = (torch.from_numpy(a.copy()) for a in (p.alpha, p.bias, p.alpha_syn))
    if isinstance(p, Integrators):
        return Readout(alpha, bias, alpha_syn)
    threshold = torch.from_numpy(p.threshold.copy())
    return Lif(alpha, threshold, bias, alpha_syn, reset=p.reset, compare=p.compare)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    result: NDArray[np.float64] = tensor.detach().cpu().double().numpy()
    return result


def _key(name: str) -> str:
    # Names of modules may not hold dots.
    return name.replace(".", "\u2024")
