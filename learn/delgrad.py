r"""Exact gradients of first spikes by weights and delays, in closed form (DelGrad).

In a layered network of neurons with synaptic currents whose membranes have once or twice the time
constant of the current, and of which only first spikes count, the time of a spike is a formula of
the times, weights and delays of what came before it; see `learn.kernels.delgrad`.  With V' at the
spike and k(s) the membrane's answer to a weight of 1,

    dt/dw_ji = -k(t - t_i - d_ji) / V',    dt/dt_i = dt/dd_ji = w_ji k'(t - t_i - d_ji) / V'.

The output neuron that fires first says the class.  Time is continuous here; the network that comes
out runs in steps, where spikes and delays are whole.

The equations are those of Goeltz, Kriener et al. (Nature Machine Intelligence 3, 2021, "Fast and
energy-efficient neuromorphic deep learning with first-spike times") and, with delays, of Goeltz,
Weber, Kriener et al. (Nature Communications 16:8245, 2025, "DelGrad").
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from learn.examples import Examples
from learn.first_spikes import FirstSpikes
from learn.gradient import Outcome, Parameters
from learn.rule import Optimizer, at_least_zero, check_batches, member
from learn.training import Epoch, Result, Training, finish
from model import Network


class Objective(StrEnum):
    """What is to become small, with the time t_k of output k in synaptic time constants.

    shift : sum of (t_k - t_label - margin)^2 over the other outputs that fire.
    softmax : the cross-entropy with the softmax of -t_k / margin, silent ones firing at the end.
    """

    SHIFT = "shift"
    SOFTMAX = "softmax"


@dataclass(frozen=True, slots=True)
class DelGrad:
    """Choices of training by exact gradients of first spikes.

    weight_rate, delay_rate : step sizes at the start of a cosine schedule that ends at 0 with the
        last epoch; a rate of 0 leaves its numbers as they are.  Weights in a unit that does not
        depend on the length of a step: 1 raises a membrane at rest by 1 per synaptic time constant
        at first.  Delays in synaptic time constants.
    optimizer : Adam has moments .9 and .999.  momentum : of the sign optimizer's running mean.
    batch : recordings per update.
    objective, margin : see there.
    pull, output_pull : of a hidden neuron or an output that stays silent, pull * (1 - V /
        threshold) is added to the loss, V being its largest membrane, and moves its weights.  Exact
        gradients do not see that a spike could appear; this does.
    smallest_rise : V' at a spike counts as at least this, in thresholds per synaptic time
        constant: a membrane that hardly reaches its threshold has a spike time whose derivative
        grows beyond all bounds.  0: exact.
    channel_shift : each recording of a batch is shifted by up to this many channels, drawn anew;
        what leaves the array at its edge is lost.
    """

    weight_rate: float = 0.02
    delay_rate: float = 0.01
    optimizer: Optimizer = Optimizer.ADAM
    momentum: float = 0.875
    batch: int = 150
    objective: Objective = Objective.SOFTMAX
    margin: float = 0.1
    pull: float = 1.0
    output_pull: float = 10.0
    smallest_rise: float = 0.1
    channel_shift: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer", member("optimizer", self.optimizer, Optimizer))
        object.__setattr__(self, "objective", member("objective", self.objective, Objective))
        for name in ("weight_rate", "delay_rate", "pull", "output_pull", "smallest_rise"):
            at_least_zero(name, getattr(self, name))
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise ValueError(f"margin must be a number above 0, not {self.margin}")
        check_batches(self.momentum, self.batch, self.channel_shift)

    @property
    def bias_rate(self) -> float:
        """No neuron has a bias."""
        return 0.0

    @property
    def hidden_bias(self) -> bool:
        """No neuron has a bias."""
        return False


def train_delgrad(
    network: Network,
    examples: Examples,
    rule: DelGrad,
    *,
    epochs: int,
    seed: int,
    held_out: Examples | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Result:
    """Train weights and delays of `network`, one of `make_first_spike_network`, by DelGrad.

    All weights between populations and the delays of every projection that has a delay mode are
    learned.  Events come at the start of their steps; spikes and delays are real numbers.  What
    happens after the last step does not count.  The same arguments give the same bits, whatever
    the number of threads.  A recording in which no output fires counts as a mistake.

    Parameters, and what is raised, are those of `learn.train`.

    Raises
    ------
    ValueError
        Also if the first spikes of the network have no closed form.
    """
    return finish(_Training(network, examples, rule, epochs, seed, held_out), checkpoint, progress)


def first_spikes(network: Network, rule: DelGrad) -> FirstSpikes:
    """Return the forward and backward pass of `rule`."""
    return FirstSpikes(
        network,
        learns_delays=rule.delay_rate > 0,
        softmax=rule.objective is Objective.SOFTMAX,
        margin=rule.margin,
        pull=rule.pull,
        output_pull=rule.output_pull,
        smallest_rise=rule.smallest_rise,
    )


class _Training(Training):
    """A training run between two epochs."""

    name = "delgrad"

    def __init__(
        self,
        network: Network,
        examples: Examples,
        rule: DelGrad,
        epochs: int,
        seed: int,
        held_out: Examples | None,
    ) -> None:
        self.first_spikes = first_spikes(network, rule)
        layout, initial = self.first_spikes.layout, self.first_spikes.initial
        super().__init__(network, examples, rule, layout, initial, epochs, seed, held_out, None)

    def rates(self) -> dict[str, float]:
        unit, tau_syn = self.first_spikes.gain, self.first_spikes.tau_syn
        weights, delays = self.rule.weight_rate * unit, self.rule.delay_rate * tau_syn
        return {"weights": weights, "delays": delays, "bias": 0.0}

    def learn(
        self, parameters: Parameters, chosen: NDArray[np.int64], shifts: NDArray[np.int64]
    ) -> Outcome:
        return self.first_spikes.run(parameters, self.examples, chosen, shifts, learn=True)

    def classes(self, parameters: Parameters, examples: Examples) -> NDArray[np.int64]:
        everything, still = np.arange(len(examples)), np.zeros(len(examples), np.int64)
        return self.first_spikes.run(parameters, examples, everything, still, learn=False).classes
